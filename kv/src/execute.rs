//! What each operation does (the semantics of the history format: create fails if the key exists;
//! update and delete fail if it does not; put always succeeds; cas fails unless the key is as
//! expected). An operation that fails changes nothing.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use consensus::SeqNo;
use crypto::codec::{Blob, BlobRef};

use crate::limits::{Bound, KEY_BYTES_MAX, RESULT_BYTES_MAX, VALUE_BYTES_MAX};
use crate::op::{Expect, Op, SimpleOp, Txn};
use crate::record::{ENTRY_OVERHEAD, Record};
use crate::result::{Branch, OpResult, SimpleResult};
use crate::table::Table;

/// Encoded bytes of a scan's result beside its entries, at most: tag, count, next key.
const ENTRIES_OVERHEAD: usize = 4 + 8 + 1 + 4 + KEY_BYTES_MAX;
/// Encoded bytes of a transaction's result beside those of its operations: tag, branch, count.
const TXN_OVERHEAD: usize = 4 + 4 + 8;
/// Encoded bytes of a simple result beside its value, at most.
const SIMPLE_OVERHEAD: usize = 4 + 4 + 12;

// A scan that could not return even one entry would never get on.
const _: () = assert!(
    ENTRIES_OVERHEAD + ENTRY_OVERHEAD + KEY_BYTES_MAX + VALUE_BYTES_MAX <= RESULT_BYTES_MAX
);

/// Executes an operation that is within the limits, at slot `seq`. Scans look at no more than what
/// fits into `room`: a request of a thousand scans costs no more than the bytes of its results.
pub(crate) fn execute(table: &mut Table, seq: SeqNo, op: Op<BlobRef<'_>>, room: usize) -> OpResult {
    let simple = match op {
        Op::Create { key, value } => SimpleOp::Create { key, value },
        Op::Read { key } => SimpleOp::Read { key },
        Op::Update { key, value } => SimpleOp::Update { key, value },
        Op::Put { key, value } => SimpleOp::Put { key, value },
        Op::Delete { key } => SimpleOp::Delete { key },
        Op::Cas { key, expect, value } => SimpleOp::Cas { key, expect, value },
        Op::Scan { start, end, limit } => {
            return scan(table, start.0, end.map(|end| end.0), limit, room);
        }
        Op::Txn(txn) => return transact(table, seq, txn),
    };
    execute_simple(table, seq, simple).into()
}

/// The result of an operation that does nothing but read; `None` for any other. Transactions are
/// ordered, whatever is in them.
pub(crate) fn read(table: &Table, op: &Op<BlobRef<'_>>, room: usize) -> Option<OpResult> {
    match op {
        Op::Read { key } => Some(read_key(table, key.0).into()),
        Op::Scan { start, end, limit } => {
            Some(scan(table, start.0, end.map(|end| end.0), *limit, room))
        }
        Op::Create { .. }
        | Op::Update { .. }
        | Op::Put { .. }
        | Op::Delete { .. }
        | Op::Cas { .. }
        | Op::Txn(_) => None,
    }
}

fn read_key(table: &Table, key: &[u8]) -> SimpleResult {
    match table.get(key) {
        Some(record) => SimpleResult::Value {
            value: Blob(record.value_bytes()),
            version: record.version(),
        },
        None => SimpleResult::Absent,
    }
}

fn execute_simple(table: &mut Table, seq: SeqNo, op: SimpleOp<BlobRef<'_>>) -> SimpleResult {
    match op {
        SimpleOp::Create { key, value } => match table.get(key.0) {
            Some(record) => SimpleResult::AlreadyExists {
                version: record.version(),
            },
            None => SimpleResult::Created {
                version: table.set(seq, key.0, value.0),
            },
        },
        SimpleOp::Read { key } => read_key(table, key.0),
        SimpleOp::Update { key, value } => match table.replace(seq, key.0, value.0) {
            Some(version) => SimpleResult::Updated { version },
            None => SimpleResult::NotFound,
        },
        SimpleOp::Put { key, value } => SimpleResult::Put {
            version: table.set(seq, key.0, value.0),
        },
        SimpleOp::Delete { key } => {
            if table.remove(seq, key.0) {
                SimpleResult::Deleted
            } else {
                SimpleResult::NotFound
            }
        }
        SimpleOp::Cas { key, expect, value } => {
            let record = table.get(key.0);
            if holds(&expect, record) {
                SimpleResult::Swapped {
                    version: table.set(seq, key.0, value.0),
                }
            } else {
                SimpleResult::Mismatch {
                    current: record.map(Record::version),
                }
            }
        }
    }
}

