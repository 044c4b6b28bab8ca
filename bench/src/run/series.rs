//! From the replicas' status pages to the rows of `replicas.csv`.

use std::collections::BTreeSet;
use std::time::Instant;

use replica::observer::status::ReplicaStatus;

use super::facts::{fsyncs, received, runs_since_before, sent};
use crate::cluster::Snapshot;
use crate::record::{ReplicaRow, ReplicaSeries, Totals};

/// Follows every replica through the measured phase, over restarts.
#[derive(Debug, Default)]
pub(super) struct Follow {
    series: ReplicaSeries,
    replicas: Vec<Followed>,
    /// The correct replica that was furthest at the last look.
    front: Option<Front>,
}

/// How far the furthest correct replica was, and when.
#[derive(Clone, Copy, Debug)]
struct Front {
    t_s: f64,
    executed: u64,
}

impl Front {
    /// Slots behind it at `t_s`. An answer that came late is held against where the furthest was then: between this look
    /// and the one before it went on evenly, as far as anybody knows.
    fn lag(self, before: Option<Self>, t_s: f64, executed: u64) -> u64 {
        let there = match before {
            Some(before) if t_s < self.t_s && before.t_s < self.t_s => {
                let share = ((t_s - before.t_s) / (self.t_s - before.t_s)).max(0.0);
                let way = self.executed.saturating_sub(before.executed) as f64;
                before.executed.min(self.executed) + (way * share).round() as u64
            }
            _ => self.executed,
        };
        there.saturating_sub(executed)
    }
}

/// What is known of one replica's past.
#[derive(Clone, Copy, Debug, Default)]
struct Followed {
    /// The process that spoke last, and its counters then.
    process: Option<(u32, Totals)>,
    /// What all of its processes have done in the measured phase.
    done: Totals,
}

impl Follow {
    /// Takes in a look; `time` gives seconds into the measured phase. The first one is where totals begin, and the first that a
    /// replica answers if it runs since before the phase. Who lies is not asked how far the others lag.
    pub(super) fn look(
        &mut self,
        snapshot: &Snapshot,
        time: impl Fn(Instant) -> f64,
        liars: &BTreeSet<u32>,
    ) {
        let correct = snapshot
            .heard()
            .filter(|(_, status)| !liars.contains(&u32::from(status.replica)));
        let furthest =
            correct
                .max_by_key(|(_, status)| status.last_executed)
                .map(|(at, status)| Front {
                    t_s: time(at),
                    executed: status.last_executed,
                });
        let before = self.front;
        self.front = furthest.or(before);
        self.replicas
            .resize(snapshot.replicas.len(), Followed::default());
        let front = self.front;
        let rows = snapshot
            .heard()
            .filter_map(|(at, status)| {
                let t_s = time(at);
                let followed = self.replicas.get_mut(usize::from(status.replica))?;
                let totals = followed.advance(status, t_s);
                let lag = front.map_or(0, |front| front.lag(before, t_s, status.last_executed));
                Some(row(status, t_s, lag, totals))
            })
            .collect();
        self.series.push(rows);
    }

    pub(super) fn into_series(self) -> ReplicaSeries {
        self.series
    }
}

impl Followed {
    fn advance(&mut self, status: &ReplicaStatus, t_s: f64) -> Totals {
        let now = totals(status);
        let before = match self.process {
            Some((pid, before)) if pid == status.process.pid => before,
            None if runs_since_before(status, t_s) => now,
            // A process that has started since counts from its own start.
            _ => Totals::default(),
        };
        self.done = self.done.and(&now.since(&before));
        self.process = Some((status.process.pid, now));
        self.done
    }
}

fn row(status: &ReplicaStatus, t_s: f64, lag: u64, totals: Totals) -> ReplicaRow {
    let role = match status.role.as_str() {
        "learner" => "learner",
        _ if status.primary == status.replica => "primary",
        _ => "backup",
    };
    ReplicaRow {
        t_s,
        id: u32::from(status.replica),
        epoch: status.epoch,
        view: status.view,
        role,
        executed: status.last_executed,
        lag,
        stable: status.stable,
        rss_bytes: (status.process.rss_bytes > 0).then_some(status.process.rss_bytes),
        totals,
    }
}

