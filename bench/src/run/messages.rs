//! Messages of the measured phase by type, against what docs/protocol.md calls for.

use std::collections::BTreeMap;
use std::time::Duration;

use replica::observer::messages::{REPLY, REQUEST};
use replica::observer::status::MessageStatus;

use super::facts::Ends;
use crate::record::{ConsensusFacts, MessageCounts, MessageFacts, MessageType, ReplicaMessages};

/// What the protocol's theory depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theory {
    /// Replicas.
    pub(super) n: u64,
    /// Checkpoint interval K, in slots.
    pub(super) checkpoint_interval: u64,
    /// When COMMITs are sent.
    pub(super) commits: Commits,
    /// Between two STATUS messages of a replica; `None` if nobody here knows.
    pub(super) status_interval: Option<Duration>,
    /// Length of the measured phase.
    pub(super) measured: Duration,
}

/// When a replica sends a COMMIT for a slot (docs/protocol.md R8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commits {
    /// Never: prepared is decided.
    Never,
    /// Always: as soon as prepared.
    Always,
    /// When the fast path is late.
    WhenSlow,
}

/// What the theory is worked out for.
#[derive(Clone, Copy, Debug)]
struct Happened {
    slots: f64,
    slow_slots: f64,
    requests: f64,
    view_changes: f64,
}

/// The messages in between; `None` if no replica counts them.
pub(super) fn messages(
    ends: &Ends,
    consensus: &ConsensusFacts,
    theory: Theory,
) -> Option<MessageFacts> {
    let spans: Vec<_> = ends.spans().collect();
    let requests = spans
        .iter()
        .map(|span| span.diff(|status| status.consensus.executed_requests))
        .max()
        .unwrap_or_default();
    let complete = spans.len() as u64 == theory.n && spans.iter().all(|span| span.whole);
    let replicas: Vec<ReplicaMessages> = spans
        .iter()
        .map(|span| {
            let types = span.last.messages.iter().map(|(name, last)| {
                let first = span.first.messages.get(name).copied().unwrap_or_default();
                (name.clone(), between(&first, last))
            });
            ReplicaMessages {
                id: u32::from(span.last.replica),
                types: types.collect(),
            }
        })
        .collect();
    let mut sums = BTreeMap::<&str, MessageCounts>::new();
    for (name, counts) in replicas.iter().flat_map(|each| &each.types) {
        sums.entry(name).or_default().add(counts);
    }
    if sums.is_empty() {
        return None;
    }
    let happened = Happened {
        slots: consensus.slots as f64,
        slow_slots: consensus.slow_path_slots as f64,
        requests: requests as f64,
        view_changes: consensus.view_changes as f64,
    };
    let types = sums.iter().map(|(name, counts)| {
        let (in_theory, rule) = theory.of(name, happened);
        MessageType {
            name: (*name).to_owned(),
            counts: *counts,
            in_theory,
            theory: rule.to_owned(),
        }
    });
    let mut types: Vec<MessageType> = types.collect();
    types.sort_by_key(|each| place(&each.name));
    Some(MessageFacts {
        slots: consensus.slots,
        requests,
        view_changes: consensus.view_changes,
        complete,
        types,
        replicas,
    })
}

fn between(first: &MessageStatus, last: &MessageStatus) -> MessageCounts {
    MessageCounts {
        sent: last.sent.saturating_sub(first.sent),
        sent_bytes: last.sent_bytes.saturating_sub(first.sent_bytes),
        received: last.received.saturating_sub(first.received),
        received_bytes: last.received_bytes.saturating_sub(first.received_bytes),
    }
}

/// In the order of a request's way; types that are not named here come last.
fn place(name: &str) -> usize {
    const ORDER: [&str; 8] = [
        REQUEST,
        "forward",
        "pre-prepare",
        "prepare",
        "commit",
        REPLY,
        "checkpoint",
        "status",
    ];
    let found = ORDER.iter().position(|each| *each == name);
    found.unwrap_or(ORDER.len())
}

