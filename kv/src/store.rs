//! The key-value store as the protocol replicates it.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use std::collections::{BTreeMap, BTreeSet};

use consensus::state_machine::{Part, PartId, WrongPart};
use consensus::{ReadVersion, SeqNo, StateMachine, Transferable};
use crypto::Digest;
use crypto::codec::Blob;

use crate::ahead::Ahead;
use crate::buckets::{Buckets, DigestWork};
use crate::change::Change;
use crate::execute::{execute, read};
use crate::held::{Held, Placed};
use crate::limits::Bound;
use crate::op::Op;
use crate::parts::{self, Content};
use crate::record::Record;
use crate::result::{Entry, OpResult};
use crate::snapshots::Snapshots;
use crate::table::Table;
use crate::trie::Prefix;

/// The state machine. Slots are executed in ascending order; checkpoints, that is
/// [`StateMachine::root`] and [`StateMachine::take_changes`], fall between two slots.
#[derive(Clone, Default)]
pub struct Store {
    table: Table,
    buckets: Buckets,
    /// What the buckets know of changed keys, but the durable copy does not yet.
    unsaved: BTreeSet<Placed>,
    ahead: Ahead,
    snapshots: Snapshots,
    /// The slot of the latest delete that the durable copy knows.
    saved_last_delete: SeqNo,
}

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The store that reported these changes, from all of its checkpoints in order or from the
    /// latest piece of each key. Nothing of it counts as changed.
    pub fn from_changes(changes: impl IntoIterator<Item = Change>) -> Self {
        let mut store = Self::new();
        for change in changes {
            store.restore(change);
        }
        store
    }

    /// Puts back one piece of durable state. It does not count as changed.
    pub fn restore(&mut self, change: Change) {
        match change {
            Change::Set(record) => {
                self.table.load(record.clone());
                self.buckets.update(Placed::of(Held::Record(record)));
            }
            Change::Removed { key } => {
                self.table.unload(&key);
                self.buckets.update(Placed::of(Held::of(&key, None)));
            }
            Change::LastDelete(seq) => {
                self.table.load_last_delete(seq);
                self.saved_last_delete = seq;
            }
        }
    }

    /// What a key holds.
    pub fn get(&self, key: &[u8]) -> Option<Entry> {
        self.table.get(key).map(Record::entry)
    }

    /// The slot that last modified a key, as quorum reads compare it (R14): for an absent key
    /// that of the latest delete of any key, 0 if none.
    pub fn last_modified(&self, key: &[u8]) -> SeqNo {
        let record = self.table.get(key);
        record.map_or(self.table.last_delete(), |record| record.version().seq)
    }

    /// Keys held.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything held, in ascending order of keys.
    pub fn iter(&self) -> impl Iterator<Item = Entry> {
        self.records().map(Record::entry)
    }

    /// The same as it is kept.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.table.iter()
    }

    /// The slot of the latest delete of any key; 0 if none.
    pub fn last_delete(&self) -> SeqNo {
        self.table.last_delete()
    }

    /// The digests of the [`crate::BUCKETS`] buckets. With [`Store::last_delete`] they make the
    /// root.
    pub fn bucket_digests(&mut self) -> Vec<Digest> {
        self.settle();
        self.buckets.digests()
    }

    /// The entries of one bucket, in ascending order of keys; none for a bucket that does not
    /// exist.
    pub fn bucket(&mut self, bucket: usize) -> Vec<Entry> {
        self.settle();
        let records = self.buckets.records(bucket);
        records.into_iter().map(Record::entry).collect()
    }

    /// What the digest has cost so far, in hashes.
    pub fn digest_work(&self) -> DigestWork {
        self.buckets.work()
    }

    /// Executes an operation unless its encoded result would be longer than `room`.
    fn execute(&mut self, seq: SeqNo, op: &[u8], room: usize) -> (OpResult, Vec<u8>) {
        let op = match Op::read(op) {
            Ok(op) => op,
            Err(error) => return encoded(error.into()),
        };
        // Results of single writes are a few bytes: only what can be long needs a way back.
        let undoable = matches!(op, Op::Txn(_)) || room < WRITE_RESULT_MAX;
        let savepoint = undoable.then(|| self.table.savepoint());
        let (result, bytes) = encoded(execute(&mut self.table, seq, op, room));
        let fits = bytes.len() <= room;
        match savepoint {
            Some(savepoint) if fits => self.table.keep(savepoint),
            Some(savepoint) => self.table.roll_back(savepoint),
            None => {}
        }
        if fits {
            (result, bytes)
        } else {
            encoded(OpResult::OutOfBounds(Bound::ResultBytes))
        }
    }

    /// Tells the buckets what the operations have changed.
    fn settle(&mut self) {
        let mut changed = Vec::with_capacity(self.table.touched());
        self.table
            .drain_touched(|now, before| changed.push((Placed::of(now), before)));
        // Neighbours in a trie are neighbours in memory.
        changed.sort_unstable_by_key(|(now, _)| now.path);
        let (keys, mut repeated) = (changed.len(), 0_usize);
        for (now, held) in changed {
            let path = now.path;
            self.snapshots.changed(Placed { path, held });
            let known = self.unsaved.replace(now.clone()).is_some();
            repeated = repeated.saturating_add(usize::from(known));
            self.buckets.update(now);
        }
        self.ahead.hashed(keys, repeated);
    }

    /// Settles when so much waits that a checkpoint would take long. No savepoint is open.
    fn settle_ahead(&mut self) {
        if self.ahead.is_due(self.table.touched()) {
            self.settle();
        }
    }

    /// Makes one part hold exactly this.
    fn replace(&mut self, part: PartId, content: Content) {
        let Some(prefix) = Prefix::of_part(part) else {
            return;
        };
        let mut others = BTreeMap::new();
        self.buckets.under(prefix).node().visit(&mut |item| {
            others.insert(item.record.key().to_vec(), item.digest);
            true
        });
        for item in content.entries {
            if others.remove(item.record.key()) == Some(item.digest) {
                continue;
            }
            let (path, held) = (item.path, Held::Record(item.record.clone()));
            self.unsaved.replace(Placed { path, held });
            self.table.load(item.record.clone());
            self.buckets.put(item);
        }
        for key in others.into_keys() {
            self.table.unload(&key);
            let now = Placed::of(Held::of(&key, None));
            self.unsaved.replace(now.clone());
            self.buckets.update(now);
        }
    }
}

