//! A replica's disk: what was synced survives a crash, the rest is lost, and a crash in the middle
//! of a sync leaves any beginning of the group behind.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use consensus::pbft::record::{Record, Role};
use consensus::{Configuration, Epoch, SeqNo, Ticket};
use crypto::Digest;

/// The state at a checkpoint, as it is on disk.
#[derive(Clone, Default)]
pub(crate) struct SavedState {
    pub(crate) seq: SeqNo,
    pub(crate) digest: Digest,
    entries: BTreeMap<Bytes, kv::Change>,
    last_delete: Option<kv::Change>,
    pub(crate) sessions: Vec<u8>,
    pub(crate) configuration: Vec<u8>,
    /// State digests of earlier checkpoints (R9).
    pub(crate) earlier: Vec<(SeqNo, Digest)>,
}

impl SavedState {
    /// Everything a store is rebuilt from.
    pub(crate) fn changes(&self) -> impl Iterator<Item = kv::Change> {
        self.entries.values().chain(&self.last_delete).cloned()
    }
}

/// How the state at a checkpoint differs from the one that was saved before it.
pub(crate) struct Delta {
    pub(crate) seq: SeqNo,
    pub(crate) digest: Digest,
    pub(crate) changes: Vec<kv::Change>,
    pub(crate) sessions: Vec<u8>,
    pub(crate) configuration: Vec<u8>,
    /// State digests of earlier checkpoints (R9).
    pub(crate) earlier: Vec<(SeqNo, Digest)>,
    /// Of a state that was fetched from others.
    pub(crate) installed: Option<Configuration>,
}

/// A state that has become durable.
pub(crate) struct Saved {
    pub(crate) seq: SeqNo,
    pub(crate) digest: Digest,
    /// See [`Delta::installed`].
    pub(crate) installed: Option<Configuration>,
}

/// A write that is not durable yet.
enum Write {
    Record(Ticket, Box<Record>),
    Truncate(SeqNo),
}

/// What became of the records that a crash found undurable.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lost {
    pub(crate) records: u64,
    /// A part of a group was written, another was not.
    pub(crate) torn: bool,
}

/// How a disk comes to hold less than it did. The replica finds it out by itself when it starts (its
/// log is a hash chain, and an anchor of the last promise is kept apart from it), so here it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Everything is gone.
    Wiped,
    /// An older copy was put back: its state is whole, its records are not all that there were.
    Stale,
    /// A bit of the log has flipped: its records are worth nothing.
    DamagedLog,
    /// A bit of the state has flipped: it does not match its digest, and nothing is believed.
    DamagedState,
}

/// What is durable.
#[derive(Clone, Default)]
struct Image {
    records: Vec<Record>,
    state: Option<SavedState>,
}

/// Durable records and state, and what waits for the next sync.
#[derive(Default)]
pub(crate) struct Disk {
    image: Image,
    /// As it was at some earlier time.
    copy: Option<Image>,
    /// What it really holds, if it lies about its syncs.
    really: Option<Image>,
    waiting: Vec<Write>,
    syncing: Vec<Write>,
    /// States on their way to disk, one written after the other.
    saving: VecDeque<Delta>,
}

impl Disk {
    pub(crate) fn write(&mut self, ticket: Ticket, record: Record) {
        self.waiting.push(Write::Record(ticket, Box::new(record)));
    }

    pub(crate) fn truncate(&mut self, seq: SeqNo) {
        self.waiting.push(Write::Truncate(seq));
    }

    /// Records that no sync covers yet?
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Is a state that came from others on its way here?
    pub(crate) fn is_installing(&self) -> bool {
        self.saving.iter().any(|delta| delta.installed.is_some())
    }

    /// Is a sync under way?
    pub(crate) fn is_syncing(&self) -> bool {
        !self.syncing.is_empty()
    }

    /// Begins a sync of all that waits, unless one is under way or nothing waits.
    pub(crate) fn begin_sync(&mut self) -> bool {
        if !self.syncing.is_empty() || self.waiting.is_empty() {
            return false;
        }
        self.syncing = std::mem::take(&mut self.waiting);
        true
    }

    /// The sync is done: everything it covered is durable. Returns the highest ticket of it.
    pub(crate) fn end_sync(&mut self) -> Option<Ticket> {
        let group = std::mem::take(&mut self.syncing);
        self.apply(group)
    }

