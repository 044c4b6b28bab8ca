//! What clients were told, beside what executing again gives: line by line of the history, by client and sequence number.

use std::collections::{BTreeMap, HashMap};

use kv::{Op, OpResult, SimpleOp, SimpleResult};

use crate::record::{HistoryLine, HistoryResult, LineStatus, named};
use crate::workload::OperationKind;

/// The answers of a run that came with a sequence number.
pub(super) struct Told<'a> {
    by_seq: BTreeMap<u64, Vec<&'a HistoryLine>>,
    /// What the slot at hand gave, and how often.
    now: HashMap<Answer, u64>,
    /// Answers found again so far.
    pub(super) compared: u64,
}

/// What a line says of one executed operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Answer {
    client: u64,
    op: OperationKind,
    key: String,
    expect: Option<String>,
    value: Option<String>,
    limit: Option<u32>,
    succeeded: bool,
    read: Option<Option<String>>,
    entries: Option<Vec<(String, String)>>,
}

impl<'a> Told<'a> {
    pub(super) fn of(history: &'a [HistoryLine]) -> Self {
        let mut by_seq = BTreeMap::<u64, Vec<&HistoryLine>>::new();
        let answered = |line: &&HistoryLine| line.status != LineStatus::Unknown;
        for line in history.iter().filter(answered) {
            if let Some(seq) = line.seq {
                by_seq.entry(seq).or_default().push(line);
            }
        }
        Self {
            by_seq,
            now: HashMap::new(),
            compared: 0,
        }
    }

    /// An operation was executed in the slot at hand.
    pub(super) fn executed(&mut self, client: u32, op: &Op, result: &OpResult) {
        for answer in answers(u64::from(client), op, result) {
            *self.now.entry(answer).or_default() += 1;
        }
    }

    /// The slot is complete: every answer that clients got from it must be among what it gave.
    pub(super) fn settle(&mut self, seq: u64, violation: &mut dyn FnMut(String)) {
        for line in self.by_seq.remove(&seq).unwrap_or_default() {
            self.compared += 1;
            let answer = Answer::of(line);
            match self.now.get_mut(&answer).filter(|count| **count > 0) {
                Some(count) => *count -= 1,
                None => violation(self.sentence(seq, line)),
            }
        }
        self.now.clear();
    }

    /// Answers from slots that were not executed.
    pub(super) fn left(&self) -> u64 {
        self.by_seq.values().map(|lines| lines.len() as u64).sum()
    }

    fn sentence(&self, seq: u64, line: &HistoryLine) -> String {
        let told = Answer::of(line);
        let same = |each: &&Answer| {
            (each.client, each.op, &each.key, &each.value)
                == (told.client, told.op, &told.key, &told.value)
        };
        let instead = match self.now.keys().find(same) {
            Some(instead) => format!("executed again it gives {}", instead.outcome()),
            None => "the log has no such operation there".to_owned(),
        };
        format!(
            "client {} was told that its {} of key {} at sequence number {seq} gave {}; {instead}",
            told.client,
            told.op.name(),
            told.key,
            told.outcome()
        )
    }
}

impl Answer {
    fn of(line: &HistoryLine) -> Self {
        let (read, entries) = match &line.result {
            Some(HistoryResult::Value(value)) => (Some(value.clone()), None),
            Some(HistoryResult::Entries(entries)) => (None, Some(entries.clone())),
            None => (None, None),
        };
        Self {
            client: line.client,
            op: line.op,
            key: line.key.clone(),
            expect: line.expect.clone(),
            value: line.value.clone(),
            limit: line.limit,
            succeeded: line.status == LineStatus::Ok,
            read,
            entries,
        }
    }

    fn outcome(&self) -> String {
        match (self.succeeded, &self.read, &self.entries) {
            (false, ..) => "\"condition false\"".to_owned(),
            (true, Some(value), _) => value.clone().unwrap_or_else(|| "nothing".to_owned()),
            (true, None, Some(entries)) => format!("{} entries", entries.len()),
            (true, None, None) => "\"done\"".to_owned(),
        }
    }
}

/// What a client notes of an operation with this result; nothing of one that was rolled back.
fn answers(client: u64, op: &Op, result: &OpResult) -> Vec<Answer> {
    let one = |op: &Op, result: &OpResult| answer(client, op, result).into_iter().collect();
    match (op, result) {
        (Op::Txn(txn), OpResult::TxnDone { branch, results }) => {
            let ops = match branch {
                kv::Branch::Then => &txn.then,
                kv::Branch::Otherwise => &txn.otherwise,
            };
            let each = |(op, result): (&SimpleOp, &SimpleResult)| {
                answer(client, &plain(op), &OpResult::from(result.clone()))
            };
            ops.iter().zip(results).filter_map(each).collect()
        }
        (Op::Txn(_), _) => Vec::new(),
        (op, result) => one(op, result),
    }
}

fn answer(client: u64, op: &Op, result: &OpResult) -> Option<Answer> {
    let (kind, key, expect, value, limit) = match op {
        Op::Create { key, value } => (OperationKind::Create, key, None, Some(value), None),
        Op::Read { key } => (OperationKind::Read, key, None, None, None),
        Op::Update { key, value } => (OperationKind::Update, key, None, Some(value), None),
        Op::Put { key, value } => (OperationKind::Put, key, None, Some(value), None),
        Op::Delete { key } => (OperationKind::Delete, key, None, None, None),
        Op::Cas { key, expect, value } => {
            let expect = match expect {
                kv::Expect::Value(expect) => Some(expect),
                kv::Expect::Version(_) | kv::Expect::Absent => None,
            };
            (OperationKind::Cas, key, expect, Some(value), None)
        }
        Op::Scan { start, limit, .. } => (OperationKind::Scan, start, None, None, Some(*limit)),
        Op::Txn(_) => return None,
    };
    let (succeeded, read, entries) = match result {
        OpResult::Value { value, .. } => (true, Some(Some(named(value))), None),
        OpResult::Absent => (true, Some(None), None),
        OpResult::Entries { entries, .. } => {
            let pair = |entry: &kv::Entry| (text(&entry.key), named(&entry.value));
            (true, None, Some(entries.iter().map(pair).collect()))
        }
        OpResult::AlreadyExists { .. } | OpResult::NotFound | OpResult::Mismatch { .. } => {
            (false, None, None)
        }
        result if result.succeeded() => (true, None, None),
        // Rolled back, or no operation at all: no client notes it.
        _ => return None,
    };
    Some(Answer {
        client,
        op: kind,
        key: text(key),
        expect: expect.map(|expect| named(expect)),
        value: value.map(|value| named(value)),
        limit,
        succeeded,
        read,
        entries,
    })
}

pub(super) fn plain(op: &SimpleOp) -> Op {
    match op.clone() {
        SimpleOp::Create { key, value } => Op::Create { key, value },
        SimpleOp::Read { key } => Op::Read { key },
        SimpleOp::Update { key, value } => Op::Update { key, value },
        SimpleOp::Put { key, value } => Op::Put { key, value },
        SimpleOp::Delete { key } => Op::Delete { key },
        SimpleOp::Cas { key, expect, value } => Op::Cas { key, expect, value },
    }
}

fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}
