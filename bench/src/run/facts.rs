//! From the replicas' status pages at the ends of the measured phase to the facts of run.json.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Instant;

use replica::observer::status::ReplicaStatus;

use crate::check::{CommittedLog, Usage};
use crate::cluster::Snapshot;
use crate::record::{
    BatchSizes, ClusterSample, ConsensusFacts, ProcessResources, ReplicaResources, Resources,
};
use crate::report::ClusterView;
use crate::screen::ReplicaView;

/// The snapshots at the ends of the measured phase.
pub(super) struct Ends {
    pub(super) first: Snapshot,
    pub(super) last: Snapshot,
}

impl Ends {
    /// What is left when some replicas are not believed.
    pub(super) fn without(&self, liars: &BTreeSet<u32>) -> Ends {
        let honest = |snapshot: &Snapshot| {
            let mut snapshot = snapshot.clone();
            for liar in liars {
                if let Some(said) = snapshot.replicas.get_mut(*liar as usize) {
                    *said = None;
                }
            }
            snapshot
        };
        Ends {
            first: honest(&self.first),
            last: honest(&self.last),
        }
    }

    /// Both reports of each replica that gave two. Counters run from the start of the process: one that was restarted in
    /// between has counted from zero again.
    fn pairs(&self) -> impl Iterator<Item = (&ReplicaStatus, &ReplicaStatus)> {
        self.first
            .replicas
            .iter()
            .zip(&self.last.replicas)
            .filter_map(|(first, last)| Some((first.as_ref()?, last.as_ref()?)))
    }

    /// What is known of each replica in between; of one that was started in between, what its last process did.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span<'_>> {
        self.pairs().map(|(first, last)| {
            let whole = same_process(first, last);
            Span {
                first: match whole {
                    true => Cow::Borrowed(first),
                    false => Cow::Owned(ReplicaStatus::default()),
                },
                last,
                whole,
            }
        })
    }

    /// What the protocol did in between, as seen by the replica that got furthest, if possible one that ran all the time.
    pub(super) fn consensus(
        &self,
        logs: &[CommittedLog],
        checkpoint_interval: u64,
    ) -> ConsensusFacts {
        let furthest = self
            .pairs()
            .max_by_key(|(first, last)| (same_process(first, last), last.last_executed));
        let Some((first, last)) = furthest else {
            return ConsensusFacts::default();
        };
        let (from, upto) = (first.last_executed, last.last_executed);
        let diff = |value: fn(&ReplicaStatus) -> u64| value(last).saturating_sub(value(first));
        let measured = |log: &&CommittedLog| {
            log.entries
                .iter()
                .filter(|entry| entry.seq > from && entry.seq <= upto)
                .count()
        };
        let sizes = logs
            .iter()
            .max_by_key(measured)
            .map(|log| {
                log.entries
                    .iter()
                    .filter(|entry| entry.seq > from && entry.seq <= upto)
                    .map(|entry| entry.ops)
                    .collect()
            })
            .unwrap_or_default();
        ConsensusFacts {
            slots: upto.saturating_sub(from),
            fast_path_slots: diff(|status| status.consensus.decided_fast),
            slow_path_slots: diff(|status| status.consensus.decided_slow),
            view_changes: self
                .pairs()
                .map(|(first, last)| views_entered(first, last))
                .max()
                .unwrap_or_default(),
            final_view: last.view,
            final_epoch: last.epoch,
            state_transfers: self
                .pairs()
                .map(|(first, last)| transfers(first, last))
                .sum(),
            other_protocol: self
                .spans()
                .map(|span| {
                    let of = |status: &ReplicaStatus| status.consensus.other_protocol;
                    of(span.last).saturating_sub(of(&span.first))
                })
                .sum(),
            checkpoints: diff(|status| status.stable) / checkpoint_interval.max(1),
            ..ConsensusFacts::default()
        }
        .with_batches(BatchSizes::of(sizes))
    }

    /// What it cost. `ok` is the number of successful operations.
    pub(super) fn resources(&self, load_generator: ProcessResources, ok: u64) -> Resources {
        let replicas: Vec<ReplicaResources> = self
            .spans()
            // What a process before used is not known any more.
            .map(|Span { first, last, .. }| ReplicaResources {
                id: u32::from(last.replica),
                cpu_s: last.process.cpu_s - first.process.cpu_s,
                rss_max_bytes: last.process.rss_max_bytes,
                bytes_sent: sent(last).saturating_sub(sent(&first)),
                bytes_received: received(last).saturating_sub(received(&first)),
                fsyncs: fsyncs(last).saturating_sub(fsyncs(&first)),
            })
            .collect();
        let cpu_s: f64 = replicas.iter().map(|replica| replica.cpu_s).sum();
        Resources {
            cpu_us_per_op: if ok > 0 { cpu_s * 1e6 / ok as f64 } else { 0.0 },
            replicas,
            load_generator,
        }
    }
}

