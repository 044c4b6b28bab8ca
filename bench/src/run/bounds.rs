//! What this machine would allow: the yardsticks beside throughput and latency, measured right before the repeat and right after it.
//!
//! Every signed request is signed once and verified at every replica; the best case verifies in
//! large batches. On c cores: c / (sign + n × verify) requests a second, times the operations that
//! share a signature. The least latency is that of `machine::HopPath`.
//!
//! A machine that others use, too, changes its pace within seconds. A repeat is therefore judged by the mean of what was measured at its
//! two ends, and where these differ by much, its warnings say so.

use std::collections::BTreeSet;
use std::path::Path;

use consensus::Quorums;

use crate::cluster;
use crate::machine::{Costs, Effort, HopPath, SyncLatency, bound_ops_s, cores};
use crate::record::{Bounds, MeasuredCosts, Repeat, mean_of_known};
use crate::report::units;
use crate::scenario::schema::{Durability, Engine, ReadMode, Scenario};

/// The cost of a signed request after the repeat, by that before it, beyond which (or beyond whose inverse) the repeat is doubted.
const PACE_CHANGE_MAX: f64 = 1.5;

/// What was measured before a repeat, and after it.
pub(super) struct Yardstick {
    before: Measured,
    after: Option<Measured>,
}

/// At one moment.
#[derive(Clone)]
struct Measured {
    costs: MeasuredCosts,
    hop_bound_ms: Option<f64>,
    /// Why what is missing is not known.
    missing: Vec<String>,
}

impl Yardstick {
    /// Measures, beside the files of the repeat. If its replicas run on this machine, what follows for the latency is worked out, too.
    pub(super) fn measure(directory: &Path, scenario: &Scenario, local: bool) -> Self {
        Yardstick {
            before: Measured::now(directory, scenario, local),
            after: None,
        }
    }

    /// Measures once more: the repeat is over.
    pub(super) fn measure_again(&mut self, directory: &Path, scenario: &Scenario, local: bool) {
        self.after = Some(Measured::now(directory, scenario, local));
    }

    /// The bounds of a repeat that these costs imply.
    pub(super) fn bounds(&self, scenario: &Scenario, repeat: &Repeat) -> Bounds {
        let after = self.after.as_ref().unwrap_or(&self.before);
        let costs = self.before.costs.mean(&after.costs);
        let hop_bound_ms = mean_of_known(self.before.hop_bound_ms, after.hop_bound_ms);
        let operations = f64::from(scenario.load.ops_per_request);
        let bound_ops_s = requests_s(&costs, scenario) * operations;
        let p50_ms = repeat
            .latency_us
            .get("all")
            .filter(|latency| latency.count > 0 && latency.p50 > 0.0)
            .map(|latency| latency.p50 / 1e3);
        Bounds {
            signature_bound_ops_s: bound_ops_s,
            signature_bound_share: repeat.throughput_ops_s / bound_ops_s,
            hop_bound_ms,
            hop_bound_share: hop_bound_ms.zip(p50_ms).map(|(bound, p50)| bound / p50),
            pace_change: self.after.is_some().then(|| self.pace_change(scenario)),
            costs: Some(costs),
        }
    }

    /// What a signed request costs after the repeat, by what it cost before.
    fn pace_change(&self, scenario: &Scenario) -> f64 {
        let after = self.after.as_ref().unwrap_or(&self.before);
        requests_s(&self.before.costs, scenario) / requests_s(&after.costs, scenario)
    }

    /// A sentence for each part that could not be measured, and for a machine that did not keep its pace.
    pub(super) fn doubts(&self, scenario: &Scenario) -> Vec<String> {
        let measured = [Some(&self.before), self.after.as_ref()];
        let missing: BTreeSet<&String> = measured
            .into_iter()
            .flatten()
            .flat_map(|measured| &measured.missing)
            .collect();
        let missing = missing
            .into_iter()
            .map(|why| format!("a bound of this machine is not known: {why}"));
        let change = self.pace_change(scenario);
        let kept = (PACE_CHANGE_MAX.recip()..=PACE_CHANGE_MAX).contains(&change);
        let pace = (!kept).then(|| {
            format!(
                "this machine changed its pace: right after the repeat, signing and verifying took {} of the time that they took right before \
                 it; compare ratios of runs that took turns (bench compare), and no absolute figures",
                units::share(change)
            )
        });
        missing.chain(pace).collect()
    }
}

