//! Client sessions: every request executes at most once, and its reply is kept until the client
//! says that it has it (docs/protocol.md R6). Part of the replicated, checkpointed state.
//!
//! To another replica a session travels as its head, which names every reply with its digest, and
//! the replies one by one (R13): each is checked alone, and those that are there already stay.

use std::collections::BTreeMap;
use std::sync::Arc;

use bincode::{Decode, Encode};
use crypto::{Digest, Hasher};

use crate::ids::{ClientId, RequestId, SeqNo};
use crate::reply::{Outcome, ResultBody};

/// One client's session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Session {
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

/// A session without its results: what its digest covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SessionHead {
    session: u64,
    low: u64,
    replies: Vec<ReplyHead>,
}

/// A kept reply without its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ReplyHead {
    pub(crate) number: u64,
    pub(crate) seq: SeqNo,
    /// Of the outcome.
    pub(crate) digest: Digest,
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

/// All clients' sessions. Bounded: clients of the configuration × W replies each. Clones share the
/// sessions that have not changed since.
#[derive(Clone, Debug, Default)]
pub struct SessionTable {
    sessions: BTreeMap<ClientId, Arc<Session>>,
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
        let session = match self.sessions.get(&id.client).map(Arc::as_ref) {
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
            *session = Arc::new(Session {
                session: id.session,
                ..Session::default()
            });
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
        let session = Arc::make_mut(session);
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
        sessions_root(&self.digests())
    }

    /// The digests of all sessions, ascending by client. They make the root.
    pub(crate) fn digests(&mut self) -> Vec<(ClientId, Digest)> {
        let digest = |(client, session): (&ClientId, &Arc<Session>)| {
            let fresh = || session.head().digest();
            (*client, *self.digests.entry(*client).or_insert_with(fresh))
        };
        self.sessions.iter().map(digest).collect()
    }

    /// A client's session without its results.
    pub(crate) fn head(&self, client: ClientId) -> Option<SessionHead> {
        self.sessions.get(&client).map(|session| session.head())
    }

    /// The kept reply of a client with this number.
    pub(crate) fn reply(&self, client: ClientId, number: u64) -> Option<&Outcome> {
        let session = self.sessions.get(&client)?;
        let at = session.position(number)?;
        session.done.get(at).map(|done| &done.outcome)
    }

    /// Does the client's session hold a reply with this number and outcome?
    pub(crate) fn holds_reply(&self, client: ClientId, number: u64, digest: &Digest) -> bool {
        let session = self.sessions.get(&client);
        session.is_some_and(|session| {
            let at = session.position(number);
            at.and_then(|at| session.done.get(at))
                .is_some_and(|done| done.digest == *digest)
        })
    }

    /// Does the client have exactly this session?
    pub(crate) fn holds(&self, client: ClientId, digest: &Digest) -> bool {
        let session = self.sessions.get(&client);
        session.is_some_and(|session| session.head().digest() == *digest)
    }

    /// Takes over a session, whose head and outcomes have been checked.
    pub(crate) fn replace(&mut self, client: ClientId, head: &SessionHead, outcomes: Vec<Outcome>) {
        debug_assert_eq!(head.replies.len(), outcomes.len());
        let done = head.replies.iter().zip(outcomes);
        let session = Session {
            session: head.session,
            low: head.low,
            done: done
                .map(|(reply, outcome)| Done {
                    number: reply.number,
                    seq: reply.seq,
                    digest: reply.digest,
                    outcome,
                })
                .collect(),
        };
        self.sessions.insert(client, Arc::new(session));
        self.digests.remove(&client);
    }

    /// Forgets every client but these.
    pub(crate) fn retain(&mut self, keep: impl Fn(ClientId) -> bool) {
        self.sessions.retain(|client, _| keep(*client));
        self.digests.retain(|client, _| keep(*client));
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
            .map(|(client, session)| (*client, session.as_ref()))
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
            table.sessions.insert(client, Arc::new(session));
        }
        Ok(table)
    }
}

/// `sessions_root` over the digests of all sessions, ascending by client.
pub(crate) fn sessions_root(digests: &[(ClientId, Digest)]) -> Digest {
    let mut hasher = Hasher::new("sessions");
    hasher.u64(digests.len() as u64);
    for (client, digest) in digests {
        hasher.u64(u64::from(client.0)).update(digest.as_bytes());
    }
    hasher.finish()
}

impl Session {
    fn head(&self) -> SessionHead {
        let reply = |done: &Done| ReplyHead {
            number: done.number,
            seq: done.seq,
            digest: done.digest,
        };
        SessionHead {
            session: self.session,
            low: self.low,
            replies: self.done.iter().map(reply).collect(),
        }
    }

    fn position(&self, number: u64) -> Option<usize> {
        let found = self.done.binary_search_by_key(&number, |done| done.number);
        found.ok()
    }
}

impl SessionHead {
    pub(crate) fn replies(&self) -> &[ReplyHead] {
        &self.replies
    }

    pub(crate) fn digest(&self) -> Digest {
        let mut hasher = Hasher::new("session");
        hasher
            .u64(self.session)
            .u64(self.low)
            .u64(self.replies.len() as u64);
        for reply in &self.replies {
            hasher
                .u64(reply.number)
                .u64(reply.seq.0)
                .update(reply.digest.as_bytes());
        }
        hasher.finish()
    }
}

/// An outcome as a session keeps it, checked against its digest. Only results in full are kept: in
/// a digest they look like their own hash, which would leave nothing to answer the client with.
pub(crate) fn read_outcome(digest: &Digest, bytes: &[u8]) -> Option<Outcome> {
    let outcome: Outcome = crypto::decode(bytes).ok()?;
    let kept = matches!(outcome, Outcome::Executed(ResultBody::Full(_)));
    (kept && outcome.digest() == *digest).then_some(outcome)
}
