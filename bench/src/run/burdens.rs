//! From the replicas' status pages to `signatures.csv`: what each checked for whom in the measured phase.

use std::collections::BTreeMap;
use std::time::Instant;

use replica::observer::status::ReplicaStatus;

use super::facts::runs_since_before;
use crate::check::{Burden, Source};
use crate::cluster::Snapshot;

/// Follows every replica through the measured phase, over restarts.
#[derive(Debug, Default)]
pub(super) struct Burdens {
    replicas: BTreeMap<u32, Followed>,
    /// When the first and the last look was taken, seconds.
    span: Option<(f64, f64)>,
}

/// What is known of one replica's past.
#[derive(Debug, Default)]
struct Followed {
    /// The process that spoke last, and its counters then.
    process: Option<(u32, Counts)>,
    /// What all of its processes have done in the measured phase.
    done: Counts,
    /// Bad signatures of the client that had the most when the phase began: no other client had more.
    bad_before: u64,
}

/// Counters of one process, or the sum of several.
#[derive(Clone, Debug, Default)]
struct Counts {
    executed: u64,
    /// Checks, where they are known, and bad ones.
    sources: BTreeMap<Source, (Option<u64>, u64)>,
}

impl Burdens {
    /// Takes in a look; `time` gives seconds into the measured phase. Counts begin with the first one, and with the first that a
    /// replica answers if it runs since before the phase.
    pub(super) fn look(&mut self, snapshot: &Snapshot, time: impl Fn(Instant) -> f64) {
        for (at, status) in snapshot.heard() {
            let t_s = time(at);
            let (from, to) = self.span.unwrap_or((t_s, t_s));
            self.span = Some((from.min(t_s), to.max(t_s)));
            let followed = self.replicas.entry(u32::from(status.replica)).or_default();
            followed.advance(status, t_s);
        }
    }

    /// A line for each replica and source.
    pub(super) fn totals(&self) -> Vec<Burden> {
        let (from, to) = self.span.unwrap_or_default();
        let of = |(replica, followed): (&u32, &Followed)| {
            let (replica, executed) = (*replica, followed.done.executed);
            let sources = followed.done.sources.clone().into_iter();
            sources.map(move |(source, (checks, bad))| Burden {
                replica,
                seconds: to - from,
                executed,
                source,
                checks,
                bad,
            })
        };
        self.replicas.iter().flat_map(of).collect()
    }
}

impl Followed {
    fn advance(&mut self, status: &ReplicaStatus, t_s: f64) {
        let now = counts(status);
        let pid = status.process.pid;
        let before = match self.process.take() {
            Some((same, before)) if same == pid => before,
            None if runs_since_before(status, t_s) => {
                self.bad_before = status.clients.most_bad.map_or(0, |most| most.checks);
                now.clone()
            }
            // A process that has started since counts from its own start.
            _ => {
                self.bad_before = 0;
                Counts::default()
            }
        };
        self.done.executed += now.executed.saturating_sub(before.executed);
        for (source, (checks, bad)) in &now.sources {
            let had = before.sources.get(source).copied();
            // A client is named once it has the most; what it had before is not known.
            let (checks_before, bad_before) = had.unwrap_or((None, self.bad_before));
            let done = self.done.sources.entry(*source).or_default();
            if let Some(checks) = checks {
                let more = checks.saturating_sub(checks_before.unwrap_or(0));
                done.0 = Some(done.0.unwrap_or(0) + more);
            }
            done.1 += bad.saturating_sub(bad_before);
        }
        // Who is not named at the moment may be named again.
        let mut sources = before.sources;
        sources.extend(now.sources);
        self.process = Some((
            pid,
            Counts {
                executed: now.executed,
                sources,
            },
        ));
    }
}

