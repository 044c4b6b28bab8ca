//! What this machine would allow: the yardsticks beside throughput and latency, measured right before the repeat.
//!
//! Every signed request is signed once and verified at every replica; the best case verifies in
//! large batches. On c cores: c / (sign + n × verify) requests a second, times the operations that
//! share a signature. The least latency is that of `machine::HopPath`.

use std::path::Path;

use consensus::Quorums;

use crate::cluster;
use crate::machine::{Costs, Effort, HopPath, SyncLatency, cores};
use crate::record::{Bounds, MeasuredCosts, Repeat};
use crate::scenario::schema::{Durability, Engine, ReadMode, Scenario};

/// What was measured before a repeat.
pub(super) struct Yardstick {
    costs: Costs,
    hop_bound_ms: Option<f64>,
}

impl Yardstick {
    /// Measures, beside the files of the repeat. If its replicas run on this machine, what follows for the latency is worked out, too.
    pub(super) fn measure(directory: &Path, scenario: &Scenario, local: bool) -> Self {
        let costs = Costs::measure(directory, Effort::Brief);
        let path = if local { hop_path(scenario) } else { None };
        let hop_bound_ms = path.and_then(|path| {
            let steps = path.costs(&costs).ok()?;
            Some(path.bound_s(&steps, cores()) * 1e3)
        });
        Yardstick {
            costs,
            hop_bound_ms,
        }
    }

    /// The bounds of a repeat that these costs imply.
    pub(super) fn bounds(&self, scenario: &Scenario, repeat: &Repeat) -> Bounds {
        let signatures = &self.costs.signatures;
        let (n, ops_per_request) = (scenario.cluster.n, scenario.load.ops_per_request);
        let bound_ops_s = signatures.bound_ops_s(cores(), n, ops_per_request);
        let p50_ms = repeat
            .latency_us
            .get("all")
            .filter(|latency| latency.count > 0 && latency.p50 > 0.0)
            .map(|latency| latency.p50 / 1e3);
        Bounds {
            signature_bound_ops_s: bound_ops_s,
            signature_bound_share: repeat.throughput_ops_s / bound_ops_s,
            hop_bound_ms: self.hop_bound_ms,
            hop_bound_share: self
                .hop_bound_ms
                .zip(p50_ms)
                .map(|(bound, p50)| bound / p50),
            costs: Some(self.measured()),
        }
    }

    /// A sentence for each part that could not be measured.
    pub(super) fn doubts(&self) -> impl Iterator<Item = String> {
        let writes = self
            .costs
            .writes
            .iter()
            .filter_map(|one| one.as_ref().err());
        let all = writes.chain(self.costs.round_trip.as_ref().err());
        all.map(|why| format!("a bound of this machine is not known: {why}"))
    }

    fn measured(&self) -> MeasuredCosts {
        let us = |seconds: f64| seconds * 1e6;
        let speed = &self.costs.signatures;
        let [small, large] = &self.costs.writes;
        let write_us =
            |one: &Result<SyncLatency, String>| one.as_ref().ok().map(|write| us(write.median_s));
        let round_trip = self.costs.round_trip.as_ref().ok();
        MeasuredCosts {
            cores: cores(),
            sign_us: us(speed.sign_s),
            verify_us: us(speed.verify_s),
            verify_batched_64_us: us(speed.verify_batched_64_s),
            verify_batched_us: us(speed.verify_batched_s),
            hash_128_us: us(speed.hash_128_s),
            hash_bytes_s: speed.hash_bytes_s,
            fsync_4k_us: write_us(small),
            fsync_64k_us: write_us(large),
            quic_round_trip_us: round_trip.map(|measured| us(measured.median_s)),
        }
    }
}

/// `None` where operations take other ways than the one that is measured: links that are emulated, reads that are not ordered.
fn hop_path(scenario: &Scenario) -> Option<HopPath> {
    if scenario.network.is_some() || scenario.workload.read_mode != ReadMode::Ordered {
        return None;
    }
    let narrow = |count| u16::try_from(count).ok();
    let cluster = &scenario.cluster;
    let fast = cluster::fast_quorum(scenario);
    let quorums = Quorums::new(narrow(cluster.n)?, narrow(cluster.f)?, fast).ok()?;
    let replies = quorums.write_replies(cluster::limits(scenario).quorum_reads);
    let storage = &cluster.storage;
    let durable = storage.durability == Durability::Full && storage.engine == Engine::Sqlite;
    Some(HopPath::new(&quorums, replies, durable))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::LatencySummary;
    use crate::scenario::{QUICKSTART, Source, load};

    fn scenario(changes: &[&str]) -> Scenario {
        let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
        load(&[Source::Embedded(QUICKSTART)], &changes)
            .unwrap()
            .scenario
    }

    #[test]
    fn a_repeat_stands_beside_what_the_machine_would_allow() {
        let place = tempfile::tempdir().unwrap();
        let scenario = scenario(&["load.ops_per_request=4"]);
        let yardstick = Yardstick::measure(place.path(), &scenario, true);
        assert_eq!(yardstick.doubts().count(), 0);
        let mut repeat = Repeat {
            throughput_ops_s: 1_000.0,
            ..Repeat::default()
        };
        let idle = yardstick.bounds(&scenario, &repeat);
        let costs = idle.costs.unwrap();
        let request_us = costs.sign_us + 5.0 * costs.verify_batched_us;
        let expected = costs.cores * 1e6 / request_us * 4.0;
        assert!((idle.signature_bound_ops_s / expected - 1.0).abs() < 1e-9);
        assert!((idle.signature_bound_share - 1_000.0 / expected).abs() < 1e-9);
        assert_eq!(idle.hop_bound_share, None, "nobody was answered");
        let bound = idle.hop_bound_ms.unwrap();
        let least = 2.0 * costs.quic_round_trip_us.unwrap() + costs.fsync_4k_us.unwrap();
        assert!(bound * 1e3 > least, "{bound} ms, {least} us");
        let p50 = LatencySummary {
            count: 1,
            p50: 4e3 * bound,
            ..LatencySummary::default()
        };
        repeat.latency_us.insert("all".to_owned(), p50);
        let share = yardstick.bounds(&scenario, &repeat).hop_bound_share;
        assert!((share.unwrap() - 0.25).abs() < 1e-9);
        let elsewhere = Yardstick::measure(place.path(), &scenario, false);
        assert_eq!(elsewhere.bounds(&scenario, &repeat).hop_bound_ms, None);
    }

    #[test]
    fn the_way_of_an_operation_follows_from_the_scenario() {
        let of = |changes: &[&str]| hop_path(&scenario(changes));
        let counts = |path: HopPath| (path.delays(), path.writes());
        assert_eq!(of(&[]).map(counts), Some((4, 1)));
        for off in [
            "cluster.storage.durability=off",
            "cluster.storage.engine=memory",
        ] {
            assert_eq!(of(&[off]).map(counts), Some((4, 0)), "{off}");
        }
        assert_eq!(of(&["cluster.fast_quorum=off"]).map(counts), Some((5, 2)));
        assert_eq!(of(&["network.default={ delay = \"1ms\" }"]), None);
    }
}
