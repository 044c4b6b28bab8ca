//! The log executed again by another program: a plain map with the meaning of each operation
//! written down a second time, sessions included, and none of the code of `kv` or `consensus`
//! that replicas execute with. What it gives is what every client and every replica must have got.

use std::collections::{BTreeMap, VecDeque};

use consensus::{Batch, ByteList, Limits, RequestId, SeqNo};
use crypto::codec::Blob;
use kv::{Branch, Entry, Expect, Op, OpResult, SimpleOp, SimpleResult, Txn, Version};

use crate::mix::{MixMap, of_bytes, of_words};

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    /// Where it stands among all executed requests, from 1.
    pub(crate) position: u64,
    pub(crate) seq: SeqNo,
    pub(crate) results: ByteList,
}

#[derive(Clone, Debug, Default)]
struct Session {
    session: u64,
    low: u64,
    /// Executed above `low`.
    done: Vec<u64>,
}

/// One map, and who has asked for what.
#[derive(Default)]
pub(crate) struct Reference {
    rows: Rows,
    last_delete: u64,
    /// The slot of the last modification, and how many there were in it.
    clock: (u64, u32),
    sessions: MixMap<u32, Session>,
    effects: MixMap<(u32, u64, u64), Effect>,
    window: u64,
    /// Only of the first so many clients results are kept: those of the correct ones.
    clients: u32,
    executed: u64,
    /// Sum of the fingerprints of all rows.
    content: u64,
    /// What was held after each slot that open reads may have seen; none if nobody reads so.
    past: Option<VecDeque<Past>>,
}

type Rows = BTreeMap<Vec<u8>, (Vec<u8>, Version)>;

/// What was held after a slot.
#[derive(Default)]
struct Past {
    /// The last request that was executed.
    position: u64,
    rows: Rows,
}

impl Reference {
    pub(crate) fn new(limits: &Limits, clients: u32) -> Self {
        Reference {
            window: limits.client_window,
            clients,
            past: limits
                .quorum_reads
                .then(|| VecDeque::from([Past::default()])),
            ..Default::default()
        }
    }

    /// Executes a batch at its place.
    pub(crate) fn execute(&mut self, seq: SeqNo, batch: &Batch) {
        for request in batch.requests() {
            // RENEWs change the configuration only.
            if !request.id.client.is_service() && self.admits(&request.id, request.ack) {
                let results = self.apply(seq, request.atomic, &request.ops());
                self.executed += 1;
                let RequestId {
                    client,
                    session,
                    number,
                } = request.id;
                let effect = Effect {
                    position: self.executed,
                    seq,
                    results,
                };
                if client.0 < self.clients {
                    self.effects.insert((client.0, session, number), effect);
                }
            }
        }
        self.remember();
    }

    /// Keeps what is held now for reads that see it.
    fn remember(&mut self) {
        let position = self.executed;
        let rows = &self.rows;
        if let Some(past) = &mut self.past
            && past.back().is_none_or(|last| last.position < position)
        {
            past.push_back(Past {
                position,
                rows: rows.clone(),
            });
        }
    }

    /// Where the first state was, of those that contain request `floor`, in which reading gives
    /// these results.
    pub(crate) fn seen_at(&self, ops: &ByteList, results: &ByteList, floor: u64) -> Option<u64> {
        let eligible = self.past.iter().flatten().filter(|at| at.position >= floor);
        let gives = |past: &&Past| {
            ops.iter()
                .map(|op| read_at(&past.rows, op))
                .collect::<ByteList>()
                == *results
        };
        eligible.into_iter().find(gives).map(|past| past.position)
    }

    /// States before that which contains request `floor` are not needed.
    pub(crate) fn forget_before(&mut self, floor: u64) {
        if let Some(past) = &mut self.past {
            while past.len() > 1 && past.front().is_some_and(|first| first.position < floor) {
                past.pop_front();
            }
        }
    }

    /// Exactly-once: does this request execute? If so it never will again.
    fn admits(&mut self, id: &RequestId, ack: u64) -> bool {
        let window = self.window;
        let session = self.sessions.entry(id.client.0).or_default();
        if id.session < session.session {
            return false;
        }
        if id.session > session.session {
            *session = Session {
                session: id.session,
                ..Session::default()
            };
        }
        let low = session.low.max(ack.min(id.number - 1));
        if id.number <= session.low
            || session.done.contains(&id.number)
            || id.number > low.saturating_add(window)
        {
            return false;
        }
        session.low = low;
        session.done.push(id.number);
        session.done.retain(|number| *number > low);
        true
    }

