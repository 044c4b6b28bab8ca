//! Many seeds on all cores.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use simulator::{Outcome, Stats, run};

use super::Plan;

/// Failing seeds after which a sweep gives up: the first few say what there is to say.
const FAILURES_MAX: usize = 20;
/// Between two calls of the display.
const TICK: Duration = Duration::from_millis(500);

/// What a seed violates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The cluster did not go on although nothing failed any more.
    Liveness,
    /// Replicas or answers contradict each other, or a replica broke down.
    Safety,
}

impl Kind {
    /// Of an outcome; `None` if all is well. Behind the violations the simulator says how the replicas stood at the end.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Option<Self> {
        let standing = |line: &String| line.starts_with("replica ") || line.starts_with("at ");
        let of_one = |line: &String| match line.starts_with("liveness:") {
            true => Self::Liveness,
            false => Self::Safety,
        };
        let violations = outcome.violations.iter();
        violations.filter(|line| !standing(line)).map(of_one).max()
    }

    /// As results write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Liveness => "liveness",
            Self::Safety => "safety",
        }
    }
}

/// A seed that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What it violates.
    pub kind: Kind,
    /// In the simulator's words.
    pub violations: Vec<String>,
    /// Fingerprint of the run.
    pub trace: u64,
}

/// How far a sweep is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Seeds that were run.
    pub done: u64,
    /// Those that failed.
    pub failed: usize,
    /// Virtual time so far.
    pub virtual_time: Duration,
    /// Processor time so far.
    pub busy: Duration,
}

/// What a sweep came to.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The seeds that were asked for.
    pub seeds: Range<u64>,
    /// How many of them were run: all, unless somebody stopped it or too many failed.
    pub done: u64,
    /// Those that failed, ascending.
    pub failures: Vec<Failure>,
    /// What all of them reached.
    pub stats: Stats,
    /// Processor time.
    pub busy: Duration,
    /// Real time.
    pub elapsed: Duration,
    /// Threads.
    pub jobs: usize,
    /// Somebody stopped it.
    pub stopped: bool,
}

/// Runs the seeds on `jobs` threads until all are done, `stop` is set, or too many failed. `failed` hears of each
/// failure when it is found, `progress` of how far it is.
pub fn sweep(
    plan: &Plan,
    seeds: Range<u64>,
    jobs: usize,
    stop: &AtomicBool,
    failed: impl Fn(&Failure) + Sync,
    mut progress: impl FnMut(&Progress),
) -> Sweep {
    let began = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let shared = Mutex::new((Progress::default(), Stats::default(), Vec::new()));
    let work = || loop {
        let gives_up = lock(&shared).2.len() >= FAILURES_MAX;
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if gives_up || seed >= seeds.end || stop.load(Ordering::Relaxed) {
            return;
        }
        let outcome = run(&plan.config(seed));
        let failure = Kind::of(&outcome).map(|kind| Failure {
            seed,
            kind,
            violations: outcome.violations.clone(),
            trace: outcome.trace,
        });
        failure.iter().for_each(&failed);
        let (progress, stats, failures) = &mut *lock(&shared);
        stats.add(&outcome.stats);
        failures.extend(failure);
        progress.done += 1;
        progress.failed = failures.len();
        progress.virtual_time += outcome.stats.virtual_time;
        progress.busy += outcome.busy;
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::park_timeout(TICK.min(Duration::from_millis(20)));
            progress(&lock(&shared).0);
        }
    });
    let (progress, stats, mut failures) =
        shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort_by_key(|failure: &Failure| failure.seed);
    Sweep {
        seeds,
        done: progress.done,
        failures,
        stats,
        busy: progress.busy,
        elapsed: began.elapsed(),
        jobs: jobs.max(1),
        stopped: stop.load(Ordering::Relaxed),
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked has left nothing half done: the simulator catches panics of the code under test.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sweep {
    /// The gravest of what was violated.
    #[must_use]
    pub fn gravest(&self) -> Option<Kind> {
        self.failures.iter().map(|failure| failure.kind).max()
    }

    /// Virtual time over processor time.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.stats.virtual_time.as_secs_f64() / self.busy.as_secs_f64().max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn() -> Plan {
        Plan {
            scenario: None,
            named: Vec::new(),
            virtual_time: Some(Duration::from_millis(300)),
        }
    }

    fn outcome(violations: &[&str]) -> Outcome {
        let mut outcome = run(&drawn().config(1));
        outcome.violations = violations.iter().map(|&text| text.to_owned()).collect();
        outcome
    }

    #[test]
    fn standing_still_is_milder_than_contradiction() {
        assert_eq!(Kind::of(&outcome(&[])), None);
        let stuck = ["liveness: nothing fails any more, but ...", "replica 0 ..."];
        assert_eq!(Kind::of(&outcome(&stuck)), Some(Kind::Liveness));
        let fork = ["liveness: ...", "agreement: replica 1 decided ..."];
        assert_eq!(Kind::of(&outcome(&fork)), Some(Kind::Safety));
        assert!(Kind::Safety > Kind::Liveness);
    }

    #[test]
    fn a_sweep_gives_the_same_on_one_thread_and_on_several() {
        let go = AtomicBool::new(false);
        let swept = |jobs| sweep(&drawn(), 3..9, jobs, &go, |_| {}, |_| {});
        let (one, several) = (swept(1), swept(3));
        assert_eq!((one.done, several.done), (6, 6));
        assert_eq!(one.stats, several.stats);
        assert!(one.stats.slots > 0);
    }

    #[test]
    fn who_stops_a_sweep_gets_what_there_is() {
        let stop = AtomicBool::new(true);
        let swept = sweep(&drawn(), 0..1_000_000, 2, &stop, |_| {}, |_| {});
        assert!(swept.stopped && swept.done == 0);
    }
}
