//! What a progress display may look at while the run goes on: counters of all workers, and the latencies of the last moments.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use super::sparse::{DIGITS_COARSE, histogram};
use super::{Counters, Marks};

/// Shared by the recorders of one repeat and its progress display. Reading disturbs no worker: the counters are atomic, and a worker takes the lock
/// of the recent latencies once per 100 ms.
#[derive(Debug)]
pub struct Live {
    offered: AtomicU64,
    sent: AtomicU64,
    ok: AtomicU64,
    failed: AtomicU64,
    unknown: AtomicU64,
    dropped: AtomicU64,
    late: AtomicU64,
    busy_replies: AtomicU64,
    answered: AtomicU64,
    recent: Mutex<Histogram<u64>>,
    /// Everything that went through `recent`.
    total: Mutex<Histogram<u64>>,
    /// What the replicas said last.
    cluster: Mutex<Option<SeenCluster>>,
    marks: Marks,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveSnapshot {
    /// Operations of the measured phase.
    pub measured: Counters,
    /// Operations answered in any phase, so that the load phase shows progress as well.
    pub answered: u64,
}

/// Where the cluster is, as far as the replicas that answered say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenCluster {
    /// The highest view that a replica is in.
    pub view: u64,
    /// Replicas that answered.
    pub replicas_up: u32,
}

/// Latencies from the intended start since the display last asked, in microseconds (1 % exact).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecentLatency {
    /// Operations.
    pub count: u64,
    /// Median.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// Longest.
    pub max_us: f64,
}

impl Default for Live {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            offered: zero(),
            sent: zero(),
            ok: zero(),
            failed: zero(),
            unknown: zero(),
            dropped: zero(),
            late: zero(),
            busy_replies: zero(),
            answered: zero(),
            recent: Mutex::new(histogram(DIGITS_COARSE)),
            total: Mutex::new(histogram(DIGITS_COARSE)),
            cluster: Mutex::default(),
            marks: Marks::default(),
        }
    }
}

impl Live {
    /// The counters now; while workers run, their sums may be a few operations apart from each other.
    #[must_use]
    pub fn snapshot(&self) -> LiveSnapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LiveSnapshot {
            measured: Counters {
                offered: load(&self.offered),
                sent: load(&self.sent),
                ok: load(&self.ok),
                failed: load(&self.failed),
                unknown: load(&self.unknown),
                dropped: load(&self.dropped),
                late: load(&self.late),
                busy_replies: load(&self.busy_replies),
            },
            answered: load(&self.answered),
        }
    }

    /// Latencies since the last call; `None` if nothing of the measured phase was answered.
    pub fn take_recent(&self) -> Option<RecentLatency> {
        let mut recent = lock(&self.recent);
        let us = |ns: u64| ns as f64 / 1e3;
        let taken = (!recent.is_empty()).then(|| RecentLatency {
            count: recent.len(),
            p50_us: us(recent.value_at_quantile(0.5)),
            p99_us: us(recent.value_at_quantile(0.99)),
            max_us: us(recent.max()),
        });
        recent.reset();
        taken
    }

    /// All latencies from the intended start so far, nanoseconds to 1 %. The last tenth of a second may be missing.
    pub fn latencies(&self) -> Histogram<u64> {
        lock(&self.total).clone()
    }

    /// Notes where the cluster is.
    pub fn saw(&self, cluster: SeenCluster) {
        *lock(&self.cluster) = Some(cluster);
    }

    /// Where the cluster was last seen; `None` before anybody looked.
    pub fn cluster(&self) -> Option<SeenCluster> {
        *lock(&self.cluster)
    }

    /// The moments at which faults struck.
    pub const fn marks(&self) -> &Marks {
        &self.marks
    }

    pub(super) fn add(&self, counts: &Counters) {
        let add = |counter: &AtomicU64, count: u64| {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        };
        add(&self.offered, counts.offered);
        add(&self.sent, counts.sent);
        add(&self.ok, counts.ok);
        add(&self.failed, counts.failed);
        add(&self.unknown, counts.unknown);
        add(&self.dropped, counts.dropped);
        add(&self.late, counts.late);
        add(&self.busy_replies, counts.busy_replies);
    }

    pub(super) fn answered(&self, operations: u64) {
        self.answered.fetch_add(operations, Ordering::Relaxed);
    }

    pub(super) fn add_recent(&self, latencies: &Histogram<u64>) {
        for histogram in [&self.recent, &self.total] {
            lock(histogram)
                .add(latencies)
                .expect("all coarse histograms have the same bounds");
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
