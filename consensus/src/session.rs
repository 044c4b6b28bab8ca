//! Client sessions: every request executes at most once, and its reply is kept until the client
//! says that it has it (docs/protocol.md R6). Part of the replicated, checkpointed state.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use crypto::{Digest, Hasher};

use crate::ids::{ClientId, RequestId, SeqNo};
use crate::reply::Outcome;

/// One client's session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Session {
    session: u64,
    low: u64,
    done: Vec<Done>,
}

/// A reply that is kept. Ascending by number; at most W of them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Done {
    number: u64,
    seq: SeqNo,
    outcome: Outcome,
    digest: Digest,
}

/// What the table says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It has not been executed and may be.
    New,
    /// It was executed: the stored reply.
    Done(SeqNo, Outcome),
    /// It will never execute; the outcome says why.
    Refused(Outcome),
}

/// All clients' sessions. Bounded: clients of the configuration × W replies each.
#[derive(Clone, Debug, Default)]
pub struct SessionTable {
    sessions: BTreeMap<ClientId, Session>,
    digests: BTreeMap<ClientId, Digest>,
    window: u64,
}

impl SessionTable {
    /// An empty table whose clients may have `window` (W) requests outstanding.
    pub fn new(window: u64) -> Self {
        SessionTable {
            window,
            ..Default::default()
        }
    }

    /// Steps 2 and 3 of R6 without their effects: what executing a request would come to that has
    /// this identity and acknowledgement.
    ///
    /// The window counts from the request's own acknowledgement if that is newer than the
    /// table's: otherwise W requests signed before any reply came would be the session's last.
    pub fn lookup(&self, id: &RequestId, ack: u64) -> Lookup {
        let fresh = Session::default();
        let session = match self.sessions.get(&id.client) {
            Some(held) if id.session < held.session => {
                return Lookup::Refused(Outcome::StaleSession(held.session));
            }
            Some(held) if id.session == held.session => held,
            _ => &fresh,
        };
        let number = id.number;
        if number <= session.low {
            return Lookup::Refused(Outcome::AlreadyAcked);
        }
        if let Ok(at) = session
            .done
            .binary_search_by_key(&number, |done| done.number)
            && let Some(done) = session.done.get(at)
        {
            return Lookup::Done(done.seq, done.outcome.clone());
        }
        let low = session.low.max(ack.min(number.saturating_sub(1)));
        if number > low.saturating_add(self.window) {
            return Lookup::Refused(Outcome::OutOfWindow);
        }
        Lookup::New
    }

    /// Begins the session of `id` if it is newer than the client's (R6 step 2): the old one can
    /// never execute again.
    pub fn enter(&mut self, id: &RequestId) {
        let session = self.sessions.entry(id.client).or_default();
        if id.session > session.session {
            *session = Session {
                session: id.session,
                ..Session::default()
            };
            self.digests.remove(&id.client);
        }
    }

    /// Stores the outcome of an executed request and forgets what the client has acknowledged
    /// (R6 step 4). Call after [`SessionTable::enter`].
    pub fn complete(&mut self, id: &RequestId, ack: u64, seq: SeqNo, outcome: Outcome) {
        let Some(session) = self.sessions.get_mut(&id.client) else {
            debug_assert!(false, "complete without enter");
            return;
        };
        let done = Done {
            number: id.number,
            seq,
            digest: outcome.digest(),
            outcome,
        };
        match session
            .done
            .binary_search_by_key(&id.number, |done| done.number)
        {
            Ok(_) => debug_assert!(false, "a request was executed twice"),
            Err(at) => session.done.insert(at, done),
        }
        session.low = session.low.max(ack.min(id.number.saturating_sub(1)));
        let acked = session
            .done
            .partition_point(|done| done.number <= session.low);
        session.done.drain(..acked);
        self.digests.remove(&id.client);
    }

    /// `sessions_root`. Only sessions that changed since the last call are hashed again.
    pub fn root(&mut self) -> Digest {
        let mut hasher = Hasher::new("sessions");
        hasher.u64(self.sessions.len() as u64);
        for (client, session) in &self.sessions {
            let digest = self
                .digests
                .entry(*client)
                .or_insert_with(|| session.digest());
            hasher.u64(u64::from(client.0)).update(digest.as_bytes());
        }
        hasher.finish()
    }

    /// Replies held, over all clients.
    pub fn replies(&self) -> usize {
        self.sessions
            .values()
            .map(|session| session.done.len())
            .sum()
    }

    /// The canonical bytes of the whole table.
    pub fn to_bytes(&self) -> Vec<u8> {
        let entries: Vec<(ClientId, &Session)> = self
            .sessions
            .iter()
            .map(|(client, session)| (*client, session))
            .collect();
        crypto::encode(&entries)
    }

    /// Rebuilds a table from [`SessionTable::to_bytes`].
    ///
    /// # Errors
    /// If the bytes are malformed, out of order or over the window: the disk or the source is to
    /// blame.
    pub fn from_bytes(window: u64, bytes: &[u8]) -> Result<Self, crypto::CodecError> {
        let entries: Vec<(ClientId, Session)> = crypto::decode(bytes)?;
        let mut table = SessionTable::new(window);
        for (client, session) in entries {
            let in_order = session.done.windows(2).all(|pair| match pair {
                [a, b] => a.number < b.number,
                _ => true,
            });
            let bounded = session.done.len() as u64 <= window
                && session
                    .done
                    .iter()
                    .all(|done| done.number > session.low && done.digest == done.outcome.digest());
            let after_last = table
                .sessions
                .last_key_value()
                .is_none_or(|(last, _)| *last < client);
            if !(in_order && bounded && after_last) {
                return Err(crypto::CodecError::Malformed(
                    "session table out of order".to_owned(),
                ));
            }
            table.sessions.insert(client, session);
        }
        Ok(table)
    }
}

impl Session {
    fn digest(&self) -> Digest {
        let mut hasher = Hasher::new("session");
        hasher
            .u64(self.session)
            .u64(self.low)
            .u64(self.done.len() as u64);
        for done in &self.done {
            hasher
                .u64(done.number)
                .u64(done.seq.0)
                .update(done.digest.as_bytes());
        }
        hasher.finish()
    }
}
