//! Seeds with faults on: safety always, progress once the faults are healed, and witnesses that
//! the situations were reached.
//!
//! `SEEDS=A..B cargo test -p simulator --release sweep -- --nocapture` runs a longer sweep.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use simulator::{Config, Stats, run};

/// The sweep of an ordinary `cargo test`.
const SEEDS: Range<u64> = 0..40;
/// Sweeps of at least this many seeds reach everything that is counted.
const REACHES_ALL: u64 = 500;
/// What even the shortest sweep reaches.
const COMMON: [&str; 17] = [
    "fast",
    "slow",
    "transferred",
    "fallbacks",
    "checkpoints",
    "retransmissions",
    "views_with_slots",
    "fast_then_view_change",
    "partitions",
    "primary_crashes",
    "power_cuts",
    "twin_messages",
    "rogue_executed",
    "rogue_refused",
    "rogue_bad_signatures",
    "quorum_reads",
    "read_fallbacks",
];

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("SEEDS") else {
        return SEEDS;
    };
    let (from, to) = text.split_once("..").expect("SEEDS has the form A..B");
    from.parse().expect("a number")..to.parse().expect("a number")
}

/// A wait for progress that is worth a look, though far within the bound.
const SLOW: Duration = Duration::from_secs(8);
/// Failing seeds that are looked for before a sweep gives up.
const FAILURES_MAX: usize = 8;

/// Runs all seeds on all cores. The failing ones are reported with the command that repeats them.
fn sweep(seeds: Range<u64>) -> (Stats, Duration) {
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new((Stats::default(), Duration::ZERO));
    let failures = Mutex::new(Vec::new());
    let failed = || failures.lock().expect("no thread panics").len();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while failed() < FAILURES_MAX {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = run(&Config::drawn(seed));
                    if !outcome.violations.is_empty() {
                        let text = outcome.violations.join("\n");
                        let mut failures = failures.lock().expect("no thread panics");
                        failures.push(format!(
                            "SEEDS={seed}..{} cargo test -p simulator --release sweep\n{text}",
                            seed + 1
                        ));
                    }
                    if outcome.stats.longest_wait >= SLOW {
                        let waited = outcome.stats.longest_wait;
                        println!("seed {seed}: a client waited for {waited:?} once all was healed");
                    }
                    let mut total = total.lock().expect("no thread panics");
                    total.0.add(&outcome.stats);
                    total.1 += outcome.busy;
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no thread panics");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    total.into_inner().expect("no thread panics")
}

#[test]
fn every_seed_is_safe_and_live_and_the_sweep_reaches_what_it_is_for() {
    let seeds = seeds();
    let began = Instant::now();
    let (total, busy) = sweep(seeds.clone());
    let speed = total.virtual_time.as_secs_f64() / busy.as_secs_f64();
    println!("{total:#?}");
    println!(
        "{} seeds in {:.1?}: {speed:.0} times real time a core, {:.1} decided slots and {:.0} \
         delivered messages a virtual second",
        seeds.end - seeds.start,
        began.elapsed(),
        total.slots_per_second(),
        total.delivered as f64 / total.virtual_time.as_secs_f64(),
    );
    let count = seeds.end - seeds.start;
    if count < SEEDS.end {
        return;
    }
    assert!(
        total.slots_per_second() >= 10.0,
        "the clients ask too little"
    );
    for (what, times) in total.counts() {
        assert!(
            times > 0 || count < REACHES_ALL && !COMMON.contains(&what),
            "the sweep never saw {what}: it proves nothing about it"
        );
    }
}
