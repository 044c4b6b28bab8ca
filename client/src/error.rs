//! What can go wrong for a client, and who is to blame.

use std::path::PathBuf;
use std::time::Duration;

use consensus::ReplicaId;
use consensus::client::{SubmitError, TimedOut};
use crypto::files::KeyFileError;
use crypto::tls::TlsError;
use network::{ClusterFileError, EndpointError};

/// Why a client could not be started or reached no cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The cluster file cannot be used. Whoever wrote it is to blame.
    #[error(transparent)]
    ClusterFile(#[from] ClusterFileError),
    /// The configuration is impossible. Whoever wrote it is to blame.
    #[error("impossible cluster configuration: {0}")]
    Config(#[from] consensus::ConfigError),
    /// The key file cannot be used. The operator is to blame.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The key is none of the cluster's clients. The caller is to blame.
    #[error(
        "the key {} is not a client of this cluster: use one of the files in its clients directory",
        .0.as_deref().map_or("given".into(), |path| format!("in {}", path.display()))
    )]
    UnknownKey(Option<PathBuf>),
    /// A hub without a key can do nothing. The caller is to blame.
    #[error("no client key given: give at least one")]
    NoKey,
    /// No socket. This machine is to blame.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// No TLS. A broken build is to blame.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Too few replicas answer. The cluster or the network is to blame.
    #[error(
        "only {connected} of {n} replicas are connected after {waited:?}, {need} are needed: {detail}"
    )]
    TooFewReplicas {
        /// Replicas with a connection.
        connected: usize,
        /// Replicas of the cluster.
        n: usize,
        /// Replicas without which nothing can be decided.
        need: usize,
        /// How long it was waited for.
        waited: Duration,
        /// Each missing replica's address and error.
        detail: String,
    },
}

/// Why a request has no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    /// It is over a limit, or too many are outstanding. The caller is to blame.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The hub's queue is full. The caller asks for more than the cluster does.
    #[error("the client's queue is full: wait for results before asking for more")]
    QueueFull,
    /// No accepted result in time. The cluster or the network is to blame; whether the request
    /// was executed is unknown.
    #[error("unknown whether it was executed: {0}")]
    TimedOut(Box<TimedOut>),
    /// The replicas do not know this client. The configuration is to blame.
    #[error("denied: the replicas do not accept this client's key")]
    Denied,
    /// Another process uses the same key, or the clock went back. The operator is to blame.
    #[error(
        "a newer session ({0}) of this client key exists: another process uses the key, or this machine's clock went back; use a key of its own for each process"
    )]
    StaleSession(u64),
    /// The replicas say that this client has the reply already. A bug, or a session number used
    /// twice.
    #[error("the replicas say that this request was answered and acknowledged before")]
    AlreadyAcked,
    /// The hub was closed before there was a result.
    #[error("the client was closed before there was a result")]
    Closed,
    /// f + 1 replicas agree on results that this client cannot read: another version.
    #[error(
        "the replicas' results cannot be read ({0}): client and replicas are of different versions"
    )]
    UnreadableResult(String),
}

/// Why an operation did not do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OperationError {
    /// There is no result.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It is beyond a bound of the store. The caller is to blame; nothing was sent.
    #[error("{0}")]
    OutOfBounds(kv::Bound),
    /// Create: the key exists.
    #[error("the key exists already (version {0})")]
    AlreadyExists(kv::Version),
    /// Update or delete: the key does not exist.
    #[error("the key does not exist")]
    NotFound,
    /// Cas: the key is not as expected.
    #[error("the key is not as expected: it {}", .0.map_or("does not exist".into(), |version| format!("has version {version}")))]
    Mismatch(Option<kv::Version>),
    /// Rolled back, because another operation of the same atomic request failed.
    #[error("rolled back: another operation of the same atomic request failed")]
    RolledBack,
}

/// Why a replica shows nothing of itself.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ObserveError {
    /// There is no such replica. The caller is to blame.
    #[error("the cluster has no replica {}", .0.0)]
    NoSuchReplica(ReplicaId),
    /// There is no connection. The replica or the network is to blame.
    #[error("replica {} is not connected", .0.0)]
    NotConnected(ReplicaId),
    /// It did not answer in time. The replica is to blame.
    #[error("replica {} did not answer within {patience:?}", replica.0)]
    Silent {
        /// Who.
        replica: ReplicaId,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The hub is closed.
    #[error("the client is closed")]
    Closed,
}
