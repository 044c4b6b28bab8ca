//! Founding a cluster: keys, one directory for each replica, and `cluster.toml`.
//!
//! ```text
//! DIR/cluster.toml                 for clients and for whoever wants to look
//! DIR/replica-<i>/cluster.toml     goes to machine i,
//! DIR/replica-<i>/replica.key      and its key goes nowhere else
//! DIR/replica-<i>/founding         the mark of a replica that has never run
//! DIR/clients/client-<i>.key       one for each client
//! ```
//!
//! Everything or nothing: it is made beside DIR under another name and renamed when complete.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use consensus::{ClientId, FastQuorum, Limits, Policy, ReplicaId};
use crypto::SecretKey;
use crypto::files::{self, KeyFileError};

use crate::cluster_file::{
    ClientEntry, ClusterFile, ClusterFileError, ReplicaEntry, sync_directory_of,
};

/// The name of a cluster file within a directory.
pub const CLUSTER_FILE: &str = "cluster.toml";
/// The name of a replica's key within its directory.
pub const REPLICA_KEY: &str = "replica.key";
/// The founding mark within a replica's directory. A replica without data may vote only if it has never
/// run, which nothing but this file says; its first run removes it (docs/protocol.md R12).
pub const FOUNDING_MARK: &str = "founding";
/// What the mark tells whoever looks into it.
const FOUNDING_TEXT: &str = "This replica has never run. Its first run removes this file; do not put it \
                             back: without its data, a replica that has run may not vote.\n";
/// Most clients of a genesis configuration: their keys are part of every replica's memory.
pub const CLIENTS_MAX: u32 = 100_000;

/// What a cluster is to be.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// Byzantine replicas tolerated.
    pub f: u16,
    /// Replicas; at least 3f + 1.
    pub n: u16,
    /// Which fast quorum.
    pub fast_quorum: FastQuorum,
    /// Limits that all replicas share.
    pub limits: Limits,
    /// How the replicas behave within the protocol.
    pub policy: Policy,
    /// Where the replicas listen.
    pub addresses: Addresses,
    /// How many clients.
    pub clients: u32,
    /// Where keys come from.
    pub keys: Keys,
}

/// Where replicas listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Replica i at `hosts[i mod len]`. On one host the first replica has `base_port` for peers
    /// and the next for clients, the second replica the two ports after these, and so on.
    Hosts {
        /// The machines.
        hosts: Vec<IpAddr>,
        /// The first port on each.
        base_port: u16,
    },
    /// Peer and client address of every replica.
    Explicit(Vec<(SocketAddr, SocketAddr)>),
}

/// Where keys come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// The operating system's random numbers.
    Random,
    /// All from one seed, for reproducible clusters on this machine's loopback only: whoever
    /// knows the seed has every key.
    Seeded([u8; 32]),
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Keys::Random => "Random",
            Keys::Seeded(_) => "Seeded(redacted)",
        })
    }
}

/// Why a cluster was not founded. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The directory has something in it already.
    #[error("{} is not empty: choose another directory, or remove it if its keys are not needed", .0.display())]
    Occupied(PathBuf),
    /// The directory could not be made.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The addresses do not suit the replicas.
    #[error("addresses: {0}")]
    Addresses(String),
    /// More clients than a configuration may have.
    #[error("{0} clients are more than {CLIENTS_MAX}")]
    Clients(u32),
    /// Keys that anybody can compute, for replicas that anybody can reach.
    #[error("keys from a seed are for loopback only, and {0} is not: leave the seed away")]
    SeedOffLoopback(SocketAddr),
    /// A key could not be made or stored.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The configuration is impossible.
    #[error(transparent)]
    File(#[from] ClusterFileError),
}

impl Genesis {
    /// A cluster on this machine's loopback with random keys and everything else at its default.
    pub fn local(f: u16, n: u16, base_port: u16, clients: u32) -> Self {
        let hosts = vec![IpAddr::from([127, 0, 0, 1])];
        Genesis {
            f,
            n,
            fast_quorum: FastQuorum::default(),
            limits: Limits::default(),
            policy: Policy::default(),
            addresses: Addresses::Hosts { hosts, base_port },
            clients,
            keys: Keys::Random,
        }
    }

    /// Founds the cluster in `directory`, which is missing or empty, and says what was written.
    ///
    /// # Errors
    /// If the configuration is impossible, the directory is not empty or the disk refuses.
    pub fn create(&self, directory: &Path) -> Result<ClusterFile, GenesisError> {
        refuse_occupied(directory)?;
        let (file, secrets) = self.configure()?;
        let partial = partial_beside(directory);
        let written = write_all(&partial, &file, &secrets).and_then(|()| {
            std::fs::rename(&partial, directory)
                .and_then(|()| sync_directory_of(directory))
                .map_err(io_error(directory, "create"))
        });
        if written.is_err() {
            // Something failed already; that removal may fail too adds nothing to the report.
            let _ = std::fs::remove_dir_all(&partial);
        }
        written.map(|()| file)
    }

