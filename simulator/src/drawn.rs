//! A configuration drawn from its seed. Swarm testing: every seed enables some of the faults and
//! leaves the others out, because faults that are all on at once hide each other.

use std::time::Duration;

use consensus::{CommitMode, FastQuorum, Policy};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::{Config, Faults, Signatures};
use crate::misbehaving::drawn_members;
use crate::rogue::drawn_rogues;

/// n and f, with how often a size is drawn.
const SIZES: [(u16, u16, u32); 8] = [
    (4, 1, 10),
    (5, 1, 40),
    (6, 1, 10),
    (7, 1, 5),
    (7, 2, 10),
    (9, 2, 18),
    (10, 3, 4),
    (13, 3, 3),
];
/// One seed in this many is a [`corner`].
const CORNERS: u32 = 12;
/// One seed in this many has Byzantine clients.
const ROGUES: u32 = 4;
/// In one seed of this many clients read beside the log.
const READERS: u32 = 5;
/// One seed in this many signs with Ed25519.
const REAL_SIGNATURES: u64 = 100;

impl Config {
    /// Sizes, quorums, policies, workload and faults that this seed stands for.
    pub fn drawn(seed: u64) -> Config {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
        let rng = &mut rng;
        let (n, f) = drawn_size(rng);
        let base = Config::default();
        let fast = match rng.random_range(0..8) {
            0..=3 => FastQuorum::Strong,
            4 | 5 => FastQuorum::Conservative,
            6 => FastQuorum::Exactly(n),
            _ => FastQuorum::Off,
        };
        let eager = rng.random_ratio(1, 4);
        let policy = Policy {
            commit_mode: if eager {
                CommitMode::Eager
            } else {
                CommitMode::Adaptive
            },
            inflight_max: pick(rng, &[1, 4, 8, 32]),
            ..base.policy.clone()
        };
        let mut limits = base.limits.clone();
        limits.checkpoint_interval = pick(rng, &[4, 8, 8, 16, 16]);
        limits.log_window = limits.checkpoint_interval * pick(rng, &[2, 4]);
        let millis = Duration::from_millis;
        let (delay_max, sync_max) = (pick(rng, &[1, 3, 10, 30]), pick(rng, &[1, 2, 10]));
        let heal_at = millis(rng.random_range(1_500..5_000));
        let think_max = pick(rng, &[150, 300, 600]);
        let mut config = Config {
            seed,
            n,
            f,
            fast,
            limits,
            policy,
            clients: pick(rng, &[2, 4, 8]),
            outstanding: pick(rng, &[1, 2, 4]),
            think: millis(1)..millis(think_max),
            keys: pick(rng, &[3, 6, 40]),
            delay: Duration::from_micros(50)..millis(delay_max),
            sync: Duration::from_micros(100)..millis(sync_max),
            faults: drawn_faults(rng, f),
            heal_at,
            restart_all: rng.random_ratio(1, 3),
            signatures: if seed.is_multiple_of(REAL_SIGNATURES) {
                Signatures::Ed25519
            } else {
                Signatures::Fake
            },
            ..base
        };
        if rng.random_ratio(1, CORNERS) {
            corner(rng, &mut config);
        }
        let others = f - config.faults.silent - config.faults.twins;
        if others > 0 && rng.random_ratio(1, 2) {
            let count = rng.random_range(1..=others);
            config.byzantine = drawn_members(rng, n, count);
        }
        if rng.random_ratio(1, ROGUES) {
            drawn_rogues(rng, &mut config);
        }
        if rng.random_ratio(1, READERS) {
            config.limits.quorum_reads = true;
            config.quorum_reads = pick(rng, &[0.2, 0.5, 0.8]);
        }
        config
    }
}

/// The smallest windows, under faults that are long for them: replicas fall behind by more than a
/// window, and lose power before or after they are helped.
fn corner(rng: &mut ChaCha8Rng, config: &mut Config) {
    let millis = Duration::from_millis;
    config.limits.checkpoint_interval = 4;
    config.limits.log_window = 8;
    config.think = millis(1)..millis(150);
    config.heal_at = millis(rng.random_range(4_000..8_000));
    config.faults.partitions = true;
    config.faults.power_cuts = true;
    config.faults.every = millis(50)..millis(1_000);
    config.faults.lasting = millis(200)..millis(3_000);
}

fn drawn_size(rng: &mut ChaCha8Rng) -> (u16, u16) {
    let total: u32 = SIZES.iter().map(|(_, _, weight)| weight).sum();
    let mut at = rng.random_range(0..total);
    for (n, f, weight) in SIZES {
        if at < weight {
            return (n, f);
        }
        at -= weight;
    }
    (5, 1)
}

fn drawn_faults(rng: &mut ChaCha8Rng, f: u16) -> Faults {
    let millis = Duration::from_millis;
    let every_max = pick(rng, &[300, 600, 1_500]);
    let lasting_max = pick(rng, &[100, 600, 1_500]);
    let (silent, twins) = match rng.random_range(0..8) {
        0 => (f, 0),
        1 | 2 => (0, rng.random_range(1..=f)),
        _ => (0, 0),
    };
    Faults {
        loss: pick(rng, &[0.0, 0.0, 0.01, 0.05, 0.2]),
        duplication: pick(rng, &[0.0, 0.0, 0.1, 0.3]),
        client_loss: pick(rng, &[0.0, 0.1]),
        spikes: pick(rng, &[0.0, 0.0, 0.01, 0.05]),
        spike: millis(pick(rng, &[50, 300, 1_000])),
        round: None,
        every: millis(20)..millis(every_max),
        lasting: millis(5)..millis(lasting_max),
        partitions: rng.random_ratio(1, 2),
        crashes: rng.random_ratio(2, 3),
        power_cuts: rng.random_ratio(1, 4),
        pauses: rng.random_ratio(1, 3),
        clocks: rng.random_ratio(1, 4),
        disks: rng.random_ratio(1, 3),
        failing_disks: rng.random_ratio(1, 4),
        amnesia: false,
        haste: false,
        by_number: false,
        silent,
        twins,
    }
}

fn pick<T: Copy>(rng: &mut ChaCha8Rng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())]
}
