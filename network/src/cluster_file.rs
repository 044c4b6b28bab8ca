//! `cluster.toml`: who the members and clients are, where they listen, and the limits they share.
//!
//! Everybody reads the same file. What all must agree on (members, clients, f, fast quorum,
//! limits) makes the cluster's id, which stands in the file and is computed again when it is read:
//! a file that was changed by hand on one machine is refused there, and does not make a replica
//! that quietly disagrees with the others. Addresses and the policy may differ from file to file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use consensus::{
    ClientId, Cluster, CommitMode, ConfigError, FastQuorum, Limits, Policy, ReplicaId,
};
use crypto::PublicKey;

use crate::frame::PEER_FRAME_MAX;

mod schema;

/// The contents of a `cluster.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFile {
    /// Byzantine replicas tolerated.
    pub f: u16,
    /// Which fast quorum.
    pub fast_quorum: FastQuorum,
    /// Limits that all replicas share.
    pub limits: Limits,
    /// How the replicas that read this file behave within the protocol.
    pub policy: Policy,
    /// The members; the entry at position i has id i.
    pub replicas: Vec<ReplicaEntry>,
    /// The clients; the entry at position i has id i.
    pub clients: Vec<ClientEntry>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaEntry {
    /// Its id.
    pub id: ReplicaId,
    /// Its key.
    pub key: PublicKey,
    /// Where it listens for the other replicas.
    pub peer: SocketAddr,
    /// Where it listens for clients.
    pub client: SocketAddr,
}

/// A client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientEntry {
    /// Its id.
    pub id: ClientId,
    /// Its key.
    pub key: PublicKey,
}

/// Why a cluster file cannot be used. Whoever wrote it is to blame, or the disk.
#[derive(Debug, thiserror::Error)]
pub enum ClusterFileError {
    /// The file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of a wrong kind. The text names line and key.
    #[error("{}: {message}\ncorrect that line; `replica genesis` writes a valid file", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// A value that is impossible.
    #[error("{}: {key}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Its key.
        key: String,
        /// What is wrong with it, and the remedy.
        problem: String,
    },
    /// Values that do not go together.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ConfigError,
    },
    /// The file was changed after its id was computed.
    #[error("{}: id: the file says {written}, its contents give {computed}: copy the unchanged file from another replica", path.display())]
    Id {
        /// The file.
        path: PathBuf,
        /// As written.
        written: String,
        /// As computed.
        computed: String,
    },
}

impl ClusterFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Names the file, the key and the remedy.
    pub fn read(path: &Path) -> Result<Self, ClusterFileError> {
        let text = std::fs::read_to_string(path).map_err(|source| ClusterFileError::Io {
            path: path.into(),
            action: "read",
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Checks the text of a file; `path` is for messages only.
    ///
    /// # Errors
    /// As [`ClusterFile::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ClusterFileError> {
        schema::parse(text, path)
    }

    /// Writes the file, replacing an older one only once the new one is on disk.
    ///
    /// # Errors
    /// If the configuration is impossible or the disk refuses.
    pub fn write(&self, path: &Path) -> Result<(), ClusterFileError> {
        let text = self.to_toml(path)?;
        let failed = |source| ClusterFileError::Io {
            path: path.into(),
            action: "write",
            source,
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        let written = write_synced(&new, text.as_bytes())
            .and_then(|()| std::fs::rename(&new, path))
            .and_then(|()| sync_directory_of(path));
        written.map_err(|source| {
            // The write has failed already; a left-over file adds nothing to the report.
            let _ = std::fs::remove_file(&new);
            failed(source)
        })
    }

    /// The text of the file; `path` is for messages only.
    ///
    /// # Errors
    /// If the configuration is impossible.
    pub fn to_toml(&self, path: &Path) -> Result<String, ClusterFileError> {
        schema::to_toml(self, path)
    }

    /// The configuration that the replicas agree on.
    ///
    /// # Errors
    /// If it is impossible; a file that was read is not.
    pub fn cluster(&self) -> Result<Arc<Cluster>, ConfigError> {
        let replicas = self.replicas.iter().map(|replica| replica.key).collect();
        let clients = self.clients.iter().map(|client| client.key).collect();
        let cluster = Cluster::genesis(
            self.f,
            self.fast_quorum,
            self.limits.clone(),
            replicas,
            clients,
        )?;
        let largest = cluster.new_view_bytes_max();
        if largest > PEER_FRAME_MAX as u64 {
            return Err(ConfigError::Limit(format!(
                "log_window = {} at n = {} makes new-views of up to {largest} bytes, which do not \
                 fit into a frame of {PEER_FRAME_MAX}: lower log_window",
                self.limits.log_window,
                cluster.quorums().n(),
            )));
        }
        Ok(Arc::new(cluster))
    }

    /// How a replica that reads this file behaves within the protocol.
    pub fn policy(&self) -> Policy {
        self.policy.clone()
    }

    /// The member with this id.
    pub fn replica(&self, id: ReplicaId) -> Option<&ReplicaEntry> {
        self.replicas.get(id.index())
    }

    /// The member with this key: how a replica finds out who it is.
    pub fn replica_of(&self, key: &PublicKey) -> Option<&ReplicaEntry> {
        self.replicas.iter().find(|replica| replica.key == *key)
    }

    /// The client with this key: how a client finds out who it is.
    pub fn client_of(&self, key: &PublicKey) -> Option<&ClientEntry> {
        self.clients.iter().find(|client| client.key == *key)
    }
}

pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A new name is on disk only when its directory is.
pub(crate) fn sync_directory_of(path: &Path) -> std::io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::File::open(parent)?.sync_all()
}

/// Commit modes as the file names them.
const COMMIT_MODES: [(&str, CommitMode); 2] = [
    ("adaptive", CommitMode::Adaptive),
    ("eager", CommitMode::Eager),
];
