//! What one replica is told: its directory and the options of its command line.
//!
//! ```text
//! DIR/replica.key      the secret key, 0600
//! DIR/cluster.toml     members, clients, limits, addresses
//! DIR/data/            what must survive a crash
//! DIR/evidence/        proofs against other replicas, if there were any
//! ```

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use consensus::{Cluster, Policy, ReplicaId};
use crypto::SecretKey;
use network::ClusterFile;
use network::genesis::{CLUSTER_FILE, REPLICA_KEY};

use crate::evidence::EVIDENCE;
use crate::storage::Durability;
use crate::storage::sqlite::DATA;

/// Where records and state are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// In SQLite files.
    Sqlite,
    /// In memory only: a benchmark mode. Such a replica is never started a second time.
    Memory,
}

impl Engine {
    /// As result files write it.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Sqlite => "sqlite",
            Engine::Memory => "memory",
        }
    }
}

/// As result files write it.
pub fn durability_name(durability: Durability) -> &'static str {
    match durability {
        Durability::Full => "full",
        Durability::Off => "off",
    }
}

/// How to run a replica.
#[derive(Clone, Debug)]
pub struct Options {
    /// The replica's directory.
    pub directory: PathBuf,
    /// Where to listen for peers, if not where cluster.toml says.
    pub listen: Option<SocketAddr>,
    /// Where to listen for clients, if not where cluster.toml says.
    pub client_listen: Option<SocketAddr>,
    /// Where to serve the status page over HTTP, if anywhere.
    pub admin: Option<SocketAddr>,
    /// Whether a vote reaches the disk before it leaves.
    pub durability: Durability,
    /// Where records and state are kept.
    pub engine: Engine,
    /// A file for the committed log, if any; replaced if it exists.
    pub committed_log: Option<PathBuf>,
    /// A file for the contents of what was executed, if any; replaced if it exists.
    pub executed_log: Option<PathBuf>,
    /// The folder for proofs against other replicas, if they are to be kept.
    pub evidence: Option<PathBuf>,
    /// Stop when standard input ends: how a child notices that its parent is gone.
    pub exit_with_stdin: bool,
    /// Threads that verify signatures, at least one.
    pub verify_workers: usize,
}

impl Options {
    /// The replica in `directory` with every option at its default.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        Options {
            evidence: Some(directory.join(EVIDENCE)),
            directory,
            listen: None,
            client_listen: None,
            admin: None,
            durability: Durability::Full,
            engine: Engine::Sqlite,
            committed_log: None,
            executed_log: None,
            exit_with_stdin: false,
            verify_workers: 1,
        }
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.join(DATA)
    }
}

/// Who a replica is and with whom it works.
pub struct Membership {
    /// Its number.
    pub me: ReplicaId,
    /// Its secret key.
    pub key: SecretKey,
    /// The configuration.
    pub cluster: Arc<Cluster>,
    /// How it behaves within the protocol.
    pub policy: Policy,
    /// Where every member listens for peers, in order of id.
    pub peer_addresses: Vec<SocketAddr>,
    /// Where this replica listens for clients.
    pub client_address: SocketAddr,
}

impl Membership {
    /// Reads a replica's directory.
    ///
    /// # Errors
    /// Names the file and the remedy.
    pub fn read(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join(CLUSTER_FILE);
        if !path.exists() {
            anyhow::bail!(
                "{} is no replica directory: it has no {CLUSTER_FILE}; `replica genesis -f 1 -o DIR` \
                 makes DIR/replica-0 and so on",
                directory.display()
            );
        }
        let file = ClusterFile::read(&path)?;
        let key = crypto::files::read_secret(&directory.join(REPLICA_KEY))?;
        let me = file.replica_of(&key.public()).with_context(|| {
            format!(
                "the key in {} is not that of a member of {}: put the right key there, or the \
                 cluster.toml of its cluster",
                directory.join(REPLICA_KEY).display(),
                path.display()
            )
        })?;
        let cluster = file.cluster().with_context(|| path.display().to_string())?;
        Ok(Membership {
            me: me.id,
            client_address: me.client,
            peer_addresses: file.replicas.iter().map(|replica| replica.peer).collect(),
            policy: file.policy(),
            cluster,
            key,
        })
    }

    /// Where this replica listens for peers.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer_addresses.get(self.me.index()).copied()
    }
}
