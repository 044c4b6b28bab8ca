//! Exactly once, written down once more (docs/protocol.md R6): which requests execute, and the digest of what a replica
//! must remember of them (R9).

use std::collections::BTreeMap;

use consensus::RequestId;
use crypto::{Digest, Hasher};

/// All clients.
#[derive(Default)]
pub(super) struct Sessions {
    clients: BTreeMap<u32, Session>,
    /// Requests that a client may have outstanding.
    window: u64,
}

#[derive(Default)]
struct Session {
    session: u64,
    /// The client has the replies up to here.
    low: u64,
    /// Executed above: where, and the digest of the outcome.
    done: BTreeMap<u64, (u64, Digest)>,
    /// Of all that; `None` if it changed.
    digest: Option<Digest>,
}

impl Sessions {
    pub(super) fn new(window: u64) -> Self {
        Self {
            clients: BTreeMap::new(),
            window,
        }
    }

    /// Whether the request executes; a newer session begins with its first request, executed or not.
    pub(super) fn admits(&mut self, id: &RequestId, ack: u64) -> bool {
        let session = self.clients.entry(id.client.0).or_default();
        if id.session > session.session {
            *session = Session {
                session: id.session,
                ..Session::default()
            };
        }
        let low = session.low.max(ack.min(id.number - 1));
        id.session == session.session
            && id.number > session.low
            && !session.done.contains_key(&id.number)
            && id.number <= low.saturating_add(self.window)
    }

    /// It was executed at `seq` with these encoded results.
    pub(super) fn executed(&mut self, id: &RequestId, ack: u64, seq: u64, results: &[Vec<u8>]) {
        let session = self.clients.entry(id.client.0).or_default();
        session.done.insert(id.number, (seq, outcome(results)));
        session.low = session.low.max(ack.min(id.number - 1));
        let low = session.low;
        session.done.retain(|number, _| *number > low);
        session.digest = None;
    }

    /// `sessions_root`.
    pub(super) fn root(&mut self) -> Digest {
        let mut hasher = Hasher::new("sessions");
        hasher.u64(self.clients.len() as u64);
        for (client, session) in &mut self.clients {
            let digest = session.digest();
            hasher.u64(u64::from(*client)).update(digest.as_bytes());
        }
        hasher.finish()
    }
}

impl Session {
    fn digest(&mut self) -> Digest {
        let Self {
            session, low, done, ..
        } = self;
        *self.digest.get_or_insert_with(|| {
            let mut hasher = Hasher::new("session");
            hasher.u64(*session).u64(*low).u64(done.len() as u64);
            for (number, (seq, outcome)) in done {
                hasher.u64(*number).u64(*seq).update(outcome.as_bytes());
            }
            hasher.finish()
        })
    }
}

/// The digest of "executed, with these results".
fn outcome(results: &[Vec<u8>]) -> Digest {
    let mut list = Vec::new();
    for result in results {
        let length = u32::try_from(result.len()).unwrap_or(u32::MAX);
        list.extend_from_slice(&length.to_le_bytes());
        list.extend_from_slice(result);
    }
    let mut hasher = Hasher::new("results");
    hasher.u64(results.len() as u64).part(&list);
    let results = hasher.finish();
    let mut hasher = Hasher::new("outcome");
    hasher.update(&[0]).update(results.as_bytes());
    hasher.finish()
}