impl StateMachine for Store {
    type Change = Change;

    fn apply(&mut self, seq: SeqNo, op: &[u8], room: usize) -> Vec<u8> {
        self.settle_ahead();
        self.execute(seq, op, room).1
    }

    fn apply_atomic(
        &mut self,
        seq: SeqNo,
        ops: &mut dyn Iterator<Item = &[u8]>,
        mut room: usize,
    ) -> Vec<Vec<u8>> {
        self.settle_ahead();
        let savepoint = self.table.savepoint();
        let mut results = Vec::new();
        for op in &mut *ops {
            let (result, bytes) = self.execute(seq, op, room);
            room = room.saturating_sub(bytes.len());
            if !result.succeeded() {
                self.table.roll_back(savepoint);
                let rolled_back = OpResult::RolledBack.encode();
                results.fill(rolled_back.clone());
                results.push(bytes);
                results.extend(ops.map(|_| rolled_back.clone()));
                return results;
            }
            results.push(bytes);
        }
        self.table.keep(savepoint);
        results
    }

    fn read(&self, op: &[u8], room: usize) -> Option<(Vec<u8>, ReadVersion)> {
        let op = Op::read(op).ok()?;
        let result = read(&self.table, &op, room)?;
        let version = match &op {
            Op::Read { key } => ReadVersion::Key(self.last_modified(key.0)),
            _ => ReadVersion::State,
        };
        let bytes = result.encode();
        let fits = bytes.len() <= room;
        let too_long = || OpResult::OutOfBounds(Bound::ResultBytes).encode();
        Some((if fits { bytes } else { too_long() }, version))
    }

    fn root(&mut self) -> Digest {
        self.settle();
        self.buckets.root(self.table.last_delete())
    }

    fn take_changes(&mut self) -> Vec<Change> {
        self.settle();
        self.ahead.checkpoint();
        let unsaved = std::mem::take(&mut self.unsaved).into_iter();
        let mut changes: Vec<Change> = unsaved
            .map(|now| match now.held {
                Held::Record(record) => Change::Set(record),
                Held::Nothing(key) => Change::Removed {
                    key: Blob::from(key.to_vec()),
                },
            })
            .collect();
        if self.saved_last_delete != self.table.last_delete() {
            self.saved_last_delete = self.table.last_delete();
            changes.push(Change::LastDelete(self.saved_last_delete));
        }
        changes
    }
}

impl Transferable for Store {
    type Content = Content;

    fn freeze(&mut self, seq: SeqNo) {
        self.settle();
        let buckets = self.buckets.digests();
        let last_delete = self.table.last_delete();
        self.snapshots.freeze(seq, last_delete, buckets);
    }

    fn thaw(&mut self, seq: SeqNo) {
        self.snapshots.thaw(seq);
    }

    fn frozen_bytes(&self) -> usize {
        self.snapshots.bytes()
    }

    fn manifest(&self, seq: SeqNo) -> Option<Vec<u8>> {
        let (last_delete, buckets) = self.snapshots.manifest(seq)?;
        Some(parts::manifest(last_delete, buckets))
    }

    fn read_manifest(manifest: &[u8]) -> Option<(Digest, Vec<(PartId, Digest)>)> {
        parts::read_manifest(manifest)
    }

    fn part(&mut self, seq: SeqNo, part: PartId, outline: bool, room: usize) -> Option<Vec<u8>> {
        self.settle();
        let prefix = Prefix::of_part(part)?;
        let overlay = self.snapshots.overlay(seq, prefix)?;
        let mut under = self.buckets.under(prefix);
        Some(parts::piece(under.node(), &overlay, prefix, outline, room))
    }

    fn holds(&mut self, part: PartId, digest: &Digest) -> bool {
        self.settle();
        let Some(prefix) = Prefix::of_part(part) else {
            return false;
        };
        self.buckets.under(prefix).node().digest(&mut 0) == *digest
    }

    fn is_worth_comparing(&mut self, part: PartId) -> bool {
        let prefix = Prefix::of_part(part);
        prefix.is_some_and(|prefix| self.buckets.under(prefix).node().is_branch())
    }

    fn check_part(part: PartId, digest: &Digest, bytes: &[u8]) -> Result<Part<Content>, WrongPart> {
        parts::check(part, digest, bytes)
    }

    fn install(&mut self, manifest: &[u8], parts: Vec<(PartId, Content)>) {
        self.settle();
        self.snapshots.clear();
        for (part, content) in parts {
            self.replace(part, content);
        }
        if let Some(last_delete) = parts::last_delete(manifest) {
            self.table.load_last_delete(last_delete);
        }
    }
}

/// The longest result of an operation that writes one key: tag and version, with room to spare.
const WRITE_RESULT_MAX: usize = 64;

fn encoded(result: OpResult) -> (OpResult, Vec<u8>) {
    let bytes = result.encode();
    (result, bytes)
}
