//! The recorder of one load worker, and what the recorders of a repeat add up to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;

use super::acknowledged::Acknowledged;
use super::by_client::{ByClient, ClientService};
use super::history::{HistorySink, lines_of};
use super::moments::Moments;
use super::sparse::{DIGITS, DIGITS_COARSE, SparseSeries, histogram, new_histogram};
use super::timeseries::{BUCKET_NS, BucketCounts, TIME_BUCKETS_MAX};
use super::{Counters, Live, Phase, Phases, QuorumReads};
use crate::workload::{Operation, OperationKind};

/// An operation sent more than this after its intended start counts as late: the load generator, not the cluster, was behind.
pub const LATE_AFTER: Duration = Duration::from_millis(10);

const LATE_AFTER_NS: u64 = 10_000_000;
const SECOND_NS: u64 = 1_000_000_000;
const BUCKETS_PER_SECOND: u64 = SECOND_NS / BUCKET_NS;

/// When an operation was meant to start, was sent, and was answered: nanoseconds of the run's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The intended start; in a closed loop the moment it was issued.
    pub intended_ns: u64,
    /// The moment its request was first handed to the network.
    pub sent_ns: u64,
    /// The moment its answer was accepted, or the wait for it was given up.
    pub end_ns: u64,
}

/// What the cluster said to one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was executed.
    Executed {
        /// With this outcome.
        outcome: Outcome,
        /// At this sequence number, if the reply told.
        seq: Option<u64>,
    },
    /// No answer in time.
    Unknown,
}

/// The outcome of an executed operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A write took effect.
    Written,
    /// The operation's condition was false, and nothing changed.
    ConditionFalse,
    /// It shared the fate of an atomic request or a transaction of which some condition was false: nothing changed, and it says nothing of its own key.
    RolledBack,
    /// What a read found; `None` is absent.
    Value(Option<Bytes>),
    /// What a scan found, in key order.
    Entries(Vec<(Bytes, Bytes)>),
    /// A transaction took the branch `then` (or the other one), with the outcomes of its operations.
    Branch {
        /// Whether the guards held.
        then: bool,
        /// One for each operation of the branch.
        outcomes: Vec<Outcome>,
    },
}

/// Collects the measurements of one load worker, without locks.
///
/// For each operation the driver calls [`Recorder::offered`], then either [`Recorder::dropped`] or [`Recorder::sent`], and after the latter
/// [`Recorder::finished`] exactly once.
#[derive(Debug)]
pub struct Recorder {
    phases: Phases,
    live: Arc<Live>,
    history: Option<HistorySink>,
    recording: Recording,
    /// Coarse latencies of the 100 ms under way, for the live display.
    recent: Histogram<u64>,
    recent_bucket: u64,
}

/// The measurements of one repeat, or of one worker before they are merged.
#[derive(Debug)]
pub struct Recording {
    /// What became of the operations of the measured phase.
    pub counters: Counters,
    intended: [Option<SparseSeries>; OperationKind::COUNT],
    service: [Option<Box<Histogram<u64>>>; OperationKind::COUNT],
    pub(super) bucket_counts: Vec<BucketCounts>,
    pub(super) bucket_latencies: SparseSeries,
    moments: Moments,
    by_client: Option<ByClient>,
    /// How reads beside the log fared; `None` without any.
    pub quorum_reads: Option<QuorumReads>,
    /// Writes that clients were told of, in all phases.
    pub acknowledged: Acknowledged,
    /// What reads behind the measured phase found.
    pub read_back: BTreeMap<Bytes, Option<Bytes>>,
}

/// A part of the measured phase.
#[derive(Debug, Clone)]
pub struct Window {
    /// Operations that succeeded in it.
    pub ok: u64,
    /// Their latencies from the intended start, nanoseconds, to 1 %.
    pub latency: Histogram<u64>,
}

impl Recorder {
    /// A recorder for one worker; `history` is its own sink, or `None` when no history is kept.
    #[must_use]
    pub fn new(phases: Phases, live: Arc<Live>, history: Option<HistorySink>) -> Self {
        Self {
            phases,
            live,
            history,
            recording: Recording::default(),
            recent: histogram(DIGITS_COARSE),
            recent_bucket: 0,
        }
    }

    /// Also keeps how each client was served: see [`Recording::served`].
    #[must_use]
    pub fn by_client(mut self) -> Self {
        self.recording.by_client = Some(ByClient::default());
        self
    }