    /// The configuration and its keys, in memory.
    fn configure(&self) -> Result<(ClusterFile, Secrets), GenesisError> {
        if self.clients > CLIENTS_MAX {
            return Err(GenesisError::Clients(self.clients));
        }
        let addresses = self.addresses.assign(self.n)?;
        if let Keys::Seeded(_) = self.keys {
            let all = addresses.iter().flat_map(|(peer, client)| [peer, client]);
            if let Some(outside) = all.into_iter().find(|address| !address.ip().is_loopback()) {
                return Err(GenesisError::SeedOffLoopback(*outside));
            }
        }
        let key = |label: &str, index: u64| match &self.keys {
            Keys::Random => files::generate(),
            Keys::Seeded(seed) => Ok(SecretKey::derive(seed, label, index)),
        };
        let secrets = Secrets {
            replicas: (0..u64::from(self.n))
                .map(|i| key("replica", i))
                .collect::<Result<_, _>>()?,
            clients: (0..u64::from(self.clients))
                .map(|i| key("client", i))
                .collect::<Result<_, _>>()?,
        };
        let replicas = (0..self.n).zip(&secrets.replicas).zip(addresses);
        let file = ClusterFile {
            f: self.f,
            fast_quorum: self.fast_quorum,
            limits: self.limits.clone(),
            policy: self.policy.clone(),
            replicas: replicas
                .map(|((id, key), (peer, client))| ReplicaEntry {
                    id: ReplicaId(id),
                    key: key.public(),
                    peer,
                    client,
                })
                .collect(),
            clients: (0..self.clients)
                .zip(&secrets.clients)
                .map(|(id, key)| ClientEntry {
                    id: ClientId(id),
                    key: key.public(),
                })
                .collect(),
        };
        // What is written must be readable: the reader's checks are the only ones there are.
        let path = Path::new(CLUSTER_FILE);
        ClusterFile::parse(&file.to_toml(path)?, path)?;
        Ok((file, secrets))
    }
}

struct Secrets {
    replicas: Vec<SecretKey>,
    clients: Vec<SecretKey>,
}

impl Addresses {
    fn assign(&self, n: u16) -> Result<Vec<(SocketAddr, SocketAddr)>, GenesisError> {
        match self {
            Addresses::Explicit(addresses) if addresses.len() == usize::from(n) => {
                Ok(addresses.clone())
            }
            Addresses::Explicit(addresses) => Err(GenesisError::Addresses(format!(
                "{} are given for {n} replicas: give one pair for each",
                addresses.len()
            ))),
            Addresses::Hosts { hosts, base_port } => {
                let mut next_port: BTreeMap<IpAddr, u32> = BTreeMap::new();
                hosts
                    .iter()
                    .cycle()
                    .take(usize::from(n))
                    .map(|host| {
                        let next = next_port
                            .entry(*host)
                            .or_insert_with(|| u32::from(*base_port));
                        let peer = port(*next)?;
                        let client = port(*next + 1)?;
                        *next += 2;
                        Ok((SocketAddr::new(*host, peer), SocketAddr::new(*host, client)))
                    })
                    .collect::<Result<Vec<_>, _>>()
                    .and_then(|assigned| match assigned.is_empty() {
                        true => Err(GenesisError::Addresses(
                            "no host is given: give at least one".into(),
                        )),
                        false => Ok(assigned),
                    })
            }
        }
    }
}

fn port(number: u32) -> Result<u16, GenesisError> {
    u16::try_from(number).map_err(|_| {
        GenesisError::Addresses("ports end at 65535: choose a smaller base port".into())
    })
}

fn refuse_occupied(directory: &Path) -> Result<(), GenesisError> {
    match std::fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(GenesisError::Occupied(directory.into())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error(directory, "look into")(error)),
    }
}

/// A name beside `directory`, on the same file system, so that one rename completes the work.
fn partial_beside(directory: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(directory.file_name().unwrap_or("cluster".as_ref()));
    name.push(format!(".partial-{}", std::process::id()));
    directory.with_file_name(name)
}

fn write_all(root: &Path, file: &ClusterFile, secrets: &Secrets) -> Result<(), GenesisError> {
    if let Some(parent) = root.parent() {
        std::fs::create_dir_all(parent).map_err(io_error(parent, "create"))?;
    }
    private_directory(root)?;
    file.write(&root.join(CLUSTER_FILE))?;
    for (id, key) in secrets.replicas.iter().enumerate() {
        let directory = replica_directory(root, ReplicaId(id as u16));
        private_directory(&directory)?;
        file.write(&directory.join(CLUSTER_FILE))?;
        // Before the key, with which the directory's entries go to disk.
        leave_mark(&directory.join(FOUNDING_MARK))?;
        files::write_secret(&directory.join(REPLICA_KEY), key)?;
    }
    private_directory(&root.join("clients"))?;
    for (id, key) in secrets.clients.iter().enumerate() {
        files::write_secret(&client_key(root, ClientId(id as u32)), key)?;
    }
    Ok(())
}

fn leave_mark(path: &Path) -> Result<(), GenesisError> {
    let write = || -> std::io::Result<()> {
        let mut mark = std::fs::File::create_new(path)?;
        mark.write_all(FOUNDING_TEXT.as_bytes())?;
        mark.sync_all()
    };
    write().map_err(io_error(path, "create"))
}

/// The directory of a replica below the directory of its cluster.
pub fn replica_directory(cluster: &Path, id: ReplicaId) -> PathBuf {
    cluster.join(format!("replica-{id}"))
}

/// The key file of a client below the directory of its cluster.
pub fn client_key(cluster: &Path, id: ClientId) -> PathBuf {
    cluster.join("clients").join(format!("client-{id}.key"))
}

fn private_directory(path: &Path) -> Result<(), GenesisError> {
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(io_error(path, "create"))
}

fn io_error(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> GenesisError {
    move |source| GenesisError::Io {
        path: path.into(),
        action,
        source,
    }
}
