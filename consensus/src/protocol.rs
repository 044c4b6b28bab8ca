//! The seam: what a replication protocol takes in and gives out (ARCHITECTURE.md 3).
//!
//! Two rules for drivers:
//!
//! 1. **Durability.** [`Action::Persist`]s are numbered by tickets in the order in which they are
//!    given out. A [`Action::Send`] with [`When::Durable`] leaves only when every Persist given
//!    out before it is durable; all other actions may be performed at once. When tickets become
//!    durable the driver steps [`Event::Persisted`]; only then does the core count its own votes.
//!    So a replica never acts on a promise that it could forget, and one fsync serves many slots.
//! 2. **Execution is an action, its result an event**: [`Action::Execute`] is given out in
//!    sequence order, [`Event::Executed`] and [`Event::StateSaved`] come back whenever they are done.

use std::sync::Arc;
use std::time::Duration;

use crypto::{Check, Decode, Digest, Encode, Verified};

use crate::batch::Batch;
use crate::configuration::Configuration;
use crate::ids::{Epoch, ReplicaId, RequestId, SeqNo, View};
use crate::keyring::Keyring;
use crate::report::Report;
use crate::request::Request;
use crate::time::Instant;
use crate::transfer::message::StateMessage;

/// A replication protocol as a pure state machine.
pub trait Protocol: Sized {
    /// As it travels: decoded, trusted in no way.
    type Wire: Encode + Decode<()> + Clone + Send + 'static;
    /// Structurally valid; inside `Verified` also its signatures hold.
    type Message: Send + 'static;
    /// What must survive a crash.
    type Record: Encode + Decode<()> + Clone + Send + 'static;

    /// Stateless structural admission, on any thread: appends the signature checks that the
    /// message needs.
    ///
    /// # Errors
    /// Says what the sender did wrong.
    fn examine<'k>(
        keyring: &'k Keyring,
        from: ReplicaId,
        wire: Self::Wire,
        checks: &mut Vec<Check<'k>>,
    ) -> Result<Self::Message, Misbehaviour>;

    /// What is left of a message given the verdicts on its checks, in the order of `examine`.
    ///
    /// # Errors
    /// If a signature is bad that the sender answers for.
    fn settle(message: Self::Message, verdicts: &[bool]) -> Result<Self::Message, Misbehaviour> {
        if verdicts.iter().all(|good| *good) {
            Ok(message)
        } else {
            Err(Misbehaviour::BadSignature)
        }
    }

    /// The clients' requests that a message does nothing but carry, so that the driver can ask the
    /// session table about them first, as about requests from clients (R6); otherwise the message.
    ///
    /// # Errors
    /// Gives the message back if it is anything else.
    fn requests_in(
        message: Verified<Self::Message>,
    ) -> Result<Vec<Verified<Request>>, Verified<Self::Message>> {
        Err(message)
    }

    /// Where the sequence numbers end of which this replica can use anything now; `None`: nowhere.
    fn horizon(&self) -> Option<Horizon> {
        None
    }

    /// Is this message of no use to a replica with that horizon, whatever its signatures are worth?
    /// Whoever lags far behind needs its processor for catching up. Drivers may drop such a message
    /// before it is verified; [`Protocol::step`] would drop it afterwards.
    fn is_beyond(_wire: &Self::Wire, _horizon: Horizon) -> bool {
        false
    }

    /// A message of the state transfer (R13) as it travels.
    fn state_wire(message: StateMessage) -> Self::Wire;

    /// Rebuilds from the durable records before the first step: those that are bound to no sequence
    /// number come first, because the watermark says where the others belong; each kind oldest
    /// first.
    fn restore(&mut self, record: Self::Record);

    /// Advances by one event; appends what must be done to `out`.
    fn step(&mut self, now: Instant, event: Event<Verified<Self::Message>>, out: &mut Outbox<Self>);
}

/// The last sequence number that a replica has room for, in the epoch that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// Messages of other epochs are looked at in any case.
    pub epoch: Epoch,
    /// h + 2L (R9).
    pub seq: SeqNo,
}

/// A message that came from a peer, or what that peer did wrong.
pub type Admitted<M> = (ReplicaId, Result<Verified<M>, Misbehaviour>);

