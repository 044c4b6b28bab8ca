//! From what is on disk to a replica that may go on voting, or one that may not vote yet.
//!
//! A replica that has forgotten a promise is as bad as a malicious one (docs/protocol.md R12). So
//! whatever is missing, damaged or older than it was costs the vote, and the replica comes back as a
//! *learner* until it is renewed (R16):
//!
//! ```text
//!                         ┌─ everything there and whole ───────────────▶ as its role says
//!  data of this replica? ─┼─ none, but the founding mark ──────────────▶ member: it has never run
//!                         ├─ none, or some of it lost ─▶ set aside ────▶ learner, with a new log and
//!                         │                                              what is whole of the state
//!                         └─ another's, in use, read-only, disk full ──▶ refused
//! ```
//!
//! The role is a record like any other, and the first one of a log: a log without a role was created
//! by a start that did not get far, and nobody votes on it. It is durable before anything is sent.

mod founding;
mod loss;
mod recall;
mod rejoin;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use consensus::configuration::Nonce;
use consensus::pbft::Pbft;
use consensus::pbft::certificate::StableCertificate;
use consensus::pbft::record::{Record, Role};
use consensus::{Epoch, Executor, Protocol as _};

use crate::config::{Engine, Membership, Options};
use crate::storage::memory::MemoryDisk;
use crate::storage::sqlite::{self, Home};
use crate::storage::{Durability, Group, Identity, Storage, StorageError, StoredRecord};
use founding::FoundingMark;
pub(crate) use loss::Loss;
pub(crate) use recall::Memory;
use recall::{Unusable, recall};
use rejoin::rejoin;

/// Present while the data may have been written without fsync since the last clean stop.
const UNSYNCED: &str = "UNSYNCED";

/// Why a replica does not start. Its data is as it was, and nothing has been sent.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The files cannot be used, or are another replica's.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The engine would ignore promises that are on disk.
    #[error(
        "{} holds the records of earlier runs, which --storage memory would ignore: run with \
         --storage sqlite, or found a new cluster with `replica genesis`",
        .0.display()
    )]
    RecordsIgnored(PathBuf),
    /// What is stored decodes to nothing sensible, although its checksums hold.
    #[error("{}: {what}; use the binary that wrote it", place.display())]
    Unreadable {
        /// The data directory or the file.
        place: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A marker cannot be written or removed.
    #[error("cannot {action} {}: {reason}; check the directory and its owner", path.display())]
    Marker {
        /// The marker.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        reason: io::Error,
    },
    /// The operating system gave no random bytes for the life of a learner.
    #[error(transparent)]
    Random(#[from] crypto::files::KeyFileError),
}

/// What a replica may do.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Vote.
    Member,
    /// Learn, answer and serve; no vote before it is renewed.
    Learner(Loss),
}

/// A replica's memory, ready to go on.
pub(crate) struct Restored {
    /// Locked for as long as this is kept.
    pub(crate) home: Home,
    pub(crate) storage: Storage,
    pub(crate) protocol: Pbft,
    pub(crate) executor: Executor<kv::Store>,
    /// The newest stable certificate that is on disk.
    pub(crate) stable: Option<StableCertificate>,
    pub(crate) standing: Standing,
    /// It has never run before.
    pub(crate) first_run: bool,
}

/// Opens the data of a replica and rebuilds protocol and state from it.
pub(crate) fn restore(options: &Options, who: &Membership) -> Result<Restored, StartupError> {
    let home = Home::lock(&options.directory)?;
    let start = Start {
        home: &home,
        mark: FoundingMark::of(&home),
        durability: options.durability,
        who,
    };
    let (memory, standing) = match options.engine {
        Engine::Memory => start.in_memory()?,
        Engine::Sqlite => start.on_disk()?,
    };
    Ok(rebuild(home.clone(), who, memory, standing))
}

/// What is found without changing anything.
pub(crate) enum Found {
    /// Nothing, and the mark of a replica that has never run.
    New,
    /// Records that add up.
    Memory(Box<Memory>),
    /// Not all that was promised.
    Lost(Loss),
}

/// Looks at the data of a replica as a start would, and leaves it alone.
pub(crate) fn look(home: &Home, who: &Membership) -> Result<Found, StartupError> {
    let start = Start {
        home,
        mark: FoundingMark::of(home),
        durability: Durability::Full,
        who,
    };
    let found = || -> Result<Option<Memory>, Unusable> {
        match sqlite::look(home, start.identity())? {
            Some(storage) => start.recall(storage).map(Some),
            None => Ok(None),
        }
    };
    match found() {
        Ok(Some(memory)) if memory.role.is_some() => Ok(Found::Memory(Box::new(memory))),
        Ok(_) if start.mark.is_there() => Ok(Found::New),
        Ok(_) => Ok(Found::Lost(Loss::Missing(home.data()))),
        Err(Unusable::Lost(loss)) => Ok(Found::Lost(loss)),
        Err(Unusable::Refused(error)) => Err(error),
    }
}

/// What a start works with.
struct Start<'a> {
    home: &'a Home,
    mark: FoundingMark<'a>,
    durability: Durability,
    who: &'a Membership,
}

