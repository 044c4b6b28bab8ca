//! Persistence points (ATTACKS P9): every place between a promise and its keeping at which a replica can lose power, numbered in
//! the order in which a replica comes to them.
//!
//! ```text
//!   a record ─▶ Append ─ written ─▶ Appended … sync begins ─▶ Syncing (0, 1, … all of the group on disk) ─▶ Synced
//!        ─▶ Sending (after each receiver but the last of a signed message) ─▶ Released
//!   a state ─▶ Saving ─ one transaction ─▶ Saved
//! ```
//!
//! A run lists them ([`Points::Noted`]); the same configuration with [`Points::Crash`] is the same run up to that point, and another
//! from there on. So all of them can be tried, one after the other, and none is left to chance. From [`Config::heal_at`] on there
//! are none.
//!
//! [`Config::heal_at`]: crate::Config::heal_at

use consensus::pbft::record::Record;

use crate::world::World;

/// Where between a promise and its keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The protocol wants a record, and nothing is written.
    Append,
    /// It is written, and not synced.
    Appended,
    /// A sync is under way, and the disk holds so many of its writes.
    Syncing {
        /// Writes that survive.
        kept: usize,
        /// Writes of the sync.
        of: usize,
    },
    /// All of them survive, and nothing that waited for it has left.
    Synced,
    /// A signed message has left for some of its receivers.
    Sending,
    /// Everything that waited has left.
    Released,
    /// A state is handed to the disk.
    Saving,
    /// It is on disk, and the protocol was not told.
    Saved,
}

/// What is made of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Points {
    /// Nothing.
    #[default]
    Passed,
    /// They are listed in [`Outcome::points`].
    ///
    /// [`Outcome::points`]: crate::Outcome::points
    Noted,
    /// A replica crashes at one of them, which is listed.
    Crash(CrashAt),
}

/// One of a replica's persistence points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashAt {
    /// Which replica.
    pub replica: usize,
    /// Which of its points, from 0.
    pub point: u64,
}

/// A persistence point that a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Whose and which.
    pub at: CrashAt,
    /// Where in writing and sending.
    pub place: Place,
    /// What was being written or sent: kinds of records, `state`, `fetched state`, names of messages.
    pub about: Vec<&'static str>,
}

/// The word for a kind of record.
pub(crate) fn name(record: &Record) -> &'static str {
    match record {
        Record::Vote { .. } => "vote",
        Record::Prepared(_) => "prepared",
        Record::Stable(_) => "stable",
        Record::View { .. } => "view",
        Record::Epoch { .. } => "epoch",
        Record::Role(_) => "role",
        Record::Bodies { .. } => "bodies",
    }
}

/// The word for the state at a checkpoint.
pub(crate) fn state(installed: bool) -> &'static str {
    match installed {
        true => "fetched state",
        false => "state",
    }
}

impl World<'_> {
    /// A replica comes to a persistence point. True: it crashed there, and what it was about to do stays undone.
    pub(crate) fn comes_to(&mut self, at: usize, place: Place, about: &[&'static str]) -> bool {
        let points = self.config.points;
        let node = &mut self.nodes[at];
        if points == Points::Passed || self.healed || node.running.is_none() {
            return false;
        }
        let here = CrashAt {
            replica: at,
            point: node.points,
        };
        node.points += 1;
        let struck = points == Points::Crash(here);
        if struck || points == Points::Noted {
            self.points.push(Point {
                at: here,
                place,
                about: about.to_vec(),
            });
        }
        if struck {
            self.chart(|world| format!("{:<4} is struck at {place:?}: {about:?}", world.name(at)));
            let kept = match place {
                Place::Syncing { kept, .. } => Some(kept),
                _ => None,
            };
            self.crash_keeping(at, kept);
        }
        struck
    }

    /// A sync has begun: it may be torn behind each of its writes. True: it was.
    pub(crate) fn may_tear(&mut self, at: usize) -> bool {
        let group = self.group(at);
        let of = group.len();
        (0..=of).any(|kept| {
            // Torn: the last write that is kept and the first that is not.
            let about = match kept {
                0 => &group[..],
                all if all == of => &group[..],
                _ => &group[kept - 1..=kept],
            };
            self.comes_to(at, Place::Syncing { kept, of }, about)
        })
    }

    /// What the sync that is under way writes, if anybody wants to know.
    pub(crate) fn group(&self, at: usize) -> Vec<&'static str> {
        match self.config.points {
            Points::Passed => Vec::new(),
            Points::Noted | Points::Crash(_) => self.nodes[at].disk.group_kinds(),
        }
    }
}
