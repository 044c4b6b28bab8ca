//! A stopped replica's data as a reader sees it: whose it is, how far it had come, and whether it adds
//! up. Nothing is changed, but the lock is held meanwhile.

use std::path::{Path, PathBuf};

use consensus::pbft::message::Mode;
use consensus::pbft::record::{Record, Role};
use serde::Serialize;

use crate::config::Membership;
use crate::startup::{self, Memory};
use crate::storage::StorageError;
use crate::storage::sqlite::{self, Home};

/// What the next start makes of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It has never run; its first run gives it a vote.
    New,
    /// It votes.
    Member,
    /// It has lost its records before and waits for its vote.
    Learner,
    /// Its records are lost: it will be a learner.
    Lost,
}

/// What is in a replica's directory.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The directory.
    pub directory: PathBuf,
    /// The replica's number.
    pub replica: u16,
    /// The cluster's id, hexadecimal.
    pub cluster: String,
    /// What the next start makes of it.
    pub standing: Standing,
    /// What does not add up, with the file; `None` if everything does.
    pub damage: Option<String>,
    /// What is remembered, if it adds up.
    pub memory: Option<Remembered>,
    /// Data that was set aside, oldest first.
    pub set_aside: Vec<PathBuf>,
}

/// Records and state.
#[derive(Clone, Debug, Serialize)]
pub struct Remembered {
    /// How often the storage was opened.
    pub incarnation: u64,
    /// Whether the last run marked a clean stop.
    pub clean_stop: bool,
    /// The first epoch in which it votes, for a member.
    pub member_from_epoch: Option<u64>,
    /// The epoch that it had entered.
    pub epoch: u64,
    /// The view of the last view record; 0 if there is none.
    pub view: u64,
    /// Whether it had left that view's predecessor but not entered it.
    pub changing_view: bool,
    /// The highest stable checkpoint with a certificate; 0 if there is none.
    pub stable: u64,
    /// The checkpoint of the stored state; 0 if there is none.
    pub checkpoint: u64,
    /// Digest of that state, recomputed and found equal; hexadecimal.
    pub state_digest: Option<String>,
    /// Keys in that state.
    pub keys: usize,
    /// Records in the log, whose chain was verified, by kind.
    pub records: Records,
}

/// Numbers of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Records {
    /// PREPARE votes.
    pub votes: usize,
    /// The lowest and the highest slot with a vote.
    pub voted: Option<(u64, u64)>,
    /// Prepared certificates.
    pub prepared: usize,
    /// All others, each the latest of its kind.
    pub unbound: usize,
}

/// Reads and verifies everything in a replica's directory.
///
/// # Errors
/// If the directory is no replica's, is in use, or cannot be read. Damage is no error.
pub fn inspect(directory: &Path) -> anyhow::Result<Inspection> {
    let who = Membership::read(directory)?;
    let home = Home::lock(directory)?;
    let (standing, damage, memory) = match startup::look(&home, &who) {
        Ok(startup::Found::New) => (Standing::New, None, None),
        Ok(startup::Found::Memory(memory)) => {
            let standing = match memory.role {
                Some(Role::Member { .. }) => Standing::Member,
                Some(Role::Learner { .. }) | None => Standing::Learner,
            };
            (standing, None, Some(Remembered::of(*memory)))
        }
        Ok(startup::Found::Lost(loss)) => (Standing::Lost, Some(loss.to_string()), None),
        Err(error) => return Err(error.into()),
    };
    Ok(Inspection {
        directory: directory.to_owned(),
        replica: who.me.0,
        cluster: format!("{}", who.cluster.id().0),
        standing,
        damage,
        memory,
        set_aside: sqlite::aside(&home)?,
    })
}

/// Whether a running replica is why [`inspect`] failed.
pub fn is_in_use(error: &anyhow::Error) -> bool {
    let storage = match error.downcast_ref::<startup::StartupError>() {
        Some(startup::StartupError::Storage(error)) => Some(error),
        _ => error.downcast_ref::<StorageError>(),
    };
    matches!(storage, Some(StorageError::AlreadyInUse { .. }))
}

impl Remembered {
    fn of(memory: Memory) -> Self {
        let mut remembered = Remembered {
            incarnation: memory.storage.incarnation,
            clean_stop: memory.storage.clean_stop,
            member_from_epoch: match memory.role {
                Some(Role::Member { from }) => Some(from.0),
                _ => None,
            },
            epoch: 0,
            view: 0,
            changing_view: false,
            stable: 0,
            checkpoint: 0,
            state_digest: None,
            keys: 0,
            records: Records::default(),
        };
        for record in &memory.records {
            remembered.count(record);
        }
        remembered.records.unbound += usize::from(memory.role.is_some());
        if let Some(state) = memory.state {
            remembered.checkpoint = state.seq.0;
            remembered.state_digest = Some(state.digest.to_string());
            remembered.keys = state.executor.machine().len();
            let stable = state.meta.stable.map_or(0, |certificate| certificate.seq.0);
            remembered.stable = remembered.stable.max(stable);
        }
        remembered
    }

    fn count(&mut self, record: &Record) {
        match record {
            Record::Vote { statement, .. } => {
                let seq = statement.seq.0;
                let (low, high) = self.records.voted.unwrap_or((seq, seq));
                self.records.voted = Some((low.min(seq), high.max(seq)));
                self.records.votes += 1;
            }
            Record::Prepared(_) => self.records.prepared += 1,
            // They belong to votes that are counted.
            Record::Bodies { .. } => {}
            Record::Stable(certificate) => {
                self.stable = self.stable.max(certificate.seq.0);
                self.records.unbound += 1;
            }
            Record::View { view, mode, .. } => {
                self.view = view.0;
                self.changing_view = *mode == Mode::ViewChange;
                self.records.unbound += 1;
            }
            Record::Epoch { epoch, .. } => {
                self.epoch = epoch.0;
                self.records.unbound += 1;
            }
            Record::Role(_) => self.records.unbound += 1,
        }
    }
}