fn totals(status: &ReplicaStatus) -> Totals {
    let consensus = &status.consensus;
    Totals {
        fast: consensus.decided_fast,
        slow: consensus.decided_slow,
        fallbacks: consensus.fallbacks,
        view_changes: consensus.view_changes,
        transfers: consensus.state_transfers,
        cpu_s: status.process.cpu_s,
        bytes_sent: sent(status),
        bytes_received: received(status),
        fsyncs: fsyncs(status),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    fn status(id: u16, pid: u32, executed: u64, fsyncs: u64) -> ReplicaStatus {
        let mut status = ReplicaStatus {
            replica: id,
            last_executed: executed,
            ..ReplicaStatus::default()
        };
        status.process.pid = pid;
        status.process.uptime_s = 0.1;
        status.storage.log_fsyncs = fsyncs;
        status
    }

    fn rows(looks: &[(f64, Vec<Option<ReplicaStatus>>)], liars: &[u32]) -> Vec<String> {
        let timed = |(t_s, replicas): &(f64, Vec<Option<ReplicaStatus>>)| {
            let replicas = replicas.iter().cloned();
            replicas
                .map(|one| one.map(|status| (*t_s, status)))
                .collect()
        };
        timed_rows(&looks.iter().map(timed).collect::<Vec<_>>(), liars)
    }

    /// The same for replicas that were heard at times of their own.
    fn timed_rows(looks: &[Vec<Option<(f64, ReplicaStatus)>>], liars: &[u32]) -> Vec<String> {
        let mut follow = Follow::default();
        let begin = Instant::now();
        let time = |at: Instant| at.duration_since(begin).as_secs_f64();
        for look in looks {
            let snapshot = Snapshot {
                answered: look
                    .iter()
                    .map(|one| Some(begin + Duration::from_secs_f64(one.as_ref()?.0)))
                    .collect(),
                replicas: look
                    .iter()
                    .map(|one| Some(one.as_ref()?.1.clone()))
                    .collect(),
            };
            follow.look(&snapshot, time, &liars.iter().copied().collect());
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("replicas.csv");
        follow.into_series().write(&path).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let wanted = ["t_s", "replica", "role", "executed", "lag", "fsyncs"];
        let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let names = lines.next().unwrap();
        let places = wanted.map(|name| names.iter().position(|each| *each == name).unwrap());
        lines
            .map(|fields| places.map(|place| fields[place]).join(" "))
            .collect()
    }

    #[test]
    fn totals_begin_with_the_phase_and_go_on_over_a_restart() {
        let looks = [
            (0.0, vec![Some(status(0, 1, 100, 40))]),
            (0.2, vec![Some(status(0, 1, 110, 45))]),
            (0.4, vec![None]),
            (0.6, vec![Some(status(0, 2, 90, 3))]),
            (0.8, vec![Some(status(0, 2, 120, 7))]),
        ];
        assert_eq!(
            rows(&looks, &[]),
            [
                "0.000 0 primary 100 0 0",
                "0.200 0 primary 110 0 5",
                "0.600 0 primary 90 0 8",
                "0.800 0 primary 120 0 12",
            ]
        );
    }

    #[test]
    fn lag_is_behind_the_furthest_correct_replica_of_the_same_look() {
        let looks = [(
            0.0,
            vec![
                Some(status(0, 1, 90, 0)),
                Some(status(1, 2, 100, 0)),
                Some(status(2, 3, 5_000, 0)),
            ],
        )];
        assert_eq!(
            rows(&looks, &[2]),
            [
                "0.000 0 primary 90 10 0",
                "0.000 1 backup 100 0 0",
                "0.000 2 backup 5000 0 0",
            ]
        );
    }

    #[test]
    fn an_answer_that_came_late_is_held_against_where_the_furthest_was_then() {
        let at = |t_s, id, executed| Some((t_s, status(id, 1 + u32::from(id), executed, 0)));
        let looks = [
            vec![at(0.0, 0, 1_000), at(0.0, 1, 1_000)],
            vec![at(0.2, 0, 1_200), None],
            // Asked at 0.2 s, heard at 0.25 s, looked at with what came at 0.4 s.
            vec![at(0.4, 0, 1_400), at(0.25, 1, 1_230)],
        ];
        assert_eq!(
            timed_rows(&looks, &[]),
            [
                "0.000 0 primary 1000 0 0",
                "0.000 1 backup 1000 0 0",
                "0.200 0 primary 1200 0 0",
                "0.400 0 primary 1400 0 0",
                "0.250 1 backup 1230 20 0",
            ]
        );
    }

    #[test]
    fn a_replica_that_ran_before_and_answers_later_counts_from_its_first_answer() {
        let mut answered = status(0, 9, 10, 6);
        answered.process.uptime_s = 3.0;
        let mut next = status(0, 9, 12, 8);
        next.process.uptime_s = 3.2;
        let looks = [
            (0.0, vec![None]),
            (0.2, vec![Some(answered)]),
            (0.4, vec![Some(next)]),
        ];
        assert_eq!(
            rows(&looks, &[]),
            ["0.200 0 primary 10 0 0", "0.400 0 primary 12 0 2"]
        );
    }

    #[test]
    fn a_replica_that_comes_up_later_counts_from_its_start() {
        let looks = [(0.0, vec![None]), (0.2, vec![Some(status(0, 9, 10, 6))])];
        assert_eq!(rows(&looks, &[]), ["0.200 0 primary 10 0 6"]);
    }
}