    /// An operation (or several under one signature) was meant to start.
    pub fn offered(&mut self, intended_ns: u64, operations: u64) {
        if self.measured(intended_ns) {
            self.count(&Counters {
                offered: operations,
                ..Counters::default()
            });
            self.bucket(intended_ns).offered += operations;
        }
    }

    /// It was never sent, because the client's queue was full.
    pub fn dropped(&mut self, intended_ns: u64, operations: u64) {
        if self.measured(intended_ns) {
            self.count(&Counters {
                dropped: operations,
                ..Counters::default()
            });
            self.bucket(intended_ns).dropped += operations;
        }
    }

    /// It was handed to the network for the first time.
    pub fn sent(&mut self, intended_ns: u64, sent_ns: u64, operations: u64) {
        if self.measured(intended_ns) {
            let late = if sent_ns.saturating_sub(intended_ns) > LATE_AFTER_NS {
                operations
            } else {
                0
            };
            self.count(&Counters {
                sent: operations,
                late,
                ..Counters::default()
            });
            self.bucket(sent_ns).sent += operations;
        }
    }

    /// A read that was asked beside the log has its answer: from there (`accepted`), or from the log after all.
    pub fn quorum_read(&mut self, intended_ns: u64, accepted: bool, operations: u64) {
        if self.measured(intended_ns) {
            let reads = self.recording.quorum_reads.get_or_insert_default();
            match accepted {
                true => reads.accepted += operations,
                false => reads.fallen_back += operations,
            }
        }
    }

    /// A replica refused it for now.
    pub fn busy_reply(&mut self, intended_ns: u64) {
        if self.measured(intended_ns) {
            self.count(&Counters {
                busy_replies: 1,
                ..Counters::default()
            });
        }
    }

    /// It was answered or given up: counts it, records its latencies if it succeeded, and writes its history line (a transaction: one line for each
    /// operation of the branch it took, which also is what it counts for).
    pub fn finished(&mut self, client: u64, operation: &Operation, times: Times, answer: &Answer) {
        let operations = operation.operations();
        let phase = self.phases.of(times.intended_ns);
        if let Some(history) = &mut self.history {
            for line in lines_of(client, operation, times, answer, phase) {
                history.write(&line);
            }
        }
        let answered = *answer != Answer::Unknown;
        if answered {
            self.live.answered(operations);
        }
        self.recording.acknowledged.note(operation, answer);
        if phase == Phase::After {
            self.read_back(operation, answer);
        }
        if phase != Phase::Measured {
            return;
        }
        let measured_ns = self.phases.measured_ns();
        self.recording
            .moments
            .ended(times, measured_ns, answered, self.live.marks());
        if let Some(by_client) = &mut self.recording.by_client {
            by_client.ended(client, times, measured_ns, answered, operations);
        }
        match answer {
            Answer::Unknown => self.count(&Counters {
                unknown: operations,
                ..Counters::default()
            }),
            Answer::Executed {
                outcome: Outcome::ConditionFalse | Outcome::RolledBack,
                ..
            } => {
                self.count(&Counters {
                    failed: operations,
                    ..Counters::default()
                });
                self.bucket(times.end_ns).failed += operations;
            }
            Answer::Executed { .. } => {
                self.count(&Counters {
                    ok: operations,
                    ..Counters::default()
                });
                self.bucket(times.end_ns).ok += operations;
                self.latency(operation.kind(), times, operations);
            }
        }
    }

    /// Ends recording: the rest of the history goes to its writer, the measurements to the caller.
    #[must_use]
    pub fn into_recording(mut self) -> Recording {
        self.publish_recent();
        if let Some(history) = &mut self.history {
            history.flush();
        }
        self.recording.seal();
        self.recording
    }

    fn read_back(&mut self, operation: &Operation, answer: &Answer) {
        if let (
            Operation::Read { key },
            Answer::Executed {
                outcome: Outcome::Value(value),
                ..
            },
        ) = (operation, answer)
        {
            self.recording.read_back.insert(key.clone(), value.clone());
        }
    }

    fn measured(&self, intended_ns: u64) -> bool {
        self.phases.of(intended_ns) == Phase::Measured
    }

    fn count(&mut self, counts: &Counters) {
        self.recording.counters.add(counts);
        self.live.add(counts);
    }