impl Theory {
    /// How many messages of a type all replicas together send (or receive, of requests), and by which rule.
    fn of(&self, name: &str, happened: Happened) -> (Option<f64>, &'static str) {
        let n = self.n as f64;
        let others = n - 1.0;
        let Happened {
            slots,
            slow_slots,
            requests,
            view_changes,
        } = happened;
        let commits = match self.commits {
            Commits::Never => (0.0, "none: what is prepared is decided"),
            Commits::Always => (n * others * slots, "n (n - 1) a slot"),
            Commits::WhenSlow => (
                n * others * slow_slots,
                "n (n - 1) a slot that was decided by them, none otherwise",
            ),
        };
        let (count, rule) = match name {
            REQUEST => (requests, "1 a request, received"),
            REPLY => (n * requests, "n a request"),
            "pre-prepare" => (others * slots, "n - 1 a slot"),
            "prepare" => (n * others * slots, "n (n - 1) a slot"),
            "commit" => commits,
            "checkpoint" => (
                n * others * (slots / self.checkpoint_interval.max(1) as f64),
                "n (n - 1) a checkpoint",
            ),
            "status" => {
                let Some(interval) = self.status_interval.filter(|each| !each.is_zero()) else {
                    return (None, "n (n - 1) an interval that is not known here");
                };
                let times = self.measured.as_secs_f64() / interval.as_secs_f64();
                (n * others * times, "n (n - 1) a status interval")
            }
            "view-change" => (n * others * view_changes, "n (n - 1) a view change"),
            "new-view" => (others * view_changes, "n - 1 a view change"),
            "stable" | "decision" | "fetch-batch" | "batch" | "fetch-decisions" | "forward"
            | "evidence" | "state" => {
                (0.0, "none while every replica is there and nothing is lost")
            }
            _ => return (None, ""),
        };
        (Some(count), rule)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use replica::driver::ports::Describe as _;
    use replica::fitting::QuicNetwork;
    use replica::observer::status::ReplicaStatus;

    use super::*;
    use crate::cluster::Snapshot;

    const THEORY: Theory = Theory {
        n: 4,
        checkpoint_interval: 10,
        commits: Commits::WhenSlow,
        status_interval: Some(Duration::from_millis(50)),
        measured: Duration::from_secs(2),
    };

    const HAPPENED: Happened = Happened {
        slots: 100.0,
        slow_slots: 7.0,
        requests: 500.0,
        view_changes: 2.0,
    };

    fn expected(theory: Theory, name: &str) -> Option<f64> {
        theory.of(name, HAPPENED).0
    }

    #[test]
    fn the_theory_is_that_of_the_protocol() {
        for (name, count) in [
            ("pre-prepare", 300.0),
            ("prepare", 1_200.0),
            ("commit", 84.0),
            ("checkpoint", 120.0),
            ("status", 480.0),
            ("view-change", 24.0),
            ("new-view", 6.0),
            ("request", 500.0),
            ("reply", 2_000.0),
            ("decision", 0.0),
        ] {
            assert_eq!(expected(THEORY, name), Some(count), "{name}");
        }
        let commits = |commits| expected(Theory { commits, ..THEORY }, "commit");
        assert_eq!(commits(Commits::Never), Some(0.0));
        assert_eq!(commits(Commits::Always), Some(1_200.0));
    }

    #[test]
    fn every_type_of_message_has_a_theory() {
        for name in QuicNetwork::KINDS.iter().chain(&[REQUEST, REPLY]) {
            assert!(expected(THEORY, name).is_some(), "{name}");
        }
    }

    #[test]
    fn sums_are_of_the_replicas_that_told_and_say_whether_those_are_all() {
        let status = |id: u16, pid, sent| {
            let counts = MessageStatus {
                sent,
                sent_bytes: 10 * sent,
                ..MessageStatus::default()
            };
            let mut status = ReplicaStatus {
                replica: id,
                messages: [("prepare".to_owned(), counts)].into(),
                ..ReplicaStatus::default()
            };
            status.process.pid = pid;
            Some(status)
        };
        let snapshot = |replicas: Vec<Option<ReplicaStatus>>| Snapshot {
            answered: vec![None; replicas.len()],
            replicas,
        };
        let counted = |first, last| {
            let ends = Ends {
                first: snapshot(first),
                last: snapshot(last),
            };
            let theory = Theory { n: 2, ..THEORY };
            messages(&ends, &ConsensusFacts::default(), theory).unwrap()
        };
        let both = counted(
            vec![status(0, 1, 5), status(1, 2, 5)],
            vec![status(0, 1, 8), status(1, 2, 9)],
        );
        let prepare = &both.types[0];
        assert_eq!((prepare.counts.sent, prepare.counts.sent_bytes), (7, 70));
        assert!(both.complete);
        let restarted = counted(
            vec![status(0, 1, 5), status(1, 2, 5)],
            vec![status(0, 1, 8), status(1, 3, 4)],
        );
        assert_eq!(restarted.types[0].counts.sent, 7);
        assert!(!restarted.complete, "what the first process sent is lost");
    }
}
