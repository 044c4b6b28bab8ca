//! The `[cluster]` table.

use std::time::Duration;

use consensus::{ConfigError, Quorums};

use crate::scenario::cluster::{
    Batch, Cluster, CommitMode, Durability, Engine, FastQuorum, Protocol, Storage, Timeouts,
};
use crate::scenario::problem::Problem;
use crate::scenario::reading::Reading;
use crate::scenario::refusal::{Refusal, Words};
use crate::scenario::section::Section;
use crate::scenario::tree::Value;
use crate::scenario::units::Size;

/// Replicas at most: one machine, or one `cluster.toml`, holds no more, and vote sets are sized for it.
pub(super) const REPLICAS_MAX: u32 = consensus::cluster::REPLICAS_MAX as u32;

/// Faults at most: what [`REPLICAS_MAX`] replicas can bear.
const FAULTS_MAX: u32 = (REPLICAS_MAX - 1) / 3;

pub(super) fn read(table: &mut Section<'_, '_>) -> Cluster {
    let protocol = table.choice(
        "protocol",
        Protocol::PbftFast,
        &Words {
            now: &[("pbft-fast", Protocol::PbftFast), ("pbft", Protocol::Pbft)],
            later: &["raft", "multipaxos", "primary-backup"],
        },
    );
    let f = table.integer("f", 1, 1..=FAULTS_MAX);
    let n = replicas(table, f);
    let fast_quorum = fast_quorum(table, protocol);
    let commit_mode = commit_mode(table, fast_quorum);
    let cluster = Cluster {
        protocol,
        f,
        n,
        fast_quorum,
        commit_mode,
        storage: table.table("storage", storage),
        batch: table.table("batch", batch),
        timeouts: table.table("timeouts", timeouts),
    };
    if table.reading.problems.is_empty() {
        check_quorums(table.reading, &cluster);
    }
    cluster
}

/// `n`, an integer or an expression of f.
fn replicas(table: &mut Section<'_, '_>, f: u32) -> u32 {
    let default = 4 * f + 1;
    let n = table.value("n", default, |value| {
        let n = match value {
            Value::Integer(number) => u32::try_from(*number).ok(),
            Value::Text(expression) => Some(evaluate(expression, f)?),
            other => {
                return Err(Refusal::kind(
                    "an integer or an expression of f",
                    other,
                    "n = \"4f+1\"",
                ));
            }
        };
        match n {
            Some(n) if (1..=REPLICAS_MAX).contains(&n) => Ok(n),
            _ => Err(Refusal::new(
                match value {
                    Value::Integer(number) => format!("{number} is out of bounds"),
                    _ => format!("that is {} replicas with f = {f}", n.unwrap_or(u32::MAX)),
                },
                format!("n is {} to {REPLICAS_MAX} with f = {f}", 3 * f + 1),
            )),
        }
    });
    table.derived("n", "default \"4f+1\"");
    n
}

/// The value of `a f + b`, where both parts may be absent but not at once: "4f+1", "3f + 1", "f", "5".
fn evaluate(expression: &str, f: u32) -> Result<u32, Refusal> {
    let wrong = || {
        Refusal::new(
            format!("\"{expression}\" is no expression of f"),
            "write an integer or a f + b, for example n = \"4f+1\"",
        )
    };
    let compact: String = expression
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '*')
        .collect();
    let number = |text: &str| {
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        if digits {
            text.parse::<u32>().map_err(|_| wrong())
        } else {
            Err(wrong())
        }
    };
    let Some((factor, rest)) = compact.split_once('f') else {
        return number(&compact);
    };
    let factor = if factor.is_empty() {
        1
    } else {
        number(factor)?
    };
    let addend = match rest.strip_prefix('+') {
        Some(addend) => number(addend)?,
        None if rest.is_empty() => 0,
        None => return Err(wrong()),
    };
    factor
        .checked_mul(f)
        .and_then(|product| product.checked_add(addend))
        .ok_or_else(wrong)
}

fn fast_quorum(table: &mut Section<'_, '_>, protocol: Protocol) -> FastQuorum {
    if protocol == Protocol::Pbft {
        // Written out it may stand there, so that an effective file is a file.
        let off = table.written_word("fast_quorum", "off");
        if !off {
            table.inapplicable(
                &["fast_quorum"],
                "protocol",
                "protocol = \"pbft\" has no fast path",
                "remove it, or write protocol = \"pbft-fast\"",
            );
        }
    }
    let default = match protocol {
        Protocol::PbftFast => FastQuorum::Strong,
        Protocol::Pbft => FastQuorum::Off,
    };
    let words = Words {
        now: &FastQuorum::NAMES,
        later: &[],
    };
    let chosen = table.value("fast_quorum", default, |value| match value {
        Value::Integer(votes) => match u32::try_from(*votes) {
            Ok(votes) => Ok(FastQuorum::Exactly(votes)),
            Err(_) => Err(Refusal::new(
                format!("{votes} is out of bounds"),
                "it is a number of replicas, at most n",
            )),
        },
        other => words.read(other),
    });
    if protocol == Protocol::Pbft {
        table.derived("fast_quorum", "from protocol = \"pbft\"");
    }
    chosen
}

