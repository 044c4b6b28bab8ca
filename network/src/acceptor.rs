//! Taking connections in, within limits.
//!
//! Before its handshake is complete nobody is anybody: such connections are few, each has a
//! deadline, and when many are open the next must first prove that its address is its own
//! (`retry`). After it, a connection belongs to a key, and one key has few of them, so that one
//! client cannot take the places of the others.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crypto::PublicKey;
use quinn::{Connection, ConnectionError, Endpoint, Incoming, VarInt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::endpoint::{HANDSHAKE_DEADLINE, remote_key};
use crate::transport::Class;

/// How many connections a port takes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Handshakes under way at a time; more are ignored, and the dialer tries again by itself.
    pub half_open_max: usize,
    /// From this many handshakes on, the next must prove its address first.
    pub retry_above: usize,
    /// Connections of all keys; more are refused.
    pub connections_max: usize,
    /// Connections of one key; more are closed after the handshake.
    pub per_key_max: usize,
    /// How long a handshake may take.
    pub handshake_deadline: Duration,
}

impl Caps {
    /// The limits of a port of `class` for `keys` accepted keys.
    pub fn of(class: Class, keys: usize) -> Self {
        let (half_open_max, retry_above, per_key_max, ceiling) = match class {
            // A replica that restarts dials while its old connection still seems to be there.
            Class::Peer => (64, 16, 4, 1024),
            Class::Client => (256, 64, 8, 1024),
        };
        let connections_max = keys.saturating_mul(per_key_max).clamp(per_key_max, ceiling);
        Caps {
            half_open_max,
            retry_above,
            connections_max,
            per_key_max,
            handshake_deadline: HANDSHAKE_DEADLINE,
        }
    }
}

/// A connection whose other end has proved its key.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub connection: Connection,
    /// Who is at the other end.
    pub key: PublicKey,
    /// Its place among the allowed ones: keep it as long as the connection.
    pub place: Place,
}

/// The connections of each key.
type Places = Mutex<BTreeMap<[u8; 32], usize>>;

/// A taken place; free again when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    key: [u8; 32],
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = lock(&self.places);
        if let Some(count) = places.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                places.remove(&self.key);
            }
        }
    }
}

/// Why an incoming connection came to nothing. The dialer is to blame; counted, not answered.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The handshake failed: an unknown key, no key, or another protocol.
    #[error("handshake failed: {0}")]
    Handshake(#[from] ConnectionError),
    /// The handshake was not completed in time.
    #[error("handshake not completed within {0:?}")]
    Deadline(Duration),
    /// The certificate is not one of ours; the verifier excludes it.
    #[error(transparent)]
    Key(#[from] crypto::tls::PeerError),
    /// This key has all the connections it may have.
    #[error("this key has {0} connections already")]
    TooMany(usize),
    /// All connections of the port are taken.
    #[error("all {0} connections of this port are taken")]
    Full(usize),
    /// All handshakes of the port are taken.
    #[error("{0} handshakes are under way already")]
    HalfOpen(usize),
}

/// Close code for a connection too many: it may be tried again later.
pub const CLOSE_TOO_MANY: VarInt = VarInt::from_u32(1);

/// Accepts connections of one endpoint.
#[derive(Debug)]
pub struct Acceptor {
    endpoint: Endpoint,
    caps: Caps,
    handshakes: JoinSet<Result<(Connection, PublicKey), Rejection>>,
    places: Arc<Places>,
}

impl Acceptor {
    /// Accepts what arrives at `endpoint`, within `caps`.
    pub fn new(endpoint: Endpoint, caps: Caps) -> Self {
        Acceptor {
            endpoint,
            caps,
            handshakes: JoinSet::new(),
            places: Arc::default(),
        }
    }

    /// The next connection, or why one was rejected; `None` when the endpoint is closed. A call
    /// may be abandoned and repeated. Nothing is accepted while nobody calls this.
    pub async fn next(&mut self) -> Option<Result<Accepted, Rejection>> {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    // A handshake task neither panics nor is aborted while this exists.
                    let Ok(result) = done else { continue };
                    return Some(result.and_then(|(connection, key)| self.admit(connection, key)));
                }
                incoming = self.endpoint.accept() => {
                    if let Err(rejection) = self.begin(incoming?) {
                        return Some(Err(rejection));
                    }
                }
            }
        }
    }

    /// Lets a handshake begin if there is room for it.
    fn begin(&mut self, incoming: Incoming) -> Result<(), Rejection> {
        let half_open = self.handshakes.len();
        if taken(&lock(&self.places)) >= self.caps.connections_max {
            incoming.refuse();
            return Err(Rejection::Full(self.caps.connections_max));
        }
        if half_open >= self.caps.half_open_max {
            incoming.ignore();
            return Err(Rejection::HalfOpen(half_open));
        }
        if half_open >= self.caps.retry_above && incoming.may_retry() {
            // Nothing is kept for it; an address that answers comes back validated.
            let _ = incoming.retry();
            return Ok(());
        }
        let connecting = incoming.accept()?;
        let deadline = self.caps.handshake_deadline;
        self.handshakes.spawn(async move {
            let connection = timeout(deadline, connecting)
                .await
                .map_err(|_| Rejection::Deadline(deadline))??;
            let key = remote_key(&connection)?;
            Ok((connection, key))
        });
        Ok(())
    }

    /// Gives a finished connection its place.
    fn admit(&self, connection: Connection, key: PublicKey) -> Result<Accepted, Rejection> {
        let mut places = lock(&self.places);
        // Handshakes that ran side by side may together be too many.
        if taken(&places) >= self.caps.connections_max {
            connection.close(CLOSE_TOO_MANY, b"too many connections");
            return Err(Rejection::Full(self.caps.connections_max));
        }
        let count = places.entry(*key.as_bytes()).or_default();
        if *count >= self.caps.per_key_max.max(1) {
            connection.close(CLOSE_TOO_MANY, b"too many connections of one key");
            return Err(Rejection::TooMany(*count));
        }
        *count = count.saturating_add(1);
        drop(places);
        let place = Place {
            places: Arc::clone(&self.places),
            key: *key.as_bytes(),
        };
        Ok(Accepted {
            connection,
            key,
            place,
        })
    }
}

fn taken(places: &BTreeMap<[u8; 32], usize>) -> usize {
    places.values().sum()
}

/// Counts are correct at every moment, so a panic elsewhere does not spoil them.
fn lock(places: &Places) -> MutexGuard<'_, BTreeMap<[u8; 32], usize>> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}