    fn apply(&mut self, writes: impl IntoIterator<Item = Write>) -> Option<Ticket> {
        let mut upto = None;
        for write in writes {
            match write {
                Write::Record(ticket, record) => {
                    // Later records of a kind replace earlier ones for the same slot, or for none.
                    let same =
                        |held: &Record| held.kind() == record.kind() && held.seq() == record.seq();
                    self.image.records.retain(|held| !same(held));
                    self.image.records.push(*record);
                    upto = Some(ticket);
                }
                Write::Truncate(seq) => {
                    self.image
                        .records
                        .retain(|record| record.seq() == SeqNo(0) || record.seq() > seq);
                }
            }
        }
        upto
    }

    /// A state is to be saved; true if no other is being written.
    pub(crate) fn save(&mut self, delta: Delta) -> bool {
        self.saving.push_back(delta);
        self.saving.len() == 1
    }

    /// Is a state being written?
    pub(crate) fn is_saving(&self) -> bool {
        !self.saving.is_empty()
    }

    /// The oldest state on its way is durable. Returns which.
    pub(crate) fn end_save(&mut self) -> Option<Saved> {
        let delta = self.saving.pop_front()?;
        let state = self.image.state.get_or_insert_default();
        for change in delta.changes {
            match change {
                kv::Change::Set(ref record) => {
                    let key = Bytes::copy_from_slice(record.key());
                    state.entries.insert(key, change);
                }
                kv::Change::Removed { key } => {
                    state.entries.remove(&key.0);
                }
                kv::Change::LastDelete(_) => state.last_delete = Some(change),
            }
        }
        state.seq = delta.seq;
        state.digest = delta.digest;
        state.sessions = delta.sessions;
        state.configuration = delta.configuration;
        state.earlier = delta.earlier;
        Some(Saved {
            seq: delta.seq,
            digest: delta.digest,
            installed: delta.installed,
        })
    }

    /// Power is lost: unsynced writes are gone, but for the beginning of the group that was being
    /// written, which `kept` writes of made it.
    pub(crate) fn crash(&mut self, kept: usize) -> Lost {
        let mut group: Vec<Write> = std::mem::take(&mut self.syncing);
        let rest = group.split_off(kept.min(group.len()));
        let is_record = |write: &&Write| matches!(write, Write::Record(..));
        let lost = rest.iter().chain(&self.waiting).filter(is_record).count();
        let torn = !group.is_empty() && !rest.is_empty();
        self.apply(group);
        self.waiting.clear();
        self.saving.clear();
        Lost {
            records: lost as u64,
            torn,
        }
    }

    /// The disk of a new replica: it has promised nothing, and that is the first thing on it.
    pub(crate) fn founded() -> Self {
        let role = Role::Member { from: Epoch(0) };
        Disk {
            image: Image {
                records: vec![Record::Role(role)],
                state: None,
            },
            ..Disk::default()
        }
    }

    /// Does it say whether its replica has a vote? Without that it does not hold all that was
    /// promised.
    pub(crate) fn has_role(&self) -> bool {
        let is_role = |record: &Record| matches!(record, Record::Role(_));
        self.image.records.iter().any(is_role)
    }

    /// The state at the last checkpoint that was saved.
    pub(crate) fn state(&self) -> Option<&SavedState> {
        self.image.state.as_ref()
    }

    /// Somebody makes a copy, to put it back later.
    pub(crate) fn copy(&mut self) {
        self.copy = Some(self.image.clone());
    }

    /// From now on syncs return, and nothing reaches the disk.
    pub(crate) fn begin_to_lie(&mut self) {
        self.really.get_or_insert_with(|| self.image.clone());
    }

    /// Does it pretend to hold what it does not?
    pub(crate) fn lies(&self) -> bool {
        self.really.is_some()
    }

    /// What it pretended to hold it holds.
    pub(crate) fn tell_the_truth(&mut self) {
        self.really = None;
    }

    /// What was only pretended to be there is gone. A replica whose anchor is on another disk notices
    /// that its records are old, and they are worth nothing. False: it had not lied.
    pub(crate) fn come_to_light(&mut self, noticed: bool) -> bool {
        let Some(really) = self.really.take() else {
            return false;
        };
        self.image = really;
        if noticed {
            self.image.records.clear();
        }
        true
    }

    /// Something is lost while the replica is down. False: there is no copy to put back.
    pub(crate) fn lose(&mut self, loss: Loss) -> bool {
        match loss {
            Loss::Wiped | Loss::DamagedState => self.image = Image::default(),
            Loss::DamagedLog => self.image.records.clear(),
            Loss::Stale => {
                let Some(copy) = self.copy.take() else {
                    return false;
                };
                self.image.state = copy.state;
                self.image.records.clear();
            }
        }
        true
    }

    /// Writes in the group that is being synced.
    pub(crate) fn group(&self) -> usize {
        self.syncing.len()
    }

