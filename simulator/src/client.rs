//! A simulated client: a closed loop of random operations on few keys, with its history.

use std::sync::Arc;

use consensus::client::{Action, ClientSession, Pace, SessionId};
use consensus::{ByteList, ClientId, Cluster, Instant, Outcome, ReplicaId, Reply, SeqNo};
use crypto::Signer;
use crypto::codec::Blob;
use kv::{Expect, Op};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// One request of a client's history.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) client: ClientId,
    pub(crate) number: u64,
    pub(crate) called: Instant,
    pub(crate) returned: Option<(Instant, SeqNo, Outcome)>,
}

/// One client.
pub(crate) struct SimClient {
    pub(crate) id: ClientId,
    session: ClientSession,
    remaining: u64,
    outstanding: u64,
    ops_max: u16,
    keys: u32,
    written: u64,
    rng: ChaCha8Rng,
    pub(crate) history: Vec<Call>,
}

impl SimClient {
    pub(crate) fn new(
        id: ClientId,
        cluster: Arc<Cluster>,
        signer: Arc<dyn Signer>,
        config: &crate::Config,
        rng: ChaCha8Rng,
        now: Instant,
    ) -> Self {
        let session_id = SessionId {
            client: id,
            session: 1,
        };
        let seed = config.seed ^ u64::from(id.0);
        let members: Vec<ReplicaId> = cluster.members().collect();
        let mut session = ClientSession::new(cluster, session_id, signer, Pace::default(), seed);
        let mut ignored = Vec::new();
        for replica in members {
            session.on_connected(replica, now, &mut ignored);
        }
        SimClient {
            id,
            session,
            remaining: config.requests,
            outstanding: config.outstanding,
            ops_max: config.ops_max,
            keys: config.keys,
            written: 0,
            rng,
            history: Vec::new(),
        }
    }

    /// Every request has its result.
    pub(crate) fn done(&self) -> bool {
        self.remaining == 0 && self.history.iter().all(|call| call.returned.is_some())
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.session.next_deadline()
    }

    /// Submits until the loop is full.
    pub(crate) fn submit(&mut self, now: Instant, out: &mut Vec<Action>) {
        while self.remaining > 0
            && (self.session.outstanding() as u64) < self.outstanding
            && self.session.has_room()
        {
            let count = self.rng.random_range(1..=self.ops_max);
            let ops: ByteList = (0..count).map(|_| self.random_op().encode()).collect();
            let atomic = self.rng.random_ratio(1, 4);
            match self.session.submit(&ops, atomic, now, out) {
                Ok(number) => {
                    self.remaining -= 1;
                    self.history.push(Call {
                        client: self.id,
                        number,
                        called: now,
                        returned: None,
                    });
                }
                Err(_) => return,
            }
        }
    }

    fn random_op(&mut self) -> Op {
        let key = Blob::from(format!("k{}", self.rng.random_range(0..self.keys)).into_bytes());
        self.written += 1;
        let value = Blob::from(format!("c{}-{}", self.id.0, self.written).into_bytes());
        match self.rng.random_range(0..7) {
            0 => Op::Create { key, value },
            1 => Op::Update { key, value },
            2 => Op::Put { key, value },
            3 => Op::Delete { key },
            4 => Op::Cas {
                key,
                expect: Expect::Absent,
                value,
            },
            5 => Op::Scan {
                start: key,
                end: None,
                limit: 3,
            },
            _ => Op::Read { key },
        }
    }

    /// A reply arrived.
    pub(crate) fn on_reply(
        &mut self,
        from: ReplicaId,
        reply: Reply,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        self.session.on_reply(from, reply, now, out);
        self.settle(now, out);
    }

    /// A timer of the session may be due.
    pub(crate) fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.session.tick(now, out);
        self.settle(now, out);
    }

    /// Moves results into the history and goes on.
    fn settle(&mut self, now: Instant, out: &mut Vec<Action>) {
        for action in out.iter() {
            if let Action::Completed(completed) = action
                && let Some(call) = self
                    .history
                    .iter_mut()
                    .find(|call| call.number == completed.number)
            {
                call.returned = Some((now, completed.seq, completed.outcome.clone()));
            }
        }
        self.submit(now, out);
    }
}
