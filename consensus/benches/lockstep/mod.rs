//! A whole cluster in one thread, for measuring what its cores cost: no clock, no sockets, no disk.
//!
//! Everything else is as in a replica: messages travel as bytes, what has come to a replica is decoded and verified as one batch, and
//! then stepped. Writes are durable at once, and no timer ever runs out. Deterministic: the same requests take the same instructions.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use consensus::pbft::Pbft;
use consensus::pbft::message::Wire;
use consensus::protocol::admit_all;
use consensus::{
    Action, ByteList, ClientId, Cluster, Destination, Event, Executor, FastQuorum, Instant,
    Keyring, Limits, Outbox, Policy, Protocol as _, ReplicaId, Request, RequestId, SeqNo,
    StateMachine, Ticket,
};
use crypto::{Check, Digest, Scheme, SecretKey, Signature, Signer, Verified};

/// Clients, each with a key.
pub(crate) const CLIENTS: u32 = 16;
/// What passes between two rounds of messages: nothing depends on it but measured gaps.
const ROUND_NS: u64 = 100_000;

/// Who signs how, and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signatures {
    /// They cost nothing and are never looked at: what is left is the protocol itself.
    Null,
    /// As in a real cluster.
    Ed25519,
}

/// Signs with zeros.
struct NullSigner;

impl Signer for NullSigner {
    fn sign(&self, _digest: &Digest) -> Signature {
        Signature([0; 64])
    }
}

/// Believes everything.
#[derive(Debug)]
struct NullScheme;

impl Scheme for NullScheme {
    fn verify(&self, _check: &Check<'_>) -> bool {
        true
    }

    fn verify_batch(&self, _checks: &[Check<'_>]) -> bool {
        true
    }
}

/// A core with its executor.
struct Seat<S> {
    core: Pbft,
    executor: Executor<S>,
    keyring: Keyring,
    tickets: u64,
    /// What has come and is not decoded yet.
    inbox: Vec<(ReplicaId, Bytes)>,
}

/// What has happened so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Messages by type; one to all others counts n - 1 times.
    pub(crate) messages: BTreeMap<&'static str, u64>,
    /// Records that were made durable, at all replicas together.
    pub(crate) records: u64,
    /// Slots executed, at all replicas together.
    pub(crate) executions: u64,
}

/// n = 5, f = 1 with the strong fast quorum.
pub(crate) struct Lockstep<S> {
    seats: Vec<Seat<S>>,
    now: Instant,
    pub(crate) counts: Counts,
}

impl<S: StateMachine> Lockstep<S> {
    /// Started, and with nothing under way.
    pub(crate) fn new(signatures: Signatures, machine: impl Fn() -> S) -> Self {
        let cluster = cluster();
        match signatures {
            Signatures::Null => Self::of(
                machine,
                |_| Keyring::with_scheme(Arc::clone(&cluster), Arc::new(NullScheme)),
                |_| Arc::new(NullSigner),
            ),
            Signatures::Ed25519 => {
                Self::of(machine, |_| Keyring::new(Arc::clone(&cluster)), replica_key)
            }
        }
    }

    /// Signs as in a real cluster, and verifies as each replica's scheme says.
    pub(crate) fn with_schemes(
        scheme: &dyn Fn(ReplicaId) -> Arc<dyn Scheme>,
        machine: impl Fn() -> S,
    ) -> Self {
        let cluster = cluster();
        let keyring = |id| Keyring::with_scheme(Arc::clone(&cluster), scheme(id));
        Self::of(machine, keyring, replica_key)
    }

    fn of(
        machine: impl Fn() -> S,
        keyring: impl Fn(ReplicaId) -> Keyring,
        signer: impl Fn(ReplicaId) -> Arc<dyn Signer>,
    ) -> Self {
        let cluster = cluster();
        let seats = cluster.members().map(|id| Seat {
            core: Pbft::new(id, Arc::clone(&cluster), Policy::default(), signer(id)),
            executor: Executor::new(Arc::clone(&cluster), machine()),
            keyring: keyring(id),
            tickets: 0,
            inbox: Vec::new(),
        });
        let mut lockstep = Lockstep {
            seats: seats.collect(),
            now: Instant(0),
            counts: Counts::default(),
        };
        for at in 0..lockstep.seats.len() {
            lockstep.step(at, Event::Started);
        }
        lockstep.run();
        lockstep.counts = Counts::default();
        lockstep
    }

    /// These come in at the primary together; returns when every replica has executed them.
    pub(crate) fn submit(&mut self, raw: Vec<Bytes>) {
        let keyring = self.seats[0].keyring.clone();
        let limits = keyring.cluster().limits().clone();
        let parsed = raw.into_iter().map(|raw| {
            let request = Request::parse(raw, &limits).expect("these clients are correct");
            let check = request.check(&keyring).expect("these clients are known");
            (request, vec![check])
        });
        let admitted = crypto::admit_all(parsed.collect(), keyring.scheme());
        let requests: Vec<Verified<Request>> = admitted
            .into_iter()
            .map(|verdict| verdict.expect("these clients sign"))
            .collect();
        let requested = Event::Requested {
            from: None,
            requests,
        };
        self.step(0, requested);
        self.run();
    }

    /// The last slot that all replicas have executed.
    pub(crate) fn executed(&self) -> SeqNo {
        let each = self.seats.iter().map(|seat| seat.executor.last_executed());
        each.min().expect("there are replicas")
    }

