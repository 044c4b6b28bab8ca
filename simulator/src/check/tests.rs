//! Every checker is shown a planted bug: one that never fires proves nothing.

#![allow(clippy::unwrap_used)]

use consensus::{ByteList, ClientId, FastQuorum, Instant, Limits, Request};
use crypto::codec::Blob;
use crypto::{PublicKey, SecretKey};
use kv::Op;

use super::*;
use crate::FakeSigner;

/// Two puts by two clients in slots 1 and 2, one after the other, answered as they should be.
struct Run {
    cluster: Arc<Cluster>,
    ledger: Ledger,
    calls: Vec<Call>,
}

fn key(role: &str, index: u32) -> PublicKey {
    SecretKey::from_seed(&Digest::of(role, &index.to_le_bytes()).0).public()
}

fn put(cluster: &Cluster, client: u32) -> Request {
    let op = Op::Put {
        key: Blob::from(b"key".to_vec()),
        value: Blob::from(vec![7]),
    };
    let id = RequestId {
        client: ClientId(client),
        session: 1,
        number: 1,
    };
    let ops = ByteList::from_iter([crypto::encode(&op)]);
    let signer = FakeSigner(key("client", client));
    Request::sign(&signer, cluster.id(), id, 0, false, &ops)
}

impl Run {
    fn good() -> Self {
        let cluster = Cluster::genesis(
            1,
            FastQuorum::Strong,
            Limits::default(),
            (0..5).map(|id| key("replica", id)).collect(),
            (0..2).map(|id| key("client", id)).collect(),
        );
        let cluster = Arc::new(cluster.unwrap());
        let mut ledger = Ledger::default();
        let mut executor = Executor::new(Arc::clone(&cluster), kv::Store::new());
        let mut calls = Vec::new();
        for client in 0..2 {
            let seq = SeqNo(u64::from(client) + 1);
            let batch = Arc::new(Batch::new(vec![put(&cluster, client)]));
            let executed = executor.execute(seq, Some(&batch)).remove(0);
            for replica in 0..5 {
                ledger.decided(replica, seq, batch.digest());
                ledger.executed(seq, Some(Arc::clone(&batch)));
            }
            calls.push(Call {
                client: ClientId(client),
                number: 1,
                called: Instant(seq.0 * 100),
                returned: Some((Instant(seq.0 * 100 + 50), seq, executed.outcome)),
            });
        }
        let digest = executor.state_digest();
        (0..5).for_each(|replica| ledger.state(replica, SeqNo(2), digest));
        Run {
            cluster,
            ledger,
            calls,
        }
    }

    /// The first word of every violation.
    fn violations(mut self) -> Vec<String> {
        self.ledger.finish(&self.cluster, &self.calls);
        let first = |text: &String| text.split(':').next().map(str::to_owned);
        self.ledger.violations.iter().filter_map(first).collect()
    }
}

#[test]
fn a_good_run_has_no_violations() {
    assert_eq!(Run::good().violations(), Vec::<String>::new());
}

#[test]
fn two_digests_for_one_slot_are_found() {
    let mut run = Run::good();
    run.ledger.decided(3, SeqNo(1), Digest([9; 32]));
    assert_eq!(run.violations(), ["agreement"]);
}

#[test]
fn two_states_at_one_checkpoint_are_found() {
    let mut run = Run::good();
    run.ledger.state(3, SeqNo(2), Digest([9; 32]));
    assert_eq!(run.violations(), ["state"]);
}

#[test]
fn a_state_that_all_replicas_share_but_the_log_does_not_give_is_found() {
    let mut run = Run::good();
    run.ledger.state(0, SeqNo(1), Digest([9; 32]));
    assert_eq!(run.violations(), ["state"]);
}

#[test]
fn a_wrong_result_is_found() {
    let mut run = Run::good();
    run.calls[0].returned.as_mut().unwrap().2 = Outcome::Denied;
    assert_eq!(run.violations(), ["results"]);
}

#[test]
fn a_result_of_another_slot_is_found() {
    let mut run = Run::good();
    run.calls[1].returned.as_mut().unwrap().1 = SeqNo(1);
    assert!(run.violations().contains(&"results".to_owned()));
}

#[test]
fn a_request_without_an_answer_is_found() {
    let mut run = Run::good();
    run.calls[1].returned = None;
    assert_eq!(run.violations(), ["liveness"]);
}

#[test]
fn a_log_with_a_gap_is_found() {
    let mut run = Run::good();
    run.ledger.executed(SeqNo(4), None);
    assert_eq!(run.violations(), ["log"]);
}

#[test]
fn a_log_against_the_order_of_real_time_is_found() {
    let mut run = Run::good();
    // Slot 2 returned before slot 1 was called.
    run.calls[0].called = Instant(300);
    run.calls[0].returned.as_mut().unwrap().0 = Instant(350);
    assert_eq!(run.violations(), ["linearizability"]);
}

#[test]
fn overlapping_calls_may_stand_in_either_order() {
    let mut run = Run::good();
    run.calls[0].called = Instant(240);
    run.calls[0].returned.as_mut().unwrap().0 = Instant(350);
    assert_eq!(run.violations(), Vec::<String>::new());
}
