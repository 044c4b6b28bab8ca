//! Reads beside the log (docs/protocol.md R14): five executors, of which `r0` is a liar's, a client
//! that writes and one that reads. Which replica has executed how much, and who answers, is the
//! script's choice. The liar answers from any state that there has been.

use std::sync::Arc;

use consensus::client::{Action, ClientSession, Pace, ReadPath, SessionId};
use consensus::read::answer;
use consensus::{
    Batch, ByteList, ClientId, Cluster, Executor, FastQuorum, Grade, Instant, Limits, Outcome,
    Read, ReadGate, ReplicaId, Reply, Request, ResultBody, SeqNo, Term,
};
use crypto::SecretKey;
use crypto::codec::Blob;
use kv::{Op, OpResult};
use simulator::FakeSigner;

use super::Verdict;

const LIAR: u16 = 0;
const NOW: Instant = Instant(1);

/// A write that has its result is not there for a read that begins afterwards.
pub(crate) fn a_read_of_those_who_lag_behind_a_write() -> Verdict {
    let mut desk = Desk::new();
    let written = desk.submit(&put());
    for id in [LIAR, 1] {
        desk.execute(id, 1);
    }
    let had_result = desk.has_result(written);
    let read = desk.read(&[(LIAR, 0), (2, 0), (3, 0), (4, 0)]);
    not_before(had_result, read.as_ref())
}

/// The same, with one answer fewer to the read and one reply more to the write.
pub(crate) fn a_read_of_too_few() -> Verdict {
    let mut desk = Desk::new();
    let written = desk.submit(&put());
    for id in [LIAR, 1, 2] {
        desk.execute(id, 1);
    }
    let had_result = desk.has_result(written);
    let read = desk.read(&[(LIAR, 0), (3, 0), (4, 0), (1, 1)]);
    not_before(had_result, read.as_ref())
}

/// One of those who have answered the write is restarted, with the state of its last checkpoint.
pub(crate) fn a_read_of_one_who_was_restarted() -> Verdict {
    let mut desk = Desk::new();
    let written = desk.submit(&put());
    for id in [LIAR, 1, 2] {
        desk.execute(id, 1);
    }
    let had_result = desk.has_result(written);
    desk.restart(2);
    let read = desk.read(&[(LIAR, 0), (2, 0), (3, 0), (4, 0)]);
    not_before(had_result, read.as_ref())
}

/// Absent, present, absent: replicas at both ends say the same, and those in between come later.
pub(crate) fn a_read_of_a_key_that_has_come_and_gone() -> Verdict {
    let mut desk = Desk::new();
    desk.submit(&put());
    desk.submit(&Op::Delete { key: key() });
    desk.execute(1, 2);
    desk.execute(2, 1);
    let first = desk.read(&[(LIAR, 0), (1, 2), (3, 0), (4, 0)]);
    for id in [3, 4] {
        desk.execute(id, 1);
    }
    let second = desk.read(&[(LIAR, 1), (2, 1), (3, 1), (4, 1)]);
    match (first, second) {
        (Some(OpResult::Absent), Some(OpResult::Value { .. })) => {
            // The key was created before it was deleted, and the create had three replies.
            Err("S3: a key is read as deleted, and later as there".to_owned())
        }
        _ => Ok(()),
    }
}

fn not_before(had_result: bool, read: Option<&OpResult>) -> Verdict {
    match (had_result, read) {
        (true, Some(OpResult::Absent)) => {
            Err("S3: a read does not see a write whose result was there".to_owned())
        }
        _ => Ok(()),
    }
}

fn key() -> Blob {
    Blob::from(b"k".to_vec())
}

fn put() -> Op {
    let value = Blob::from(b"v".to_vec());
    Op::Put { key: key(), value }
}

struct Desk {
    cluster: Arc<Cluster>,
    log: Vec<Batch>,
    replicas: Vec<(Executor<kv::Store>, ReadGate)>,
    writer: ClientSession,
    reader: ClientSession,
    /// Numbers of the writes that have their results.
    results: Vec<u64>,
}