fn commit_mode(table: &mut Section<'_, '_>, fast_quorum: FastQuorum) -> CommitMode {
    // Without a fast path there is nothing to wait for (docs/protocol.md R8).
    let default = if fast_quorum == FastQuorum::Off {
        CommitMode::Eager
    } else {
        CommitMode::Adaptive
    };
    let chosen = table.choice(
        "commit_mode",
        default,
        &Words {
            now: &[
                ("adaptive", CommitMode::Adaptive),
                ("eager", CommitMode::Eager),
            ],
            later: &[],
        },
    );
    if fast_quorum == FastQuorum::Off {
        table.derived("commit_mode", "from fast_quorum = \"off\"");
    }
    chosen
}

fn storage(table: &mut Section<'_, '_>) -> Storage {
    let engine = table.choice(
        "engine",
        Engine::Sqlite,
        &Words {
            now: &[("sqlite", Engine::Sqlite), ("memory", Engine::Memory)],
            later: &[],
        },
    );
    if engine == Engine::Memory && !table.written_word("durability", "off") {
        table.inapplicable(
            &["durability"],
            "engine",
            "the memory engine keeps nothing",
            "write durability = \"off\", or engine = \"sqlite\"",
        );
    }
    let default = match engine {
        Engine::Sqlite => Durability::Full,
        Engine::Memory => Durability::Off,
    };
    let durability = table.choice(
        "durability",
        default,
        &Words {
            now: &[("full", Durability::Full), ("off", Durability::Off)],
            later: &[],
        },
    );
    if engine == Engine::Memory {
        table.derived("durability", "from engine = \"memory\"");
    }
    // The bounds are those of consensus::Limits.
    let storage = Storage {
        engine,
        durability,
        checkpoint_interval: table.integer("checkpoint_interval", 128, 1..=1 << 20),
        log_window: table.integer("log_window", 512, 2..=1 << 22),
    };
    if storage.log_window < 2 * storage.checkpoint_interval {
        let least = 2 * storage.checkpoint_interval;
        let problem = Problem::new(format!(
            "`cluster.storage.log_window` = {} is less than two checkpoint intervals of {}",
            storage.log_window, storage.checkpoint_interval
        ));
        table.reading.blame(
            &[
                "cluster.storage.log_window",
                "cluster.storage.checkpoint_interval",
            ],
            problem.help(format!(
                "write log_window = {least} or more, or a smaller checkpoint_interval"
            )),
            &format!("at least {least}"),
        );
    }
    storage
}

fn batch(table: &mut Section<'_, '_>) -> Batch {
    Batch {
        max_ops: table.integer("max_ops", 512, 1..=65_536),
        max_bytes: table.quantity(
            "max_bytes",
            Size::of(1 << 20),
            Size::of(64 << 10)..=Size::of(8 << 20),
        ),
        max_delay: table.quantity(
            "max_delay",
            Duration::from_millis(1),
            Duration::ZERO..=Duration::from_secs(1),
        ),
        pipeline: table.integer("pipeline", 8, 1..=1_024),
    }
}

fn timeouts(table: &mut Section<'_, '_>) -> Timeouts {
    let bounds = Duration::from_millis(1)..=Duration::from_secs(600);
    Timeouts {
        view_change: table.quantity("view_change", Duration::from_millis(500), bounds.clone()),
        heartbeat: table.quantity("heartbeat", Duration::from_millis(250), bounds.clone()),
        client: table.quantity("client", Duration::from_secs(1), bounds),
    }
}

/// n, f and the fast quorum against docs/protocol.md R2.
fn check_quorums(reading: &mut Reading<'_>, cluster: &Cluster) {
    let Cluster { n, f, .. } = *cluster;
    let narrow = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
    let fast = match cluster.fast_quorum {
        FastQuorum::Strong => consensus::FastQuorum::Strong,
        FastQuorum::Conservative => consensus::FastQuorum::Conservative,
        FastQuorum::Off => consensus::FastQuorum::Off,
        FastQuorum::Exactly(votes) => consensus::FastQuorum::Exactly(narrow(votes)),
    };
    let (paths, problem, label): (&[&str], _, _) = match Quorums::new(narrow(n), narrow(f), fast) {
        Ok(_) => return,
        Err(ConfigError::TooFewReplicas { least, .. }) => (
            &["cluster.n", "cluster.f"],
            Problem::new(format!("n = {n} replicas cannot tolerate f = {f} faulty ones: n must be at least 3f+1 = {least}"))
                .help(format!("write n = \"3f+1\" or more (n = \"4f+1\" keeps the fast path with a faulty replica), or f = {} at most", (n.max(1) - 1) / 3)),
            format!("at least {least}"),
        ),
        Err(ConfigError::FastQuorum { asked, least, most, .. }) => (
            &["cluster.fast_quorum"],
            Problem::new(format!("a fast quorum of {asked} is impossible with n = {n} and f = {f}: it must be {least} to {most}"))
                .help(format!("write fast_quorum = \"strong\" ({least} here) or a number from {least} to {most}")),
            format!("{least} to {most}"),
        ),
        Err(other) => (&["cluster.n", "cluster.f"], Problem::new(other.to_string()).help("change n or f"), String::new()),
    };
    reading.blame(paths, problem, &label);
}
