//! The driver's ports for PBFT over the key-value store: storage threads and QUIC.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bincode::{Decode, Encode};
use bytes::Bytes;
use consensus::pbft::certificate::{Phase, StableCertificate};
use consensus::pbft::message::Wire;
use consensus::pbft::record::Record;
use consensus::{Reply, SeqNo, Term, Ticket};
use crypto::Digest;

use crate::driver::core_loop::CoreInbox;
use crate::driver::ports::{
    Ballot, Checkpoint, Describe, Disk, Lane, Milestone, Network, Outgoing, Work,
};
use crate::storage::{
    Basis, Change, Durable, Encodable, Group, StateDelta, Storage, StoredRecord, Writer,
    WriterStats, WriterStopped,
};
use crate::transport::clients::ClientSender;
use crate::transport::peers::PeerSender;

/// The storage threads; empty once they are stopped.
#[derive(Clone, Default)]
pub(crate) struct SharedWriter(Arc<Mutex<Option<Writer>>>);

impl SharedWriter {
    /// Starts the storage threads, which report to `core`.
    pub(crate) fn start<M: Send + 'static>(&self, storage: Storage, core: Arc<CoreInbox<M>>) {
        let writer = Writer::spawn(storage, move |durable| {
            core.put(|burst| match durable {
                Durable::Records { upto } => burst.durable = burst.durable.max(Some(Ticket(upto))),
                Durable::State { seq } => burst.saved = burst.saved.max(Some(SeqNo(seq))),
                Durable::Failed(error) => burst.disk_failed = Some(error.to_string()),
            });
        });
        *self.lock() = Some(writer);
    }

    /// Counters; zero when the threads are stopped.
    pub(crate) fn stats(&self) -> WriterStats {
        self.lock().as_ref().map(Writer::stats).unwrap_or_default()
    }

    /// Writes what is queued and marks a clean stop.
    pub(crate) fn stop(&self) -> Result<(), WriterStopped> {
        let writer = self.lock().take();
        writer.map_or(Ok(()), |writer| writer.stop().map(|_| ()))
    }

    /// Ends the threads without the mark of a clean stop.
    pub(crate) fn abandon(&self) {
        drop(self.lock().take());
    }

    fn with(&self, submit: impl FnOnce(&Writer) -> Result<(), WriterStopped>) {
        if let Some(writer) = &*self.lock() {
            // A store that has stopped has told the core why; that stops the replica.
            let _ = submit(writer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What belongs to a checkpoint besides entries and sessions; goes to disk with them in one
/// transaction (docs/protocol.md R9, R13).
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct CheckpointMeta {
    /// `Configuration::to_bytes`.
    pub(crate) configuration: Vec<u8>,
    /// The newest certificate that there was when the state was saved. For a checkpoint that was
    /// just executed it is an earlier one, for a transferred state its own.
    pub(crate) stable: Option<StableCertificate>,
    /// State digests of earlier checkpoints that were not known to be stable then.
    pub(crate) earlier: Vec<(SeqNo, Digest)>,
}

impl CheckpointMeta {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, crypto::CodecError> {
        crypto::decode(bytes)
    }
}

/// The record log and the state store.
pub(crate) struct StorageDisk {
    writer: SharedWriter,
    /// The newest certificate that went by.
    stable: Option<StableCertificate>,
    /// Rides with the next group: it is housekeeping and worth no write of its own.
    truncate: Option<u64>,
}

impl StorageDisk {
    /// `stable`: the newest certificate on disk.
    pub(crate) fn new(writer: SharedWriter, stable: Option<StableCertificate>) -> Self {
        StorageDisk {
            writer,
            stable,
            truncate: None,
        }
    }

    fn note(&mut self, record: &Record) {
        if let Record::Stable(certificate) = record {
            self.stable = Some(certificate.clone());
        }
    }
}

impl Disk<Record, kv::Change> for StorageDisk {
    fn persist(&mut self, records: Vec<Record>, last: Ticket) {
        let stored = |record: &Record| StoredRecord {
            seq: record.seq().0,
            kind: record.kind(),
            bytes: Bytes::from(crypto::encode(record)),
        };
        for record in &records {
            self.note(record);
        }
        let group = Group {
            records: records.iter().map(stored).collect(),
            truncate_below: self.truncate.take(),
        };
        self.writer.with(|writer| writer.submit(last.0, group));
    }

    fn certify(&mut self, certificate: Record) {
        self.note(&certificate);
    }

    fn save(&mut self, checkpoint: Checkpoint<kv::Change>) {
        let stable = self.stable.clone();
        // The protocol must not wait until ten thousand sessions are encoded.
        let encode = move || {
            let changes = checkpoint.changes.into_iter();
            StateDelta {
                seq: checkpoint.seq.0,
                digest: checkpoint.digest.0,
                basis: Basis::Stored,
                changes: changes.map(stored_change).collect(),
                sessions: Bytes::from(checkpoint.sessions.to_bytes()),
                meta: Bytes::from(crypto::encode(&CheckpointMeta {
                    configuration: checkpoint.configuration,
                    stable,
                    earlier: checkpoint.earlier,
                })),
            }
        };
        self.writer.with(|writer| writer.submit_unencoded(encode));
    }

    fn truncate(&mut self, upto: SeqNo) {
        self.truncate = self.truncate.max(Some(upto.0));
    }
}

/// Keys of the state store: what the change is about, so that a later change replaces it.
const ENTRY: u8 = b'e';
const LAST_DELETE: u8 = b'd';

/// A change as the state store takes it: it shares its bytes with the application until it is
/// written.
pub(crate) fn stored_change(change: kv::Change) -> Change {
    Change::new(Stored(change))
}

/// What an encoded record is longer than it is in memory: about this many bytes.
const BESIDE_RECORD: usize = 8;

struct Stored(kv::Change);

impl Encodable for Stored {
    fn key(&self) -> Bytes {
        let key = |kind: u8, key: &[u8]| Bytes::from([&[kind], key].concat());
        match &self.0 {
            kv::Change::Set(record) => key(ENTRY, record.key()),
            kv::Change::Removed { key: removed } => key(ENTRY, removed),
            kv::Change::LastDelete(_) => key(LAST_DELETE, &[]),
        }
    }

    fn entry(&self) -> Option<Bytes> {
        let room = match &self.0 {
            kv::Change::Removed { .. } => return None,
            // There are thousands of them: one allocation each, of the size that it needs.
            kv::Change::Set(record) => record.as_ref().len() + BESIDE_RECORD,
            kv::Change::LastDelete(_) => BESIDE_RECORD,
        };
        let mut entry = Vec::with_capacity(room);
        crypto::codec::encode_into(&self.0, &mut entry);
        Some(Bytes::from(entry.into_boxed_slice()))
    }
}

/// The way back of [`stored_change`] for everything that is held.
pub(crate) fn restored_change(entry: &[u8]) -> Result<kv::Change, crypto::CodecError> {
    crypto::decode(entry)
}

/// Peers and clients over QUIC. Clones send through the same queues.
#[derive(Clone, Debug)]
pub struct QuicNetwork {
    /// To the other replicas.
    pub peers: PeerSender,
    /// To whoever has asked something.
    pub clients: ClientSender,
}

impl Network for QuicNetwork {
    fn send(&mut self, messages: Vec<Outgoing>) {
        self.peers.send(messages);
    }

    fn reply(&mut self, replies: Vec<Reply>) {
        self.clients.reply(replies);
    }

    fn hint(&mut self, term: Term) {
        self.clients.hint(term);
    }
}

impl Describe<Wire> for QuicNetwork {
    const KINDS: &'static [&'static str] = &[
        "pre-prepare",
        "prepare",
        "commit",
        "checkpoint",
        "stable",
        "status",
        "decision",
        "fetch-batch",
        "batch",
        "fetch-decisions",
        "forward",
        "evidence",
        "view-change",
        "new-view",
        "state",
    ];

    fn kind(wire: &Wire) -> usize {
        match wire {
            Wire::PrePrepare(..) => 0,
            Wire::Prepare(_) => 1,
            Wire::Commit(_) => 2,
            Wire::Checkpoint(_) => 3,
            Wire::Stable(_) => 4,
            Wire::Status(_) => 5,
            Wire::Decision(_) => 6,
            Wire::FetchBatch(..) => 7,
            Wire::Batch(_) => 8,
            Wire::FetchDecisions(..) => 9,
            Wire::Forward(_) => 10,
            Wire::Evidence(_) => 11,
            Wire::ViewChange(_) => 12,
            Wire::NewView(_) => 13,
            Wire::State(_) => 14,
        }
    }

    fn lane(wire: &Wire) -> Lane {
        match wire {
            Wire::Decision(_)
            | Wire::Batch(_)
            | Wire::NewView(_)
            | Wire::ViewChange(_)
            | Wire::State(_) => Lane::Bulk,
            Wire::Status(_) => Lane::Latest,
            _ => Lane::Main,
        }
    }

    fn milestone(wire: &Wire) -> Option<Milestone<'_>> {
        match wire {
            Wire::PrePrepare(header, batch) => {
                let seq = header.statement.seq;
                Some(Milestone::Proposal(seq, batch.as_ref()))
            }
            Wire::Prepare(vote) => Some(Milestone::Vote(vote.statement.seq)),
            Wire::Commit(vote) => Some(Milestone::Commit(vote.statement.seq)),
            _ => None,
        }
    }

    fn ballot(wire: &Wire) -> Option<Ballot> {
        let (epoch, phase, on) = match wire {
            Wire::Prepare(vote) => (vote.epoch, Phase::Prepare, vote.statement),
            Wire::Commit(vote) => (vote.epoch, Phase::Commit, vote.statement),
            _ => return None,
        };
        Some(Ballot { epoch, phase, on })
    }

    fn work(wire: &Wire) -> Work {
        match (wire, Self::lane(wire)) {
            (Wire::Forward(_), _) => Work::Requests,
            (Wire::ViewChange(_), _) => Work::Reports,
            (_, Lane::Bulk) => Work::Bulk,
            _ => Work::Votes,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consensus::pbft::message::SignedViewChange;
    use consensus::session::SessionTable;
    use crypto::codec::Blob;

    #[test]
    fn a_peers_view_changes_wait_apart_from_its_new_views_and_votes() {
        let report = SignedViewChange {
            bytes: Blob(Bytes::new()),
            signature: crypto::Signature([0; 64]),
        };
        let work = [
            (Wire::ViewChange(report), Work::Reports),
            (Wire::Forward(Vec::new()), Work::Requests),
            (Wire::FetchDecisions(SeqNo(1), SeqNo(2)), Work::Votes),
        ];
        for (wire, wanted) in work {
            assert_eq!(QuicNetwork::work(&wire), wanted, "{}", wire.name());
        }
    }

    #[test]
    fn every_kind_of_message_is_counted_under_its_own_name() {
        for (index, wire) in [
            (7, Wire::FetchBatch(SeqNo(1), crypto::Digest::default())),
            (9, Wire::FetchDecisions(SeqNo(1), SeqNo(2))),
            (10, Wire::Forward(Vec::new())),
        ] {
            assert_eq!(QuicNetwork::kind(&wire), index);
            assert_eq!(QuicNetwork::KINDS[index], wire.name());
        }
    }

    /// What is on disk after these calls, and a stop.
    fn saved(calls: impl FnOnce(&mut StorageDisk)) -> CheckpointMeta {
        let place = crate::storage::memory::MemoryDisk::new();
        let writer = SharedWriter::default();
        let core = Arc::new(CoreInbox::<u32>::new());
        writer.start(place.open(), core);
        calls(&mut StorageDisk::new(writer.clone(), None));
        writer.stop().unwrap();
        let state = place.open().state.load(&mut |_, _| {}).unwrap().unwrap();
        CheckpointMeta::decode(&state.meta).unwrap()
    }

    fn checkpoint(seq: u64) -> Checkpoint<kv::Change> {
        Checkpoint {
            seq: SeqNo(seq),
            digest: crypto::Digest::default(),
            changes: Vec::new(),
            sessions: SessionTable::default(),
            configuration: vec![1, 2, 3],
            earlier: vec![(SeqNo(seq / 2), crypto::Digest([7; 32]))],
        }
    }

    fn stable(seq: u64) -> Record {
        Record::Stable(StableCertificate {
            epoch: consensus::Epoch(0),
            seq: SeqNo(seq),
            digest: crypto::Digest::default(),
            signers: consensus::pbft::certificate::Signers(Vec::new()),
        })
    }

    #[test]
    fn a_state_goes_to_disk_with_the_configuration_and_the_newest_certificate() {
        let held = |meta: &CheckpointMeta| meta.stable.as_ref().map(|held| held.seq.0);
        let executed = saved(|disk| {
            disk.save(checkpoint(64));
            disk.persist(vec![stable(64)], Ticket(1));
            disk.save(checkpoint(128));
        });
        assert_eq!(
            (held(&executed), executed.configuration),
            (Some(64), vec![1, 2, 3])
        );
        let transferred = saved(|disk| {
            disk.persist(vec![stable(64)], Ticket(1));
            disk.certify(stable(640));
            disk.save(checkpoint(640));
        });
        assert_eq!(held(&transferred), Some(640));
        let earlier = vec![(SeqNo(320), crypto::Digest([7; 32]))];
        assert_eq!(transferred.earlier, earlier);
    }

    #[test]
    fn stored_changes_come_back_as_they_were_and_a_removal_clears_its_entry() {
        let last_delete = kv::Change::LastDelete(SeqNo(7));
        let entry = stored_change(last_delete.clone()).entry();
        assert_eq!(restored_change(&entry.unwrap()).unwrap(), last_delete);
        let key = crypto::codec::Blob::from(b"k".to_vec());
        let removed = stored_change(kv::Change::Removed { key });
        let at = removed.key();
        assert_eq!((at.as_ref(), removed.entry()), (b"ek".as_slice(), None));
    }
}

#[cfg(test)]
mod failing_disk_tests;
