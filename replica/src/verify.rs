//! Verification workers: bytes in, admitted messages and requests out.
//!
//! A worker takes everything that has gathered while it was busy and verifies it as one batch,
//! which costs a third of single signatures. Peers come first, and clients' signatures make a
//! batch of their own: a client that sends bad ones makes no vote more expensive (R15).

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use consensus::protocol::admit_all;
use consensus::{Keyring, Misbehaviour, ReplicaId, Request};
use crypto::Verified;
use tokio::sync::OwnedSemaphorePermit;

use crate::driver::core_loop::CoreInbox;
use crate::driver::ports::Describe;
use crate::evidence::{Testify, Witness};
use crate::inbox::{Backlog, Closed, Inbox};
use crate::observer::Observer;

/// Requests in one round of a worker: the next votes wait for them, 10 us each.
pub const ROUND_REQUESTS_MAX: usize = 256;

/// What waits for verification. Bounded at its sources: each peer and each client connection has
/// a budget of bytes, whose permits travel with the bytes.
#[derive(Default)]
pub struct Unverified {
    /// From peers, in order of arrival.
    pub peers: Vec<PeerFrames>,
    /// From clients, in order of arrival.
    pub clients: Vec<ClientRequests>,
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
    fn charge(&self, why: &str);
}

impl Backlog for Unverified {
    fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.clients.is_empty()
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
}

impl<M> Worker<M> {
    fn run<P, D>(&self, inbox: &VerifyInbox) -> Result<std::convert::Infallible, Closed>
    where
        P: Testify<Message = M>,
        D: Describe<P::Wire>,
    {
        // Requests beyond a round's share, while peers' frames may have come in.
        let mut carried = VecDeque::new();
        loop {
            let until = if carried.is_empty() {
                None
            } else {
                Some(std::time::Instant::now())
            };
            let backlog = inbox.take(until)?;
            carried.extend(backlog.clients);
            if !backlog.peers.is_empty() {
                self.peers::<P, D>(backlog.peers)?;
            }
            let round = next_round(&mut carried);
            if !round.is_empty() {
                self.clients(round)?;
            }
        }
    }

    fn peers<P, D>(&self, arrived: Vec<PeerFrames>) -> Result<(), Closed>
    where
        P: Testify<Message = M>,
        D: Describe<P::Wire>,
    {
        let mut wires = Vec::new();
        let mut permits = Vec::with_capacity(arrived.len());
        for PeerFrames {
            from,
            frames,
            permit,
        } in arrived
        {
            permits.push(permit);
            for frame in frames {
                match crypto::decode::<P::Wire>(&frame) {
                    Ok(wire) => {
                        self.observer.received(D::kind(&wire));
                        wires.push((from, wire));
                    }
                    Err(error) => {
                        self.observer
                            .misbehaved(from, &Misbehaviour::Malformed(error.to_string()));
                    }
                }
            }
        }
        self.observer
            .counters
            .verify_batches
            .record(wires.len() as u64);
        let mut admitted = Vec::with_capacity(wires.len());
        for (from, verdict) in admit_all::<P>(&self.keyring, wires) {
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
        self.core.put_with_room(|burst| {
            if burst.messages.is_empty() {
                burst.messages = admitted;
            } else {
                burst.messages.extend(admitted);
            }
        })
        // `permits` go back only now: what waits for room in the core still counts.
    }

    fn clients(&self, round: Vec<ClientRequests>) -> Result<(), Closed> {
        let limits = self.keyring.cluster().limits();
        let mut parsed = Vec::new();
        let mut permits = Vec::with_capacity(round.len());
        for ClientRequests {
            source,
            requests,
            permits: held,
        } in round
        {
            permits.push(held);
            for raw in requests {
                let request = match Request::parse(raw, limits) {
                    Ok(request) => request,
                    Err(error) => {
                        self.refuse(&source, &error.to_string());
                        continue;
                    }
                };
                match request.check(&self.keyring) {
                    Some(check) => parsed.push(((Arc::clone(&source), request), vec![check])),
                    None => self.refuse(&source, "unknown client"),
                }
            }
        }
        self.observer
            .counters
            .verify_batches
            .record(parsed.len() as u64);
        let settled = crypto::settle_all(parsed, self.keyring.scheme(), |item, verdicts| {
            if verdicts.iter().all(|good| *good) {
                Ok(item)
            } else {
                Err(item.0)
            }
        });
        let mut requests: Vec<Verified<Request>> = Vec::with_capacity(settled.len());
        for verdict in settled {
            match verdict {
                Ok(item) => requests.push(item.map(|(_, request)| request)),
                Err(source) => self.refuse(&source, "invalid signature"),
            }
        }
        self.core
            .put_with_room(|burst| burst.requests.extend(requests))
    }

    fn refuse(&self, source: &Arc<dyn Source>, why: &str) {
        self.observer.counters.bad_requests.add(1);
        source.charge(why);
    }
}

/// Takes whole pieces from the front, up to a round's share and at least one.
fn next_round(carried: &mut VecDeque<ClientRequests>) -> Vec<ClientRequests> {
    let mut round = Vec::new();
    let mut requests = 0;
    while let Some(next) = carried.front() {
        if requests > 0 && requests + next.requests.len() > ROUND_REQUESTS_MAX {
            break;
        }
        requests += next.requests.len();
        round.extend(carried.pop_front());
    }
    round
}
