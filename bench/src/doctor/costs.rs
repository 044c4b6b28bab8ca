//! What the parts of an operation cost here, and what that would allow a cluster of five (docs/performance.md).

use std::path::Path;

use consensus::{FastQuorum, Quorums};

use super::finding::Finding;
use crate::machine::{Costs, HopPath, SyncLatency, cores, in_memory};
use crate::report::units;

/// From here on the disk and not the protocol sets the pace of votes.
const SYNC_MEDIAN_MAX_S: f64 = 5e-3;
/// On loopback a tail like this is waiting for a core.
const ROUND_TRIP_P99_MAX_S: f64 = 5e-3;

/// A finding for each cost and for what follows from them; `directory` is where writes were measured.
pub(super) fn costs(costs: &Costs, directory: &Path) -> Vec<Finding> {
    let mut findings = writes(costs, directory);
    findings.extend(crypto(costs));
    findings.push(quic(costs));
    findings.extend(bounds(costs));
    findings
}

fn writes(costs: &Costs, directory: &Path) -> Vec<Finding> {
    let memory = in_memory(directory).unwrap_or(false);
    let titles = [
        ("fsync_4k_median_us", "fsync of 4 KiB"),
        ("fsync_64k_median_us", "fsync of 64 KiB"),
    ];
    let finding = |((name, title), measured): ((_, _), &Result<SyncLatency, String>)| {
        let measured = match measured {
            Err(why) => return Finding::unknown(name, title, why),
            Ok(measured) => measured,
        };
        let text = format!(
            "median {}, p99 {}, of {}",
            time(measured.median_s),
            time(measured.p99_s),
            measured.count
        );
        let slow = measured.median_s > SYNC_MEDIAN_MAX_S;
        let remedy = if memory {
            "this file system lives in memory: `durability = full` promises nothing here; choose a disk with --results DIR and `bench run -o DIR`"
        } else {
            "every vote waits for one: use a local SSD, or say `durability = off` and mean it"
        };
        Finding::ok(name, title, measured.median_s * 1e6, text).warn_if(slow || memory, remedy)
    };
    titles.into_iter().zip(&costs.writes).map(finding).collect()
}

fn crypto(costs: &Costs) -> [Finding; 6] {
    let speed = &costs.signatures;
    let one = |name, title, seconds: f64| {
        let text = format!(
            "{}, {} on one core",
            time(seconds),
            units::rate(1.0 / seconds)
        );
        Finding::ok(name, title, seconds * 1e6, text)
    };
    let batched = |name, title, seconds: f64| {
        one(name, title, seconds).warn_if(
            seconds > speed.verify_s,
            "batches are slower than single signatures: something disturbed the measurement, or the build is not optimised",
        )
    };
    let bulk = format!("{}/s on one core", units::bytes(speed.hash_bytes_s));
    [
        one("sign_us", "signing", speed.sign_s),
        one("verify_us", "verifying one", speed.verify_s),
        batched(
            "verify_batched_64_us",
            "verifying of 64",
            speed.verify_batched_64_s,
        ),
        batched(
            "verify_batched_us",
            "verifying of 256",
            speed.verify_batched_s,
        ),
        one("hash_128_us", "hashing 128 B", speed.hash_128_s),
        Finding::ok("hash_bytes_s", "hashing in bulk", speed.hash_bytes_s, bulk),
    ]
}

fn quic(costs: &Costs) -> Finding {
    let (name, title) = ("quic_round_trip_median_us", "QUIC round trip");
    match &costs.round_trip {
        Err(why) => Finding::unknown(name, title, why),
        Ok(measured) => {
            let text = format!(
                "median {}, p99 {}, {} bytes over loopback",
                time(measured.median_s),
                time(measured.p99_s),
                measured.bytes
            );
            Finding::ok(name, title, measured.median_s * 1e6, text).warn_if(
                measured.p99_s > ROUND_TRIP_P99_MAX_S,
                "on loopback that is waiting for a core: stop what else runs",
            )
        }
    }
}

/// What five replicas with the strong fast quorum and every vote on disk could reach at best, if all of them are here.
fn bounds(costs: &Costs) -> [Finding; 2] {
    let (n, f) = (5, 1);
    let rate = costs.signatures.bound_ops_s(cores(), n, 1);
    let throughput = Finding::ok(
        "signature_bound_ops_s",
        "signature bound",
        rate,
        format!(
            "{} signed requests, n = {n}, if nothing else took time",
            units::rate(rate)
        ),
    );
    let (name, title) = ("hop_bound_us", "hop bound");
    let quorums = Quorums::new(n as u16, f, FastQuorum::Strong);
    let least = quorums
        .map_err(|error| error.to_string())
        .and_then(|quorums| {
            let path = HopPath::new(&quorums, quorums.weak(), true);
            Ok(path.bound_s(&path.costs(costs)?, cores()))
        });
    let latency = match least {
        Err(why) => Finding::unknown(name, title, why),
        Ok(seconds) => Finding::ok(
            name,
            title,
            seconds * 1e6,
            format!(
                "{} for one operation, n = {n}: delays, one fsync, signatures",
                time(seconds)
            ),
        ),
    };
    [throughput, latency]
}

fn time(seconds: f64) -> String {
    units::time(seconds * 1e6)
}