    /// The client has the result: it need not be kept.
    pub(crate) fn settle(&mut self, client: u32, session: u64, number: u64) -> Option<Effect> {
        self.effects.remove(&(client, session, number))
    }

    /// Results that no client has taken yet.
    pub(crate) fn unsettled(&self) -> usize {
        self.effects.len()
    }

    /// Requests executed.
    pub(crate) fn executed(&self) -> u64 {
        self.executed
    }

    /// The fingerprint of everything held: see [`content_of`].
    pub(crate) fn content(&self) -> u64 {
        of_words(&[self.content, self.last_delete, self.rows.len() as u64])
    }

    /// A store that holds the same.
    pub(crate) fn to_store(&self) -> kv::Store {
        let entries = self
            .rows
            .iter()
            .map(|(key, (value, version))| kv::Change::Set(kv::Record::new(key, value, *version)));
        let last_delete = (self.last_delete > 0).then_some(SeqNo(self.last_delete));
        kv::Store::from_changes(entries.chain(last_delete.map(kv::Change::LastDelete)))
    }

    fn apply(&mut self, seq: SeqNo, atomic: bool, ops: &ByteList) -> ByteList {
        let before = atomic.then(|| self.snapshot());
        let mut results = Vec::new();
        let mut failed = None;
        for (index, op) in ops.iter().enumerate() {
            let result = match Op::decode(op) {
                Ok(op) => self.apply_one(seq, op),
                Err(error) => error.into(),
            };
            if atomic && !result.succeeded() {
                failed = Some((index, result));
                break;
            }
            results.push(result.encode());
        }
        if let (Some((index, result)), Some(before)) = (failed, before) {
            self.restore(before);
            results = vec![OpResult::RolledBack.encode(); ops.len()];
            results[index] = result.encode();
        }
        results.into_iter().collect()
    }

    fn apply_one(&mut self, seq: SeqNo, op: Op) -> OpResult {
        match op {
            Op::Create { key, value } => self.simple(seq, SimpleOp::Create { key, value }).into(),
            Op::Read { key } => self.simple(seq, SimpleOp::Read { key }).into(),
            Op::Update { key, value } => self.simple(seq, SimpleOp::Update { key, value }).into(),
            Op::Put { key, value } => self.simple(seq, SimpleOp::Put { key, value }).into(),
            Op::Delete { key } => self.simple(seq, SimpleOp::Delete { key }).into(),
            Op::Cas { key, expect, value } => {
                let op = SimpleOp::Cas { key, expect, value };
                self.simple(seq, op).into()
            }
            Op::Scan { start, end, limit } => scan(&self.rows, &start, end.as_deref(), limit),
            Op::Txn(txn) => self.transact(seq, txn),
        }
    }

    fn simple(&mut self, seq: SeqNo, op: SimpleOp) -> SimpleResult {
        let version = |row: &(Vec<u8>, Version)| row.1;
        match op {
            SimpleOp::Create { key, value } => match self.rows.get(&key[..]).map(version) {
                Some(version) => SimpleResult::AlreadyExists { version },
                None => SimpleResult::Created {
                    version: self.put(seq, &key, &value),
                },
            },
            SimpleOp::Read { key } => get(&self.rows, &key),
            SimpleOp::Update { key, value } => match self.rows.contains_key(&key[..]) {
                true => SimpleResult::Updated {
                    version: self.put(seq, &key, &value),
                },
                false => SimpleResult::NotFound,
            },
            SimpleOp::Put { key, value } => SimpleResult::Put {
                version: self.put(seq, &key, &value),
            },
            SimpleOp::Delete { key } => match self.rows.remove(&key[..]) {
                Some((value, version)) => {
                    self.content = self.content.wrapping_sub(row_of(&key, &value, version));
                    self.tick(seq);
                    self.last_delete = seq.0;
                    SimpleResult::Deleted
                }
                None => SimpleResult::NotFound,
            },
            SimpleOp::Cas { key, expect, value } => {
                if self.holds(&key, &expect) {
                    let version = self.put(seq, &key, &value);
                    SimpleResult::Swapped { version }
                } else {
                    let current = self.rows.get(&key[..]).map(version);
                    SimpleResult::Mismatch { current }
                }
            }
        }
    }

