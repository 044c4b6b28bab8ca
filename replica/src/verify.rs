//! Verification workers: bytes in, admitted messages and requests out.
//!
//! A worker takes everything that has gathered while it was busy and verifies it as batches, which
//! costs a third of single signatures. Four kinds of work have budgets of their own, so that none
//! holds up another (docs/protocol.md R15):
//!
//! ```text
//!   votes     some of each peer        ──► one batch ─┐
//!   bulk      a few messages a round   ──► one batch ─┼──► core
//!   requests  a few hundred a round,   ──► one batch ─┤
//!             each client in turn      ──► suspects one by one
//!   reads     the same once more       ──► one batch ─┘
//! ```

mod gathering;
mod lanes;
mod newest;
mod peers;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use consensus::pbft::certificate::Phase;
use consensus::protocol::admit_counting;
use consensus::{ClientId, Keyring, Limits, Misbehaviour, Read, ReplicaId, Request, RequestId};
use crypto::{Check, Verified};
use tokio::sync::OwnedSemaphorePermit;

use crate::driver::core_loop::CoreInbox;
use crate::driver::ports::{Ballot, Describe, Milestone};
use crate::evidence::{Testify, Witness};
use crate::inbox::{Backlog, Closed, Inbox};
use crate::observer::Observer;
pub use lanes::{CLIENT_WAITING_MAX, ROUND_REQUESTS_MAX, ROUND_SUSPECTS_MAX, SUSPECT_PACE};
use lanes::{Lanes, Round, Waiting};
use peers::PeerQueues;
pub use peers::{ROUND_BULK_MAX, ROUND_FORWARDS_MAX, ROUND_VOTES_EACH_MAX};

/// What waits for verification. Bounded at its sources: each peer and each client connection has
/// a budget of bytes, whose permits travel with the bytes.
#[derive(Default)]
pub struct Unverified {
    /// From peers, in order of arrival.
    pub peers: Vec<PeerFrames>,
    /// From clients, in order of arrival.
    pub clients: Vec<ClientRequests>,
    /// Reads from clients (R14), in order of arrival.
    pub reads: Vec<ClientRequests>,
    peer_frames: usize,
    client_requests: usize,
}

/// Where transports put what they receive.
pub type VerifyInbox = Inbox<Unverified>;

/// Frames of one peer, in order of arrival.
pub struct PeerFrames {
    /// The peer at the other end of the channel.
    pub from: ReplicaId,
    /// Encoded messages.
    pub frames: Vec<Bytes>,
    /// Their share of the peer's budget, given back when they are verified.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// Requests from one client connection, in order of arrival.
pub struct ClientRequests {
    /// Who answers for them.
    pub source: Arc<dyn Source>,
    /// Complete signed requests.
    pub requests: Vec<Bytes>,
    /// Their shares of the connection's and of the port's budget.
    pub permits: [Option<OwnedSemaphorePermit>; 2],
}

/// The connection that a request came by.
pub trait Source: Send + Sync {
    /// One of its requests is malformed or its signature is bad. No correct client sends such.
    /// `client` is whose request it claimed to be, if that could be read; it may speak here.
    fn charge(&self, client: Option<ClientId>, why: &str);
    /// There is no room for this request of it: it is to be told so.
    fn turn_away(&self, id: RequestId);
}

impl Backlog for Unverified {
    fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.clients.is_empty() && self.reads.is_empty()
    }

    /// Bounded at its sources.
    fn has_room(&self) -> bool {
        true
    }
}

impl Unverified {
    /// Adds a peer's frames; returns how many frames of peers are waiting now.
    pub fn push_peer(&mut self, frames: PeerFrames) -> usize {
        self.peer_frames += frames.frames.len();
        self.peers.push(frames);
        self.peer_frames
    }

    /// Adds a connection's requests; returns how many requests are waiting now.
    pub fn push_client(&mut self, requests: ClientRequests) -> usize {
        self.client_requests += requests.requests.len();
        self.clients.push(requests);
        self.client_requests
    }
}

/// Starts `count` workers; they end when `inbox` is closed.
///
/// # Errors
/// If the operating system refuses a thread.
pub fn start<P, D>(
    count: usize,
    keyring: &Keyring,
    inbox: &Arc<VerifyInbox>,
    core: &Arc<CoreInbox<P::Message>>,
    observer: &Arc<Observer>,
    witness: Option<Arc<Witness>>,
) -> std::io::Result<Vec<JoinHandle<()>>>
where
    P: Testify + 'static,
    D: Describe<P::Wire> + 'static,
{
    (0..count)
        .map(|number| {
            let worker = Worker {
                keyring: keyring.clone(),
                core: Arc::clone(core),
                observer: Arc::clone(observer),
                witness: witness.clone(),
                alone: count == 1,
            };
            let inbox = Arc::clone(inbox);
            std::thread::Builder::new()
                .name(format!("verify-{number}"))
                .spawn(move || {
                    // Ends only when the process stops and has closed the inboxes.
                    let Err(Closed) = worker.run::<P, D>(&inbox);
                })
        })
        .collect()
}

