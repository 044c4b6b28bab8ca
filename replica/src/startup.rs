//! From what is on disk to a replica that may go on voting, or a refusal.
//!
//! A replica that has forgotten a promise is as bad as a malicious one (docs/protocol.md R12), so
//! whatever does not add up is refused here, with the directory and the remedy. This version has
//! no state transfer and no RENEW (R16): a refused replica cannot rejoin its cluster yet.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use consensus::pbft::Pbft;
use consensus::pbft::record::Record;
use consensus::session::SessionTable;
use consensus::{Cluster, Configuration, Executor, Protocol as _, SeqNo};
use crypto::Digest;

use crate::config::{Engine, Membership, Options};
use crate::pbft_ports::restored_change;
use crate::storage::memory::MemoryDisk;
use crate::storage::{
    Durability, Identity, LoadedState, Storage, StorageError, StoredRecord, sqlite,
};

/// Present while the data may have been written without fsync since the last clean stop.
const UNSYNCED: &str = "UNSYNCED";
/// Present once a replica has run without any storage.
const VOLATILE: &str = "VOLATILE";

/// Why a replica does not start on its data. Nothing has been sent.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The files cannot be opened or are damaged.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The last run kept its promises in memory only.
    #[error(
        "the replica in {} ran with --storage memory and has forgotten what it promised, so it may \
         not vote again: found a new cluster with `replica genesis`",
        .0.display()
    )]
    Forgotten(PathBuf),
    /// The engine would ignore promises that are on disk.
    #[error(
        "{} holds the records of earlier runs, which --storage memory would ignore: run with \
         --storage sqlite, or found a new cluster with `replica genesis`",
        .0.display()
    )]
    RecordsIgnored(PathBuf),
    /// An unclean stop without fsync.
    #[error(
        "the last run on {} used --durability off and did not stop cleanly, so promises may be \
         lost and the replica may not vote again; this version cannot rejoin as a learner: keep \
         the directory for inspection and found a new cluster with `replica genesis`",
        .0.display()
    )]
    Unsynced(PathBuf),
    /// What is stored decodes to nothing sensible, although its checksums hold.
    #[error(
        "{}: {what}; use the binary that wrote it, or keep the directory for inspection and found \
         a new cluster with `replica genesis`",
        directory.display()
    )]
    Unreadable {
        /// The data directory.
        directory: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The state on disk is not the one whose digest was stored with it.
    #[error(
        "{}: the state at checkpoint {seq} has digest {found}, but {stored} was stored with it: the \
         disk is damaged; keep the directory for inspection and do not restore it from a copy",
        directory.display()
    )]
    StateDigest {
        /// The data directory.
        directory: PathBuf,
        /// The checkpoint.
        seq: SeqNo,
        /// As computed from the entries.
        found: Digest,
        /// As stored.
        stored: Digest,
    },
    /// A marker cannot be read or written.
    #[error("cannot {action} {}: {source}; check the directory and its owner", path.display())]
    Marker {
        /// The marker.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

/// A replica's memory, ready to go on.
pub(crate) struct Restored {
    pub(crate) storage: Storage,
    pub(crate) protocol: Pbft,
    pub(crate) executor: Executor<kv::Store>,
}

/// Opens the data of a replica and rebuilds protocol and state from it.
pub(crate) fn restore(options: &Options, who: &Membership) -> Result<Restored, StartupError> {
    let data = options.data();
    let mut storage = open(options, who, &data)?;
    let signer: Arc<dyn crypto::Signer> = Arc::new(who.key.clone());
    let mut protocol = Pbft::new(who.me, Arc::clone(&who.cluster), who.policy.clone(), signer);
    let log = storage.log.load()?;
    for record in in_order(&log.records) {
        let record: Record = crypto::decode(&record.bytes)
            .map_err(|error| unreadable(&data, format!("a record of the log: {error}")))?;
        protocol.restore(record);
    }
    let executor = match storage.state.load()? {
        None => Executor::new(Arc::clone(&who.cluster), kv::Store::new()),
        Some(state) => {
            let executor = restore_state(&data, &who.cluster, &state)?;
            protocol.restore_state(SeqNo(state.seq), Digest(state.digest));
            executor
        }
    };
    if !storage.clean_stop {
        protocol.fence();
        if protocol.primary() == who.me {
            tracing::warn!(
                view = protocol.view().0,
                "this primary was not stopped cleanly and proposes nothing more in its view \
                 (docs/protocol.md R12); this version does not change views, so the cluster \
                 orders no further request: found a new one with `replica genesis`"
            );
        }
    }
    let seq = executor.last_executed().0;
    tracing::info!(
        incarnation = storage.incarnation,
        clean_stop = storage.clean_stop,
        records = log.records.len(),
        checkpoint = seq,
        "storage is open"
    );
    Ok(Restored {
        storage,
        protocol,
        executor,
    })
}

/// Unbound records (view, low watermark) before those bound to slots: a slot's record only fits
/// the window that the low watermark opens, and superseding has moved that one behind.
fn in_order(records: &[StoredRecord]) -> impl Iterator<Item = &StoredRecord> {
    let unbound = records.iter().filter(|record| record.seq == 0);
    unbound.chain(records.iter().filter(|record| record.seq != 0))
}

fn restore_state(
    data: &Path,
    cluster: &Arc<Cluster>,
    state: &LoadedState,
) -> Result<Executor<kv::Store>, StartupError> {
    let changes = state
        .entries
        .iter()
        .map(|(_, entry)| restored_change(entry))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(data, format!("an entry of the state: {error}")))?;
    let window = cluster.limits().client_window;
    let sessions = SessionTable::from_bytes(window, &state.sessions)
        .map_err(|error| unreadable(data, format!("the session table: {error}")))?;
    let configuration = Configuration::from_bytes(cluster, &state.meta)
        .map_err(|error| unreadable(data, format!("the configuration: {error}")))?;
    let store = kv::Store::from_changes(changes);
    let seq = SeqNo(state.seq);
    let mut executor = Executor::restored(Arc::clone(cluster), store, sessions, configuration, seq);
    let (found, stored) = (executor.state_digest(), Digest(state.digest));
    if found != stored {
        return Err(StartupError::StateDigest {
            directory: data.to_owned(),
            seq,
            found,
            stored,
        });
    }
    Ok(executor)
}

