//! Large clusters and long logs: bounded memory, whatever the size.
//!
//! By default small versions run; `LONG=1 cargo test -p simulator --release --test long -- --nocapture`
//! runs the full ones and prints what they need.

use std::sync::Mutex;
use std::time::Duration;

use consensus::{Limits, Policy};
use simulator::{Config, Faults, Outcome, run};

/// One at a time: they measure the memory of the process.
static ALONE: Mutex<()> = Mutex::new(());

fn long() -> bool {
    std::env::var_os("LONG").is_some()
}

/// Runs, and says how much memory the process had at most meanwhile, where the system tells.
fn measured(config: &Config) -> (Outcome, Option<u64>) {
    let reset = std::fs::write("/proc/self/clear_refs", "5");
    let outcome = run(config);
    assert_eq!(outcome.violations, Vec::<String>::new());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
    (outcome, peak.filter(|_| reset.is_ok()))
}

fn print(what: &str, config: &Config, outcome: &Outcome, peak: Option<u64>) {
    let stats = &outcome.stats;
    println!(
        "{what}: n = {}, {} slots, {} views entered, {} messages delivered, {:?} of virtual time \
         in {:?}; {:?} KiB at most, {:?} KiB a replica; the checkers remember {} things",
        config.n,
        stats.slots,
        stats.views_entered,
        stats.delivered,
        stats.virtual_time,
        outcome.busy,
        peak,
        peak.map(|peak| peak / u64::from(config.n)),
        outcome.remembered,
    );
}

#[test]
fn a_hundred_replicas_with_a_quarter_of_them_failing_agree_and_go_on() {
    let _alone = ALONE.lock();
    let (n, f) = if long() { (97, 24) } else { (31, 7) };
    let seconds = Duration::from_secs;
    let base = Config::default();
    let config = Config {
        seed: 97,
        n,
        f,
        policy: Policy {
            status_interval: Duration::from_millis(500),
            heartbeat_timeout: Duration::from_millis(2_500),
            view_change_timeout: seconds(2),
            request_timeout: seconds(2),
            retransmit_interval: seconds(1),
            ..base.policy.clone()
        },
        clients: 2,
        requests: if long() { 60 } else { 8 },
        faults: Faults {
            loss: 0.01,
            crashes: true,
            pauses: true,
            partitions: true,
            every: Duration::from_millis(20)..Duration::from_millis(100),
            lasting: Duration::from_millis(100)..seconds(2),
            ..Faults::none()
        },
        heal_at: if long() { seconds(12) } else { seconds(3) },
        ..base
    };
    let (outcome, peak) = measured(&config);
    print("many replicas", &config, &outcome, peak);
    assert!(outcome.stats.crashes > 0 && outcome.stats.slots > 8);
}

/// A log of `slots` slots, written as fast as clients can, one request a slot.
fn log_of(slots: u64) -> Config {
    let base = Config::default();
    Config {
        seed: 100_000,
        n: 4,
        limits: Limits {
            batch_requests_max: 1,
            ..base.limits.clone()
        },
        requests: slots / u64::from(base.clients),
        think: Duration::from_micros(1)..Duration::from_millis(2),
        delay: Duration::from_micros(50)..Duration::from_millis(1),
        sync: Duration::from_micros(50)..Duration::from_micros(500),
        ops_max: 1,
        keys: 100,
        heal_at: Duration::from_millis(1),
        ..base
    }
}

#[test]
fn a_long_log_needs_no_more_memory_than_a_short_one() {
    let _alone = ALONE.lock();
    let slots = if long() { 100_000 } else { 2_000 };
    let (short, long) = (log_of(slots / 10), log_of(slots));
    let (first, peak_of_short) = measured(&short);
    print("short log", &short, &first, peak_of_short);
    let (second, peak_of_long) = measured(&long);
    print("long log", &long, &second, peak_of_long);
    assert!(second.stats.slots >= slots && first.stats.slots >= slots / 10);
    assert!(
        second.remembered <= first.remembered * 2,
        "the checkers remember {} and {} things",
        first.remembered,
        second.remembered
    );
    // What may grow is sixteen bytes a slot and 40 a checkpoint: room for ten times that.
    if let (Some(short), Some(long)) = (peak_of_short, peak_of_long) {
        let most = short + slots * 200 / 1024 + 4096;
        assert!(
            long <= most,
            "{long} KiB, after {short} KiB for a tenth of the log"
        );
    }
}