struct Worker<M> {
    keyring: Keyring,
    core: Arc<CoreInbox<M>>,
    observer: Arc<Observer>,
    /// Remembers what the peers have signed.
    witness: Option<Arc<Witness>>,
    /// There is no other worker.
    alone: bool,
}

impl<M> Worker<M> {
    fn run<P, D>(&self, inbox: &VerifyInbox) -> Result<std::convert::Infallible, Closed>
    where
        P: Testify<Message = M>,
        D: Describe<P::Wire>,
    {
        // What is beyond a round's share, while more urgent things may have come in.
        let begun = Instant::now();
        let (mut requests, mut reads) = (Lanes::new(begun), Lanes::new(begun));
        let quorums = self.keyring.cluster().quorums();
        let mut from_peers = match self.alone {
            true => PeerQueues::that_gather(quorums),
            // Votes for one slot come to several workers, and none of them sees them gather.
            false => PeerQueues::default(),
        };
        loop {
            let now = Instant::now();
            let due = [requests.due(now), reads.due(now), from_peers.due(now)];
            let backlog = inbox.take(due.into_iter().flatten().min())?;
            for arrived in backlog.clients {
                requests.push(arrived);
            }
            for arrived in backlog.reads {
                reads.push(arrived);
            }
            for arrived in backlog.peers {
                self.decode::<P, D>(arrived, &mut from_peers);
            }
            let settled = |ballot: &Ballot| self.is_settled(ballot);
            let left_over = from_peers.wait_no_longer(Instant::now(), settled);
            self.observer.counters.surplus_votes.add(left_over as u64);
            self.peers::<P>(&mut from_peers)?;
            let round = requests.next_round(Instant::now());
            let good: Vec<Verified<Request>> = self.clients(round, &mut requests);
            if !good.is_empty() {
                self.core
                    .put_with_room(|burst| burst.requests.extend(good))?;
            }
            let round = reads.next_round(Instant::now());
            let good: Vec<Verified<Read>> = self.clients(round, &mut reads);
            if !good.is_empty() {
                self.core.put_with_room(|burst| burst.reads.extend(good))?;
            }
        }
    }

    /// One round of each kind of work of peers.
    fn peers<P>(&self, queues: &mut PeerQueues<P::Wire>) -> Result<(), Closed>
    where
        P: Testify<Message = M>,
    {
        type Kind<W> = fn(&mut PeerQueues<W>) -> peers::Round<W>;
        let kinds: [Kind<P::Wire>; 4] = [
            PeerQueues::votes,
            |queues| queues.reports(Instant::now()),
            PeerQueues::bulk,
            PeerQueues::forwarded,
        ];
        for round in kinds {
            if !self.admit::<P>(round(queues))? {
                queues.beware(Instant::now());
            }
            // The rest of what somebody has sent who was found out by this round is not worth a look.
            queues.forget_if(|peer| self.observer.cut_off(peer));
        }
        Ok(())
    }

    fn decode<P, D>(&self, arrived: PeerFrames, queues: &mut PeerQueues<P::Wire>)
    where
        P: Testify<Message = M>,
        D: Describe<P::Wire>,
    {
        let PeerFrames {
            from,
            frames,
            permit,
        } = arrived;
        // The transport looked before it put them here, and they have waited since.
        if self.observer.cut_off(from) {
            return;
        }
        let permit = Arc::new(permit);
        let (now, horizon) = (Instant::now(), self.observer.horizon());
        for frame in frames {
            match crypto::decode::<P::Wire>(&frame) {
                Ok(wire) => {
                    let kind = D::kind(&wire);
                    self.observer.received(kind);
                    self.observer.messages.received(kind, frame.len());
                    if let Some(Milestone::Proposal(seq, _)) = D::milestone(&wire) {
                        self.observer.proposal_arrived(from, seq);
                    }
                    if horizon.is_some_and(|horizon| P::is_beyond(&wire, horizon)) {
                        self.observer.counters.beyond_horizon.add(1);
                        continue;
                    }
                    match D::ballot(&wire) {
                        Some(ballot) if self.is_settled(&ballot) => {
                            self.observer.counters.surplus_votes.add(1);
                        }
                        Some(ballot) => queues.push_vote(now, ballot, from, wire, &permit),
                        None => {
                            let replaced = queues.push(D::work(&wire), from, wire, &permit);
                            self.observer.counters.superseded.add(u64::from(replaced));
                        }
                    }
                }
                Err(error) => {
                    self.observer
                        .misbehaved(from, &Misbehaviour::Malformed(error.to_string()));
                }
            }
        }
    }

    /// A vote for this is left over.
    fn is_settled(&self, ballot: &Ballot) -> bool {
        let Ballot { epoch, phase, on } = ballot;
        *phase == Phase::Prepare && self.observer.settled.has(*epoch, on)
    }

