//! A session among five replicas of which one may lie.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod bodies;
mod reads;
mod replies;
mod sending;

use std::time::Duration;

use crypto::SecretKey;

use super::tally::summary;
use super::*;
use crate::cluster::FastQuorum;
use crate::ids::{Epoch, View};
use crate::reply::{Reply, ResultBody};
use crate::settings::Limits;

const MASTER: [u8; 32] = [7; 32];
const T_CLI: Duration = Duration::from_secs(1);
const SESSION: SessionId = SessionId {
    client: ClientId(0),
    session: 77,
};

/// A session at n = 5, f = 1 that is connected to every replica, with its actions.
struct World {
    session: ClientSession,
    out: Vec<Action>,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Self {
        Self::unconnected(limits, 1).connected()
    }

    /// One of so many clients of the configuration.
    fn among(clients: u64) -> Self {
        Self::unconnected(Limits::default(), clients).connected()
    }

    fn connected(self) -> Self {
        let mut world = self;
        for id in 0..5 {
            world
                .session
                .on_connected(ReplicaId(id), world.now, &mut world.out);
        }
        assert_eq!(world.drain(), []);
        world
    }

    fn unconnected(limits: Limits, clients: u64) -> Self {
        let key = |label: &str, id| SecretKey::derive(&MASTER, label, id);
        let replicas = (0..5).map(|id| key("replica", id).public()).collect();
        let clients = (0..clients).map(|id| key("client", id).public()).collect();
        let cluster = Cluster::genesis(1, FastQuorum::Strong, limits, replicas, clients).unwrap();
        let signer = Arc::new(key("client", 0));
        let pace = Pace {
            retransmit_after: T_CLI,
            ..Pace::default()
        };
        let session = ClientSession::new(Arc::new(cluster), SESSION, signer, pace, 1);
        World {
            session,
            out: Vec::new(),
            now: Instant(0),
        }
    }

    fn drain(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.out)
    }

    fn submit(&mut self) -> Result<u64, SubmitError> {
        let ops = ByteList::from_iter([b"op"]);
        self.session.submit(&ops, false, self.now, &mut self.out)
    }

    /// Submits and returns where the request went.
    fn send(&mut self) -> To {
        self.submit().unwrap();
        sent(&self.drain())[0]
    }

    fn reply(&mut self, from: u16, number: u64, seq: u64, outcome: Outcome) -> Vec<Action> {
        self.reply_in_view(from, number, seq, outcome, 0)
    }

    fn reply_in_view(
        &mut self,
        from: u16,
        number: u64,
        seq: u64,
        outcome: Outcome,
        view: u64,
    ) -> Vec<Action> {
        let id = RequestId {
            client: SESSION.client,
            session: SESSION.session,
            number,
        };
        let replica = ReplicaId(from);
        let reply = Reply {
            term: Term {
                epoch: Epoch(0),
                view: View(view),
            },
            replica,
            id,
            seq: SeqNo(seq),
            outcome,
        };
        self.session
            .on_reply(replica, reply, self.now, &mut self.out);
        self.drain()
    }

    /// Lets timers fire until something happens.
    fn fire(&mut self) -> Vec<Action> {
        while self.out.is_empty() {
            self.now = self.session.next_deadline().unwrap();
            self.session.tick(self.now, &mut self.out);
        }
        self.drain()
    }

    /// The result of `number` is accepted; what is sent because of that.
    fn complete_and_go_on(&mut self, number: u64) -> Vec<Action> {
        self.reply(1, number, number, full("done"));
        let mut actions = self.reply(2, number, number, full("done"));
        assert_eq!(completed(&actions[..1]).number, number);
        actions.split_off(1)
    }

    fn complete(&mut self, number: u64) {
        self.reply(1, number, number, full("done"));
        let actions = self.reply(2, number, number, full("done"));
        assert_eq!(completed(&actions).number, number);
    }
}

fn full(text: &str) -> Outcome {
    Outcome::Executed(ResultBody::Full(ByteList::from_iter([text])))
}

fn hash(text: &str) -> Outcome {
    summary(&full(text))
}

fn busy(retry_after_ms: u32) -> Outcome {
    Outcome::Busy { retry_after_ms }
}

fn sent(actions: &[Action]) -> Vec<To> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Send { to, .. } => Some(*to),
            _ => None,
        })
        .collect()
}

/// The numbers of the requests that are sent.
fn numbers(actions: &[Action]) -> Vec<u64> {
    let raws = actions.iter().filter_map(|action| match action {
        Action::Send { raw, .. } => Some(raw),
        _ => None,
    });
    raws.map(|raw| Request::parse(raw.clone(), &Limits::default()).unwrap())
        .map(|request| request.id.number)
        .collect()
}

#[track_caller]
fn completed(actions: &[Action]) -> &Completed {
    match actions {
        [Action::Completed(completed)] => completed,
        other => panic!("expected one completed request, found {other:?}"),
    }
}