/// Two reports of one process of a replica.
pub(super) struct Span<'s> {
    /// At the beginning; nothing yet if the process started later.
    pub(super) first: Cow<'s, ReplicaStatus>,
    /// At the end.
    pub(super) last: &'s ReplicaStatus,
    /// Whether the process was there from the beginning on.
    pub(super) whole: bool,
}

impl Span<'_> {
    /// By how much a counter grew.
    pub(super) fn diff(&self, counter: impl Fn(&ReplicaStatus) -> u64) -> u64 {
        counter(self.last).saturating_sub(counter(&self.first))
    }
}

/// Views that a replica entered between two reports. Views count from 0 in every epoch, and only a replica that was there
/// all the time has counted them; of another one it is known how far it got.
fn views_entered(first: &ReplicaStatus, last: &ReplicaStatus) -> u64 {
    let seen = match first.epoch == last.epoch {
        true => last.view.saturating_sub(first.view),
        false => last.view,
    };
    let counted = |status: &ReplicaStatus| status.consensus.view_changes;
    match same_process(first, last) {
        true => seen.max(counted(last).saturating_sub(counted(first))),
        false => seen,
    }
}

/// States that a replica fetched between two reports; all of its process if that is another one.
pub(super) fn transfers(first: &ReplicaStatus, last: &ReplicaStatus) -> u64 {
    let before = match same_process(first, last) {
        true => first.consensus.state_transfers,
        false => 0,
    };
    last.consensus.state_transfers.saturating_sub(before)
}

/// Whether both reports are of one process.
fn same_process(first: &ReplicaStatus, last: &ReplicaStatus) -> bool {
    first.process.pid == last.process.pid
}

/// Whether a process that was heard `t_s` seconds into the measured phase ran before it began: its counters are no work of the
/// phase then, and of one that is heard late for the first time nobody knows how much of them is.
pub(super) fn runs_since_before(status: &ReplicaStatus, t_s: f64) -> bool {
    status.process.uptime_s >= t_s
}

pub(super) fn sent(status: &ReplicaStatus) -> u64 {
    status.traffic.peer_bytes_sent + status.traffic.client_bytes_sent
}

pub(super) fn received(status: &ReplicaStatus) -> u64 {
    status.traffic.peer_bytes_received + status.traffic.client_bytes_received
}

pub(super) fn fsyncs(status: &ReplicaStatus) -> u64 {
    status.storage.log_fsyncs + status.storage.state_fsyncs
}

/// The durability that all replicas report: `full`, `off`, or what they say each if they differ.
pub(super) fn durability(snapshot: &Snapshot) -> Option<String> {
    let said: std::collections::BTreeSet<&str> = snapshot
        .replicas
        .iter()
        .flatten()
        .map(|status| status.storage.durability.as_str())
        .collect();
    match said.len() {
        0 => None,
        1 => said.first().map(|durability| (*durability).to_owned()),
        _ => Some("mixed: some replicas wait for the disk and others do not".to_owned()),
    }
}

/// The sample for the time series, `at_ns` into the measured phase.
pub(super) fn sample(snapshot: &Snapshot, at_ns: u64) -> ClusterSample {
    let known = || snapshot.replicas.iter().flatten();
    // Counters begin with their process: one that was restarted may be the furthest, and yet have decided little.
    let furthest =
        known().max_by_key(|status| status.consensus.decided_fast + status.consensus.decided_slow);
    ClusterSample {
        at_ns,
        view: known().map(|status| status.view).max().unwrap_or_default(),
        fast_slots: furthest.map_or(0, |status| status.consensus.decided_fast),
        slow_slots: furthest.map_or(0, |status| status.consensus.decided_slow),
        cpu_s: known().map(|status| status.process.cpu_s).sum(),
        rss_bytes: known().map(|status| status.process.rss_bytes).sum(),
    }
}

