//! Attacks by clients: how well the correct ones were served meanwhile.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::hostile_clients::AttackCounts;
use crate::record::{ClientAttackFact, ClientService, Recording, new_histogram};
use crate::scenario::schema::ClientFault;

/// Before an attack this long is what is compared with ...
const BEFORE_MAX: Duration = Duration::from_secs(2);
/// ... and less than this is too little to compare with.
const BEFORE_MIN: Duration = Duration::from_millis(500);

/// An attack that was made.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::run) struct Attacked {
    pub(in crate::run) fault: ClientFault,
    pub(in crate::run) counts: AttackCounts,
}

/// What run.json says of it.
pub(super) fn fact(
    attacked: &Attacked,
    recording: &Recording,
    start: Duration,
    end: Duration,
) -> ClientAttackFact {
    let from = start.saturating_sub(BEFORE_MAX);
    let before = recording.served(from, start);
    let during = recording.served(start, end);
    let compared = start.saturating_sub(from) >= BEFORE_MIN && end > start;
    let rate = |answered: u64, time: Duration| answered as f64 / time.as_secs_f64();
    let kept = |before: u64, during: u64| {
        let had = rate(before, start.saturating_sub(from));
        rate(during, end.saturating_sub(start)) / had
    };
    let each_kept: Vec<f64> = before
        .iter()
        .filter(|service| compared && service.answered > 0)
        .map(|service| kept(service.answered, answered_by(&during, service.client)))
        .collect();
    let total = |services: &[ClientService]| services.iter().map(|one| one.answered).sum::<u64>();
    let entry = attacked.fault.attack.entry();
    let correct = before.len() as f64;
    let machine_left = machine_left(attacked, end.saturating_sub(start));
    let fair = correct / (correct + f64::from(attacked.fault.count)) * machine_left;
    let waits = during.iter().map(|service| service.longest_wait);
    ClientAttackFact {
        attack: entry.name.to_owned(),
        id: entry.id.to_owned(),
        count: attacked.fault.count,
        counts: attacked.counts,
        service_kept: (!each_kept.is_empty()).then(|| kept(total(&before), total(&during))),
        share_kept: each_kept
            .iter()
            .copied()
            .reduce(f64::min)
            .map(|least| least / fair),
        machine_left: Some(machine_left),
        p99_ratio: p99_ratio(&during),
        longest_wait_ms: waits.max().unwrap_or_default().as_secs_f64() * 1e3,
        each_kept,
    }
}

/// What the attackers' program left of the machine's processor time. Making requests and sealing packets for all
/// replicas is work of the attackers' own machines, which here is the replicas'. What replicas do with it is theirs.
fn machine_left(attacked: &Attacked, lasted: Duration) -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let there = lasted.as_secs_f64() * cores as f64;
    let spent = attacked.counts.cpu_ms as f64 / 1e3;
    if there > 0.0 {
        (1.0 - spent / there).clamp(0.1, 1.0)
    } else {
        1.0
    }
}

fn answered_by(services: &[ClientService], client: u64) -> u64 {
    let of = services.iter().find(|service| service.client == client);
    of.map_or(0, |service| service.answered)
}

/// The highest p99 of one client over that of the others together.
fn p99_ratio(services: &[ClientService]) -> Option<f64> {
    let p99 = |latencies: &Histogram<u64>| latencies.value_at_quantile(0.99) as f64;
    let ratio = |one: &ClientService| {
        let mut others = new_histogram();
        for other in services.iter().filter(|other| other.client != one.client) {
            others
                .add(&other.latencies)
                .expect("all latencies have the same bounds");
        }
        let answered = !others.is_empty() && !one.latencies.is_empty();
        answered.then(|| p99(&one.latencies) / p99(&others))
    };
    services.iter().filter_map(ratio).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::record::{Answer, Live, Outcome, Phases, Recorder, Times};
    use crate::scenario::schema::{ClientAttack, Rate};
    use crate::workload::Operation;

    const MS: u64 = 1_000_000;

    /// Two clients with 100 operations a second each until 2 s; then `after` of them, with these latencies.
    fn recording(after: [(u64, u64); 2]) -> Recording {
        let phases = Phases::new(0, 0, u64::MAX);
        let mut recorder = Recorder::new(phases, Arc::new(Live::default()), None).by_client();
        let read = Operation::Read {
            key: Bytes::from_static(b"k"),
        };
        let answer = Answer::Executed {
            outcome: Outcome::Value(None),
            seq: Some(1),
        };
        for (client, (per_second, latency)) in (0..).zip(after) {
            let early = (0..200).map(|number| (number * 10, 1));
            let late =
                (0..2 * per_second).map(|number| (2_000 + number * 1_000 / per_second, latency));
            for (sent, latency) in early.chain(late) {
                let times = Times {
                    intended_ns: sent * MS,
                    sent_ns: sent * MS,
                    end_ns: (sent + latency) * MS,
                };
                recorder.finished(client, &read, times, &answer);
            }
        }
        recorder.into_recording()
    }

    fn of(recording: &Recording, count: u32) -> ClientAttackFact {
        spent(recording, count, 0)
    }

    fn spent(recording: &Recording, count: u32, cpu_ms: u64) -> ClientAttackFact {
        let attack = ClientAttack::Equivocate {
            rate: Rate::of(1.0),
        };
        let attacked = Attacked {
            fault: ClientFault {
                attack,
                count,
                until: Duration::from_secs(4),
            },
            counts: AttackCounts {
                cpu_ms,
                ..AttackCounts::default()
            },
        };
        fact(
            &attacked,
            recording,
            Duration::from_secs(2),
            Duration::from_secs(4),
        )
    }

    #[test]
    fn the_share_is_that_of_the_client_that_was_left_with_least() {
        let fact = of(&recording([(100, 1), (50, 1)]), 1);
        let near = |one: Option<f64>, other: f64| one.is_some_and(|one| (one - other).abs() < 0.03);
        assert!(near(fact.service_kept, 0.75), "{fact:?}");
        // Two clients and one attacker: two thirds each are fair.
        assert!(near(fact.share_kept, 0.75), "{fact:?}");
        assert_eq!(fact.each_kept.len(), 2);
    }

    #[test]
    fn the_attackers_own_work_is_nobodys_unfairness() {
        let recording = recording([(100, 1), (50, 1)]);
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        // Half of the machine for two seconds.
        let fact = spent(&recording, 1, 1_000 * cores);
        assert!(
            fact.machine_left
                .is_some_and(|left| (left - 0.5).abs() < 0.01),
            "{fact:?}"
        );
        let free = of(&recording, 1);
        assert!(
            fact.share_kept
                .zip(free.share_kept)
                .is_some_and(|(with, without)| (with - 2.0 * without).abs() < 0.01)
        );
        assert_eq!(fact.service_kept, free.service_kept, "as measured");
    }

    #[test]
    fn a_victim_is_seen_in_its_p99_and_in_its_wait() {
        let fact = of(&recording([(100, 2), (100, 40)]), 2);
        assert!(
            fact.p99_ratio
                .is_some_and(|ratio| (19.0..21.0).contains(&ratio)),
            "{fact:?}"
        );
        assert!((40.0..150.0).contains(&fact.longest_wait_ms), "{fact:?}");
        let even = of(&recording([(100, 2), (100, 2)]), 2);
        // Histograms of clients have two digits.
        let is_even = |ratio| (0.98..1.02).contains(&ratio);
        assert!(even.p99_ratio.is_some_and(is_even), "{even:?}");
    }
}