impl Desk {
    fn new() -> Self {
        let signer = |role, id| FakeSigner(SecretKey::derive(&[5; 32], role, id).public());
        let limits = Limits {
            quorum_reads: true,
            ..Limits::default()
        };
        let replicas = (0..5).map(|id| signer("replica", id).0).collect();
        let clients = (0..2).map(|id| signer("client", id).0).collect();
        let cluster = Cluster::genesis(1, FastQuorum::Strong, limits, replicas, clients).unwrap();
        let cluster = Arc::new(cluster);
        let session = |id| {
            let who = SessionId {
                client: ClientId(id),
                session: 1,
            };
            let signer = Arc::new(signer("client", u64::from(id)));
            let mut session =
                ClientSession::new(Arc::clone(&cluster), who, signer, Pace::default(), 1);
            for replica in cluster.members() {
                session.on_connected(replica, NOW, &mut Vec::new());
            }
            session
        };
        Desk {
            writer: session(0),
            reader: session(1),
            replicas: (0..5)
                .map(|_| (executor(&cluster, &[]), ReadGate::founded()))
                .collect(),
            cluster,
            log: Vec::new(),
            results: Vec::new(),
        }
    }

    /// The writer asks, and its request is decided in the next slot.
    fn submit(&mut self, op: &Op) -> u64 {
        let mut out = Vec::new();
        let ops = ByteList::from_iter([op.encode()]);
        let number = self.writer.submit(&ops, false, NOW, &mut out).unwrap();
        let Some(Action::Send { raw, .. }) = out.pop() else {
            panic!("a request is sent")
        };
        let request = Request::parse(raw, self.cluster.limits()).unwrap();
        self.log.push(Batch::new(vec![request]));
        number
    }

    /// A replica executes up to a slot, and answers the writer.
    fn execute(&mut self, id: u16, upto: usize) {
        let mut out = Vec::new();
        let executor = &mut self.replicas[usize::from(id)].0;
        let done = usize::try_from(executor.last_executed().0).unwrap();
        for batch in &self.log[done..upto] {
            let seq = executor.last_executed().next();
            for executed in executor.execute(seq, Some(batch)) {
                let reply = Reply {
                    term: Term::default(),
                    replica: ReplicaId(id),
                    id: executed.id,
                    seq: executed.seq,
                    outcome: executed.outcome,
                };
                self.writer.on_reply(ReplicaId(id), reply, NOW, &mut out);
            }
        }
        self.results
            .extend(out.iter().filter_map(|action| match action {
                Action::Completed(completed) => Some(completed.number),
                _ => None,
            }));
    }

    fn has_result(&self, number: u64) -> bool {
        self.results.contains(&number)
    }

    /// A replica comes back with what its disk holds: no checkpoint yet.
    fn restart(&mut self, id: u16) {
        let executor = executor(&self.cluster, &[]);
        let gate = ReadGate::restarted(executor.last_executed(), self.cluster.limits());
        self.replicas[usize::from(id)] = (executor, gate);
    }

    /// What the reader gets if these answer, each at this slot; none if it has to have it ordered.
    fn read(&mut self, answers: &[(u16, usize)]) -> Option<OpResult> {
        let mut out = Vec::new();
        let ops = ByteList::from_iter([Op::Read { key: key() }.encode()]);
        let reading = self.reader.read(&ops, Grade::Quorum, NOW, &mut out);
        reading.unwrap();
        let Some(Action::SendRead { raw, .. }) = out.pop() else {
            panic!("a read is sent")
        };
        let read = Read::parse(raw, self.cluster.limits()).unwrap();
        for (id, slot) in answers {
            let me = ReplicaId(*id);
            let lie = executor(&self.cluster, &self.log[..*slot]);
            let (seq, outcome) = if *id == LIAR {
                answer(&lie, &ReadGate::founded(), me, &read).unwrap()
            } else {
                let (honest, gate) = &self.replicas[usize::from(*id)];
                assert_eq!(
                    honest.last_executed(),
                    SeqNo(*slot as u64),
                    "as the script says"
                );
                answer(honest, gate, me, &read).unwrap()
            };
            let reply = Reply {
                term: Term::default(),
                replica: me,
                id: read.id,
                seq,
                outcome,
            };
            self.reader.on_reply(me, reply, NOW, &mut out);
        }
        out.iter().find_map(|action| match action {
            Action::ReadCompleted {
                completed,
                path: ReadPath::Quorum,
            } => match &completed.outcome {
                Outcome::Executed(ResultBody::Full(results)) => {
                    Some(OpResult::decode(results.iter().next()?).unwrap())
                }
                other => panic!("{other:?}"),
            },
            _ => None,
        })
    }
}

/// The state after this much of the log.
fn executor(cluster: &Arc<Cluster>, log: &[Batch]) -> Executor<kv::Store> {
    let mut executor = Executor::new(Arc::clone(cluster), kv::Store::new());
    for batch in log {
        let seq = executor.last_executed().next();
        executor.execute(seq, Some(batch));
    }
    executor
}