    /// Verifies a round of one kind of work; whether all of it was good.
    fn admit<P>(&self, round: peers::Round<P::Wire>) -> Result<bool, Closed>
    where
        P: Testify<Message = M>,
    {
        let peers::Round { wires, permits } = round;
        if wires.is_empty() {
            return Ok(true);
        }
        self.observer
            .counters
            .verify_batches
            .record(wires.len() as u64);
        let asked = wires.len();
        let mut admitted = Vec::with_capacity(wires.len());
        let count = |from, verdicts: &[bool]| self.observer.checked(from, verdicts);
        for (from, verdict) in admit_counting::<P>(&self.keyring, wires, count) {
            match verdict {
                Ok(message) => admitted.push((from, message)),
                Err(why) => self.observer.misbehaved(from, &why),
            }
        }
        if let Some(witness) = &self.witness {
            let mut testimonies = Vec::new();
            for (_, message) in &admitted {
                P::testimonies(witness.cluster(), message, &mut |each| {
                    testimonies.push(each);
                });
            }
            witness.see(&testimonies);
        }
        let all_good = admitted.len() == asked;
        let put = self.core.put_with_room(|burst| {
            if burst.messages.is_empty() {
                burst.messages = admitted;
            } else {
                burst.messages.extend(admitted);
            }
        });
        // They go back only now: what waits for room in the core still counts.
        drop(permits);
        put.map(|()| all_good)
    }

    fn clients<T: Asked>(&self, round: Round, lanes: &mut Lanes) -> Vec<Verified<T>> {
        let Round { trusted, suspects } = round;
        let mut good = Vec::with_capacity(trusted.len() + suspects.len());
        if !trusted.is_empty() {
            self.requests(trusted, lanes, &mut good);
        }
        // A bad signature makes the batch that it is in be verified one by one.
        for suspect in suspects {
            self.requests(vec![suspect], lanes, &mut good);
        }
        good
    }

    /// Verifies these as one batch.
    fn requests<T: Asked>(
        &self,
        waiting: Vec<Waiting>,
        lanes: &mut Lanes,
        good: &mut Vec<Verified<T>>,
    ) {
        let limits = self.keyring.cluster().limits();
        let mut parsed = Vec::with_capacity(waiting.len());
        // The permits go back when all of it is verified.
        let mut held = Vec::with_capacity(waiting.len());
        for one in waiting {
            let request = match T::taken(one.raw.clone(), limits) {
                Ok(request) => request,
                Err(why) => {
                    self.refuse(&one, lanes, &why);
                    continue;
                }
            };
            match request.signed(&self.keyring) {
                Some(check) => {
                    parsed.push(((held.len(), request), vec![check]));
                    held.push(one);
                }
                None => self.refuse(&one, lanes, "unknown client"),
            }
        }
        if parsed.is_empty() {
            return;
        }
        self.observer
            .counters
            .verify_batches
            .record(parsed.len() as u64);
        let settled = crypto::settle_all(parsed, self.keyring.scheme(), |item, verdicts| {
            let client = item.1.client();
            self.observer.of_clients.checked(client, verdicts);
            if verdicts.iter().all(|good| *good) {
                Ok(item)
            } else {
                Err(item.0)
            }
        });
        for verdict in settled {
            match verdict {
                Ok(item) => good.push(item.map(|(_, request)| request)),
                Err(at) => {
                    if let Some(one) = held.get(at) {
                        self.refuse(one, lanes, "invalid signature");
                    }
                }
            }
        }
        if !lanes.nobody_is_suspect() {
            let clients = good.iter().map(|request| request.client());
            clients.for_each(|client| lanes.good(client));
        }
    }

    fn refuse(&self, one: &Waiting, lanes: &mut Lanes, why: &str) {
        self.observer.counters.bad_requests.add(1);
        lanes.suspect(one.client);
        one.source.charge(Some(one.client), why);
    }
}

/// What clients sign.
trait Asked: Sized {
    fn taken(raw: Bytes, limits: &Limits) -> Result<Self, String>;
    fn signed<'k>(&self, keyring: &'k Keyring) -> Option<Check<'k>>;
    fn client(&self) -> ClientId;
}

impl Asked for Request {
    fn taken(raw: Bytes, limits: &Limits) -> Result<Self, String> {
        Request::parse(raw, limits).map_err(|error| error.to_string())
    }

    fn signed<'k>(&self, keyring: &'k Keyring) -> Option<Check<'k>> {
        self.check(keyring)
    }

    fn client(&self) -> ClientId {
        self.id.client
    }
}

impl Asked for Read {
    fn taken(raw: Bytes, limits: &Limits) -> Result<Self, String> {
        Read::parse(raw, limits).map_err(|error| error.to_string())
    }

    fn signed<'k>(&self, keyring: &'k Keyring) -> Option<Check<'k>> {
        self.check(keyring)
    }

    fn client(&self) -> ClientId {
        self.id.client
    }
}

#[cfg(test)]
mod tests;
