//! A plain map with the meaning of each operation written down once more (docs/protocol.md R17, the history format): none of
//! the code that replicas execute with, only the types in which operations and results travel.

use std::collections::BTreeMap;

use bytes::Bytes;
use consensus::SeqNo;
use crypto::codec::Blob;
use kv::{Bound, Branch, Entry, Expect, Op, OpResult, SimpleOp, SimpleResult, Txn, Version};

/// Bytes of one operation's result at most.
const RESULT_MAX: usize = 64 << 10;
/// Of a scan's result, beside its entries: tag 4, count 8, whether there is a next key 1, its length 4, the longest key.
const SCAN_FRAME: usize = 4 + 8 + 1 + 4 + 1024;
/// Of an entry beside key and value: two lengths of 4 and a version of 12.
const ENTRY_FRAME: usize = 4 + 4 + 12;
/// Of a transaction's result beside the results in it: tag, branch, count.
const TXN_FRAME: usize = 4 + 4 + 8;
/// Of a result in it beside its value: tag, length, version.
const SIMPLE_FRAME: usize = 4 + 4 + 12;

/// What a key held before somebody changed it.
type Undo = (Bytes, Option<(Bytes, Version)>);

/// The map.
#[derive(Default)]
pub(super) struct Map {
    pub(super) rows: BTreeMap<Bytes, (Bytes, Version)>,
    /// Slot of the last delete; 0 if there was none.
    pub(super) last_delete: u64,
    /// Slot of the last modification, and its rank within the slot.
    clock: (u64, u32),
    /// Everything changed since this was last emptied, with what was there.
    pub(super) changed: Vec<Undo>,
}

/// Where to go back to.
struct Mark {
    changed: usize,
    last_delete: u64,
    clock: (u64, u32),
}