fn unreadable(data: &Path, what: String) -> StartupError {
    StartupError::Unreadable {
        directory: data.to_owned(),
        what,
    }
}

fn open(options: &Options, who: &Membership, data: &Path) -> Result<Storage, StartupError> {
    let (volatile, unsynced) = (data.join(VOLATILE), data.join(UNSYNCED));
    if volatile.exists() {
        return Err(StartupError::Forgotten(options.directory.clone()));
    }
    let storage = match options.engine {
        Engine::Memory => {
            if data.exists() {
                return Err(StartupError::RecordsIgnored(data.to_owned()));
            }
            mark(data, &volatile)?;
            MemoryDisk::new().open()
        }
        Engine::Sqlite => {
            let identity = Identity {
                cluster: *who.cluster.id().0.as_bytes(),
                replica: u32::from(who.me.0),
            };
            let durability = options.durability;
            let home = sqlite::Home::lock(&options.directory)?;
            let opened = sqlite::open(
                &home,
                identity,
                sqlite::Options {
                    durability,
                    database_bytes_max: None,
                },
            )?;
            if unsynced.exists() && !opened.clean_stop {
                return Err(StartupError::Unsynced(data.to_owned()));
            }
            match durability {
                Durability::Off => mark(data, &unsynced)?,
                Durability::Full => unmark(&unsynced)?,
            }
            opened
        }
    };
    Ok(storage)
}

fn mark(data: &Path, marker: &Path) -> Result<(), StartupError> {
    let made = fs::create_dir_all(data)
        .and_then(|()| File::create(marker))
        .and_then(|file| file.sync_all())
        .and_then(|()| File::open(data)?.sync_all());
    made.map_err(|source| StartupError::Marker {
        path: marker.to_owned(),
        action: "create",
        source,
    })
}

fn unmark(marker: &Path) -> Result<(), StartupError> {
    match fs::remove_file(marker) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StartupError::Marker {
            path: marker.to_owned(),
            action: "remove",
            source,
        }),
        _ => Ok(()),
    }
}