fn holds(expect: &Expect<BlobRef<'_>>, record: Option<&Record>) -> bool {
    match (expect, record) {
        (Expect::Value(value), Some(record)) => value.0 == record.value(),
        (Expect::Version(version), Some(record)) => *version == record.version(),
        (Expect::Absent, record) => record.is_none(),
        (Expect::Value(_) | Expect::Version(_), None) => false,
    }
}

fn scan(table: &Table, start: &[u8], end: Option<&[u8]>, limit: u32, room: usize) -> OpResult {
    let Some(mut room) = RESULT_BYTES_MAX.min(room).checked_sub(ENTRIES_OVERHEAD) else {
        return OpResult::OutOfBounds(Bound::ResultBytes);
    };
    let mut entries = Vec::new();
    let mut left = limit;
    for record in table.range(start, end) {
        let fits = room.checked_sub(record.encoded_len());
        match (fits, left.checked_sub(1)) {
            (Some(room_after), Some(left_after)) => (room, left) = (room_after, left_after),
            // It would come back for this entry for ever.
            (None, Some(_)) if entries.is_empty() => {
                return OpResult::OutOfBounds(Bound::ResultBytes);
            }
            _ => {
                let next = Some(Blob::from(record.key().to_vec()));
                return OpResult::Entries { entries, next };
            }
        }
        entries.push(record.entry());
    }
    OpResult::Entries {
        entries,
        next: None,
    }
}

fn transact(table: &mut Table, seq: SeqNo, txn: Txn<BlobRef<'_>>) -> OpResult {
    let mut compare = txn.compare.iter();
    let (branch, ops) = if compare.all(|c| holds(&c.expect, table.get(c.key.0))) {
        (Branch::Then, txn.then)
    } else {
        (Branch::Otherwise, txn.otherwise)
    };
    let count = ops.len();
    let savepoint = table.savepoint();
    let mut results = Vec::with_capacity(count);
    let mut room = RESULT_BYTES_MAX.saturating_sub(TXN_OVERHEAD);
    for op in ops {
        let mut result = execute_simple(table, seq, op);
        match room.checked_sub(result_bytes(&result)) {
            Some(left) => room = left,
            None => result = SimpleResult::OutOfBounds(Bound::ResultBytes),
        }
        if !result.succeeded() {
            table.roll_back(savepoint);
            results.fill(SimpleResult::RolledBack);
            results.push(result);
            results.resize(count, SimpleResult::RolledBack);
            return OpResult::TxnRolledBack { branch, results };
        }
        results.push(result);
    }
    table.keep(savepoint);
    OpResult::TxnDone { branch, results }
}

fn result_bytes(result: &SimpleResult) -> usize {
    match result {
        SimpleResult::Value { value, .. } => SIMPLE_OVERHEAD.saturating_add(value.len()),
        _ => SIMPLE_OVERHEAD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;

    #[test]
    fn the_size_formulas_are_those_of_the_codec() {
        let version = Version::default();
        let value = Blob(vec![2; 9].into());
        let entry = Record::new(&[1; 7], &value, version).entry();
        let encoded = crypto::encode(&entry).len();
        assert_eq!(encoded, ENTRY_OVERHEAD + 7 + value.len());
        let entries = OpResult::Entries {
            entries: vec![entry],
            next: Some(Blob(vec![0; KEY_BYTES_MAX].into())),
        };
        assert_eq!(entries.encode().len(), ENTRIES_OVERHEAD + encoded);

        let results = vec![
            SimpleResult::Value { value, version },
            SimpleResult::Put { version },
            SimpleResult::Mismatch {
                current: Some(version),
            },
            SimpleResult::OutOfBounds(Bound::ResultBytes),
        ];
        for result in &results {
            assert!(crypto::encode(result).len() <= result_bytes(result));
        }
        let bytes = results.iter().map(|result| crypto::encode(result).len());
        let bytes = TXN_OVERHEAD + bytes.sum::<usize>();
        let done = OpResult::TxnDone {
            branch: Branch::Then,
            results,
        };
        assert_eq!(done.encode().len(), bytes);
    }
}
