//! Reading everything back from SQLite, and what does not add up.

use std::path::Path;
use std::sync::Arc;

use consensus::pbft::certificate::StableCertificate;
use consensus::pbft::record::{Record, Role};
use consensus::session::SessionTable;
use consensus::{Cluster, Configuration, Executor, SeqNo};
use crypto::Digest;

use super::StartupError;
use super::loss::Loss;
use crate::pbft_ports::{CheckpointMeta, restored_change};
use crate::storage::{EachEntry, LoadedState, Storage, StorageError};

/// What a replica remembers.
pub(crate) struct Memory {
    pub(crate) storage: Storage,
    /// The last one written; none in a log that is new.
    pub(crate) role: Option<Role>,
    /// Everything else, in the order in which a protocol takes it back.
    pub(crate) records: Vec<Record>,
    /// The state at the last checkpoint.
    pub(crate) state: Option<State>,
    /// Of a replica that has never run before.
    pub(crate) first_run: bool,
}

/// A state that matches its digest, and the certificate if there is one for it.
pub(crate) struct State {
    pub(crate) seq: SeqNo,
    pub(crate) digest: Digest,
    pub(crate) executor: Executor<kv::Store>,
    pub(crate) meta: CheckpointMeta,
}

/// Why there is no memory.
pub(super) enum Unusable {
    /// The replica does not start; its data is as before.
    Refused(StartupError),
    /// It starts without them.
    Lost(Loss),
}

impl<E: Into<StartupError>> From<E> for Unusable {
    fn from(error: E) -> Self {
        match error.into() {
            StartupError::Storage(damaged @ StorageError::Damaged { .. }) => {
                Unusable::Lost(Loss::Damaged(damaged))
            }
            refused => Unusable::Refused(refused),
        }
    }
}

/// Reads everything in `storage`, whose files are in `data`.
pub(super) fn recall(
    data: &Path,
    cluster: &Arc<Cluster>,
    mut storage: Storage,
) -> Result<Memory, Unusable> {
    let log = storage.log.load()?;
    let mut role = None;
    let mut records = Vec::with_capacity(log.records.len());
    for stored in &log.records {
        match crypto::decode(&stored.bytes) {
            Ok(Record::Role(found)) => role = Some(found),
            Ok(record) => records.push(record),
            Err(error) => {
                return Err(unreadable(data, format!("a record of the log: {error}")).into());
            }
        }
    }
    // A stable sort: oldest first within a kind.
    records.sort_by_key(rank);
    let file = data.join("state.db");
    let state = State::verified(&file, cluster, |each| storage.state.load(each))?;
    for record in &records {
        if let (Some(state), Record::Stable(certificate)) = (&state, record) {
            state.compare(&file, certificate)?;
        }
    }
    Ok(Memory {
        storage,
        role,
        records,
        state,
        first_run: false,
    })
}

/// Where a kind of record stands among the others: the role, the epoch and the watermark say what
/// the others are worth, so they come first.
fn rank(record: &Record) -> u8 {
    match record {
        Record::Role(_) => 0,
        Record::Epoch { .. } => 1,
        Record::Stable(_) => 2,
        Record::View { .. } => 3,
        Record::Vote { .. } | Record::Prepared(_) | Record::Bodies { .. } => 4,
    }
}

impl State {
    /// Rebuilds the state that `load` reads from `file`, entry by entry, and compares it with its
    /// digest and its certificate. `None` if there is none.
    pub(super) fn verified(
        file: &Path,
        cluster: &Arc<Cluster>,
        load: impl FnOnce(EachEntry<'_>) -> Result<Option<LoadedState>, StorageError>,
    ) -> Result<Option<Self>, Unusable> {
        let unreadable = |what: String| unreadable(file, what);
        let mut store = kv::Store::new();
        let mut unread = None;
        let loaded = load(&mut |_, entry| match restored_change(entry) {
            Ok(change) => store.restore(change),
            Err(error) => unread = Some(error),
        })?;
        let Some(loaded) = loaded else {
            return Ok(None);
        };
        if let Some(error) = unread {
            // Entries are covered by the state digest only: this is what a damaged one looks like.
            return Err(damaged(file, format!("an entry of the state: {error}")).into());
        }
        let window = cluster.limits().client_window;
        let sessions = SessionTable::from_bytes(window, &loaded.sessions)
            .map_err(|error| unreadable(format!("the session table: {error}")))?;
        let meta = CheckpointMeta::decode(&loaded.meta)
            .map_err(|error| unreadable(format!("what belongs to the checkpoint: {error}")))?;
        let configuration = Configuration::from_bytes(cluster, &meta.configuration)
            .map_err(|error| unreadable(format!("the configuration: {error}")))?;
        let seq = SeqNo(loaded.seq);
        let mut executor =
            Executor::restored(Arc::clone(cluster), store, sessions, configuration, seq);
        executor.remember_checkpoints(&meta.earlier);
        let (found, stored) = (executor.checkpoint(), Digest(loaded.digest));
        if found != stored {
            return Err(Unusable::Lost(Loss::StateDigest {
                file: file.to_owned(),
                seq,
                found,
                stored,
            }));
        }
        let state = State {
            seq,
            digest: stored,
            executor,
            meta,
        };
        if let Some(certificate) = &state.meta.stable {
            state.compare(file, certificate)?;
        }
        Ok(Some(state))
    }

    /// The state must be the one that a quorum has certified.
    fn compare(&self, file: &Path, certificate: &StableCertificate) -> Result<(), Unusable> {
        if certificate.seq == self.seq && certificate.digest != self.digest {
            return Err(Unusable::Lost(Loss::StateUncertified {
                file: file.to_owned(),
                seq: self.seq,
                stored: self.digest,
                certified: certificate.digest,
            }));
        }
        Ok(())
    }
}

fn damaged(file: &Path, what: String) -> StorageError {
    StorageError::Damaged {
        file: file.to_owned(),
        what,
    }
}

fn unreadable(place: &Path, what: String) -> StartupError {
    StartupError::Unreadable {
        place: place.to_owned(),
        what,
    }
}
