//! A replica's disk: what was synced survives a crash, the rest is lost.

use consensus::pbft::record::Record;
use consensus::{SeqNo, Ticket};
use crypto::Digest;

/// The state at a checkpoint, as it was saved.
#[derive(Clone)]
pub(crate) struct SavedState {
    pub(crate) seq: SeqNo,
    pub(crate) digest: Digest,
    pub(crate) changes: Vec<kv::Change>,
    pub(crate) sessions: Vec<u8>,
    pub(crate) configuration: Vec<u8>,
}

/// A write that is not durable yet.
enum Write {
    Record(Ticket, Box<Record>),
    Truncate(SeqNo),
}

/// Durable records and state, and what waits for the next sync.
#[derive(Default)]
pub(crate) struct Disk {
    records: Vec<Record>,
    pub(crate) state: Option<SavedState>,
    waiting: Vec<Write>,
    syncing: Vec<Write>,
}

impl Disk {
    pub(crate) fn write(&mut self, ticket: Ticket, record: Record) {
        self.waiting.push(Write::Record(ticket, Box::new(record)));
    }

    pub(crate) fn truncate(&mut self, seq: SeqNo) {
        self.waiting.push(Write::Truncate(seq));
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
        let mut upto = None;
        for write in std::mem::take(&mut self.syncing) {
            match write {
                Write::Record(ticket, record) => {
                    // Later records of an unbound kind replace earlier ones.
                    if record.seq() == SeqNo(0) {
                        self.records.retain(|held| held.kind() != record.kind());
                    }
                    self.records.push(*record);
                    upto = Some(ticket);
                }
                Write::Truncate(seq) => {
                    self.records
                        .retain(|record| record.seq() == SeqNo(0) || record.seq() > seq);
                }
            }
        }
        upto
    }

    /// Power is lost: unsynced writes are gone.
    pub(crate) fn crash(&mut self) {
        self.waiting.clear();
        self.syncing.clear();
    }

    /// The durable records, unbound ones first: the watermark must be known before the slots.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        let unbound = self
            .records
            .iter()
            .filter(|record| record.seq() == SeqNo(0));
        let bound = self
            .records
            .iter()
            .filter(|record| record.seq() != SeqNo(0));
        unbound.chain(bound)
    }
}