    fn holds(&self, key: &[u8], expect: &Expect) -> bool {
        match (self.rows.get(key), expect) {
            (Some((value, _)), Expect::Value(expected)) => value[..] == expected[..],
            (Some((_, version)), Expect::Version(expected)) => version == expected,
            (None, Expect::Absent) => true,
            _ => false,
        }
    }

    fn transact(&mut self, seq: SeqNo, txn: Txn) -> OpResult {
        let hold = txn.compare.iter().all(|c| self.holds(&c.key, &c.expect));
        let (branch, ops) = match hold {
            true => (Branch::Then, txn.then),
            false => (Branch::Otherwise, txn.otherwise),
        };
        let before = self.snapshot();
        let count = ops.len();
        let mut results = Vec::new();
        for op in ops {
            let result = self.simple(seq, op);
            if !result.succeeded() {
                self.restore(before);
                let failed = results.len();
                results = vec![SimpleResult::RolledBack; count];
                results[failed] = result;
                return OpResult::TxnRolledBack { branch, results };
            }
            results.push(result);
        }
        OpResult::TxnDone { branch, results }
    }

    fn put(&mut self, seq: SeqNo, key: &[u8], value: &[u8]) -> Version {
        let version = self.tick(seq);
        let old = self.rows.insert(key.to_vec(), (value.to_vec(), version));
        if let Some((value, version)) = old {
            self.content = self.content.wrapping_sub(row_of(key, &value, version));
        }
        self.content = self.content.wrapping_add(row_of(key, value, version));
        version
    }

    /// The version of the next modification: the slot, and its rank within the slot.
    fn tick(&mut self, seq: SeqNo) -> Version {
        let rank = match self.clock {
            (slot, rank) if slot == seq.0 => rank + 1,
            _ => 0,
        };
        self.clock = (seq.0, rank);
        Version { seq, rank }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            rows: self.rows.clone(),
            last_delete: self.last_delete,
            clock: self.clock,
            content: self.content,
        }
    }

    fn restore(&mut self, before: Snapshot) {
        self.rows = before.rows;
        self.last_delete = before.last_delete;
        self.clock = before.clock;
        self.content = before.content;
    }
}

fn get(rows: &Rows, key: &[u8]) -> SimpleResult {
    match rows.get(key) {
        Some((value, version)) => SimpleResult::Value {
            value: Blob::from(value.clone()),
            version: *version,
        },
        None => SimpleResult::Absent,
    }
}

fn scan(rows: &Rows, start: &[u8], end: Option<&[u8]>, limit: u32) -> OpResult {
    let mut entries = Vec::new();
    for (key, (value, version)) in rows {
        if key[..] < *start || end.is_some_and(|end| key[..] >= *end) {
            continue;
        }
        if entries.len() == limit as usize {
            let next = Some(Blob::from(key.clone()));
            return OpResult::Entries { entries, next };
        }
        entries.push(Entry {
            key: Blob::from(key.clone()),
            value: Blob::from(value.clone()),
            version: *version,
        });
    }
    OpResult::Entries {
        entries,
        next: None,
    }
}

/// What reading beside the log gives; nothing for what is no read.
fn read_at(rows: &Rows, op: &[u8]) -> Vec<u8> {
    let result = match Op::decode(op) {
        Ok(Op::Read { key }) => get(rows, &key).into(),
        Ok(Op::Scan { start, end, limit }) => scan(rows, &start, end.as_deref(), limit),
        _ => return Vec::new(),
    };
    result.encode()
}

/// The whole state before an atomic request: small in a simulated run.
struct Snapshot {
    rows: Rows,
    last_delete: u64,
    clock: (u64, u32),
    content: u64,
}

fn row_of(key: &[u8], value: &[u8], version: Version) -> u64 {
    let words = [
        of_bytes(key),
        of_bytes(value),
        version.seq.0,
        u64::from(version.rank),
    ];
    of_words(&words)
}

/// The fingerprint of what a replica's store holds, comparable with [`Reference::content`].
pub(crate) fn content_of(store: &kv::Store) -> u64 {
    let row = |entry: Entry| row_of(&entry.key, &entry.value, entry.version);
    let sum = store.iter().map(row).fold(0, u64::wrapping_add);
    of_words(&[sum, store.last_delete().0, store.len() as u64])
}

#[cfg(test)]
mod tests;
