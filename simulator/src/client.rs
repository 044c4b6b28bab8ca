//! A simulated client: places that think, ask and wait, on few keys, so that they meet.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use consensus::client::{Action, ClientSession, Completed, Counters, SessionId};
use consensus::{ByteList, ClientId, Cluster, Grade, Instant, ReplicaId, Reply, Term};
use crypto::Signer;
use crypto::codec::Blob;
use kv::{Compare, Expect, Op, SimpleOp, Txn};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The session that every simulated client has.
pub(crate) const SESSION: u64 = 1;

/// A request that has no result yet.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) called: Instant,
    /// See [`crate::check::Answered`].
    pub(crate) floor: u64,
    /// What it reads, if it is a read beside the log.
    pub(crate) reads: ByteList,
}

/// One client.
pub(crate) struct SimClient {
    pub(crate) id: ClientId,
    session: ClientSession,
    /// Requests that it still has to make.
    pub(crate) remaining: u64,
    ops_max: u16,
    keys: u32,
    quorum_reads: f64,
    written: u64,
    rng: ChaCha8Rng,
    /// When its next tick is scheduled; later ones are not.
    pub(crate) tick: Option<Instant>,
    think: Range<u64>,
    /// Oldest first.
    pub(crate) open: VecDeque<Call>,
}

impl SimClient {
    pub(crate) fn new(
        id: ClientId,
        cluster: Arc<Cluster>,
        signer: Arc<dyn Signer>,
        config: &crate::Config,
        rng: ChaCha8Rng,
    ) -> Self {
        let session_id = SessionId {
            client: id,
            session: SESSION,
        };
        let seed = config.seed ^ u64::from(id.0);
        let members: Vec<ReplicaId> = cluster.members().collect();
        let mut session =
            ClientSession::new(cluster, session_id, signer, config.pace.clone(), seed);
        let mut ignored = Vec::new();
        for replica in members {
            session.on_connected(replica, Instant(0), &mut ignored);
        }
        SimClient {
            id,
            session,
            remaining: config.requests,
            ops_max: config.ops_max,
            keys: config.keys,
            quorum_reads: config.quorum_reads,
            written: 0,
            rng,
            tick: None,
            think: crate::network::nanos(config.think.start)
                ..crate::network::nanos(config.think.end),
            open: VecDeque::new(),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.session.next_deadline()
    }

    /// How long a place thinks.
    pub(crate) fn think(&mut self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.rng.random_range(self.think.clone()))
    }

    /// A place asks something at random. False: the window is full.
    pub(crate) fn ask(&mut self, now: Instant, floor: u64, out: &mut Vec<Action>) -> bool {
        if self.quorum_reads > 0.0 && self.rng.random_bool(self.quorum_reads) {
            return self.read(now, floor, out);
        }
        let count = self.rng.random_range(1..=self.ops_max);
        let ops: ByteList = (0..count).map(|_| self.random_op().encode()).collect();
        let atomic = self.rng.random_ratio(1, 4);
        self.submit(&ops, atomic, now, floor, out)
    }

    /// A place reads something at random beside the log.
    fn read(&mut self, now: Instant, floor: u64, out: &mut Vec<Action>) -> bool {
        let count = self.rng.random_range(1..=self.ops_max);
        let ops: ByteList = (0..count).map(|_| self.random_read().encode()).collect();
        let Ok(number) = self.session.read(&ops, Grade::Quorum, now, out) else {
            return false;
        };
        self.remaining = self.remaining.saturating_sub(1);
        self.open.push_back(Call {
            number,
            called: now,
            floor,
            reads: ops,
        });
        true
    }

    fn random_read(&mut self) -> Op {
        let key = self.random_key();
        match self.rng.random_range(0..6) {
            0 => Op::Scan {
                start: key,
                end: None,
                limit: 3,
            },
            _ => Op::Read { key },
        }
    }

    /// What its session has counted.
    pub(crate) fn counters(&self) -> Counters {
        self.session.counters()
    }

    /// Asks for everything there is.
    pub(crate) fn probe(&mut self, now: Instant, floor: u64, out: &mut Vec<Action>) -> bool {
        let all = Op::Scan {
            start: Blob::default(),
            end: None,
            limit: kv::SCAN_LIMIT_MAX,
        };
        self.submit(&ByteList::from_iter([all.encode()]), false, now, floor, out)
    }

    fn submit(
        &mut self,
        ops: &ByteList,
        atomic: bool,
        now: Instant,
        floor: u64,
        out: &mut Vec<Action>,
    ) -> bool {
        if !self.session.has_room() {
            return false;
        }
        let Ok(number) = self.session.submit(ops, atomic, now, out) else {
            return false;
        };
        self.remaining = self.remaining.saturating_sub(1);
        self.open.push_back(Call {
            number,
            called: now,
            floor,
            reads: ByteList::default(),
        });
        true
    }

    /// The call that a result is for; it is closed.
    pub(crate) fn close(&mut self, completed: &Completed) -> Option<Call> {
        let is_it = |call: &Call| call.number == completed.number;
        let at = self.open.iter().position(is_it)?;
        self.open.remove(at)
    }

    fn random_op(&mut self) -> Op {
        match self.rng.random_range(0..9) {
            0 => {
                let (start, to) = (self.random_key(), self.random_key());
                Op::Scan {
                    start,
                    end: self.rng.random_bool(0.5).then_some(to),
                    limit: 3,
                }
            }
            1 => Op::Txn(Txn {
                compare: vec![Compare {
                    key: self.random_key(),
                    expect: Expect::Absent,
                }],
                then: vec![self.random_write(), self.random_write()],
                otherwise: vec![self.random_write()],
            }),
            _ => match self.random_write() {
                SimpleOp::Create { key, value } => Op::Create { key, value },
                SimpleOp::Read { key } => Op::Read { key },
                SimpleOp::Update { key, value } => Op::Update { key, value },
                SimpleOp::Put { key, value } => Op::Put { key, value },
                SimpleOp::Delete { key } => Op::Delete { key },
                SimpleOp::Cas { key, expect, value } => Op::Cas { key, expect, value },
            },
        }
    }

    fn random_key(&mut self) -> Blob {
        Blob::from(format!("k{}", self.rng.random_range(0..self.keys)).into_bytes())
    }

    fn random_write(&mut self) -> SimpleOp {
        let key = self.random_key();
        self.written += 1;
        let value = Blob::from(format!("c{}-{}", self.id.0, self.written).into_bytes());
        match self.rng.random_range(0..6) {
            0 => SimpleOp::Create { key, value },
            1 => SimpleOp::Update { key, value },
            2 => SimpleOp::Put { key, value },
            3 => SimpleOp::Delete { key },
            4 => SimpleOp::Cas {
                key,
                expect: Expect::Absent,
                value,
            },
            _ => SimpleOp::Read { key },
        }
    }

    pub(crate) fn on_reply(
        &mut self,
        from: ReplicaId,
        reply: Reply,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        self.session.on_reply(from, reply, now, out);
    }

    pub(crate) fn on_hint(
        &mut self,
        from: ReplicaId,
        term: Term,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        self.session.on_hint(from, term, now, out);
    }

    pub(crate) fn on_channel(
        &mut self,
        from: ReplicaId,
        up: bool,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if up {
            self.session.on_connected(from, now, out);
        } else {
            self.session.on_disconnected(from, now, out);
        }
    }

    pub(crate) fn on_tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.session.tick(now, out);
    }
}
