//! What one connection of a client may do, and whose requests it may bring.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use consensus::{ClientId, RequestId};
use network::wire_client::OBSERVATIONS_MAX;

use super::turned_away::TurnedAway;

/// Shortest time between two observations on one connection.
const OBSERVE_INTERVAL_MIN: Duration = Duration::from_millis(5);

/// Observations of one connection that may wait for their turn: some more than may be asked for at once, so that
/// nobody who heeds that waits in vain.
const OBSERVATIONS_WAITING_MAX: u32 = 16;
const _: () = assert!(OBSERVATIONS_WAITING_MAX as usize > OBSERVATIONS_MAX);

/// What a connection may do.
pub(super) struct Session {
    /// Its own client, and those that were attached.
    pub(super) speaks_for: BTreeSet<ClientId>,
    /// When the next observation may be answered.
    pub(super) next_observation: Instant,
    /// What it was told "busy" unread.
    pub(super) turned_away: TurnedAway,
}

impl Session {
    /// How long to wait before answering an observation that arrives now; `None` if too many wait
    /// already, and it is dropped.
    pub(super) fn observe_turn(&mut self, now: Instant) -> Option<Duration> {
        let turn = self.next_observation.max(now);
        let wait = turn - now;
        if wait >= OBSERVE_INTERVAL_MIN * OBSERVATIONS_WAITING_MAX {
            return None;
        }
        self.next_observation = turn + OBSERVE_INTERVAL_MIN;
        Some(wait)
    }

    /// Does this request claim to be of a client that it may speak for?
    pub(super) fn owns(&self, raw: &Bytes) -> bool {
        claimed_id(raw).is_some_and(|id| self.speaks_for.contains(&id.client))
    }
}

/// Whose request this claims to be: its first three fields (consensus::request).
pub(crate) fn claimed_id(raw: &[u8]) -> Option<RequestId> {
    let (client, rest) = raw.split_first_chunk::<4>()?;
    let (session, rest) = rest.split_first_chunk::<8>()?;
    let (number, _) = rest.split_first_chunk::<8>()?;
    Some(RequestId {
        client: ClientId(u32::from_le_bytes(*client)),
        session: u64::from_le_bytes(*session),
        number: u64::from_le_bytes(*number),
    })
}
