//! Writes that clients were told of, for a bounded sample of the keys, so that they can be read back at the end.
//!
//! Which keys are kept depends on nothing but the keys: those whose hash is smallest. So every worker drops what all
//! together would drop, and merging their samples gives the sample of everything that was written.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Answer, Outcome};
use crate::workload::{Operation, spread};

/// Keys that are kept.
pub const KEYS_MAX: usize = 1_024;

/// Values that may have been written to a key by operations of unknown outcome; with more, nothing is claimed of it.
const UNKNOWN_MAX: usize = 64;

/// What is known of the writes to one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Sequence number of the last write that a client was told of.
    pub seq: u64,
    /// What that write left; several if one slot held several writes. `None` is absent.
    pub last: Vec<Option<Bytes>>,
    /// What writes of unknown outcome would leave.
    pub unknown: Vec<Option<Bytes>>,
    /// More of them than are kept.
    pub unsure: bool,
}

/// The sample.
#[derive(Debug, Default)]
pub struct Acknowledged {
    keys: BTreeMap<(u64, Bytes), Written>,
    /// The highest sequence number that any client was told of, whatever it asked for.
    highest_seq: u64,
}

impl Acknowledged {
    /// An operation ended.
    pub(super) fn note(&mut self, operation: &Operation, answer: &Answer) {
        match answer {
            Answer::Unknown => self.unknown(operation),
            Answer::Executed { outcome, seq } => {
                let seq = seq.unwrap_or_default();
                self.highest_seq = self.highest_seq.max(seq);
                self.executed(operation, outcome, seq);
            }
        }
    }

    fn executed(&mut self, operation: &Operation, outcome: &Outcome, seq: u64) {
        match (operation, outcome) {
            (
                Operation::Txn {
                    then, otherwise, ..
                },
                Outcome::Branch {
                    then: took,
                    outcomes,
                },
            ) => {
                let branch = if *took { then } else { otherwise };
                for (operation, outcome) in branch.iter().zip(outcomes) {
                    self.executed(operation, outcome, seq);
                }
            }
            (_, Outcome::Written) => {
                if let Some((key, value)) = effect(operation) {
                    self.with(key, |written| written.acknowledge(seq, value));
                }
            }
            _ => {}
        }
    }

    fn unknown(&mut self, operation: &Operation) {
        if let Operation::Txn {
            then, otherwise, ..
        } = operation
        {
            then.iter()
                .chain(otherwise)
                .for_each(|each| self.unknown(each));
        } else if let Some((key, value)) = effect(operation) {
            self.with(key, |written| written.doubt(value));
        }
    }

    fn with(&mut self, key: &Bytes, change: impl FnOnce(&mut Written)) {
        let place = (hash(key), key.clone());
        let full = self.keys.len() >= KEYS_MAX;
        let beyond = self
            .keys
            .last_key_value()
            .is_some_and(|(last, _)| place > *last);
        if full && beyond {
            return;
        }
        change(self.keys.entry(place).or_default());
        if self.keys.len() > KEYS_MAX {
            self.keys.pop_last();
        }
    }

    /// Adds what another worker, or an earlier phase, knows.
    pub fn merge(&mut self, other: Self) {
        self.highest_seq = self.highest_seq.max(other.highest_seq);
        for ((_, key), theirs) in other.keys {
            self.with(&key, |mine| {
                for value in theirs.last {
                    mine.acknowledge(theirs.seq, value);
                }
                theirs
                    .unknown
                    .into_iter()
                    .for_each(|value| mine.doubt(value));
                mine.unsure |= theirs.unsure;
            });
        }
    }

    /// The keys and what is known of them, in no order that means anything.
    pub fn keys(&self) -> impl Iterator<Item = (&Bytes, &Written)> {
        self.keys.iter().map(|((_, key), written)| (key, written))
    }

    /// The highest sequence number that any client was told of; 0 if none was.
    pub const fn highest_seq(&self) -> u64 {
        self.highest_seq
    }
}

impl Written {
    fn acknowledge(&mut self, seq: u64, value: Option<Bytes>) {
        if seq < self.seq {
            return;
        }
        if seq > self.seq {
            self.seq = seq;
            self.last.clear();
        }
        if !self.last.contains(&value) {
            self.last.push(value);
        }
    }

