//! The `[load]` table.

use std::time::Duration;

use crate::scenario::load::{Arrival, Load, LoadModel};
use crate::scenario::problem::Problem;
use crate::scenario::refusal::Words;
use crate::scenario::section::Section;
use crate::scenario::units::Rate;

/// Distinct client keys at most: each is a session at every replica.
const CLIENTS_MAX: u32 = 10_000;

/// Connections to each replica at most.
const CONNECTIONS_MAX: u32 = 64;

/// Connections that clients share unless the scenario says otherwise.
const CONNECTIONS_USUAL: u32 = 4;

/// Requests of one client under way at most: the session window W (docs/protocol.md R6).
const OUTSTANDING_MAX: u32 = 256;

/// Operations of one request at most (`request_ops_max` of consensus::Limits).
const OPS_PER_REQUEST_MAX: u32 = 1_024;

/// Operations a second at most; no machine offers more.
const RATE_MAX: f64 = 1e7;

pub(super) fn read(table: &mut Section<'_, '_>) -> Load {
    let model = model(table);
    let clients = table.integer("clients", 16, 1..=CLIENTS_MAX);
    let usual = clients.min(CONNECTIONS_USUAL);
    let connections = table.integer("connections", usual, 1..=CONNECTIONS_MAX);
    table.derived("connections", "default min(clients, 4)");
    if connections > clients {
        let problem = Problem::new(format!(
            "`load.connections` = {connections} is more than the {clients} clients that share them"
        ));
        table.reading.blame(
            &["load.connections", "load.clients"],
            problem.help(format!("write connections = {clients} at most")),
            "",
        );
    }
    let hour = Duration::from_secs(3_600);
    Load {
        model,
        clients,
        connections,
        ops_per_request: table.integer("ops_per_request", 1, 1..=OPS_PER_REQUEST_MAX),
        atomic: table.flag("atomic", false),
        warmup: table.quantity("warmup", Duration::from_secs(5), Duration::ZERO..=hour),
        duration: table.quantity(
            "duration",
            Duration::from_secs(30),
            Duration::from_millis(100)..=24 * hour,
        ),
    }
}

fn model(table: &mut Section<'_, '_>) -> LoadModel {
    #[derive(Clone, Copy)]
    enum Model {
        Open,
        Closed,
    }
    let model = table.choice(
        "model",
        Model::Open,
        &Words {
            now: &[("open", Model::Open), ("closed", Model::Closed)],
            later: &[],
        },
    );
    match model {
        Model::Open => {
            let why = "only a closed loop has it: an open loop sends by the clock";
            table.inapplicable(
                &["outstanding"],
                "model",
                why,
                "remove it, or write model = \"closed\"",
            );
            let rate = table.quantity(
                "rate",
                Rate::of(2_000.0),
                Rate::of(0.1)..=Rate::of(RATE_MAX),
            );
            let arrival = table.choice(
                "arrival",
                Arrival::Poisson,
                &Words {
                    now: &[
                        ("poisson", Arrival::Poisson),
                        ("constant", Arrival::Constant),
                    ],
                    later: &[],
                },
            );
            LoadModel::Open { rate, arrival }
        }
        Model::Closed => {
            let why = "only an open loop has it: the clients of a closed loop send when they are answered";
            table.inapplicable(
                &["rate", "arrival"],
                "model",
                why,
                "remove it, or write model = \"open\"",
            );
            LoadModel::Closed {
                outstanding: table.integer("outstanding", 8, 1..=OUTSTANDING_MAX),
            }
        }
    }
}