/// Admits messages of several peers at once with one signature batch.
pub fn admit_all<P: Protocol>(
    keyring: &Keyring,
    wires: Vec<(ReplicaId, P::Wire)>,
) -> Vec<Admitted<P::Message>> {
    admit_counting::<P>(keyring, wires, |_, _| ())
}

/// As [`admit_all`]; `checked` is told of each message whose signatures were looked at who sent it, and the verdicts.
pub fn admit_counting<P: Protocol>(
    keyring: &Keyring,
    wires: Vec<(ReplicaId, P::Wire)>,
    checked: impl Fn(ReplicaId, &[bool]),
) -> Vec<Admitted<P::Message>> {
    let mut senders = Vec::with_capacity(wires.len());
    let mut examined = Vec::with_capacity(wires.len());
    for (from, wire) in wires {
        let mut checks = Vec::new();
        let result = P::examine(keyring, from, wire, &mut checks);
        senders.push((from, result.as_ref().err().cloned()));
        if let Ok(message) = result {
            examined.push(((from, message), checks));
        }
    }
    let settle = |(from, message), verdicts: &[bool]| {
        checked(from, verdicts);
        P::settle(message, verdicts).map(|message| (from, message))
    };
    let mut settled = crypto::settle_all(examined, keyring.scheme(), settle).into_iter();
    senders
        .into_iter()
        .map(|(from, refused)| match refused {
            Some(misbehaviour) => (from, Err(misbehaviour)),
            None => {
                let verdict = settled
                    .next()
                    .expect("one verdict for each examined message");
                (from, verdict.map(|item| item.map(|(_, message)| message)))
            }
        })
        .collect()
}

/// Number of a [`Action::Persist`], from 1, in the order given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What happens to a protocol.
#[derive(Clone, Debug)]
pub enum Event<M> {
    /// The replica is up: records are restored, nothing has been received.
    Started,
    /// A peer's message was admitted.
    Received {
        /// The peer at the other end of the channel.
        from: ReplicaId,
        /// What it sent.
        message: M,
    },
    /// Something of this peer's came in at this time. What it is may still be under verification;
    /// the driver says so before it lets [`Timer::Heartbeat`] fire.
    Arrived {
        /// The peer at the other end of the channel.
        from: ReplicaId,
        /// When the latest of it came.
        at: Instant,
    },
    /// Requests whose signatures hold, that the session table does not know; from clients or
    /// forwarded by peers.
    Requested {
        /// The peer that forwarded them, or `None` for clients.
        from: Option<ReplicaId>,
        /// In order of arrival.
        requests: Vec<Verified<Request>>,
    },
    /// Every Persist up to this ticket is durable.
    Persisted(Ticket),
    /// A timer ran out.
    TimerFired(Timer),
    /// The batch at this sequence number was executed.
    Executed(SeqNo),
    /// The state at this checkpoint is durable and has this digest.
    StateSaved {
        /// A multiple of K.
        seq: SeqNo,
        /// `state_digest` (R9).
        digest: Digest,
    },
    /// The state that [`Action::FetchState`] asked for, or an earlier one asked for before, is that
    /// of the executor, and durable (R13).
    StateInstalled {
        /// The checkpoint.
        seq: SeqNo,
        /// `state_digest` (R9).
        digest: Digest,
        /// The configuration in it (R16).
        configuration: Configuration,
    },
}

/// Timers: a closed set; setting one replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// T_batch: close the open batch.
    Batch,
    /// T_status: send STATUS.
    Status,
    /// T_fast: some slot waits for its fast quorum.
    Fast,
    /// T_req: the oldest pending request is too old.
    Request,
    /// T_vc: the new view takes too long.
    NewView,
    /// T_rtx: send the VIEW-CHANGE again.
    Retransmit,
    /// T_hb: the primary is silent.
    Heartbeat,
    /// For what is wrapped around a protocol; the protocols here neither set nor heed it.
    Wrapper,
}

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Every other replica.
    Others,
    /// One replica.
    One(ReplicaId),
}

/// What a message must wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Every Persist given out before it: it carries a promise.
    Durable,
    /// Nothing: it promises nothing, or what it promises is durable already.
    Now,
}

