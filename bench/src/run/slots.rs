//! From the replicas' histograms at the ends of the measured phase to how long its slots took, and to who was missing when
//! some fell back.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use replica::observer::histogram;
use replica::observer::status::ReplicaStatus;

use super::facts::{Ends, Span};
use crate::record::{
    FallbackFacts, LatencySummary, MissingVotes, PhaseFacts, ReplicaFallbacks, ReplicaPhases,
};

/// The phases of the slots in between; `None` if no replica knows the word.
pub(super) fn phases(ends: &Ends) -> Option<PhaseFacts> {
    let mut all = BTreeMap::<String, Histogram<u64>>::new();
    let mut replicas = Vec::new();
    for span in ends.spans() {
        let measured = histograms(&span);
        for (name, each) in &measured {
            let sum = all.entry(name.clone()).or_insert_with(histogram::empty);
            // Histograms of another program may have other bounds; then its own figures are all there is.
            let _ = sum.add(each);
        }
        replicas.push(ReplicaPhases {
            id: u32::from(span.last.replica),
            proposed: span.diff(|status| status.consensus.proposed),
            phases: summaries(&measured),
        });
    }
    (!all.is_empty()).then(|| PhaseFacts {
        all: summaries(&all),
        replicas,
    })
}

/// What came between two reports; nothing of a phase whose histogram cannot be read.
fn histograms(span: &Span<'_>) -> BTreeMap<String, Histogram<u64>> {
    let of = |status: &ReplicaStatus, name: &str| {
        let phase = status.phases.get(name)?;
        histogram::from_text(&phase.hdr)
    };
    let names = span.last.phases.keys();
    let each = names.filter_map(|name| {
        let mut histogram = of(span.last, name)?;
        if let Some(before) = of(&span.first, name) {
            histogram.subtract(&before).ok()?;
        }
        (!histogram.is_empty()).then(|| (name.clone(), histogram))
    });
    each.collect()
}

fn summaries(histograms: &BTreeMap<String, Histogram<u64>>) -> BTreeMap<String, LatencySummary> {
    let each = histograms
        .iter()
        .map(|(name, histogram)| (name.clone(), LatencySummary::of_micros(histogram)));
    each.collect()
}

/// The fallbacks in between; `n` is the number of replicas.
pub(super) fn fallbacks(ends: &Ends, n: usize) -> FallbackFacts {
    let replicas: Vec<ReplicaFallbacks> = ends
        .spans()
        .map(|span| {
            let me = usize::from(span.last.replica);
            let missing = (0..n).map(|id| match id == me {
                true => span.diff(|status| status.consensus.own_vote_missing),
                false => span.diff(|status| {
                    let peer = status
                        .peers
                        .iter()
                        .find(|peer| usize::from(peer.replica) == id);
                    peer.map_or(0, |peer| peer.missing_votes)
                }),
            });
            ReplicaFallbacks {
                id: u32::from(span.last.replica),
                slots: span.diff(|status| status.consensus.fallbacks),
                missing: missing.collect(),
            }
        })
        .collect();
    let times = |id: usize| {
        let each = replicas.iter().filter_map(|each| each.missing.get(id));
        each.sum()
    };
    FallbackFacts {
        slots: replicas.iter().map(|each| each.slots).sum(),
        missing: (0..n)
            .map(|id| MissingVotes {
                replica: id as u32,
                times: times(id),
            })
            .collect(),
        replicas,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use replica::observer::histogram::Durations;
    use replica::observer::status::{PeerStatus, PhaseStatus};

    use super::*;
    use crate::cluster::Snapshot;

    /// A replica whose phase `prepare` took these microseconds so far.
    fn status(id: u16, pid: u32, prepare: &[u64]) -> ReplicaStatus {
        let durations = Durations::default();
        prepare.iter().for_each(|micros| durations.record(*micros));
        let phase = PhaseStatus {
            hdr: histogram::to_text(&durations.snapshot()),
            ..PhaseStatus::default()
        };
        let mut status = ReplicaStatus {
            replica: id,
            phases: [("prepare".to_owned(), phase)].into(),
            ..ReplicaStatus::default()
        };
        status.process.pid = pid;
        status.consensus.proposed = 10 * prepare.len() as u64;
        status
    }

    fn ends(first: Vec<ReplicaStatus>, last: Vec<ReplicaStatus>) -> Ends {
        let snapshot = |all: Vec<ReplicaStatus>| Snapshot {
            answered: vec![None; all.len()],
            replicas: all.into_iter().map(Some).collect(),
        };
        Ends {
            first: snapshot(first),
            last: snapshot(last),
        }
    }

    #[test]
    fn only_what_came_between_the_ends_counts_and_sums_are_of_all_replicas() {
        let facts = phases(&ends(
            vec![status(0, 1, &[9_000]), status(1, 2, &[9_000])],
            vec![
                status(0, 1, &[9_000, 100, 200]),
                // Another process: it has counted from zero again.
                status(1, 3, &[50]),
            ],
        ))
        .unwrap();
        let prepare = &facts.all["prepare"];
        assert_eq!(prepare.count, 3);
        assert!((200.0..203.0).contains(&prepare.max), "{}", prepare.max);
        let counts: Vec<u64> = facts
            .replicas
            .iter()
            .map(|each| each.phases["prepare"].count)
            .collect();
        assert_eq!(counts, [2, 1]);
        let proposed: Vec<u64> = facts.replicas.iter().map(|each| each.proposed).collect();
        assert_eq!(proposed, [20, 10]);
    }

    #[test]
    fn replicas_that_know_no_phases_have_none() {
        let old = || vec![ReplicaStatus::default()];
        assert_eq!(phases(&ends(old(), old())), None);
        let mut odd = status(0, 1, &[5]);
        odd.phases.get_mut("prepare").unwrap().hdr = "?".to_owned();
        assert_eq!(phases(&ends(vec![status(0, 1, &[])], vec![odd])), None);
    }

    #[test]
    fn who_was_missing_is_summed_over_those_who_missed_it() {
        let fell_back = |id: u16, slots, own, other: u16, times| {
            let mut status = status(id, 1, &[]);
            status.consensus.fallbacks = slots;
            status.consensus.own_vote_missing = own;
            status.peers = vec![PeerStatus {
                replica: other,
                missing_votes: times,
                ..PeerStatus::default()
            }];
            status
        };
        let facts = fallbacks(
            &ends(
                vec![fell_back(0, 5, 0, 1, 4), fell_back(1, 0, 0, 0, 0)],
                vec![fell_back(0, 8, 0, 1, 7), fell_back(1, 2, 1, 0, 2)],
            ),
            3,
        );
        assert_eq!(facts.slots, 5);
        let missing: Vec<u64> = facts.missing.iter().map(|each| each.times).collect();
        assert_eq!(missing, [2, 4, 0], "replica 1 misses itself once");
        assert_eq!(facts.replicas[1].missing, [2, 1, 0]);
    }
}
