//! Replicas that were away for longer than the others' archives reach come back with the others'
//! state (docs/protocol.md R13).

use std::time::Duration;

use consensus::Limits;
use simulator::{Config, Faults, Stats, run};

/// One replica is down for four seconds, in which the others decide far more slots than a log of
/// 16 and an archive of as many hold. At the end everybody must be where the log ends.
fn away(seed: u64, faults: Faults) -> Stats {
    let millis = Duration::from_millis;
    let config = Config {
        seed,
        limits: Limits {
            checkpoint_interval: 8,
            log_window: 16,
            batch_requests_max: 2,
            ..Limits::default()
        },
        clients: 6,
        outstanding: 4,
        think: millis(1)..millis(40),
        keys: 60,
        faults,
        heal_at: Duration::from_secs(4),
        catch_up: true,
        ..Config::default()
    };
    let outcome = run(&config);
    let text = outcome.violations.join("\n");
    assert!(outcome.violations.is_empty(), "seed {seed}: {text}");
    outcome.stats
}

#[test]
fn a_replica_that_was_never_there_reaches_the_others_by_transfer() {
    for seed in 0..5 {
        let stats = away(
            seed,
            Faults {
                silent: 1,
                ..Faults::none()
            },
        );
        assert!(stats.slots > 100, "seed {seed}: {stats:?}");
        assert!(stats.state_transfers >= 1, "seed {seed}: {stats:?}");
        assert!(stats.parts_transferred > 0, "seed {seed}: {stats:?}");
    }
}

#[test]
fn transfers_finish_over_links_that_lose_and_repeat_and_across_crashes() {
    let mut total = Stats::default();
    for seed in 0..10 {
        let millis = Duration::from_millis;
        let stats = away(
            seed,
            Faults {
                loss: 0.05,
                duplication: 0.1,
                partitions: true,
                crashes: true,
                pauses: true,
                every: millis(100)..millis(400),
                lasting: millis(200)..millis(1_500),
                ..Faults::none()
            },
        );
        total.add(&stats);
    }
    assert!(total.state_transfers > 5, "{total:?}");
}
