//! What bad signatures of one client cost the others, by counting signatures.

#![allow(clippy::unwrap_used)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use consensus::pbft::Pbft;
use consensus::pbft::admission::Message;
use consensus::pbft::certificate::Statement;
use consensus::pbft::message::{Prepare, Wire};
use consensus::protocol::Horizon;
use consensus::report::{Path, Report};
use consensus::{ByteList, Cluster, Epoch, FastQuorum, Limits, SeqNo, View};
use crypto::codec::Blob;
use crypto::{
    Check, ClusterId, Digest, Ed25519, Kind, Scheme, SecretKey, Sender, Signature, Signer,
    signing_digest,
};

use super::*;
use crate::observer::status::ClientChecks;
use crate::pbft_ports::QuicNetwork;

/// Counts what is verified one by one and what in batches.
#[derive(Debug, Default)]
struct Counting {
    single: AtomicUsize,
    batched: AtomicUsize,
}

impl Scheme for Counting {
    fn verify(&self, check: &Check<'_>) -> bool {
        self.single.fetch_add(1, Ordering::Relaxed);
        Ed25519.verify(check)
    }

    fn verify_batch(&self, checks: &[Check<'_>]) -> bool {
        if let [check] = checks {
            return self.verify(check);
        }
        self.batched.fetch_add(checks.len(), Ordering::Relaxed);
        Ed25519.verify_batch(checks)
    }
}

/// Who was charged.
#[derive(Default)]
struct Charged(Mutex<Vec<Option<ClientId>>>);

impl Source for Charged {
    fn charge(&self, client: Option<ClientId>, _why: &str) {
        self.0.lock().unwrap().push(client);
    }
    fn turn_away(&self, _id: RequestId) {}
}

struct Stage {
    scheme: Arc<Counting>,
    worker: Worker<u32>,
    lanes: Lanes,
    now: Instant,
    source: Arc<Charged>,
    cluster: ClusterId,
}

fn key(index: u8) -> SecretKey {
    SecretKey::from_seed(&[index; 32])
}

impl Stage {
    fn new() -> Self {
        let replicas = (1..=4).map(|index| key(index).public()).collect();
        let clients = (10..14).map(|index| key(index).public()).collect();
        let limits = Limits::default();
        let cluster = Cluster::genesis(1, FastQuorum::Off, limits, replicas, clients).unwrap();
        let cluster = Arc::new(cluster);
        let scheme = Arc::new(Counting::default());
        let now = Instant::now();
        let observer = Observer::new(
            ReplicaId(0),
            Arc::clone(&cluster),
            &["message"],
            Box::new(Default::default),
            &crate::observer::Logs::default(),
        );
        Stage {
            worker: Worker {
                keyring: Keyring::with_scheme(
                    Arc::clone(&cluster),
                    Arc::<Counting>::clone(&scheme),
                ),
                core: Arc::default(),
                witness: None,
                alone: true,
                observer: Arc::new(observer.unwrap()),
            },
            scheme,
            lanes: Lanes::new(now),
            now,
            source: Arc::default(),
            cluster: *cluster.id(),
        }
    }

    fn push(&mut self, client: u8, numbers: std::ops::RangeInclusive<u64>, good: bool) {
        self.lanes.push(ClientRequests {
            source: Arc::<Charged>::clone(&self.source),
            requests: numbers
                .map(|number| self.request(client, number, good))
                .collect(),
            permits: [None, None],
        });
    }

    fn request(&self, client: u8, number: u64, good: bool) -> Bytes {
        let id = RequestId {
            client: ClientId(u32::from(client)),
            session: 1,
            number,
        };
        let signer = key(if good { 10 + client } else { 99 });
        let ops = ByteList::from_iter([b"op"]);
        let request = Request::sign(&signer, &self.cluster, id, 0, false, &ops);
        request.raw().clone()
    }

    /// One round; what passed.
    fn pass(&mut self) -> Vec<Verified<Request>> {
        self.now += SUSPECT_PACE * ROUND_SUSPECTS_MAX as u32;
        let round = self.lanes.next_round(self.now);
        self.worker.clients(round, &mut self.lanes)
    }