    /// Digests of the replicas' states.
    pub(crate) fn state_digests(&mut self) -> Vec<Digest> {
        let each = self.seats.iter_mut();
        each.map(|seat| seat.executor.state_digest()).collect()
    }

    /// Rounds of messages until there are none.
    fn run(&mut self) {
        while self.seats.iter().any(|seat| !seat.inbox.is_empty()) {
            self.now.0 += ROUND_NS;
            let inboxes: Vec<_> = self
                .seats
                .iter_mut()
                .map(|seat| std::mem::take(&mut seat.inbox))
                .collect();
            for (at, inbox) in inboxes.into_iter().enumerate() {
                self.receive(at, inbox);
            }
        }
    }

    fn receive(&mut self, at: usize, inbox: Vec<(ReplicaId, Bytes)>) {
        let decoded = inbox.into_iter().map(|(from, frame)| {
            let wire = crypto::decode::<Wire>(&frame).expect("replicas encode what they send");
            (from, wire)
        });
        let admitted = admit_all::<Pbft>(&self.seats[at].keyring, decoded.collect());
        for (from, verdict) in admitted {
            let message = verdict.expect("these replicas are correct");
            self.step(at, Event::Received { from, message });
        }
    }

    fn step(&mut self, at: usize, event: Event<Verified<<Pbft as consensus::Protocol>::Message>>) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let mut out = Outbox::<Pbft>::new();
            self.seats[at].core.step(self.now, event, &mut out);
            let before = self.seats[at].tickets;
            for action in out.drain() {
                match action {
                    Action::Persist(record) => {
                        std::hint::black_box(crypto::encode(&record));
                        self.seats[at].tickets += 1;
                        self.counts.records += 1;
                    }
                    Action::Send { to, wire, .. } => self.send(at, to, &wire),
                    Action::Execute {
                        seq,
                        batch,
                        checkpoint,
                        ..
                    } => {
                        self.counts.executions += 1;
                        let executor = &mut self.seats[at].executor;
                        std::hint::black_box(executor.execute(seq, batch.as_deref()));
                        if checkpoint {
                            let digest = executor.checkpoint();
                            std::hint::black_box(executor.machine_mut().take_changes());
                            events.push(Event::StateSaved { seq, digest });
                        }
                        events.push(Event::Executed(seq));
                    }
                    Action::Halt(why) => panic!("replica {at} halts: {why}"),
                    _ => {}
                }
            }
            let tickets = self.seats[at].tickets;
            if tickets > before {
                events.push(Event::Persisted(Ticket(tickets)));
            }
        }
    }

    fn send(&mut self, at: usize, to: Destination, wire: &Wire) {
        let from = ReplicaId(u16::try_from(at).expect("a cluster has few members"));
        let frame = Bytes::from(crypto::encode(wire));
        let mut sent = 0;
        for (index, seat) in self.seats.iter_mut().enumerate() {
            let receives = match to {
                Destination::Others => index != at,
                Destination::One(one) => index == usize::from(one.0),
            };
            if receives {
                seat.inbox.push((from, frame.clone()));
                sent += 1;
            }
        }
        *self.counts.messages.entry(wire.name()).or_default() += sent;
    }
}

/// Clients that send one request after the other, in turn.
pub(crate) struct Clients {
    cluster: Arc<Cluster>,
    signers: Vec<Box<dyn Signer>>,
    /// Requests made so far.
    made: u64,
}

impl Clients {
    pub(crate) fn new(signatures: Signatures) -> Self {
        let signer = |id: u32| -> Box<dyn Signer> {
            match signatures {
                Signatures::Null => Box::new(NullSigner),
                Signatures::Ed25519 => Box::new(key("client", u64::from(id))),
            }
        };
        Clients {
            cluster: cluster(),
            signers: (0..CLIENTS).map(signer).collect(),
            made: 0,
        }
    }

    /// The next `count` requests, as bytes, of `ops` operations each; the number of an operation says what it is.
    pub(crate) fn requests(
        &mut self,
        count: u64,
        ops: u64,
        operation: impl Fn(u64) -> Vec<u8>,
    ) -> Vec<Bytes> {
        let mut requests = Vec::new();
        for _ in 0..count {
            let (turn, client) = (
                self.made / u64::from(CLIENTS),
                self.made % u64::from(CLIENTS),
            );
            let list: ByteList = (0..ops).map(|op| operation(self.made * ops + op)).collect();
            let id = RequestId {
                client: ClientId(u32::try_from(client).expect("there are few clients")),
                session: 1,
                number: turn + 1,
            };
            // Each has the answer to the one before.
            let (signer, cluster) = (&*self.signers[client as usize], self.cluster.id());
            let request = Request::sign(signer, cluster, id, turn, false, &list);
            requests.push(request.raw().clone());
            self.made += 1;
        }
        requests
    }
}

/// The configuration of all of these: five replicas, and clients.
pub(crate) fn cluster() -> Arc<Cluster> {
    let publics = |role, count| (0..count).map(move |id| key(role, id).public()).collect();
    let cluster = Cluster::genesis(
        1,
        FastQuorum::Strong,
        Limits::default(),
        publics("replica", 5),
        publics("client", u64::from(CLIENTS)),
    );
    Arc::new(cluster.expect("five replicas bear one fault"))
}

fn replica_key(id: ReplicaId) -> Arc<dyn Signer> {
    Arc::new(key("replica", u64::from(id.0)))
}

/// A key that is the same in each run.
pub(crate) fn key(role: &str, index: u64) -> SecretKey {
    SecretKey::derive(&[7; 32], role, index)
}
