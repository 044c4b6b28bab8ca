//! A batch: the requests that share a sequence number, and its digest (docs/protocol.md R3).

use std::collections::BTreeSet;

use crypto::{Check, Digest, Hasher};

use crate::keyring::Keyring;
use crate::raw_batch::RawBatch;
use crate::request::{Request, RequestError};
use crate::settings::Limits;

/// `NULL`: digest of the null batch, which executes as nothing (R1).
pub fn null_digest() -> Digest {
    Digest::of("null", &[])
}

/// A well-formed batch with the digest that was computed from its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// They share the bytes of `raw`: a log of some hundred batches holds each request once.
    requests: Vec<Request>,
    raw: RawBatch,
    digest: Digest,
}

/// Why bytes are not a batch that may be voted for (R7.2 step 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// No request, or too many.
    #[error("{0} requests in one batch")]
    Count(usize),
    /// Too many bytes.
    #[error("batch of {0} bytes is too large")]
    TooLarge(usize),
    /// A request is malformed.
    #[error("request {index}: {error}")]
    Request {
        /// Position in the batch.
        index: usize,
        /// What is wrong with it.
        error: RequestError,
    },
    /// One request twice.
    #[error("the same request twice in one batch")]
    Duplicate,
    /// A request of a client outside the configuration.
    #[error("request {0} is from an unknown client")]
    UnknownClient(usize),
}

impl Batch {
    /// A batch of requests that this replica admitted itself.
    pub fn new(mut requests: Vec<Request>) -> Self {
        let digest = digest_of(&requests);
        let raw: RawBatch = requests.iter().map(Request::raw).collect();
        for (request, bytes) in requests.iter_mut().zip(raw.iter()) {
            request.share(bytes);
        }
        // It is kept in the log: without the room that growing left behind it.
        requests.shrink_to_fit();
        Batch {
            requests,
            raw,
            digest,
        }
    }

    /// Takes a received batch apart; all checks of R7.2 step 6 but the signatures.
    ///
    /// # Errors
    /// If count, size, a request or uniqueness is wrong. Whoever proposed it is to blame.
    pub fn parse(raw: RawBatch, limits: &Limits) -> Result<Self, BatchError> {
        let count = raw.len();
        if count == 0 || count > limits.batch_requests_max as usize {
            return Err(BatchError::Count(count));
        }
        let bytes = raw.bytes();
        if bytes > limits.batch_bytes_max as usize {
            return Err(BatchError::TooLarge(bytes));
        }
        let mut requests = Vec::with_capacity(count);
        let mut seen = BTreeSet::new();
        for (index, raw) in raw.iter().enumerate() {
            let request = Request::parse(raw, limits)
                .map_err(|error| BatchError::Request { index, error })?;
            if !seen.insert(request.id) {
                return Err(BatchError::Duplicate);
            }
            requests.push(request);
        }
        let digest = digest_of(&requests);
        Ok(Batch {
            requests,
            raw,
            digest,
        })
    }

    /// Appends the check of every client signature.
    ///
    /// # Errors
    /// If a client is not in the configuration.
    pub fn checks<'k>(
        &self,
        keyring: &'k Keyring,
        checks: &mut Vec<Check<'k>>,
    ) -> Result<(), BatchError> {
        for (index, request) in self.requests.iter().enumerate() {
            checks.push(
                request
                    .check(keyring)
                    .ok_or(BatchError::UnknownClient(index))?,
            );
        }
        Ok(())
    }

    /// The requests in execution order.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// `H("batch" ‖ count ‖ H(request_1) ‖ …)`.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Bytes of all requests.
    pub fn bytes(&self) -> usize {
        self.raw.bytes()
    }

    /// Operations of all requests.
    pub fn ops(&self) -> usize {
        self.requests.iter().map(Request::op_count).sum()
    }

    /// As it travels; shares the requests' bytes.
    pub fn to_raw(&self) -> RawBatch {
        self.raw.clone()
    }
}

fn digest_of(requests: &[Request]) -> Digest {
    let mut hasher = Hasher::new("batch");
    hasher.u64(requests.len() as u64);
    for request in requests {
        hasher.update(request.digest().as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crypto::{ClusterId, SecretKey};

    use super::*;
    use crate::byte_list::ByteList;
    use crate::ids::{ClientId, RequestId};

    #[test]
    fn requests_keep_no_bytes_beside_those_of_the_batch() {
        let key = SecretKey::from_seed(&[1; 32]);
        let request = |number| {
            let id = RequestId {
                client: ClientId(0),
                session: 1,
                number,
            };
            let ops = ByteList::from_iter([vec![7; 5]]);
            Request::sign(&key, &ClusterId(Digest::default()), id, 0, true, &ops)
        };
        let mut requests = Vec::with_capacity(100);
        requests.extend((1..4).map(request));
        let proposed = Batch::new(requests);
        let requests: Vec<Request> = (1..4).map(request).collect();
        let received = Batch::parse(proposed.to_raw(), &Limits::default()).unwrap();
        assert_eq!(proposed, received);
        for batch in [proposed, received] {
            assert_eq!(batch.requests(), requests);
            assert_eq!(batch.requests.capacity(), 3, "nor room for more");
            assert_eq!(batch.bytes(), requests.iter().map(|r| r.raw().len()).sum());
            for (request, raw) in batch.requests().iter().zip(batch.to_raw().iter()) {
                assert_eq!(request.raw().as_ptr(), raw.as_ptr());
                let ops = request.ops();
                assert_eq!(ops.iter().collect::<Vec<_>>(), [[7; 5]]);
                assert!(raw.as_ptr_range().contains(&ops.as_bytes().as_ptr()));
            }
        }
    }
}
