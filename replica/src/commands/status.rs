//! `replica status`: the status page for a reader.

use replica::observer::phases::Phase;
use replica::observer::status::ReplicaStatus;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The replica's admin port, such as 127.0.0.1:9000
    #[arg(value_name = "ADDR")]
    address: String,
}

pub(super) fn status(arguments: &Arguments, json: bool) -> anyhow::Result<()> {
    let status = replica::admin::fetch(&arguments.address)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print!("{}", page(&status));
    }
    Ok(())
}

fn page(status: &ReplicaStatus) -> String {
    let consensus = &status.consensus;
    let decided = consensus.decided_fast + consensus.decided_slow + consensus.decided_transfer;
    let fast_share = if decided == 0 {
        "-".to_owned()
    } else {
        format!(
            "{:.1} %",
            100.0 * consensus.decided_fast as f64 / decided as f64
        )
    };
    let role = if status.role == "learner" {
        "learner"
    } else if status.primary == status.replica {
        "primary"
    } else {
        "backup"
    };
    let connected = status.peers.iter().filter(|peer| peer.connected).count();
    let away: Vec<String> = status
        .peers
        .iter()
        .filter(|peer| !peer.connected)
        .map(|peer| peer.replica.to_string())
        .collect();
    let away = if away.is_empty() {
        String::new()
    } else {
        format!(" (away: {})", away.join(", "))
    };
    let accused: u64 = status.peers.iter().map(|peer| peer.misbehaviour).sum();
    let storage = &status.storage;
    let lines = [
        (
            "replica",
            format!(
                "{} of {} (f = {}), {role} of view {}, epoch {}",
                status.replica, status.n, status.f, status.view, status.epoch
            ),
        ),
        ("cluster", status.cluster.chars().take(16).collect()),
        (
            "executed",
            format!(
                "slot {}, {} operations in {} requests",
                status.last_executed, consensus.executed_ops, consensus.executed_requests
            ),
        ),
        (
            "checkpoint",
            format!("stable {}, own {}", status.stable, status.checkpoint),
        ),
        (
            "decided",
            format!(
                "{decided} slots, {fast_share} on the fast path, {} fallbacks",
                consensus.fallbacks
            ),
        ),
        ("slots", phases(status)),
        (
            "batches",
            format!(
                "{:.1} operations on average, {} at most",
                consensus.batch_ops.mean(),
                consensus.batch_ops.max
            ),
        ),
        (
            "peers",
            format!(
                "{connected} of {} connected{away}, {accused} refused messages",
                status.peers.len()
            ),
        ),
        (
            "clients",
            format!(
                "{} connections, {} busy, {} bad requests",
                status.clients.connections,
                status.clients.busy + status.clients.busy_unread,
                status.clients.bad_requests
            ),
        ),
        (
            "traffic",
            format!(
                "peers {} out, {} in; clients {} out, {} in",
                bytes(status.traffic.peer_bytes_sent),
                bytes(status.traffic.peer_bytes_received),
                bytes(status.traffic.client_bytes_sent),
                bytes(status.traffic.client_bytes_received)
            ),
        ),
        (
            "storage",
            format!(
                "{}, durability {}, {} fsyncs, {} written",
                storage.engine,
                storage.durability,
                storage.log_fsyncs + storage.state_fsyncs,
                bytes(storage.log_bytes + storage.state_bytes)
            ),
        ),
        (
            "process",
            format!(
                "{}, up {:.0} s, {:.1} s of CPU, {} of memory, {} threads, {} open files",
                status.process.pid,
                status.process.uptime_s,
                status.process.cpu_s,
                bytes(status.process.rss_bytes),
                status.process.threads,
                status.process.open_files
            ),
        ),
    ];
    lines
        .iter()
        .map(|(name, text)| format!("{name:<11} {text}\n"))
        .collect()
}

/// Median and 99th percentile of each phase that there was, in the order of a request's way.
fn phases(status: &ReplicaStatus) -> String {
    let ms = |micros: u64| format!("{:.1}", micros as f64 / 1e3);
    let took = |phase: &Phase| {
        let measured = status.phases.get(phase.name())?;
        let (p50, p99) = (ms(measured.p50_us), ms(measured.p99_us));
        Some(format!("{} {p50} / {p99}", phase.name().replace('_', "-")))
    };
    let all: Vec<String> = Phase::ALL.iter().filter_map(took).collect();
    match all.is_empty() {
        true => "none yet".to_owned(),
        false => format!("{} ms (p50 / p99)", all.join(", ")),
    }
}

fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0);
    format!("{value:.decimals$} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use replica::observer::status::PhaseStatus;

    use super::*;

    #[test]
    fn phases_stand_in_the_order_of_a_requests_way_and_those_that_never_came_are_left_out() {
        let mut status = ReplicaStatus::default();
        assert_eq!(phases(&status), "none yet");
        for (phase, p50_us) in [(Phase::Reply, 300), (Phase::PrePrepare, 1_200)] {
            let measured = PhaseStatus {
                p50_us,
                p99_us: 10 * p50_us,
                ..PhaseStatus::default()
            };
            status.phases.insert(phase.name().to_owned(), measured);
        }
        assert_eq!(
            phases(&status),
            "pre-prepare 1.2 / 12.0, reply 0.3 / 3.0 ms (p50 / p99)"
        );
    }
}
