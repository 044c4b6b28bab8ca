//! Clients that attack: they hold keys of their own among the cluster's clients, and run beside the correct ones of the load.
//!
//! ```text
//!   [[fault]] kind = "client" ─► timeline ─► Attackers ── a thread of its own ──┬─ Attacker 0 ── a line to each replica
//!                                                │                              └─ Attacker 1 ── a line to each replica
//!                                                └─► Counts ─► run.json, under the fault
//! ```
//!
//! Nothing here goes through the library of correct clients (`client`), which cannot lie and never will: an attacker speaks to
//! the replicas in bytes. Its keys in the store begin with [`KEYS`], behind all keys of the load, whose scans end there: what it
//! writes is not in the way of the checks over the load's history. Its own service is counted here and is no part of the run's figures.

mod attacker;
mod counts;
mod forge;
mod line;
mod moves;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crypto::SecretKey;
use network::ClusterFile;

use crate::scenario::schema::ClientFault;
use attacker::Attacker;
pub use counts::{AttackCounts, Counts};

/// What stands in front of every key that attackers write. Behind all letters, and so behind the load's keys.
pub const KEYS: &str = "~hostile/";

/// Between two looks at whether the attack is over.
const TICK: Duration = Duration::from_millis(20);

/// Processor time of this thread up to now.
fn thread_cpu_ms() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split(' ').next().and_then(|nanos| nanos.parse().ok());
    nanos.map_or(0, |nanos: u64| nanos / 1_000_000)
}

/// Hostile clients at work.
pub struct Attackers {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: JoinHandle<()>,
}

impl Attackers {
    /// Begins the attack, one client for each key.
    ///
    /// # Errors
    /// If the machine refuses a thread, or the cluster file is impossible: a sentence.
    pub fn start(
        file: &ClusterFile,
        keys: Vec<SecretKey>,
        fault: &ClientFault,
        seed: u64,
    ) -> Result<Self, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Counts::default());
        let mut attackers = Vec::with_capacity(keys.len());
        for (number, key) in keys.into_iter().enumerate() {
            let seed = seed.wrapping_add(number as u64);
            attackers.push(Attacker::new(file, key, Arc::clone(&counts), seed)?);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("no async runtime for hostile clients: {error}"))?;
        let (attack, over) = (fault.attack, Arc::clone(&stop));
        let spent = Arc::clone(&counts);
        let thread = std::thread::Builder::new()
            .name("hostile-clients".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let mut tasks = tokio::task::JoinSet::new();
                    for attacker in attackers {
                        tasks.spawn(attacker.attack(attack));
                    }
                    while !over.load(Ordering::Relaxed) {
                        tokio::time::sleep(TICK).await;
                    }
                    tasks.shutdown().await;
                });
                counts::add(&spent.cpu_ms, thread_cpu_ms());
            })
            .map_err(|error| format!("no thread for hostile clients: {error}"))?;
        Ok(Attackers {
            stop,
            counts,
            thread,
        })
    }

    /// Ends the attack; says what it was.
    ///
    /// # Errors
    /// If its thread panicked: a sentence.
    pub fn finish(self) -> Result<AttackCounts, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| "the thread of the hostile clients panicked".to_owned())?;
        Ok(self.counts.total())
    }
}