impl Map {
    /// Executes the operations of one request; `room`: bytes that all results may have together. If one of an atomic
    /// request fails, none has an effect.
    pub(super) fn apply<'o>(
        &mut self,
        seq: u64,
        atomic: bool,
        ops: impl Iterator<Item = &'o [u8]>,
        mut room: usize,
    ) -> Vec<(Option<Op>, OpResult)> {
        let begin = self.mark();
        let mut done: Vec<(Option<Op>, OpResult)> = Vec::new();
        let mut failed = None;
        for (index, bytes) in ops.enumerate() {
            let decoded = Op::decode(bytes);
            if failed.is_some() {
                done.push((decoded.ok(), OpResult::RolledBack));
                continue;
            }
            let before = self.mark();
            let (op, mut result) = match decoded {
                Ok(op) => {
                    let result = self.execute(seq, &op, room);
                    (Some(op), result)
                }
                Err(error) => (None, OpResult::from(error)),
            };
            if result.encode().len() > room {
                self.back_to(&before);
                result = OpResult::OutOfBounds(Bound::ResultBytes);
            }
            room = room.saturating_sub(result.encode().len());
            if atomic && !result.succeeded() {
                self.back_to(&begin);
                failed = Some(index);
                for (_, earlier) in &mut done {
                    *earlier = OpResult::RolledBack;
                }
            }
            done.push((op, result));
        }
        done
    }

    fn execute(&mut self, seq: u64, op: &Op, room: usize) -> OpResult {
        let simple = match op.clone() {
            Op::Create { key, value } => SimpleOp::Create { key, value },
            Op::Read { key } => SimpleOp::Read { key },
            Op::Update { key, value } => SimpleOp::Update { key, value },
            Op::Put { key, value } => SimpleOp::Put { key, value },
            Op::Delete { key } => SimpleOp::Delete { key },
            Op::Cas { key, expect, value } => SimpleOp::Cas { key, expect, value },
            Op::Scan { start, end, limit } => {
                return self.scan(&start, end.as_deref(), limit, room);
            }
            Op::Txn(txn) => return self.transact(seq, txn),
        };
        self.simple(seq, simple).into()
    }

    fn simple(&mut self, seq: u64, op: SimpleOp) -> SimpleResult {
        let held = |map: &Self, key: &Blob| map.rows.get(&key.0).cloned();
        match op {
            SimpleOp::Create { key, value } => match held(self, &key) {
                Some((_, version)) => SimpleResult::AlreadyExists { version },
                None => SimpleResult::Created {
                    version: self.store(seq, key.0, value.0),
                },
            },
            SimpleOp::Read { key } => match held(self, &key) {
                Some((value, version)) => SimpleResult::Value {
                    value: Blob(value),
                    version,
                },
                None => SimpleResult::Absent,
            },
            SimpleOp::Update { key, value } => match held(self, &key) {
                Some(_) => SimpleResult::Updated {
                    version: self.store(seq, key.0, value.0),
                },
                None => SimpleResult::NotFound,
            },
            SimpleOp::Put { key, value } => SimpleResult::Put {
                version: self.store(seq, key.0, value.0),
            },
            SimpleOp::Delete { key } => match self.rows.remove(&key.0) {
                Some(row) => {
                    self.changed.push((key.0, Some(row)));
                    self.tick(seq);
                    self.last_delete = seq;
                    SimpleResult::Deleted
                }
                None => SimpleResult::NotFound,
            },
            SimpleOp::Cas { key, expect, value } => match self.is(&key, &expect) {
                true => SimpleResult::Swapped {
                    version: self.store(seq, key.0, value.0),
                },
                false => SimpleResult::Mismatch {
                    current: held(self, &key).map(|(_, version)| version),
                },
            },
        }
    }

    fn is(&self, key: &Blob, expect: &Expect) -> bool {
        match (self.rows.get(&key.0), expect) {
            (Some((value, _)), Expect::Value(wanted)) => *value == wanted.0,
            (Some((_, version)), Expect::Version(wanted)) => version == wanted,
            (None, Expect::Absent) => true,
            _ => false,
        }
    }

    /// As many entries as fit, and the key to go on with. One that can never get on is refused.
    fn scan(&self, start: &Blob, end: Option<&[u8]>, limit: u32, room: usize) -> OpResult {
        let most = RESULT_MAX.min(room);
        let mut entries = Vec::new();
        let mut bytes = SCAN_FRAME;
        if bytes > most {
            return OpResult::OutOfBounds(Bound::ResultBytes);
        }
        for (key, (value, version)) in self.rows.range(start.0.clone()..) {
            if end.is_some_and(|end| key[..] >= *end) {
                break;
            }
            bytes += ENTRY_FRAME + key.len() + value.len();
            if entries.len() == limit as usize || bytes > most {
                if entries.is_empty() && limit > 0 {
                    return OpResult::OutOfBounds(Bound::ResultBytes);
                }
                let next = Some(Blob(key.clone()));
                return OpResult::Entries { entries, next };
            }
            entries.push(Entry {
                key: Blob(key.clone()),
                value: Blob(value.clone()),
                version: *version,
            });
        }
        let next = None;
        OpResult::Entries { entries, next }
    }

    fn transact(&mut self, seq: u64, txn: Txn) -> OpResult {
        let holds = txn
            .compare
            .iter()
            .all(|each| self.is(&each.key, &each.expect));
        let (branch, ops) = match holds {
            true => (Branch::Then, txn.then),
            false => (Branch::Otherwise, txn.otherwise),
        };
        let (begin, count) = (self.mark(), ops.len());
        let mut bytes = TXN_FRAME;
        let mut results = Vec::new();
        for op in ops {
            let mut result = self.simple(seq, op);
            bytes += SIMPLE_FRAME;
            if let SimpleResult::Value { value, .. } = &result {
                bytes += value.len();
            }
            if bytes > RESULT_MAX {
                result = SimpleResult::OutOfBounds(Bound::ResultBytes);
            }
            if !result.succeeded() {
                self.back_to(&begin);
                let failed = results.len();
                results = vec![SimpleResult::RolledBack; count];
                results[failed] = result;
                return OpResult::TxnRolledBack { branch, results };
            }
            results.push(result);
        }
        OpResult::TxnDone { branch, results }
    }

    fn store(&mut self, seq: u64, key: Bytes, value: Bytes) -> Version {
        let version = self.tick(seq);
        let before = self.rows.insert(key.clone(), (value, version));
        self.changed.push((key, before));
        version
    }

    /// The next version: the slot, and the rank of the modification in it.
    fn tick(&mut self, seq: u64) -> Version {
        let rank = match self.clock {
            (slot, rank) if slot == seq => rank + 1,
            _ => 0,
        };
        self.clock = (seq, rank);
        Version {
            seq: SeqNo(seq),
            rank,
        }
    }

    fn mark(&self) -> Mark {
        Mark {
            changed: self.changed.len(),
            last_delete: self.last_delete,
            clock: self.clock,
        }
    }

    fn back_to(&mut self, mark: &Mark) {
        for (key, before) in self.changed.drain(mark.changed..).rev() {
            match before {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
        self.last_delete = mark.last_delete;
        self.clock = mark.clock;
    }
}
