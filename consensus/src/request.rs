//! A client's signed request: one or more operations under one signature (docs/protocol.md R4, R6).
//!
//! ```text
//! body = client u32 ‖ session u64 ‖ number u64 ‖ ack u64 ‖ flags u8 ‖ count u16 ‖ (len u32 ‖ op)*
//! raw  = body ‖ signature (64 bytes)
//! ```
//!
//! The received bytes are kept and travel on as they are; nothing is encoded a second time. All
//! integers are little-endian and every byte string has exactly one meaning, so the layout is
//! canonical by construction.

use bytes::Bytes;
use crypto::{Check, ClusterId, Digest, Signature, Signer};

use crate::byte_list::ByteList;
use crate::configuration::Renew;
use crate::ids::{ClientId, RequestId};
use crate::keyring::Keyring;
use crate::settings::Limits;

pub(crate) const SIGNATURE_LEN: usize = 64;
const HEADER_LEN: usize = 4 + 8 + 8 + 8 + 1 + 2;
/// Bytes that a request has beside its operations.
pub const REQUEST_OVERHEAD: usize = HEADER_LEN + SIGNATURE_LEN;
const FLAG_ATOMIC: u8 = 1;

/// A well-formed request. Whether its signature holds is said by `Verified<Request>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Identity: executed at most once.
    pub id: RequestId,
    /// The client has the replies to every number up to this one.
    pub ack: u64,
    /// All operations take effect or none does (R17).
    pub atomic: bool,
    op_count: u16,
    raw: Bytes,
    digest: Digest,
}

/// Why bytes are not a request. The sender is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Cut short, or lengths that do not add up.
    #[error("malformed request")]
    Malformed,
    /// More bytes than a batch may have.
    #[error("request of {0} bytes is too large")]
    TooLarge(usize),
    /// No operation, or too many.
    #[error("{0} operations in one request")]
    OpCount(usize),
    /// One operation is too long.
    #[error("operation of {0} bytes is too large")]
    OpTooLarge(usize),
    /// Number 0 or an acknowledgement of itself or later.
    #[error("impossible request number or acknowledgement")]
    Number,
}

impl Request {
    /// Builds and signs a request.
    pub fn sign(
        signer: &dyn Signer,
        cluster: &ClusterId,
        id: RequestId,
        ack: u64,
        atomic: bool,
        ops: &ByteList,
    ) -> Self {
        let mut raw = Vec::with_capacity(REQUEST_OVERHEAD + ops.as_bytes().len());
        raw.extend_from_slice(&id.client.0.to_le_bytes());
        raw.extend_from_slice(&id.session.to_le_bytes());
        raw.extend_from_slice(&id.number.to_le_bytes());
        raw.extend_from_slice(&ack.to_le_bytes());
        raw.push(if atomic { FLAG_ATOMIC } else { 0 });
        let count = u16::try_from(ops.len()).expect("a byte list counts in u16");
        raw.extend_from_slice(&count.to_le_bytes());
        raw.extend_from_slice(ops.as_bytes());
        let signed = Keyring::request_digest(cluster, id.client, &raw);
        let signature = signer.sign(&signed);
        raw.extend_from_slice(&signature.0);
        let raw = Bytes::from(raw);
        let digest = Digest::of("request", &raw);
        Request {
            id,
            ack,
            atomic,
            op_count: count,
            raw,
            digest,
        }
    }

    /// Takes received bytes apart, within the limits of the configuration.
    ///
    /// # Errors
    /// If they are malformed or over a limit.
    pub fn parse(raw: Bytes, limits: &Limits) -> Result<Self, RequestError> {
        if raw.len() > limits.batch_bytes_max as usize {
            return Err(RequestError::TooLarge(raw.len()));
        }
        let ops_len = raw
            .len()
            .checked_sub(REQUEST_OVERHEAD)
            .ok_or(RequestError::Malformed)?;
        let mut cursor = Cursor(&raw);
        let id = RequestId {
            client: ClientId(u32::from_le_bytes(cursor.take()?)),
            session: u64::from_le_bytes(cursor.take()?),
            number: u64::from_le_bytes(cursor.take()?),
        };
        let ack = u64::from_le_bytes(cursor.take()?);
        let atomic = match cursor.take::<1>()? {
            [0] => false,
            [FLAG_ATOMIC] => true,
            _ => return Err(RequestError::Malformed),
        };
        let count = u16::from_le_bytes(cursor.take()?);
        let ops = ByteList::parse(count, raw.slice(HEADER_LEN..HEADER_LEN + ops_len))
            .map_err(|_| RequestError::Malformed)?;
        limits.check_ops(&ops)?;
        if id.number == 0 || ack >= id.number {
            return Err(RequestError::Number);
        }
        let digest = Digest::of("request", &raw);
        Ok(Request {
            id,
            ack,
            atomic,
            op_count: count,
            raw,
            digest,
        })
    }

    /// Lets go of its own bytes for the same ones in a batch.
    pub(crate) fn share(&mut self, raw: Bytes) {
        debug_assert_eq!(self.raw, raw);
        self.raw = raw;
    }

    /// The operations, opaque to the protocol. They share the request's bytes.
    pub fn ops(&self) -> ByteList {
        let ops = HEADER_LEN..self.raw.len() - SIGNATURE_LEN;
        ByteList::parsed(self.op_count, self.raw.slice(ops))
    }

    /// How many operations.
    pub fn op_count(&self) -> usize {
        usize::from(self.op_count)
    }

    /// The complete bytes, signature included, as they travel.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// `H(request)`, over the complete bytes including the signature (R3).
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The check of the sender's signature; `None` for a client outside the configuration, and for
    /// a request of a replica's service that is no RENEW (R16).
    pub fn check<'k>(&self, keyring: &'k Keyring) -> Option<Check<'k>> {
        let (body, signature) = self.raw.split_last_chunk::<SIGNATURE_LEN>()?;
        if self.id.client.is_service() && Renew::of(self).is_none() {
            return None;
        }
        keyring.request_check(self.id.client, body, Signature(*signature))
    }
}

impl Limits {
    /// How many operations may be under one signature, and how long each.
    pub(crate) fn check_ops(&self, ops: &ByteList) -> Result<(), RequestError> {
        if ops.is_empty() || ops.len() > usize::from(self.request_ops_max) {
            return Err(RequestError::OpCount(ops.len()));
        }
        let op_max = self.op_bytes_max as usize;
        match ops.iter().find(|op| op.len() > op_max) {
            Some(op) => Err(RequestError::OpTooLarge(op.len())),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RequestId {
            client,
            session,
            number,
        } = self.id;
        write!(
            f,
            "Request({client:?}/{session}/{number}, {} ops)",
            self.op_count
        )
    }
}

/// Reads fixed-size pieces from the front.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl Cursor<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], RequestError> {
        let (piece, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(RequestError::Malformed)?;
        self.0 = rest;
        Ok(*piece)
    }
}