    fn since_start(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.phases.measured_ns())
    }

    fn bucket(&mut self, at_ns: u64) -> &mut BucketCounts {
        let index = (self.since_start(at_ns) / BUCKET_NS).min(TIME_BUCKETS_MAX - 1);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if self.recording.bucket_counts.len() <= index {
            self.recording
                .bucket_counts
                .resize(index + 1, BucketCounts::default());
        }
        &mut self.recording.bucket_counts[index]
    }

    fn latency(&mut self, kind: OperationKind, times: Times, operations: u64) {
        let at_ns = self.since_start(times.end_ns);
        let intended = times.end_ns.saturating_sub(times.intended_ns);
        let service = times.end_ns.saturating_sub(times.sent_ns);
        let new_series =
            || SparseSeries::new(SECOND_NS, TIME_BUCKETS_MAX / BUCKETS_PER_SECOND, DIGITS);
        self.recording.intended[kind as usize]
            .get_or_insert_with(new_series)
            .record(at_ns, intended, operations);
        self.recording.service[kind as usize]
            .get_or_insert_with(|| Box::new(new_histogram()))
            .saturating_record_n(service, operations);
        self.recording
            .bucket_latencies
            .record(at_ns, intended, operations);

        let bucket = at_ns / BUCKET_NS;
        if bucket > self.recent_bucket {
            self.publish_recent();
            self.recent_bucket = bucket;
        }
        self.recent.saturating_record_n(intended, operations);
    }

    fn publish_recent(&mut self) {
        if !self.recent.is_empty() {
            self.live.add_recent(&self.recent);
            self.recent.reset();
        }
    }
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            counters: Counters::default(),
            intended: Default::default(),
            service: Default::default(),
            bucket_counts: Vec::new(),
            bucket_latencies: SparseSeries::new(BUCKET_NS, TIME_BUCKETS_MAX, DIGITS_COARSE),
            moments: Moments::default(),
            by_client: None,
            quorum_reads: None,
            acknowledged: Acknowledged::default(),
            read_back: BTreeMap::new(),
        }
    }
}

impl Recording {
    /// Adds the recording of another worker; nothing is lost or rounded.
    pub fn merge(&mut self, other: Self) {
        self.counters.add(&other.counters);
        for (mine, theirs) in self.intended.iter_mut().zip(other.intended) {
            match (mine.as_mut(), theirs) {
                (Some(mine), Some(theirs)) => mine.merge(theirs),
                (None, theirs) => *mine = theirs,
                (Some(_), None) => {}
            }
        }
        for (mine, theirs) in self.service.iter_mut().zip(other.service) {
            match (mine.as_mut(), theirs) {
                (Some(mine), Some(theirs)) => mine
                    .add(*theirs)
                    .expect("all published histograms have the same bounds"),
                (None, theirs) => *mine = theirs,
                (Some(_), None) => {}
            }
        }
        if self.bucket_counts.len() < other.bucket_counts.len() {
            self.bucket_counts
                .resize(other.bucket_counts.len(), BucketCounts::default());
        }
        for (mine, theirs) in self.bucket_counts.iter_mut().zip(&other.bucket_counts) {
            mine.add(theirs);
        }
        self.bucket_latencies.merge(other.bucket_latencies);
        self.moments.merge(&other.moments);
        match (self.by_client.as_mut(), other.by_client) {
            (Some(mine), Some(theirs)) => mine.merge(theirs),
            (None, theirs) => self.by_client = theirs,
            (Some(_), None) => {}
        }
        if let Some(theirs) = other.quorum_reads {
            self.quorum_reads.get_or_insert_default().add(theirs);
        }
        self.acknowledged.merge(other.acknowledged);
        self.read_back.extend(other.read_back);
    }

    /// The longest time between `from` and `to` in which nothing was answered, both counted from the beginning of the
    /// measured phase. Exact from 100 ms on; what is shorter counts as none.
    #[must_use]
    pub fn longest_stall(&self, from: Duration, to: Duration) -> Duration {
        Duration::from_nanos(self.moments.longest_silence(nanos(from), nanos(to)))
    }

    /// The longest time for which an operation was open at or after `from` (into the measured phase): until its answer, or
    /// until it was given up. Exact to 100 ms.
    #[must_use]
    pub fn longest_open(&self, from: Duration) -> Duration {
        Duration::from_nanos(self.moments.longest_open(nanos(from)))
    }