    /// One round; how many signatures were verified one by one, and how many in batches.
    fn round(&mut self) -> (usize, usize) {
        self.pass();
        let taken = |counter: &AtomicUsize| counter.swap(0, Ordering::Relaxed);
        (taken(&self.scheme.single), taken(&self.scheme.batched))
    }
}

#[test]
fn bad_signatures_of_one_client_spoil_the_others_batch_once_and_then_no_more() {
    let mut stage = Stage::new();
    stage.push(0, 1..=40, true);
    stage.push(1, 1..=1, false);
    assert_eq!(stage.round(), (41, 41), "nobody was suspect: one by one");
    for _ in 0..3 {
        stage.push(0, 1..=40, true);
        stage.push(1, 1..=200, false);
        let suspects = ROUND_SUSPECTS_MAX;
        let (single, batched) = stage.round();
        assert_eq!(single, suspects, "each bad one is looked at once");
        assert_eq!(batched, 40, "the others' batch holds");
    }
    let charged = stage.source.0.lock().unwrap();
    assert!(charged.iter().all(|client| *client == Some(ClientId(1))));
    assert_eq!(charged.len(), 1 + 3 * ROUND_SUSPECTS_MAX);
}

#[test]
fn a_flood_costs_another_client_at_most_one_request_in_two() {
    let mut stage = Stage::new();
    stage.push(2, 1..=1000, true);
    stage.push(3, 1..=100, true);
    let passed = stage.pass();
    let of = |client| {
        passed
            .iter()
            .filter(|request| request.id.client.0 == client)
            .count()
    };
    assert_eq!((of(2), of(3)), (ROUND_REQUESTS_MAX - 100, 100));
}

#[test]
fn signatures_count_for_the_client_that_sends_them() {
    let mut stage = Stage::new();
    stage.push(0, 1..=40, true);
    stage.push(3, 1..=30, false);
    stage.round();
    stage.push(3, 31..=90, false);
    stage.round();
    let clients = stage.worker.observer.status().clients;
    let bad = 30 + ROUND_SUSPECTS_MAX as u64;
    assert_eq!((clients.checks, clients.bad_checks), (40 + bad, bad));
    let most = |client, checks| Some(ClientChecks { client, checks });
    assert_eq!(clients.most, most(0, 40));
    assert_eq!(clients.most_bad, most(3, bad));
}

#[test]
fn signatures_count_for_the_peer_whose_message_they_are_in() {
    let stage = Stage::new();
    let worker = of_peers(&stage);
    let forwarded = |good| Blob(stage.request(1, 7, good));
    let wires = vec![
        (ReplicaId(1), Wire::Prepare(prepare(5, Digest::default()))),
        (ReplicaId(2), Wire::Forward(vec![forwarded(true)])),
        // The good one is of use. A correct peer would not have passed the others on.
        (
            ReplicaId(3),
            Wire::Forward(vec![forwarded(true), forwarded(false), forwarded(false)]),
        ),
        // Nothing is checked in another's name.
        (ReplicaId(3), Wire::Prepare(prepare(5, Digest::default()))),
    ];
    let permits = Vec::new();
    let round = peers::Round { wires, permits };
    assert!(worker.admit::<Pbft>(round).is_ok());
    let peers = stage.worker.observer.status().peers;
    let counted: Vec<_> = peers
        .iter()
        .map(|peer| (peer.replica, peer.checks, peer.bad_checks))
        .collect();
    assert_eq!(counted, [(1, 1, 1), (2, 1, 0), (3, 3, 2)]);
    let refused: Vec<u64> = peers.iter().map(|peer| peer.misbehaviour).collect();
    assert_eq!(refused, [1, 0, 1]);
    let offences = |peer| stage.worker.observer.peer(ReplicaId(peer)).offences.total();
    assert_eq!([1, 2, 3].map(offences), [1, 0, 3]);
}

/// A worker for what peers send, which reports to the stage's observer.
fn of_peers(stage: &Stage) -> Worker<Message> {
    Worker {
        keyring: stage.worker.keyring.clone(),
        core: Arc::default(),
        witness: None,
        alone: true,
        observer: Arc::clone(&stage.worker.observer),
    }
}

#[test]
fn a_flood_of_bad_votes_costs_one_round_and_what_waits_behind_it_is_dropped_unseen() {
    let stage = Stage::new();
    let worker = of_peers(&stage);
    let flood = |from| PeerFrames {
        from,
        frames: (1..=2_000)
            .map(|seq| vote(seq, Digest::default()))
            .collect(),
        permit: None,
    };
    let mut queues = PeerQueues::default();
    let mut bad = Vec::new();
    for _ in 0..3 {
        worker.decode::<Pbft, QuicNetwork>(flood(ReplicaId(1)), &mut queues);
        assert!(worker.peers::<Pbft>(&mut queues).is_ok());
        assert!(queues.is_empty());
        bad.push(
            stage
                .worker
                .observer
                .peer(ReplicaId(1))
                .signatures
                .bad
                .total(),
        );
    }
    assert_eq!(
        bad, [ROUND_VOTES_EACH_MAX as u64; 3],
        "nothing is looked at while it is cut off"
    );
    assert_eq!(stage.worker.observer.peer(ReplicaId(1)).bans.total(), 1);
}

#[test]
fn bad_requests_that_a_peer_passes_on_cut_it_off_as_well() {
    let stage = Stage::new();
    let worker = of_peers(&stage);
    let frame = |numbers: std::ops::Range<u64>| {
        let mut requests = vec![Blob(stage.request(1, 1, true))];
        requests.extend(numbers.map(|number| Blob(stage.request(1, number, false))));
        Bytes::from(crypto::encode(&Wire::Forward(requests)))
    };
    let flood = PeerFrames {
        from: ReplicaId(2),
        frames: (0..50).map(|at| frame(at * 10 + 2..at * 10 + 12)).collect(),
        permit: None,
    };
    let mut queues = PeerQueues::default();
    worker.decode::<Pbft, QuicNetwork>(flood, &mut queues);
    assert!(worker.peers::<Pbft>(&mut queues).is_ok());
    assert!(queues.is_empty());
    let checked = stage
        .worker
        .observer
        .peer(ReplicaId(2))
        .signatures
        .bad
        .total();
    assert_eq!(checked, 10 * ROUND_FORWARDS_MAX as u64);
}

/// A PREPARE of replica 1 in view 0; its signature is nobody's.
fn prepare(seq: u64, digest: Digest) -> Prepare {
    let statement = Statement {
        view: View(0),
        seq: SeqNo(seq),
        digest,
    };
    Prepare {
        epoch: Epoch(0),
        statement,
        replica: ReplicaId(1),
        signature: Signature([0; 64]),
        header_signature: Signature([0; 64]),
    }
}

fn vote(seq: u64, digest: Digest) -> Bytes {
    Bytes::from(crypto::encode(&Wire::Prepare(prepare(seq, digest))))
}

/// How many of these votes a worker that reports to `observer` is left with to verify.
fn to_verify(stage: &Stage, votes: Vec<Bytes>) -> usize {
    let worker = of_peers(stage);
    let frames = PeerFrames {
        from: ReplicaId(1),
        frames: votes,
        permit: None,
    };
    let mut queues = PeerQueues::default();
    worker.decode::<Pbft, QuicNetwork>(frames, &mut queues);
    queues.votes().wires.len()
}

#[test]
fn what_is_beyond_the_cores_horizon_is_dropped_before_it_costs_a_verification() {
    let stage = Stage::new();
    let observer = &stage.worker.observer;
    let votes = || (1..=20).map(|seq| vote(seq, Digest::default())).collect();
    assert_eq!(
        to_verify(&stage, votes()),
        20,
        "the core has said nothing yet"
    );
    observer.look_as_far_as(Some(Horizon {
        epoch: Epoch(0),
        seq: SeqNo(12),
    }));
    assert_eq!(to_verify(&stage, votes()), 12);
    assert_eq!(observer.counters.beyond_horizon.total(), 8);
}

#[test]
fn votes_beyond_the_needed_quorum_are_not_verified_but_contradicting_ones_are() {
    let stage = Stage::new();
    let observer = &stage.worker.observer;
    observer.report(&Report::Decided {
        epoch: Epoch(0),
        seq: SeqNo(5),
        view: View(0),
        digest: Digest::default(),
        path: Path::Fast,
    });
    let same = vote(5, Digest::default());
    let other = vote(5, Digest([9; 32]));
    let later = vote(6, Digest::default());
    assert_eq!(to_verify(&stage, vec![same.clone(), other, later]), 2);
    assert_eq!(to_verify(&stage, vec![same]), 0);
    assert_eq!(observer.counters.surplus_votes.total(), 2);
}

/// A PREPARE of this replica for slot 1, with its own signature or somebody else's.
fn vote_of(stage: &Stage, from: u16, good: bool) -> PeerFrames {
    let unsigned = prepare(1, Digest::default());
    let body = unsigned.statement.body();
    let sign = |kind, replica: u16, signer: u16| {
        let sender = Sender::Replica(replica);
        let digest = signing_digest(kind, &stage.cluster, 0, sender, &body);
        key(1 + signer as u8).sign(&digest)
    };
    let wire = Wire::Prepare(Prepare {
        replica: ReplicaId(from),
        signature: sign(Kind::Prepare, from, if good { from } else { 0 }),
        header_signature: sign(Kind::PrePrepare, 0, 0),
        ..unsigned
    });
    PeerFrames {
        from: ReplicaId(from),
        frames: vec![Bytes::from(crypto::encode(&wire))],
        permit: None,
    }
}

/// Of four replicas, with votes that gather; two of others and one's own decide.
fn gathering(stage: &Stage) -> PeerQueues<Wire> {
    PeerQueues::that_gather(stage.worker.keyring.cluster().quorums())
}

/// Takes in a vote of this replica, and verifies what is to be verified then; how many votes that was.
fn verified_with(
    stage: &Stage,
    worker: &Worker<Message>,
    queues: &mut PeerQueues<Wire>,
    vote: PeerFrames,
) -> u64 {
    let counted = || {
        let of = |peer| {
            stage
                .worker
                .observer
                .peer(ReplicaId(peer))
                .signatures
                .checks
                .total()
        };
        (1..4).map(of).sum::<u64>()
    };
    let before = counted();
    worker.decode::<Pbft, QuicNetwork>(vote, queues);
    assert!(worker.peers::<Pbft>(queues).is_ok());
    counted() - before
}

#[test]
fn votes_are_verified_when_they_could_decide_and_those_left_over_are_not() {
    let stage = Stage::new();
    let (worker, mut queues) = (of_peers(&stage), gathering(&stage));
    let mut take = |from| verified_with(&stage, &worker, &mut queues, vote_of(&stage, from, true));
    assert_eq!(take(1), 0);
    let both = take(2);
    assert!(both >= 2, "{both} signatures of two votes");
    assert_eq!(
        stage.scheme.single.load(Ordering::Relaxed),
        0,
        "in one batch"
    );
    assert_eq!(take(3), 0);
    assert_eq!(stage.worker.observer.status().peers.len(), 3);
    let settled = |ballot: &Ballot| worker.is_settled(ballot);
    let due = queues.due(Instant::now()).unwrap();
    stage.worker.observer.report(&Report::Decided {
        epoch: Epoch(0),
        seq: SeqNo(1),
        view: View(0),
        digest: Digest::default(),
        path: Path::Fast,
    });
    assert_eq!(queues.wait_no_longer(due, settled), 1);
    assert!(queues.is_empty() && queues.due(due).is_none());
}

#[test]
fn a_vote_that_nothing_came_of_is_verified_after_all() {
    let stage = Stage::new();
    let (worker, mut queues) = (of_peers(&stage), gathering(&stage));
    assert_eq!(
        verified_with(&stage, &worker, &mut queues, vote_of(&stage, 1, true)),
        0
    );
    let due = queues.due(Instant::now()).unwrap();
    assert_eq!(
        queues.wait_no_longer(due, |ballot| worker.is_settled(ballot)),
        0
    );
    assert_eq!(queues.votes().wires.len(), 1);
}

#[test]
fn a_bad_vote_is_no_company_for_long() {
    let stage = Stage::new();
    let (worker, mut queues) = (of_peers(&stage), gathering(&stage));
    let begun = Instant::now();
    let mut take =
        |from, good| verified_with(&stage, &worker, &mut queues, vote_of(&stage, from, good));
    assert_eq!(take(1, false), 0);
    assert!(take(2, true) >= 2);
    // At a time of the test's choice: however long it has stood still, that is soon after the bad one.
    let vote: Wire = crypto::decode(&vote_of(&stage, 3, true).frames[0]).unwrap();
    let ballot = QuicNetwork::ballot(&vote).unwrap();
    queues.push_vote(begun, ballot, ReplicaId(3), vote, &Arc::new(None));
    let waits_for_nobody = queues.votes().wires.len();
    assert_eq!(waits_for_nobody, 1);
}
