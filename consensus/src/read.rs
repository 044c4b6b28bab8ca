//! READ: what a client asks of replicas' executed state, beside the log (docs/protocol.md R14).
//!
//! ```text
//! body = client u32 ‖ session u64 ‖ number u64 ‖ grade u8 ‖ count u16 ‖ (len u32 ‖ op)*
//! raw  = body ‖ signature (64 bytes)
//! ```
//!
//! Session and number are the nonce. Numbers of reads have their highest bit set, so no answer to a
//! read is taken for one to a request. Received bytes are kept; a READ is passed on to nobody.

mod answer;
mod gate;

use bytes::Bytes;
use crypto::{Check, ClusterId, Kind, Sender, Signature, Signer, signing_digest};

use crate::byte_list::ByteList;
use crate::ids::{ClientId, RequestId};
use crate::keyring::Keyring;
use crate::request::{Cursor, RequestError, SIGNATURE_LEN};
use crate::settings::Limits;

pub use answer::{NotARead, ReadVersion, answer};
pub use gate::ReadGate;

/// Numbers of reads have this bit; numbers of requests never get that far.
pub const READ_NUMBERS: u64 = 1 << 63;

const HEADER_LEN: usize = 4 + 8 + 8 + 1 + 2;
/// Bytes that a READ has beside its operations.
pub const READ_OVERHEAD: usize = HEADER_LEN + SIGNATURE_LEN;

/// What a read is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Linearizable: n − f replicas agree on it.
    Quorum,
    /// One replica's word, which may be old, or a lie.
    Stale,
}

impl Grade {
    fn code(self) -> u8 {
        match self {
            Grade::Quorum => 0,
            Grade::Stale => 1,
        }
    }
}

/// A well-formed READ. Whether its signature holds is said by `Verified<Read>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Read {
    /// The nonce: who asks, in which session, and which read it is.
    pub id: RequestId,
    /// What its answer will be worth.
    pub grade: Grade,
    /// The operations, opaque to the protocol; executed on one state.
    pub ops: ByteList,
    raw: Bytes,
}

/// Why bytes are not a READ. The sender is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// As a request would be wrong.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The number is that of a request.
    #[error("a read with the number of a request")]
    Number,
    /// Writes complete with too few replies for it.
    #[error("quorum reads are off in this cluster (`quorum_reads` in its cluster file)")]
    Off,
}

impl Read {
    /// Builds and signs a READ.
    pub fn sign(
        signer: &dyn Signer,
        cluster: &ClusterId,
        id: RequestId,
        grade: Grade,
        ops: &ByteList,
    ) -> Self {
        let mut raw = Vec::with_capacity(READ_OVERHEAD.saturating_add(ops.as_bytes().len()));
        raw.extend_from_slice(&id.client.0.to_le_bytes());
        raw.extend_from_slice(&id.session.to_le_bytes());
        raw.extend_from_slice(&id.number.to_le_bytes());
        raw.push(grade.code());
        let count = u16::try_from(ops.len()).expect("a byte list counts in u16");
        raw.extend_from_slice(&count.to_le_bytes());
        raw.extend_from_slice(ops.as_bytes());
        let sender = Sender::Client(id.client.0);
        let signature = signer.sign(&signing_digest(Kind::Read, cluster, 0, sender, &raw));
        raw.extend_from_slice(&signature.0);
        Read {
            id,
            grade,
            ops: ops.clone(),
            raw: Bytes::from(raw),
        }
    }

    /// Takes received bytes apart, within the limits of the configuration, which are those of
    /// requests.
    ///
    /// # Errors
    /// If they are malformed or over a limit, or ask for a quorum read where those are off.
    pub fn parse(raw: Bytes, limits: &Limits) -> Result<Self, ReadError> {
        if raw.len() > limits.batch_bytes_max as usize {
            return Err(RequestError::TooLarge(raw.len()).into());
        }
        let ops_end = raw
            .len()
            .checked_sub(SIGNATURE_LEN)
            .filter(|end| *end >= HEADER_LEN)
            .ok_or(RequestError::Malformed)?;
        let mut cursor = Cursor(&raw);
        let id = RequestId {
            client: ClientId(u32::from_le_bytes(cursor.take()?)),
            session: u64::from_le_bytes(cursor.take()?),
            number: u64::from_le_bytes(cursor.take()?),
        };
        let grade = match cursor.take::<1>()? {
            [0] => Grade::Quorum,
            [1] => Grade::Stale,
            _ => return Err(RequestError::Malformed.into()),
        };
        let count = u16::from_le_bytes(cursor.take()?);
        let ops = ByteList::parse(count, raw.slice(HEADER_LEN..ops_end))
            .map_err(|_| RequestError::Malformed)?;
        limits.check_ops(&ops)?;
        if !id.is_read() {
            return Err(ReadError::Number);
        }
        if grade == Grade::Quorum && !limits.quorum_reads {
            return Err(ReadError::Off);
        }
        Ok(Read {
            id,
            grade,
            ops,
            raw,
        })
    }

    /// The complete bytes, signature included, as they travel.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The check of the sender's signature; `None` for a client outside the configuration. Replicas'
    /// services read nothing.
    pub fn check<'k>(&self, keyring: &'k Keyring) -> Option<Check<'k>> {
        let (body, signature) = self.raw.split_last_chunk::<SIGNATURE_LEN>()?;
        keyring.client_check(Kind::Read, self.id.client, body, Signature(*signature))
    }
}

impl RequestId {
    /// Is this the nonce of a read (R14)?
    pub fn is_read(&self) -> bool {
        self.number & READ_NUMBERS != 0
    }
}

impl std::fmt::Debug for Read {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RequestId {
            client,
            session,
            number,
        } = self.id;
        let (number, ops) = (number & !READ_NUMBERS, self.ops.len());
        write!(f, "Read({client:?}/{session}/{number}, {ops} ops)")
    }
}