/// What a protocol wants done.
#[derive(Clone, Debug)]
pub enum Action<W, R> {
    /// Make a record durable. Its ticket is the number of Persists given out so far.
    Persist(R),
    /// Send a message.
    Send {
        /// To whom.
        to: Destination,
        /// What.
        wire: W,
        /// When it may leave.
        when: When,
    },
    /// Execute the batch (`None`: the null batch); sequence numbers ascend without gaps.
    Execute {
        /// Where it stands in the log.
        seq: SeqNo,
        /// The view in which it was decided.
        view: View,
        /// What to execute.
        batch: Option<Arc<Batch>>,
        /// A checkpoint: save the state and answer with [`Event::StateSaved`] as well.
        checkpoint: bool,
    },
    /// Fetch the state at this checkpoint from other replicas (R13), rather than an earlier one that
    /// was asked for before. Answer with [`Event::StateInstalled`]. Slots up to the checkpoint may
    /// be given out for execution all the same until then; those that the installed state contains
    /// are not to be executed, but answered with [`Event::Executed`].
    FetchState {
        /// Of the certificate.
        epoch: Epoch,
        /// The checkpoint.
        seq: SeqNo,
        /// Its certified `state_digest` (R9).
        digest: Digest,
        /// Its certificate, if there is one, as a record: it goes to disk together with the state.
        certificate: Option<R>,
    },
    /// Hand a peer's message to the state transfer (R13).
    State {
        /// The peer.
        from: ReplicaId,
        /// What it sent.
        message: StateMessage,
    },
    /// Tell a client that its request was not taken in (R15).
    Busy {
        /// Which request.
        id: RequestId,
        /// Suggested pause in milliseconds.
        retry_after_ms: u32,
    },
    /// Records bound to sequence numbers up to this one are no longer needed.
    Truncate(SeqNo),
    /// Fire `timer` after this long; replaces the timer.
    SetTimer {
        /// Which.
        timer: Timer,
        /// From now.
        after: Duration,
    },
    /// Forget the timer.
    CancelTimer(Timer),
    /// Something worth knowing happened.
    Report(Report),
    /// A broken invariant: stop voting and halt with this diagnosis (R7.5). Never followed by
    /// other actions.
    Halt(String),
}

/// Where a protocol puts its actions. A plain sink: it borrows nothing of the protocol.
#[derive(Debug)]
pub struct Outbox<P: Protocol> {
    actions: Vec<Action<P::Wire, P::Record>>,
}

impl<P: Protocol> Default for Outbox<P> {
    fn default() -> Self {
        Outbox {
            actions: Vec::new(),
        }
    }
}

impl<P: Protocol> Outbox<P> {
    /// An empty outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an action.
    pub fn push(&mut self, action: Action<P::Wire, P::Record>) {
        self.actions.push(action);
    }

    /// Drops what was appended after a [`Action::Halt`].
    pub fn end_at_halt(&mut self) {
        let halt = |action: &Action<_, _>| matches!(action, Action::Halt(_));
        if let Some(at) = self.actions.iter().position(halt) {
            self.actions.truncate(at + 1);
        }
    }

    /// Takes all actions in order; the outbox keeps its memory.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Action<P::Wire, P::Record>> {
        self.actions.drain(..)
    }

    /// The actions so far.
    pub fn actions(&self) -> &[Action<P::Wire, P::Record>] {
        &self.actions
    }

    /// No action?
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }
}

/// What a peer did wrong: an ordinary value that is counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaviour {
    /// Bytes that are no message.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// A signature that does not hold.
    #[error("invalid signature")]
    BadSignature,
    /// A message of another configuration.
    #[error("message of another epoch")]
    WrongEpoch,
    /// A message that names somebody else as its sender where that is not allowed.
    #[error("message in another replica's name")]
    Impersonation,
    /// A member or client outside the configuration.
    #[error("unknown member or client")]
    Unknown,
    /// A certificate with too few or repeated signers.
    #[error("certificate without a quorum")]
    NoQuorum,
    /// A message of this kind is not accepted.
    #[error("unexpected message: {0}")]
    Unexpected(&'static str),
}