impl Measured {
    fn now(directory: &Path, scenario: &Scenario, local: bool) -> Self {
        let costs = Costs::measure(directory, Effort::Brief);
        let path = if local { hop_path(scenario) } else { None };
        let hop_bound_ms = path.and_then(|path| {
            let steps = path.costs(&costs).ok()?;
            Some(path.bound_s(&steps, cores()) * 1e3)
        });
        let writes = costs.writes.iter().filter_map(|one| one.as_ref().err());
        let missing = writes.chain(costs.round_trip.as_ref().err());
        Measured {
            missing: missing.cloned().collect(),
            costs: in_microseconds(&costs),
            hop_bound_ms,
        }
    }
}

/// Signed requests a second that these costs would allow.
fn requests_s(costs: &MeasuredCosts, scenario: &Scenario) -> f64 {
    let [sign_s, verify_s] = [costs.sign_us, costs.verify_batched_us].map(|us| us / 1e6);
    bound_ops_s(costs.cores, sign_s, verify_s, scenario.cluster.n)
}

fn in_microseconds(costs: &Costs) -> MeasuredCosts {
    let us = |seconds: f64| seconds * 1e6;
    let speed = &costs.signatures;
    let [small, large] = &costs.writes;
    let write_us =
        |one: &Result<SyncLatency, String>| one.as_ref().ok().map(|write| us(write.median_s));
    let round_trip = costs.round_trip.as_ref().ok();
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
        assert!(yardstick.doubts(&scenario).is_empty());
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
    fn a_repeat_is_judged_by_both_of_its_ends_and_doubted_where_they_differ() {
        let scenario = scenario(&[]);
        let costs = MeasuredCosts {
            cores: 2.0,
            sign_us: 20.0,
            verify_batched_us: 10.0,
            ..MeasuredCosts::default()
        };
        let at = |times: f64, hop: f64, missing: &[&str]| Measured {
            costs: MeasuredCosts {
                sign_us: costs.sign_us * times,
                verify_batched_us: costs.verify_batched_us * times,
                ..costs
            },
            hop_bound_ms: Some(hop),
            missing: missing.iter().map(ToString::to_string).collect(),
        };
        let of = |after: Measured| Yardstick {
            before: at(1.0, 0.4, &["no disk"]),
            after: Some(after),
        };
        let repeat = Repeat {
            throughput_ops_s: 10_000.0,
            ..Repeat::default()
        };
        // 2 cores / (20 us + 5 x 10 us), and half of it: between them, 2 / 105 us.
        let yardstick = of(at(2.0, 0.8, &["no disk", "no loopback"]));
        let bounds = yardstick.bounds(&scenario, &repeat);
        assert!((bounds.signature_bound_ops_s - 2.0 / 105e-6).abs() < 1e-3);
        assert!((bounds.signature_bound_share - 0.525).abs() < 1e-9);
        assert!((bounds.hop_bound_ms.unwrap() - 0.6).abs() < 1e-9);
        assert!((bounds.pace_change.unwrap() - 2.0).abs() < 1e-9);
        let doubts = yardstick.doubts(&scenario);
        assert_eq!(doubts.len(), 3, "{doubts:?}");
        assert!(doubts[2].contains("took 200 % of the time"), "{doubts:?}");
        for (times, doubts) in [(1.4, 1), (0.7, 1), (1.6, 2), (0.6, 2)] {
            let yardstick = of(at(times, 0.4, &[]));
            assert_eq!(yardstick.doubts(&scenario).len(), doubts, "{times}");
        }
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
