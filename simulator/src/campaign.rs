//! The campaign of short schedules: very many very small runs in place of few long ones.
//!
//! Most disagreements of replication protocols need a handful of replicas, two slots and three
//! views, and a schedule that nobody would have written down (Twins, ByzzFuzz; ATTACKS part 2, 33
//! to 38). So a schedule here is a dozen *rounds*. In each the network is cut in another way, some
//! messages are lost or come rounds later, and up to f members are struck. Windows are as small as
//! they may be, so that checkpoints and the end of the window come within the first slots.
//! Time-outs are a few rounds long. After the last round everything is healed: every request
//! completes and every replica catches up, or the schedule has failed.
//!
//! ```text
//!   seed ──▶ Config::short ──▶ round 1 … 12 (rounds.rs) ──▶ heal ──▶ progress, restart, catch-up
//!                                └─ the world, its oracles and its faults: those of the long mode
//! ```

mod rounds;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use consensus::client::Pace;
use consensus::{CommitMode, FastQuorum, Policy};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::{Config, Faults, Signatures};
use crate::misbehaving::drawn_members;
use crate::rogue::drawn_rogues;
use crate::stats::Stats;

/// The length of a round: a message that nothing holds back arrives in the one it was sent in, or
/// the next.
pub const ROUND: Duration = Duration::from_millis(50);
/// Rounds of a schedule, at most.
pub const ROUNDS_MAX: u32 = 12;
/// n and f, with how often a size is drawn.
const SIZES: [(u16, u16, u32); 5] = [(4, 1, 20), (5, 1, 50), (6, 1, 8), (7, 2, 7), (9, 2, 15)];
/// One schedule in this many is signed with Ed25519.
const REAL_SIGNATURES: u64 = 2_000;
/// One schedule in this many has Byzantine clients.
const ROGUES: u32 = 8;
/// Failing schedules that are looked for before a campaign gives up.
const FAILURES_MAX: usize = 8;
/// Schedules that a thread takes at a time.
const CHUNK: u64 = 32;

impl Config {
    /// The short schedule that this seed stands for.
    pub fn short(seed: u64) -> Config {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5c4ed);
        let rng = &mut rng;
        let (n, f) = drawn_size(rng);
        let base = Config::default();
        let fast = match rng.random_range(0..8) {
            0..=4 => FastQuorum::Strong,
            5 => FastQuorum::Conservative,
            6 => FastQuorum::Exactly(n),
            _ => FastQuorum::Off,
        };
        let mut limits = base.limits.clone();
        limits.checkpoint_interval = pick(rng, &[1, 2, 4, 4]);
        limits.log_window = 2 * limits.checkpoint_interval;
        limits.batch_requests_max = pick(rng, &[1, 2]);
        let eager = rng.random_ratio(1, 4);
        let policy = Policy {
            commit_mode: match eager {
                true => CommitMode::Eager,
                false => CommitMode::Adaptive,
            },
            inflight_max: pick(rng, &[1, 4]),
            status_interval: ROUND,
            heartbeat_timeout: ROUND * pick(rng, &[2, 3]),
            request_timeout: ROUND * 4,
            view_change_timeout: ROUND * pick(rng, &[2, 4]),
            retransmit_interval: ROUND,
            ..base.policy.clone()
        };
        let rounds = rng.random_range(6..=ROUNDS_MAX);
        let (twins, wicked) = drawn_faulty(rng, f);
        let byzantine = drawn_members(rng, n, wicked);
        let mut config = Config {
            seed,
            n,
            f,
            fast,
            limits,
            policy,
            clients: pick(rng, &[1, 2]),
            requests: pick(rng, &[1, 2]),
            outstanding: pick(rng, &[1, 2]),
            think: Duration::from_millis(1)..ROUND * 4,
            pace: Pace {
                retransmit_after: ROUND * 2,
                retransmit_after_max: ROUND * 8,
                ..Pace::default()
            },
            ops_max: 1,
            keys: 2,
            delay: Duration::from_micros(100)..Duration::from_millis(20),
            sync: Duration::from_micros(100)..Duration::from_millis(2),
            faults: drawn_faults(rng, twins),
            byzantine,
            heal_at: ROUND * rounds,
            restart_all: rng.random_ratio(1, 8),
            signatures: match seed.is_multiple_of(REAL_SIGNATURES) {
                true => Signatures::Ed25519,
                false => Signatures::Fake,
            },
            ..base
        };
        if rng.random_ratio(1, ROGUES) {
            drawn_rogues(rng, &mut config);
        }
        config
    }
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

/// Twins, and members with plans: at most f together.
fn drawn_faulty(rng: &mut ChaCha8Rng, f: u16) -> (u16, u16) {
    let twins = match rng.random_range(0..4) {
        0 => rng.random_range(1..=f),
        _ => 0,
    };
    let wicked = match rng.random_range(0..8) {
        0 | 1 => 0,
        2 => (f - twins).min(1),
        _ => f - twins,
    };
    (twins, wicked)
}

fn drawn_faults(rng: &mut ChaCha8Rng, twins: u16) -> Faults {
    Faults {
        round: Some(ROUND),
        spike: ROUND * 3,
        lasting: ROUND / 2..ROUND * 4,
        partitions: rng.random_ratio(4, 5),
        crashes: rng.random_ratio(1, 2),
        power_cuts: rng.random_ratio(1, 8),
        pauses: rng.random_ratio(1, 6),
        disks: rng.random_ratio(1, 6),
        failing_disks: rng.random_ratio(1, 8),
        twins,
        ..Faults::none()
    }
}

fn pick<T: Copy>(rng: &mut ChaCha8Rng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())]
}

/// What a campaign came to.
#[derive(Clone, Debug, Default)]
pub struct Campaign {
    /// Schedules that were run.
    pub schedules: u64,
    /// What they reached, added up.
    pub stats: Stats,
    /// Failing seeds with what was violated: the first few.
    pub failures: Vec<(u64, Vec<String>)>,
    /// Processor time over all threads.
    pub busy: Duration,
}

impl Campaign {
    /// Schedules that one core does in a second.
    pub fn per_second(&self) -> f64 {
        self.schedules as f64 / self.busy.as_secs_f64().max(1e-9)
    }

    /// What there was of something in one schedule, on average.
    pub fn each(&self, total: f64) -> f64 {
        total / self.schedules.max(1) as f64
    }

    fn add(&mut self, other: Campaign) {
        self.schedules += other.schedules;
        self.stats.add(&other.stats);
        self.failures.extend(other.failures);
        self.busy += other.busy;
    }
}

/// Runs the schedules of all seeds on `threads` threads, or until several have failed.
pub fn campaign(seeds: Range<u64>, threads: usize) -> Campaign {
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new(Campaign::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let from = next.fetch_add(CHUNK, Ordering::Relaxed);
                    let chunk = run_chunk(from..(from + CHUNK).min(seeds.end));
                    let mut total = total.lock().expect("no thread panics");
                    total.add(chunk);
                    if from + CHUNK >= seeds.end || total.failures.len() >= FAILURES_MAX {
                        return;
                    }
                }
            });
        }
    });
    total.into_inner().expect("no thread panics")
}

fn run_chunk(seeds: Range<u64>) -> Campaign {
    let mut chunk = Campaign::default();
    for seed in seeds {
        let outcome = crate::run(&Config::short(seed));
        chunk.schedules += 1;
        chunk.stats.add(&outcome.stats);
        chunk.busy += outcome.busy;
        if !outcome.violations.is_empty() {
            chunk.failures.push((seed, outcome.violations));
        }
    }
    chunk
}