impl Start<'_> {
    fn in_memory(&self) -> Result<(Memory, Standing), StartupError> {
        let data = self.home.data();
        if data.exists() {
            return Err(StartupError::RecordsIgnored(data));
        }
        let memory = Memory::empty(MemoryDisk::new().open());
        if self.mark.remove()? {
            return found(memory);
        }
        learn(memory, Loss::Missing(data))
    }

    fn on_disk(&self) -> Result<(Memory, Standing), StartupError> {
        let known = match self.remember() {
            Ok(memory) => self.standing(memory)?,
            Err(Unusable::Refused(error)) => return Err(error),
            Err(Unusable::Lost(loss)) => rejoin(self, loss)?,
        };
        let unsynced = self.home.data().join(UNSYNCED);
        match self.durability {
            Durability::Off => mark(&self.home.data(), &unsynced)?,
            Durability::Full => unmark(&unsynced)?,
        }
        Ok(known)
    }

    /// Opens the data, which is created if there is none, and reads all of it.
    fn remember(&self) -> Result<Memory, Unusable> {
        let storage = self.open()?;
        self.recall(storage)
    }

    /// Reads all of it.
    fn recall(&self, storage: Storage) -> Result<Memory, Unusable> {
        if self.home.data().join(UNSYNCED).exists() && !storage.clean_stop {
            return Err(Unusable::Lost(Loss::Unsynced(self.home.data())));
        }
        let memory = recall(&self.home.data(), &self.who.cluster, storage)?;
        if memory.role.is_none() && !memory.is_empty() {
            return Err(Unusable::Lost(Loss::NoRole(self.home.data())));
        }
        Ok(memory)
    }

    fn open(&self) -> Result<Storage, StorageError> {
        let options = sqlite::Options {
            durability: self.durability,
            database_bytes_max: None,
        };
        sqlite::open(self.home, self.identity(), options)
    }

    fn identity(&self) -> Identity {
        Identity {
            cluster: *self.who.cluster.id().0.as_bytes(),
            replica: u32::from(self.who.me.0),
        }
    }

    /// What a replica may do with a memory in which nothing is damaged.
    fn standing(&self, memory: Memory) -> Result<(Memory, Standing), StartupError> {
        match memory.role {
            Some(role) => {
                // A founding that was cut short in the last moment, or a mark that somebody put back.
                self.mark.remove()?;
                let standing = match role {
                    Role::Member { .. } => Standing::Member,
                    Role::Learner { .. } => Standing::Learner(Loss::NotRenewed),
                };
                Ok((memory, standing))
            }
            None if self.mark.is_there() => {
                let founded = found(memory)?;
                self.mark.remove()?;
                Ok(founded)
            }
            None => learn(memory, Loss::Missing(self.home.data())),
        }
    }
}

/// The first run of a replica.
fn found(memory: Memory) -> Result<(Memory, Standing), StartupError> {
    let role = Role::Member { from: Epoch(0) };
    let mut memory = memory.with_role(role)?;
    memory.first_run = true;
    Ok((memory, Standing::Member))
}

/// A new life of a replica that has lost the records of the one before.
fn learn(memory: Memory, loss: Loss) -> Result<(Memory, Standing), StartupError> {
    let nonce = Nonce(crypto::files::fresh()?);
    let memory = memory.with_role(Role::Learner { nonce })?;
    Ok((memory, Standing::Learner(loss)))
}

impl Memory {
    /// Of storage with nothing in it.
    fn empty(storage: Storage) -> Self {
        Memory {
            storage,
            role: None,
            records: Vec::new(),
            state: None,
            first_run: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.state.is_none()
    }

    /// Makes the role durable.
    fn with_role(mut self, role: Role) -> Result<Self, StorageError> {
        let record = Record::Role(role);
        self.storage.log.append(&Group {
            records: vec![StoredRecord {
                seq: record.seq().0,
                kind: record.kind(),
                bytes: Bytes::from(crypto::encode(&record)),
            }],
            truncate_below: None,
        })?;
        self.role = Some(role);
        Ok(self)
    }
}

/// Gives protocol and executor what is remembered.
fn rebuild(home: Home, who: &Membership, memory: Memory, standing: Standing) -> Restored {
    let signer: Arc<dyn crypto::Signer> = Arc::new(who.key.clone());
    let mut protocol = Pbft::new(who.me, Arc::clone(&who.cluster), who.policy.clone(), signer);
    let Memory {
        storage,
        role,
        records,
        state,
        first_run,
    } = memory;
    let records = role.map(Record::Role).into_iter().chain(records);
    let (mut count, mut stable) = (0, None);
    for record in records {
        if let Record::Stable(certificate) = &record {
            stable = Some(certificate.clone());
        }
        count += 1;
        protocol.restore(record);
    }
    let executor = match state {
        None => Executor::new(Arc::clone(&who.cluster), kv::Store::new()),
        Some(state) => {
            let configuration = state.executor.configuration().clone();
            protocol.restore_state(state.seq, state.digest, configuration);
            // A transferred state brings a certificate of which the log may not know yet.
            let with_state = state.meta.stable;
            if with_state.as_ref().map(|held| held.seq) > stable.as_ref().map(|held| held.seq) {
                stable = with_state.clone();
                with_state
                    .into_iter()
                    .for_each(|newer| protocol.restore(Record::Stable(newer)));
            }
            protocol.restore_checkpoints(&state.meta.earlier);
            state.executor
        }
    };
    if !storage.clean_stop {
        protocol.fence();
    }
    tracing::info!(
        incarnation = storage.incarnation,
        clean_stop = storage.clean_stop,
        records = count,
        checkpoint = executor.last_executed().0,
        ?standing,
        "storage is open"
    );
    Restored {
        home,
        storage,
        protocol,
        executor,
        stable,
        standing,
        first_run,
    }
}

fn mark(data: &Path, marker: &Path) -> Result<(), StartupError> {
    let made = File::create(marker)
        .and_then(|file| file.sync_all())
        .and_then(|()| File::open(data)?.sync_all());
    made.map_err(|source| StartupError::Marker {
        path: marker.to_owned(),
        action: "create",
        reason: source,
    })
}

fn unmark(marker: &Path) -> Result<(), StartupError> {
    match fs::remove_file(marker) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StartupError::Marker {
            path: marker.to_owned(),
            action: "remove",
            reason: source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod tests;
