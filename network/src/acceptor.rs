//! Taking connections in, within limits.
//!
//! Before its handshake is complete nobody is anybody: such connections are few, each has a
//! deadline, and when many are open the next must first prove that its address is its own
//! (`retry`). If all places are taken by callers with proven addresses, the one that has been at it
//! for longest makes room: an honest handshake takes milliseconds, one that is meant to
//! block the port takes all the time that it is given. And only so many handshakes begin in a
//! second. After it, a connection belongs to a key, and one key has few of them, so that one
//! client cannot take the places of the others.

mod rate;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crypto::PublicKey;
use quinn::{Connection, ConnectionError, Endpoint, Incoming, VarInt};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use self::rate::Rate;
use crate::endpoint::{HANDSHAKE_DEADLINE, remote_key};
use crate::transport::{Class, Path, is_other_protocol};

/// How many connections a port takes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Handshakes under way at a time; one more takes the place of the oldest.
    pub half_open_max: usize,
    /// Handshakes that may begin in a second; more are ignored, and the dialer tries again by
    /// itself.
    pub handshakes_per_s_max: u32,
    /// From this many handshakes on, the next must prove its address first. On loopback everybody must:
    /// its datagrams are larger than what an unproven address may be sent (RFC 9000 8.1), and a
    /// round trip costs nothing there.
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
        let (half_open_max, handshakes_per_s_max, retry_above, per_key_max, ceiling) = match class {
            // A replica that restarts dials while its old connection still seems to be there. Who is
            // expected here are a handful of members, once each.
            Class::Peer => (64, 200, 16, 4, 1024),
            Class::Client => (256, 400, 64, 8, 1024),
        };
        let connections_max = keys.saturating_mul(per_key_max).clamp(per_key_max, ceiling);
        Caps {
            half_open_max,
            handshakes_per_s_max,
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
    /// The handshake failed: an unknown key, or none.
    #[error("handshake failed: {0}")]
    Handshake(ConnectionError),
    /// It offers no protocol that is spoken here.
    #[error(
        "it speaks another version of the protocol, or means another port; install the same version of Quintet everywhere"
    )]
    OtherProtocol,
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
    /// It made room for another handshake: too many were under way, and it was the oldest.
    #[error("{0} handshakes were under way, and this was the oldest")]
    HalfOpen(usize),
    /// Too many handshakes began in a short time.
    #[error("more than {0} handshakes in a second")]
    Rate(u32),
}

impl From<ConnectionError> for Rejection {
    fn from(error: ConnectionError) -> Self {
        match is_other_protocol(&error) {
            true => Rejection::OtherProtocol,
            false => Rejection::Handshake(error),
        }
    }
}

/// Close code for a connection too many: it may be tried again later.
pub const CLOSE_TOO_MANY: VarInt = VarInt::from_u32(1);

/// Accepts connections of one endpoint.
#[derive(Debug)]
pub struct Acceptor {
    endpoint: Endpoint,
    caps: Caps,
    loopback: bool,
    rate: Rate,
    handshakes: JoinSet<Result<(Connection, PublicKey), Rejection>>,
    /// Those under way, the oldest first; some may have ended.
    oldest_first: VecDeque<AbortHandle>,
    places: Arc<Places>,
}

impl Acceptor {
    /// Accepts what arrives at `endpoint`, within `caps`.
    pub fn new(endpoint: Endpoint, caps: Caps) -> Self {
        let burst = u32::try_from(caps.half_open_max).unwrap_or(u32::MAX);
        Acceptor {
            loopback: endpoint
                .local_addr()
                .is_ok_and(|address| Path::of(address.ip()) == Path::Loopback),
            endpoint,
            rate: Rate::new(caps.handshakes_per_s_max, burst, Instant::now()),
            caps,
            handshakes: JoinSet::new(),
            oldest_first: VecDeque::new(),
            places: Arc::default(),
        }
    }

    /// The next connection, or why one was rejected; `None` when the endpoint is closed. A call
    /// may be abandoned and repeated. Nothing is accepted while nobody calls this.
    pub async fn next(&mut self) -> Option<Result<Accepted, Rejection>> {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    // A handshake task does not panic: it was aborted to make room.
                    let Ok(result) = done else {
                        return Some(Err(Rejection::HalfOpen(self.caps.half_open_max)));
                    };
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
        let crowded = self.loopback || half_open >= self.caps.retry_above;
        if crowded && incoming.may_retry() {
            // Nothing is kept for it; an address that answers comes back validated.
            let _ = incoming.retry();
            return Ok(());
        }
        if !self.rate.take(Instant::now()) {
            incoming.ignore();
            return Err(Rejection::Rate(self.caps.handshakes_per_s_max));
        }
        self.oldest_first.retain(|one| !one.is_finished());
        if half_open >= self.caps.half_open_max
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            oldest.abort();
        }
        let connecting = incoming.accept()?;
        let deadline = self.caps.handshake_deadline;
        let handshake = self.handshakes.spawn(async move {
            let connection = timeout(deadline, connecting)
                .await
                .map_err(|_| Rejection::Deadline(deadline))??;
            let key = remote_key(&connection)?;
            Ok((connection, key))
        });
        self.oldest_first.push_back(handshake);
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
