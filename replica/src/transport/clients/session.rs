//! What one connection of a client may do, and whose requests it may bring.

use std::collections::BTreeSet;

use bytes::Bytes;
use consensus::{ClientId, RequestId};

use super::observations::Observations;
use super::turned_away::TurnedAway;

/// What a connection may do.
pub(super) struct Session {
    /// Its own client, and those that were attached.
    pub(super) speaks_for: BTreeSet<ClientId>,
    /// What it wants to know; `None` if it never asked.
    pub(super) observations: Option<Observations>,
    /// What it was told "busy" unread.
    pub(super) turned_away: TurnedAway,
}

impl Session {
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
