//! Byzantine clients (BC1, BC2, BC3, BC5): they hold keys of the cluster like any other, and lie about everything else.
//!
//! They attack beside Byzantine members and all other faults, and healing does not make them honest.
//! Nothing is promised to them: the oracles judge what correct clients get. But what they have executed
//! is in the log, in the keys of the correct ones, and has to be the same everywhere.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use byzantine::client::{Forge, equivocate, half, jump};
use consensus::{Batch, ByteList, ClientId, Cluster, Outcome, Request, RequestId};
use crypto::Signer;
use kv::Op;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::config::Config;
use crate::network::nanos;
use crate::queue::What;
use crate::world::{Phase, World};

/// Between two turns of one of them.
const PACE: Range<Duration> = Duration::from_millis(15)..Duration::from_millis(60);
/// Requests in one turn of a flood.
const FLOOD: usize = 12;
/// Requests in one turn of one that signs badly: so few that it counts as no flood.
const BADLY_SIGNED: usize = 1;
/// Turns after which the highest session there is is entered.
const LAST_SESSION_AFTER: u64 = 40;
/// The session that they begin with: there are older ones.
const SESSION: u64 = 5;
/// Most of them in one run.
const ROGUES_MAX: u32 = 2;
/// What one client may have pending in half of the runs with rogues: a turn of a flood does not fit in ...
const PENDING_PER_CLIENT: usize = 8;
/// ... and what all of them may have pending: all that the correct ones ask for does.
const PENDING: usize = 64;

/// What a Byzantine client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// BC1: two different requests under one number, one for each half of the replicas.
    Equivocate,
    /// BC3: the highest numbers and sessions, older ones, the same again, and gaps.
    Jump,
    /// BC2: requests whose signatures do not hold for replica 0, the first primary, and do for the others.
    SignBadly,
    /// BC5: more than it is allowed to have pending, whatever it is told.
    Flood,
}

/// A few of them, and in half of the cases a pool so small that they could fill it.
pub(crate) fn drawn_rogues(rng: &mut ChaCha8Rng, config: &mut Config) {
    let all = [
        Trick::Equivocate,
        Trick::Jump,
        Trick::SignBadly,
        Trick::Flood,
    ];
    let count = rng.random_range(1..=ROGUES_MAX);
    config.rogues = (0..count)
        .map(|_| all[rng.random_range(0..all.len())])
        .collect();
    if rng.random_bool(0.5) {
        config.policy.pending_per_client_max = PENDING_PER_CLIENT;
        config.policy.pending_requests_max = PENDING;
    }
}

/// Who gets what it says.
#[derive(Clone, Copy)]
enum Whom {
    All,
    /// See [`half`].
    Half(usize),
    /// Replica 0, or everybody else.
    First(bool),
}

/// One of them.
pub(crate) struct Rogue {
    trick: Trick,
    forge: Forge,
    turn: u64,
    keys: u32,
}

impl Rogue {
    pub(crate) fn new(
        trick: Trick,
        id: ClientId,
        cluster: &Cluster,
        signer: Arc<dyn Signer>,
        keys: u32,
    ) -> Self {
        Rogue {
            trick,
            forge: Forge::new(signer, id, *cluster.id(), SESSION),
            turn: 0,
            keys,
        }
    }

