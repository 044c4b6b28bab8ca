//! Faults that were injected and proofs that were found, in run.json.

use serde::{Deserialize, Serialize};

use super::ClientAttackFact;
use crate::outsider::OutsiderReport;

/// An injected fault and what it cost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FaultFact {
    /// Its kind, as in the scenario.
    pub kind: String,
    /// The replica it hit, if it was one.
    pub target: Option<u32>,
    /// When it began, seconds into the measured phase.
    pub start_s: f64,
    /// When it ended: the replica listened again, or went on.
    pub end_s: Option<f64>,
    /// That in detail: which links and conditions, which file and bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Whether the replica's disk was lost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub wipe: bool,
    /// What a Byzantine replica does (kind `byzantine`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behavior: Option<String>,
    /// How often it did so in the whole run, as it says itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acted: Option<u64>,
    /// What was done to its disk, as in the scenario.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attack: Option<String>,
    /// The words with which the replica stopped because of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// The words with which the replica refused to start because of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether the replica came back without a vote because of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub learner: bool,
    /// From its beginning to the first answer to an operation that was sent at or after it; `None` if there was none.
    pub first_commit_ms: Option<f64>,
    /// From its beginning to the first 500 ms with at least 95 % of the throughput of the 2 s before it; `None` if there
    /// were none, or less than 500 ms before it to compare with.
    pub recovered_95_ms: Option<f64>,
    /// The longest time without any answer from its beginning to the next fault or the end; below 100 ms it is 0.
    pub longest_stall_ms: f64,
    /// The mean throughput from its beginning until the replica had caught up and voted, or to the next fault or the end if that
    /// comes first, as a share of that of the 2 s before it; `None` if there were less than 500 ms to compare with.
    pub throughput_kept: Option<f64>,
    /// From its end until the replica had executed what the others had, to 0.2 s (in a run of hours to less); `None` if it did not end or catch up.
    pub caught_up_ms: Option<f64>,
    /// From its end until the replica was a member again, to 0.2 s: 0 if it never lost its vote; `None` if it did not end, or
    /// was a learner to the end.
    pub voting_ms: Option<f64>,
    /// What hostile clients did, and what they left to the others, if this was their attack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<ClientAttackFact>,
    /// What an outsider did and what came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outsider: Option<OutsiderReport>,
    /// Why it did not strike or end as planned, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// A signed contradiction.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EvidenceFact {
    /// The replica that signed it.
    pub culprit: u32,
    /// Its kind.
    pub kind: String,
    /// The file, relative to the repeat's directory.
    pub file: String,
}

impl FaultFact {
    /// What it was, in a word or two: `kill`, `disk bit-flip`.
    #[must_use]
    pub fn kind_in_full(&self) -> String {
        match (&self.behavior, &self.attack) {
            (Some(behavior), _) => behavior.clone(),
            (None, Some(attack)) => format!("{} {attack}", self.kind),
            (None, None) => self.kind.clone(),
        }
    }

    /// As a sentence names it: `kill of replica 0 at 5.0 s`.
    #[must_use]
    pub fn named(&self) -> String {
        let whom = match (self.target, &self.what) {
            (Some(id), _) => format!("of replica {id}"),
            (None, Some(what)) => format!("({what})"),
            (None, None) => "of nobody".to_owned(),
        };
        let kind = self.kind_in_full();
        format!("{kind} {whom} at {:.1} s", self.start_s)
    }
}
