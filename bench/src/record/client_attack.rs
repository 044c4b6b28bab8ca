//! What an attack by clients did, and what the correct clients were left with.

use serde::{Deserialize, Serialize};

use crate::hostile_clients::AttackCounts;

/// An attack by clients, in run.json under its fault.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientAttackFact {
    /// Its name, as in the scenario.
    pub attack: String,
    /// Its number in the catalogue of attacks.
    pub id: String,
    /// Hostile clients.
    pub count: u32,
    /// What they did and were told. None of it is in the run's own figures.
    #[serde(flatten)]
    pub counts: AttackCounts,
    /// Throughput of all correct clients during the attack, as a part of that in the 2 s before it; `None` if there was
    /// nothing before it to compare with.
    pub service_kept: Option<f64>,
    /// The same of the correct client that was left with least, as a part of its fair share: what it had before, divided
    /// among as many more as attacked, of what the attackers' own program left of the machine.
    pub share_kept: Option<f64>,
    /// The part of the machine's processor time that the program of the attackers did not take: in earnest they would
    /// have machines of their own. `None` in runs of older versions.
    pub machine_left: Option<f64>,
    /// The highest p99 of one correct client during the attack, over the p99 of all the others together.
    pub p99_ratio: Option<f64>,
    /// The longest time for which an operation of a correct client was open during the attack.
    pub longest_wait_ms: f64,
    /// Each correct client's part of what it had before, in the order of their numbers.
    pub each_kept: Vec<f64>,
}
