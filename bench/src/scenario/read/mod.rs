//! From the merged tree to the typed scenario: each table in one file, then the rules which span tables.

mod byzantine;
mod client;
mod cluster;
mod disk;
mod expect;
mod fault;
mod fault_rules;
mod link;
mod load;
mod network;
mod outsider;
mod partition;
mod rules;
mod slo;
pub(super) mod sweep;
mod workload;

use std::time::Duration;

use super::goals::{Check, Linearizable, Liveness, ResourceBounds};
use super::problem::Problem;
use super::reading::Reading;
use super::refusal::{Refusal, Words, integer};
use super::schema::{SCHEMA_VERSION, Scenario};
use super::section::Section;
use super::tree::{Table, Value};
use super::units::{Rate, Size};

/// Characters of a scenario's name at most: it is part of a directory's name.
const NAME_MAX: usize = 64;

/// Independent runs of one scenario at most.
const REPEAT_MAX: u32 = 1_000;

/// Bad signatures of one source, a second: suspects have 1,000 requests and 1,000 reads of them at a replica
/// (`replica::verify::SUSPECT_PACE`), and as many again are for what is under way when a peer is cut off.
const BAD_SIGNATURES_PER_S: f64 = 4_000.0;
/// Signatures of one peer beyond the next one's and the requests, a second: an eighth of a core, enough for a replica that
/// catches up from one source.
const PEER_LEAD_PER_S: f64 = 5_000.0;

/// Reads the whole scenario; its problems are in `reading`, and the value counts only if there are none.
pub(super) fn scenario(reading: &mut Reading<'_>, table: Table) -> Scenario {
    let mut root = Section::root(reading, table);
    let schema = schema_version(&mut root);
    let name = name(&mut root);
    let mut scenario = Scenario {
        schema,
        name,
        description: root.text("description", ""),
        seed: root.integer("seed", 7, 0..=i64::MAX.unsigned_abs()),
        repeat: root.integer("repeat", 1, 1..=REPEAT_MAX),
        cluster: root.table("cluster", cluster::read),
        network: None,
        workload: root.table("workload", workload::read),
        load: root.table("load", load::read),
        byzantine: Vec::new(),
        faults: Vec::new(),
        check: root.table("check", check),
        slo: root.table("slo", slo::read),
        expect: root.table("expect", expect::read),
        sweep: None,
    };
    // In the effective file, too, lists of tables stand behind the tables.
    scenario.byzantine = byzantine::read(&mut root);
    let n = scenario.cluster.n;
    scenario.network = network::read(&mut root, n);
    scenario.faults = fault::read(&mut root, scenario.load.duration, n);
    // Its work was done when the layers were gathered.
    let _ = root.take("extends");
    let sweep = sweep::read(&mut root);
    if let Some((sweep, written)) = sweep {
        sweep::judge(&mut root, &sweep);
        scenario.sweep = Some(sweep);
        root.reading.sweep = Some(written);
    }
    root.finish();
    reading.judge_unknown_keys();
    if reading.problems.is_empty() {
        rules::check(reading, &scenario);
    }
    scenario
}

fn schema_version(root: &mut Section<'_, '_>) -> u32 {
    if !root.has("schema") {
        let problem = Problem::new("`schema` is missing");
        root.reading
            .problems
            .push(problem.help("begin the file with schema = 1"));
    }
    root.value("schema", SCHEMA_VERSION, |value| {
        match integer(value, &(0..=u32::MAX), 1)? {
            SCHEMA_VERSION => Ok(SCHEMA_VERSION),
            other => Err(Refusal::new(
                format!(
                    "this program reads version {SCHEMA_VERSION} of the file format, not {other}"
                ),
                format!("write schema = {SCHEMA_VERSION}"),
            )),
        }
    })
}

fn name(root: &mut Section<'_, '_>) -> String {
    if !root.has("name") {
        let problem = Problem::new("`name` is missing");
        root.reading
            .problems
            .push(problem.help("add a line such as name = \"my-scenario\""));
    }
    root.value("name", String::new(), |value| {
        let Value::Text(name) = value else {
            return Err(Refusal::kind("a string", value, "name = \"my-scenario\""));
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let fits = (1..=NAME_MAX).contains(&name.len()) && name.chars().all(allowed);
        if fits && !name.starts_with(['.', '-']) {
            return Ok(name.clone());
        }
        Err(Refusal::new(
            format!("\"{name}\" cannot name a directory of results"),
            format!("use 1 to {NAME_MAX} letters, digits, \"-\", \"_\" and \".\", the first a letter, digit or \"_\""),
        ))
    })
}

fn check(table: &mut Section<'_, '_>) -> Check {
    let linearizable = Words {
        now: &[
            ("off", Linearizable::Off),
            ("sampled", Linearizable::Sampled),
            ("full", Linearizable::Full),
        ],
        later: &[],
    };
    Check {
        agreement: table.flag("agreement", true),
        linearizable: table.choice("linearizable", Linearizable::Full, &linearizable),
        exactly_once: table.flag("exactly_once", true),
        state: table.flag("state", true),
        liveness: table.table("liveness", |table| {
            let bounds = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
            Liveness {
                max_stall: table.quantity("max_stall", Duration::from_secs(6), bounds.clone()),
                after_heal: table.quantity("after_heal", Duration::from_secs(3), bounds),
            }
        }),
        resources: table.table("resources", |table| {
            let bounds = Size::of(1)..=Size::of(1 << 40);
            let rates = Rate::of(1.0)..=Rate::of(1e9);
            ResourceBounds {
                memory: table.quantity("memory", Size::of(256 << 20), bounds.clone()),
                memory_slope: table.quantity("memory_slope", Size::of(1 << 30), bounds.clone()),
                connections: table.integer("connections", 4096, 1..=u64::from(u32::MAX)),
                open_files: table.integer("open_files", 256, 1..=u64::from(u32::MAX)),
                threads: table.integer("threads", 64, 1..=u64::from(u32::MAX)),
                data: table.quantity("data", Size::of(1 << 30), bounds.clone()),
                log_per_minute: table.quantity("log_per_minute", Size::of(1 << 20), bounds),
                bad_signatures: table.quantity(
                    "bad_signatures",
                    Rate::of(BAD_SIGNATURES_PER_S),
                    rates.clone(),
                ),
                peer_lead: table.quantity("peer_lead", Rate::of(PEER_LEAD_PER_S), rates),
            }
        }),
    }
}