    fn doubt(&mut self, value: Option<Bytes>) {
        if self.unknown.len() >= UNKNOWN_MAX {
            self.unsure = true;
        } else if !self.unknown.contains(&value) {
            self.unknown.push(value);
        }
    }

    /// Whether a read at the end may find this.
    pub fn explains(&self, found: &Option<Bytes>) -> bool {
        self.unsure
            // Nobody was told of any write: what was there before may still be there.
            || self.last.is_empty()
            || self.last.contains(found)
            || self.unknown.contains(found)
    }
}

/// The key that a single operation writes, and what it leaves there.
fn effect(operation: &Operation) -> Option<(&Bytes, Option<Bytes>)> {
    match operation {
        Operation::Create { key, value }
        | Operation::Update { key, value }
        | Operation::Put { key, value }
        | Operation::Cas { key, value, .. } => Some((key, Some(value.clone()))),
        Operation::Delete { key } => Some((key, None)),
        Operation::Read { .. } | Operation::Scan { .. } | Operation::Txn { .. } => None,
    }
}

/// Spread over all 64-bit numbers, the same in every worker.
fn hash(key: &[u8]) -> u64 {
    key.iter()
        .fold(0, |hash, byte| spread(hash ^ u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Operation {
        Operation::Put {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: Bytes::copy_from_slice(value.as_bytes()),
        }
    }

    fn told(seq: u64) -> Answer {
        Answer::Executed {
            outcome: Outcome::Written,
            seq: Some(seq),
        }
    }

    fn value(value: &'static str) -> Option<Bytes> {
        Some(Bytes::from_static(value.as_bytes()))
    }

    fn of(acknowledged: &Acknowledged, key: &str) -> Written {
        let found = acknowledged.keys().find(|(known, _)| *known == key);
        found
            .map(|(_, written)| written.clone())
            .unwrap_or_default()
    }

    #[test]
    fn the_write_with_the_highest_number_is_the_last_whoever_heard_of_it_first() {
        let mut all = Acknowledged::default();
        all.note(&put("k", "new"), &told(7));
        let mut other = Acknowledged::default();
        other.note(&put("k", "old"), &told(6));
        other.note(&put("k", "same slot"), &told(7));
        all.merge(other);
        let written = of(&all, "k");
        assert!(written.explains(&value("new")) && written.explains(&value("same slot")));
        assert!(!written.explains(&value("old")) && !written.explains(&None));
        assert_eq!(all.highest_seq(), 7);
    }

    #[test]
    fn a_write_of_unknown_outcome_may_be_found_but_excuses_no_loss() {
        let mut all = Acknowledged::default();
        all.note(&put("k", "told"), &told(7));
        all.note(&put("k", "maybe"), &Answer::Unknown);
        let key = Bytes::from_static(b"k");
        let written = of(&all, "k");
        assert!(written.explains(&value("maybe")) && written.explains(&value("told")));
        assert!(!written.explains(&None));
        all.note(&Operation::Delete { key }, &Answer::Unknown);
        assert!(of(&all, "k").explains(&None));
    }

    #[test]
    fn conditions_that_were_false_write_nothing() {
        let mut all = Acknowledged::default();
        let refused = Answer::Executed {
            outcome: Outcome::ConditionFalse,
            seq: Some(9),
        };
        all.note(&put("k", "v"), &refused);
        assert_eq!(all.keys().count(), 0);
    }

    #[test]
    fn merged_samples_are_the_sample_of_everything() {
        let keys: Vec<String> = (0..5 * KEYS_MAX).map(|key| format!("user{key}")).collect();
        let mut whole = Acknowledged::default();
        let mut parts: Vec<Acknowledged> = (0..3).map(|_| Acknowledged::default()).collect();
        for (number, key) in keys.iter().enumerate() {
            whole.note(&put(key, "v"), &told(1));
            parts[number % 3].note(&put(key, "v"), &told(1));
        }
        let mut merged = Acknowledged::default();
        parts.into_iter().for_each(|part| merged.merge(part));
        assert_eq!(merged.keys().count(), KEYS_MAX);
        assert!(merged.keys().eq(whole.keys()));
    }
}