    /// How each client was served from `from` to `to`, both into the measured phase and exact to 100 ms; nothing if that was
    /// not kept ([`Recorder::by_client`]).
    #[must_use]
    pub fn served(&self, from: Duration, to: Duration) -> Vec<ClientService> {
        let kept = self.by_client.as_ref();
        kept.map_or_else(Vec::new, |by_client| by_client.between(from, to))
    }

    /// From a mark (see [`Marks`](super::Marks)) to the first answer to an operation that was sent at or after it.
    #[must_use]
    pub fn first_answer_after(&self, mark: usize) -> Option<Duration> {
        self.moments
            .first_answer_after(mark)
            .map(Duration::from_nanos)
    }

    /// Operations answered in each 100 ms of the measured phase.
    #[must_use]
    pub fn answered_by_bucket(&self) -> Vec<u64> {
        let answered = |counts: &BucketCounts| counts.ok + counts.failed;
        self.bucket_counts.iter().map(answered).collect()
    }

    /// The first `count` parts of the measured phase, of `width` buckets of 100 ms each.
    #[must_use]
    pub fn windows(&self, width: usize, count: usize) -> Vec<Window> {
        let empty = || Window {
            ok: 0,
            latency: histogram(DIGITS_COARSE),
        };
        let mut windows: Vec<Window> = (0..count).map(|_| empty()).collect();
        let width = width.max(1);
        for (bucket, counts) in self.bucket_counts.iter().enumerate() {
            if let Some(window) = windows.get_mut(bucket / width) {
                window.ok += counts.ok;
            }
        }
        for (bucket, latencies) in self.bucket_latencies.intervals() {
            let bucket = usize::try_from(bucket).unwrap_or(usize::MAX);
            if let Some(window) = windows.get_mut(bucket / width) {
                window
                    .latency
                    .add(latencies)
                    .expect("all coarse histograms have the same bounds");
            }
        }
        windows
    }

    /// The kinds that succeeded at least once, in the order of tables.
    pub fn kinds(&self) -> impl Iterator<Item = OperationKind> + '_ {
        OperationKind::ALL
            .into_iter()
            .filter(|kind| self.intended[*kind as usize].is_some())
    }

    /// Latencies from the intended start, nanoseconds; of one kind, or of all.
    #[must_use]
    pub fn intended(&self, kind: Option<OperationKind>) -> Histogram<u64> {
        sum(self.selected(kind).map(|(_, series)| series.total()))
    }

    /// Latencies from the moment of sending, nanoseconds; of one kind, or of all.
    #[must_use]
    pub fn service(&self, kind: Option<OperationKind>) -> Histogram<u64> {
        let chosen = OperationKind::ALL
            .into_iter()
            .filter(|each| kind.is_none_or(|kind| kind == *each));
        sum(chosen.filter_map(|each| self.service[each as usize].as_deref().cloned()))
    }

    /// Latencies from the intended start, second by second of the answer since the measured phase began.
    #[must_use]
    pub fn intended_by_second(&self, kind: Option<OperationKind>) -> Vec<(u64, Histogram<u64>)> {
        let mut seconds = std::collections::BTreeMap::<u64, Histogram<u64>>::new();
        for (second, each) in self
            .selected(kind)
            .flat_map(|(_, series)| series.intervals())
        {
            seconds
                .entry(second)
                .or_insert_with(new_histogram)
                .add(each)
                .expect("all published histograms have the same bounds");
        }
        seconds.into_iter().collect()
    }

    fn selected(
        &self,
        kind: Option<OperationKind>,
    ) -> impl Iterator<Item = (OperationKind, &SparseSeries)> {
        OperationKind::ALL
            .into_iter()
            .filter(move |each| kind.is_none_or(|kind| kind == *each))
            .filter_map(|each| Some((each, self.intended[each as usize].as_ref()?)))
    }

    fn seal(&mut self) {
        self.intended
            .iter_mut()
            .flatten()
            .for_each(SparseSeries::seal);
        self.bucket_latencies.seal();
        if let Some(by_client) = &mut self.by_client {
            by_client.seal();
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn sum(histograms: impl Iterator<Item = Histogram<u64>>) -> Histogram<u64> {
    histograms.fold(new_histogram(), |mut sum, each| {
        sum.add(each)
            .expect("all published histograms have the same bounds");
        sum
    })
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
