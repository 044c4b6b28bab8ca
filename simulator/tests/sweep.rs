//! Seeds with faults on: safety always, progress once the faults are healed, and witnesses that
//! the situations were reached.
//!
//! `SEEDS=A..B cargo test -p simulator --release sweep` runs a longer sweep.

use std::time::Duration;

use consensus::{CommitMode, FastQuorum};
use simulator::{Config, Faults, Signatures, Stats, run};

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("SEEDS") else {
        return 0..60;
    };
    let (from, to) = text.split_once("..").expect("SEEDS has the form A..B");
    from.parse().expect("a number")..to.parse().expect("a number")
}

/// A configuration drawn from the seed: sizes, quorums, policies and faults all vary.
fn drawn(seed: u64) -> Config {
    let sizes = [(4, 1), (5, 1), (6, 1), (7, 2), (9, 2)];
    let (n, f) = sizes[(seed % 5) as usize];
    let fast = [
        FastQuorum::Strong,
        FastQuorum::Conservative,
        FastQuorum::Off,
    ][(seed / 5 % 3) as usize];
    let base = Config::default();
    let mut policy = base.policy.clone();
    if seed % 4 == 1 {
        policy.commit_mode = CommitMode::Eager;
    }
    Config {
        seed,
        n,
        f,
        fast,
        policy,
        faults: Faults {
            loss: [0.0, 0.05, 0.2][(seed / 3 % 3) as usize],
            duplication: [0.0, 0.3][(seed / 2 % 2) as usize],
            client_loss: [0.0, 0.1][(seed / 7 % 2) as usize],
            crashes: (seed % 6) as u32,
            silent: if seed.is_multiple_of(6) { f } else { 0 },
        },
        signatures: if seed.is_multiple_of(50) {
            Signatures::Ed25519
        } else {
            Signatures::Fake
        },
        heal_at: Duration::from_millis(800),
        ..base
    }
}

#[test]
fn every_seed_is_safe_and_live_and_the_sweep_reaches_what_it_is_for() {
    let mut total = Stats::default();
    for seed in seeds() {
        let outcome = run(&drawn(seed));
        assert!(
            outcome.violations.is_empty(),
            "SEEDS={seed}..{} cargo test -p simulator --release sweep\n{}",
            seed + 1,
            outcome.violations.join("\n")
        );
        let stats = outcome.stats;
        total.slots += stats.slots;
        total.fast += stats.fast;
        total.slow += stats.slow;
        total.transferred += stats.transferred;
        total.fallbacks += stats.fallbacks;
        total.checkpoints += stats.checkpoints;
        total.retransmissions += stats.retransmissions;
        total.restarts += stats.restarts;
        total.replies_resent += stats.replies_resent;
        total.lost += stats.lost;
        total.delivered += stats.delivered;
        total.virtual_time += stats.virtual_time;
    }
    println!("{total:#?}");
    if seeds().count() < 60 {
        return;
    }
    let witnesses = [
        ("fast decisions", total.fast),
        ("slow decisions", total.slow),
        ("decisions by transfer", total.transferred),
        ("fallbacks", total.fallbacks),
        ("stable checkpoints", total.checkpoints),
        ("retransmissions", total.retransmissions),
        ("restarts from disk", total.restarts),
        ("stored replies sent again", total.replies_resent),
        ("lost messages", total.lost),
    ];
    for (what, count) in witnesses {
        assert!(count > 0, "the sweep never saw {what}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let first = run(&drawn(17));
    let second = run(&drawn(17));
    assert_eq!(first.trace, second.trace);
    assert_ne!(first.trace, run(&drawn(18)).trace);
}