/// What each replica that answered needs at the moment; those that did not answer may be gone.
pub(super) fn usage(snapshot: &Snapshot, time: impl Fn(Instant) -> f64) -> Vec<Usage> {
    let of = |(at, status): (Instant, &ReplicaStatus)| Usage {
        t_s: time(at),
        replica: status.replica.into(),
        rss: status.process.rss_bytes,
        connections: status.clients.connections,
        data: None,
        log: None,
        open_files: status.process.open_files,
        threads: status.process.threads,
    };
    snapshot.heard().map(of).collect()
}

/// What the progress display shows of the cluster.
pub(super) fn view(snapshot: &Snapshot) -> ClusterView {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let sample = sample(snapshot, 0);
    ClusterView {
        view: sample.view,
        fast_slots: sample.fast_slots,
        slow_slots: sample.slow_slots,
        replicas_up: count(snapshot.heard().count()),
        n: count(snapshot.replicas.len()),
    }
}

/// Each replica as it says itself, for whoever watches.
pub(super) fn replicas(snapshot: &Snapshot) -> Vec<ReplicaView> {
    let executed = |status: &ReplicaStatus| status.last_executed;
    let furthest = snapshot.replicas.iter().flatten().map(executed).max();
    let highest = snapshot
        .replicas
        .iter()
        .flatten()
        .map(|status| (status.epoch, status.view));
    let highest = highest.max();
    let one = |(id, status): (usize, &Option<ReplicaStatus>)| {
        let up = snapshot.answered.get(id).is_some_and(Option::is_some);
        let Some(status) = status else {
            return ReplicaView {
                id,
                up,
                ..ReplicaView::default()
            };
        };
        let leads =
            usize::from(status.primary) == id && Some((status.epoch, status.view)) == highest;
        ReplicaView {
            id,
            up,
            role: match (status.role.as_str(), leads) {
                ("learner", _) => "learner",
                (_, true) => "primary",
                (_, false) => "backup",
            }
            .to_owned(),
            view: status.view,
            executed: status.last_executed,
            lag: furthest
                .unwrap_or_default()
                .saturating_sub(status.last_executed),
            cpu_s: status.process.cpu_s,
            uptime_s: status.process.uptime_s,
            rss_bytes: status.process.rss_bytes,
        }
    };
    snapshot.replicas.iter().enumerate().map(one).collect()
}

/// What this process has used so far.
pub(super) fn own_process() -> ProcessResources {
    let usage = replica::observer::own_process_usage();
    ProcessResources {
        cpu_s: usage.cpu_s,
        rss_max_bytes: usage.rss_max_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(pid: u32, epoch: u64, view: u64, view_changes: u64) -> ReplicaStatus {
        let mut status = ReplicaStatus {
            epoch,
            view,
            ..ReplicaStatus::default()
        };
        status.process.pid = pid;
        status.consensus.view_changes = view_changes;
        status
    }

    #[test]
    fn views_are_counted_across_epochs_and_restarts_and_not_before_the_measured_phase() {
        let entered = |first, last| views_entered(&first, &last);
        assert_eq!(
            entered(status(1, 0, 2, 2), status(1, 0, 5, 4)),
            3,
            "jumped over one"
        );
        assert_eq!(
            entered(status(1, 0, 2, 2), status(1, 1, 0, 5)),
            3,
            "a new epoch"
        );
        assert_eq!(
            entered(status(1, 0, 2, 9), status(2, 0, 4, 1)),
            2,
            "restarted"
        );
        assert_eq!(entered(status(1, 0, 2, 2), status(1, 0, 2, 2)), 0);
    }

    #[test]
    fn a_restarted_replica_has_fetched_what_its_process_did() {
        let fetched = |pid, states| {
            let mut status = status(pid, 0, 0, 0);
            status.consensus.state_transfers = states;
            status
        };
        assert_eq!(transfers(&fetched(1, 1), &fetched(1, 3)), 2);
        assert_eq!(transfers(&fetched(1, 1), &fetched(2, 1)), 1);
    }
}