    /// Their kinds, in order.
    pub(crate) fn group_kinds(&self) -> Vec<&'static str> {
        let kind = |write: &Write| match write {
            Write::Record(_, record) => crate::persistence::name(record),
            Write::Truncate(_) => "truncation",
        };
        self.syncing.iter().map(kind).collect()
    }

    /// A clean stop: everything reaches the disk.
    pub(crate) fn flush(&mut self) {
        self.end_sync();
        self.begin_sync();
        self.end_sync();
        while self.end_save().is_some() {}
    }

    /// The durable records in the order in which a protocol takes them back: what says what the
    /// others are worth comes first.
    pub(crate) fn records(&self) -> Vec<&Record> {
        let rank = |record: &&Record| match record {
            Record::Role(_) => 0,
            Record::Epoch { .. } => 1,
            Record::Stable(_) => 2,
            Record::View { .. } => 3,
            Record::Vote { .. } | Record::Prepared(_) | Record::Bodies { .. } => 4,
        };
        let mut records: Vec<&Record> = self.image.records.iter().collect();
        records.sort_by_key(rank);
        records
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consensus::View;
    use consensus::pbft::certificate::Statement;
    use crypto::Signature;

    fn vote(seq: u64) -> Record {
        Record::Vote {
            epoch: Epoch(0),
            statement: Statement {
                view: View(0),
                seq: SeqNo(seq),
                digest: Digest([1; 32]),
            },
            header_signature: Signature([0; 64]),
            batch: None,
        }
    }

    fn held(disk: &Disk) -> Vec<u64> {
        disk.records().iter().map(|record| record.seq().0).collect()
    }

    /// Three records of which the first two are being synced.
    fn disk() -> Disk {
        let mut disk = Disk::default();
        disk.write(Ticket(1), vote(1));
        disk.write(Ticket(2), vote(2));
        assert!(disk.begin_sync());
        disk.write(Ticket(3), vote(3));
        disk
    }

    #[test]
    fn a_crash_loses_what_was_not_synced_and_tears_the_group_under_way() {
        for (kept, left, torn) in [
            (0, vec![], false),
            (1, vec![1], true),
            (2, vec![1, 2], false),
        ] {
            let mut disk = disk();
            let lost = disk.crash(kept);
            assert_eq!(held(&disk), left);
            assert_eq!((lost.records, lost.torn), (3 - kept as u64, torn));
        }
    }

    #[test]
    fn a_sync_covers_what_waited_when_it_began() {
        let mut disk = disk();
        assert_eq!(disk.end_sync(), Some(Ticket(2)));
        assert_eq!(disk.crash(9).records, 1);
        assert_eq!(held(&disk), [1, 2]);
    }

    #[test]
    fn what_a_disk_loses_is_gone_and_an_old_state_can_come_back() {
        let save = |disk: &mut Disk, seq| {
            disk.save(Delta {
                seq: SeqNo(seq),
                digest: Digest([1; 32]),
                changes: Vec::new(),
                sessions: Vec::new(),
                configuration: Vec::new(),
                earlier: Vec::new(),
                installed: None,
            });
            disk.end_save();
        };
        let after = |loss| {
            let mut disk = disk();
            save(&mut disk, 8);
            disk.copy();
            save(&mut disk, 16);
            disk.flush();
            assert!(disk.lose(loss));
            assert_eq!(held(&disk), Vec::<u64>::new());
            disk.state().map(|state| state.seq.0)
        };
        assert_eq!(after(Loss::Wiped), None);
        assert_eq!(after(Loss::DamagedState), None);
        assert_eq!(after(Loss::DamagedLog), Some(16));
        assert_eq!(after(Loss::Stale), Some(8));
        assert!(!disk().lose(Loss::Stale), "nobody has made a copy");
    }

    #[test]
    fn a_disk_that_lies_holds_what_it_held_when_it_began_to() {
        for noticed in [false, true] {
            let mut disk = disk();
            disk.end_sync();
            disk.begin_to_lie();
            disk.begin_sync();
            assert_eq!(disk.end_sync(), Some(Ticket(3)), "as if it were durable");
            assert_eq!(held(&disk), [1, 2, 3]);
            disk.crash(0);
            assert!(disk.lies() && disk.come_to_light(noticed));
            assert_eq!(held(&disk), if noticed { vec![] } else { vec![1, 2] });
            assert!(!disk.lies() && !disk.come_to_light(noticed));
        }
    }

    #[test]
    fn a_clean_stop_loses_nothing() {
        let mut disk = disk();
        disk.flush();
        assert_eq!(held(&disk), [1, 2, 3]);
    }
}
