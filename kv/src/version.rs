//! When a key was last modified.
//!
//! The slot alone would not do: two writes of one slot would carry equal versions, and a
//! compare-and-swap by version between them could mistake one value for another (ABA). So a
//! version is the slot and the rank of the modification within the slot. It is not one packed
//! integer because no width for the rank is safe for every batch limit, and it is not a counter
//! over the whole history because quorum reads compare slots (docs/protocol.md R14): here
//! the slot is a field.
//!
//! The rank restarts with each slot, so nothing but the entries themselves has to be kept for it
//! across a checkpoint, which always falls between two slots.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};
use consensus::SeqNo;

/// The place of a modification in the history: no two have the same. Written `slot.rank`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Version {
    /// The slot that modified the key.
    pub seq: SeqNo,
    /// Modifications of any key by the same slot before this one. A batch is far too short for
    /// this to overflow.
    pub rank: u32,
}

impl Version {
    /// The first free place in slot `seq` if this one was the last taken.
    pub(crate) fn following(self, seq: SeqNo) -> Version {
        let rank = if self.seq == seq {
            self.rank.saturating_add(1)
        } else {
            0
        };
        Version { seq, rank }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq, self.rank)
    }
}

/// A text that is no version.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a version as it is printed: slot.rank, such as 42.0")]
pub struct ParseVersionError;

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seq, rank) = text.split_once('.').ok_or(ParseVersionError)?;
        Ok(Version {
            seq: SeqNo(seq.parse().map_err(|_| ParseVersionError)?),
            rank: rank.parse().map_err(|_| ParseVersionError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_order_by_slot_then_rank_and_read_back_as_printed() {
        let first = Version::default().following(SeqNo(7));
        let second = first.following(SeqNo(7));
        let third = second.following(SeqNo(8));
        assert_eq!(
            [first, second, third].map(|v| v.to_string()),
            ["7.0", "7.1", "8.0"]
        );
        assert!(first < second && second < third);
        assert_eq!("7.1".parse::<Version>().unwrap(), second);
        for wrong in ["", "7", "7.", ".1", "7.1.2", "-1.0", "7.4294967296"] {
            assert_eq!(wrong.parse::<Version>(), Err(ParseVersionError), "{wrong}");
        }
    }
}
