//! What the attacking process is told, and what it tells at its end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::attack::OutsiderAttack;

/// Different remarks of replicas that a report keeps.
const NOTES_MAX: usize = 24;

/// One line of JSON on the process's standard input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What to do.
    pub attack: OutsiderAttack,
    /// Its numbers; those that are missing have their defaults.
    pub args: BTreeMap<String, u32>,
    /// Whom to attack.
    pub targets: Vec<Target>,
    /// Other replicas, whose certificates anybody can look at.
    pub others: Vec<Target>,
    /// A key of the configuration: a file, for keys pass through no pipe.
    pub client_key: Option<PathBuf>,
    /// The number of that client.
    pub client: u32,
    /// A client in whose name it speaks without having its key.
    pub victim: u32,
    /// The cluster's identity, which every message is signed for.
    pub cluster: [u8; 32],
    /// The key of a replica that the attacker has stolen.
    pub replica_key: Option<PathBuf>,
    /// What it draws derives from this.
    pub seed: u64,
}

/// A replica as everybody knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its number.
    pub replica: u32,
    /// Where it listens for replicas.
    pub peers: SocketAddr,
    /// Where it listens for clients.
    pub clients: SocketAddr,
    /// Its public key: public, and in every cluster file.
    pub key: [u8; 32],
}

impl Plan {
    /// One of the attack's numbers.
    pub fn arg(&self, name: &str) -> u32 {
        let knob = self.attack.knobs().iter().find(|knob| knob.name == name);
        let default = knob.map_or(1, |knob| knob.default);
        self.args.get(name).copied().unwrap_or(default).max(1)
    }
}

/// What an attack did and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutsiderReport {
    /// Connections, packets or frames that it tried.
    pub attempts: u64,
    /// Ended or answered with an error by a replica.
    pub refused: u64,
    /// Came to nothing without a word.
    pub unanswered: u64,
    /// Connections that the key entitles to.
    pub admitted: u64,
    /// What a replica had to refuse and did not.
    pub accepted: u64,
    /// The most connections that stood at a time, at one port.
    pub held_max: u64,
    /// UDP payloads sent and received, where the attack counts them itself.
    pub bytes_out: u64,
    /// See `bytes_out`.
    pub bytes_in: u64,
    /// The most that an address got back before it was proven, as a multiple of what it sent; 0 where that was not measured.
    pub amplification: f64,
    /// What replicas said, and how often.
    pub notes: BTreeMap<String, u64>,
}

/// A report while it is made. Shared by the tasks of an attack.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) attempts: Count,
    pub(super) refused: Count,
    pub(super) unanswered: Count,
    pub(super) admitted: Count,
    pub(super) accepted: Count,
    pub(super) held_max: Count,
    pub(super) bytes_out: Count,
    pub(super) bytes_in: Count,
    amplification_milli: Count,
    notes: Mutex<BTreeMap<String, u64>>,
    stop: AtomicBool,
}

/// A counter.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(super) fn raise(&self, to: usize) {
        self.0.fetch_max(to as u64, Ordering::Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Tally {
    /// Whether the attack is over.
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// One remark of a replica.
    pub(super) fn note(&self, what: &str) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = notes.get_mut(what) {
            *count += 1;
        } else if notes.len() < NOTES_MAX {
            notes.insert(what.to_owned(), 1);
        }
    }

    /// Somebody unproven sent `out` bytes and got `back`.
    pub(super) fn amplified(&self, out: u64, back: u64) {
        let milli = back.saturating_mul(1000) / out.max(1);
        self.amplification_milli
            .0
            .fetch_max(milli, Ordering::Relaxed);
    }

    pub(super) fn report(&self) -> OutsiderReport {
        OutsiderReport {
            attempts: self.attempts.value(),
            refused: self.refused.value(),
            unanswered: self.unanswered.value(),
            admitted: self.admitted.value(),
            accepted: self.accepted.value(),
            held_max: self.held_max.value(),
            bytes_out: self.bytes_out.value(),
            bytes_in: self.bytes_in.value(),
            amplification: self.amplification_milli.value() as f64 / 1e3,
            notes: self
                .notes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }
}