fn counts(status: &ReplicaStatus) -> Counts {
    let peers = status.peers.iter().map(|peer| {
        let source = Source::Peer(u32::from(peer.replica));
        (source, (Some(peer.checks), peer.bad_checks))
    });
    let worst = status.clients.most_bad.iter();
    let client = worst.map(|most| (Source::Client(most.client), (None, most.checks)));
    Counts {
        executed: status.consensus.executed_requests,
        sources: peers.chain(client).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use replica::observer::status::{ClientChecks, PeerStatus};

    use super::*;

    /// A page of replica 0 with one peer.
    fn status(
        pid: u32,
        checks: u64,
        bad_checks: u64,
        most_bad: Option<(u32, u64)>,
    ) -> ReplicaStatus {
        let mut status = ReplicaStatus::default();
        status.process.pid = pid;
        status.consensus.executed_requests = checks / 2;
        status.peers = vec![PeerStatus {
            replica: 3,
            checks,
            bad_checks,
            ..PeerStatus::default()
        }];
        let most = |(client, checks)| ClientChecks { client, checks };
        status.clients.most_bad = most_bad.map(most);
        status
    }

    type Counted = (Source, Option<u64>, u64);

    /// What is counted over these looks, a second apart: source, checks, bad ones; requests executed, and seconds.
    fn counted(looks: Vec<Option<ReplicaStatus>>) -> (Vec<Counted>, u64, f64) {
        let mut burdens = Burdens::default();
        let begin = Instant::now();
        for (second, status) in (0..).zip(looks) {
            let snapshot = Snapshot {
                answered: vec![status.as_ref().map(|_| begin + Duration::from_secs(second))],
                replicas: vec![status],
            };
            burdens.look(&snapshot, |at| at.duration_since(begin).as_secs_f64());
        }
        let all = burdens.totals();
        let of = |one: &Burden| (one.source, one.checks, one.bad);
        let (executed, seconds) = all
            .first()
            .map_or((0, 0.0), |one| (one.executed, one.seconds));
        (all.iter().map(of).collect(), executed, seconds)
    }

    #[test]
    fn counts_begin_with_the_phase_and_go_on_over_a_restart() {
        let (sources, executed, seconds) = counted(vec![
            Some(status(1, 1_000, 10, Some((7, 50)))),
            Some(status(1, 1_400, 15, Some((7, 90)))),
            None,
            Some(status(2, 60, 0, None)),
            Some(status(2, 100, 2, Some((7, 4)))),
        ]);
        assert_eq!(
            sources,
            [
                (Source::Peer(3), Some(500), 7),
                (Source::Client(7), None, 44)
            ]
        );
        assert_eq!((executed, seconds), (250, 4.0));
    }

    #[test]
    fn nobody_is_charged_for_what_a_replica_that_answers_late_had_checked_before() {
        let late = |checks, bad, uptime_s| {
            let mut status = status(1, checks, bad, Some((7, 50)));
            status.process.uptime_s = uptime_s;
            status
        };
        let looks = vec![
            None,
            Some(late(1_000, 10, 9.0)),
            Some(late(1_400, 15, 10.0)),
        ];
        let (sources, executed, _) = counted(looks);
        assert_eq!(
            sources,
            [
                (Source::Peer(3), Some(400), 5),
                (Source::Client(7), None, 0)
            ]
        );
        assert_eq!(executed, 200);
        // One that has started since is charged with all of it.
        let (sources, executed, _) = counted(vec![None, Some(late(1_000, 10, 0.5))]);
        assert_eq!(sources[0], (Source::Peer(3), Some(1_000), 10));
        assert_eq!(executed, 500);
    }

    #[test]
    fn a_client_is_not_charged_for_what_it_may_have_sent_before_the_phase() {
        let (sources, ..) = counted(vec![
            Some(status(1, 0, 0, Some((2, 30)))),
            Some(status(1, 0, 0, Some((7, 100)))),
            Some(status(1, 0, 0, Some((2, 130)))),
            Some(status(1, 0, 0, Some((7, 140)))),
        ]);
        assert_eq!(
            sources[1..],
            [
                (Source::Client(2), None, 100),
                (Source::Client(7), None, 110)
            ]
        );
    }
}