    /// What it sends now.
    fn act(&mut self) -> Vec<(Whom, Bytes)> {
        let ops = [self.write(0), self.write(1)];
        let turn = self.turn;
        self.turn += 1;
        match self.trick {
            Trick::Equivocate => {
                let said = equivocate(&mut self.forge, &ops[0], &ops[1]);
                let each = |(half, request): (usize, &Request)| {
                    let raw = request.raw().clone();
                    (Whom::Half(half), raw)
                };
                said.iter().enumerate().map(each).collect()
            }
            Trick::Jump => {
                let jump = jump(&mut self.forge, turn, LAST_SESSION_AFTER, &ops[0]);
                let all = |request: &Request| (Whom::All, request.raw().clone());
                jump.requests.iter().map(all).collect()
            }
            Trick::SignBadly => (0..BADLY_SIGNED)
                .flat_map(|_| {
                    let good = self.forge.next(&ops[0]).raw().clone();
                    let mut bad = good.to_vec();
                    // The signature is at the end.
                    bad.last_mut().into_iter().for_each(|byte| *byte ^= 1);
                    [(Whom::First(true), bad.into()), (Whom::First(false), good)]
                })
                .collect(),
            Trick::Flood => (0..FLOOD)
                .map(|_| (Whom::All, self.forge.next(&ops[0]).raw().clone()))
                .collect(),
        }
    }

    /// A write to a key of the correct clients, so that what is executed shows in what they get.
    fn write(&self, which: u64) -> ByteList {
        let key = (self.turn + which) % u64::from(self.keys.max(1));
        let value = format!("rogue {} {} {which}", self.forge.client(), self.turn);
        let put = Op::Put {
            key: format!("k{key}").into_bytes().into(),
            value: value.into_bytes().into(),
        };
        ByteList::from_iter([put.encode()])
    }
}

/// The planted bug `by_number`: requests are known by their number alone.
pub(crate) struct First {
    planted: bool,
    /// By node and name.
    heard: BTreeMap<(usize, RequestId), Request>,
}

impl First {
    pub(crate) fn new(planted: bool) -> Self {
        First {
            planted,
            heard: BTreeMap::new(),
        }
    }

    /// A node gets a request.
    pub(crate) fn hears(&mut self, at: usize, request: &Request) {
        if self.planted {
            let first = self.heard.entry((at, request.id));
            first.or_insert_with(|| request.clone());
        }
    }

    /// The batch as this node heard of its requests first, if that matters.
    pub(crate) fn as_heard(&self, at: usize, batch: Option<&Batch>) -> Option<Batch> {
        let batch = batch.filter(|_| self.planted)?;
        let heard = |request: &Request| {
            let first = self.heard.get(&(at, request.id));
            first.unwrap_or(request).clone()
        };
        Some(Batch::new(batch.requests().iter().map(heard).collect()))
    }
}

impl World<'_> {
    /// The next turn of a rogue comes.
    pub(crate) fn plan_rogue(&mut self, rogue: usize) {
        let pace = nanos(PACE.start)..nanos(PACE.end);
        let after = Duration::from_nanos(self.rng.random_range(pace));
        let rogue = rogue as u32;
        self.schedule(after, What::RogueTurn { rogue });
    }

    /// A rogue attacks, until it is only to be shown that everybody catches up.
    pub(crate) fn rogue_turn(&mut self, rogue: usize) {
        if !matches!(self.phase, Phase::Load | Phase::Probe) {
            return;
        }
        let n = usize::from(self.config.n);
        let turn = self.rogues[rogue].turn;
        for (to, raw) in self.rogues[rogue].act() {
            for node in 0..self.nodes.len() {
                let id = self.nodes[node].id.index();
                let meant = match to {
                    Whom::All => true,
                    Whom::Half(to) => half(id, n, turn) == to,
                    Whom::First(first) => (id == 0) == first,
                };
                if !meant || self.client_message_lost() {
                    continue;
                }
                self.stats.rogue_requests += 1;
                let after = self.network.delay(&mut self.rng);
                let (to, raw) = (node as u32, raw.clone());
                self.schedule(after, What::Request { to, raw });
            }
        }
        self.plan_rogue(rogue);
    }

    /// Nobody hears what a rogue is answered; it is counted.
    pub(crate) fn answers_rogue(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Executed(_) => self.stats.rogue_executed += 1,
            Outcome::Busy { .. } => self.stats.rogue_busy += 1,
            _ => self.stats.rogue_refused += 1,
        }
    }
}
