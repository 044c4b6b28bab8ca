//! Every checker is shown a planted bug: one that never fires proves nothing.

#![allow(clippy::unwrap_used)]

use consensus::pbft::certificate::Statement;
use consensus::pbft::message::{Checkpoint, Prepare, Wire};
use consensus::{
    ClientId, Cluster, Epoch, Executor, FastQuorum, Limits, ReplicaId, Request, RequestId, View,
};
use crypto::codec::Blob;
use crypto::{PublicKey, SecretKey, Signature};
use kv::Op;

use super::*;
use crate::{FakeScheme, FakeSigner};

/// Two puts by two clients in slots 1 and 2, one after the other, answered as they should be.
struct Run {
    ledger: Ledger,
    executor: Executor<kv::Store>,
}

fn key(role: &str, index: u32) -> PublicKey {
    SecretKey::from_seed(&Digest::of(role, &index.to_le_bytes()).0).public()
}

fn cluster() -> Arc<Cluster> {
    let cluster = Cluster::genesis(
        1,
        FastQuorum::Strong,
        Limits {
            checkpoint_interval: 2,
            log_window: 4,
            ..Limits::default()
        },
        (0..5).map(|id| key("replica", id)).collect(),
        (0..2).map(|id| key("client", id)).collect(),
    );
    Arc::new(cluster.unwrap())
}

fn put_signed_by(cluster: &Cluster, client: u32, signer: u32) -> Arc<Batch> {
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
    let signer = FakeSigner(key("client", signer));
    let request = Request::sign(&signer, cluster.id(), id, 0, false, &ops);
    Arc::new(Batch::new(vec![request]))
}

fn put(cluster: &Cluster, client: u32) -> Arc<Batch> {
    put_signed_by(cluster, client, client)
}

impl Run {
    fn new() -> Self {
        let cluster = cluster();
        let keyring = Keyring::with_scheme(Arc::clone(&cluster), Arc::new(FakeScheme));
        Run {
            ledger: Ledger::new(keyring, u32::MAX),
            executor: Executor::new(cluster, kv::Store::new()),
        }
    }

    /// The batch is decided, executed at all replicas, and answered to its client.
    fn slot(&mut self, seq: u64, client: u32) -> Outcome {
        let batch = put(&cluster(), client);
        let seq = SeqNo(seq);
        for replica in 0..5 {
            self.ledger.decided(replica, Epoch(0), seq, batch.digest());
            self.ledger.executed(replica, seq, Some(&batch));
        }
        self.executor.execute(seq, Some(&batch)).remove(0).outcome
    }

    fn answer(&mut self, seq: u64, client: u32, outcome: &Outcome, floor: u64) {
        self.ledger.answered(&Answered {
            client,
            session: 1,
            number: 1,
            seq: SeqNo(seq),
            outcome,
            floor,
        });
    }

    fn good() -> Self {
        let mut run = Run::new();
        for client in 0..2 {
            let seq = u64::from(client) + 1;
            let outcome = run.slot(seq, client);
            let floor = run.ledger.floor();
            run.answer(seq, client, &outcome, floor);
        }
        let digest = run.executor.state_digest();
        for replica in 0..5 {
            run.ledger.holds(replica, SeqNo(2), run.executor.machine());
            run.ledger.saved(replica, SeqNo(2), digest);
            run.ledger.root(replica, run.executor.machine_mut().root());
        }
        run
    }

    /// The first word of every violation.
    fn violations(&self) -> Vec<&str> {
        let first = |text: &'_ String| text.find(':').unwrap_or_default();
        let all = self.ledger.violations.iter();
        all.map(|text| &text[..first(text)]).collect()
    }
}

#[test]
fn a_good_run_has_no_violations() {
    assert_eq!(Run::good().ledger.violations, Vec::<String>::new());
}

#[test]
fn two_digests_for_one_slot_are_found_before_and_after_it_is_executed() {
    let mut run = Run::good();
    run.ledger.decided(3, Epoch(0), SeqNo(1), Digest([9; 32]));
    assert_eq!(run.violations(), ["agreement"]);
    let mut run = Run::good();
    run.ledger.decided(3, Epoch(0), SeqNo(5), Digest([9; 32]));
    run.ledger.decided(4, Epoch(0), SeqNo(5), Digest([8; 32]));
    assert_eq!(run.violations(), ["agreement"]);
}

#[test]
fn executing_something_else_is_found_whether_first_or_later() {
    let mut run = Run::good();
    run.ledger.executed(3, SeqNo(1), None);
    assert_eq!(run.violations(), ["agreement"]);
    let mut run = Run::good();
    run.ledger.decided(3, Epoch(0), SeqNo(3), Digest([9; 32]));
    run.ledger.executed(4, SeqNo(3), None);
    assert_eq!(run.violations(), ["agreement"]);
}

#[test]
fn a_log_with_a_gap_is_found() {
    let mut run = Run::good();
    run.ledger.executed(0, SeqNo(4), None);
    assert_eq!(run.violations(), ["log"]);
}

#[test]
fn two_states_at_one_checkpoint_are_found() {
    let mut run = Run::good();
    run.ledger.saved(3, SeqNo(2), Digest([9; 32]));
    assert_eq!(run.violations(), ["state"]);
}

#[test]
fn a_checkpoint_that_nobody_has_reached_is_found() {
    let mut run = Run::good();
    run.ledger.saved(3, SeqNo(4), Digest([9; 32]));
    assert_eq!(run.violations(), ["state"]);
}

#[test]
fn a_state_that_all_replicas_share_but_the_log_does_not_give_is_found() {
    let mut run = Run::good();
    let op = Op::Delete {
        key: Blob::from(b"key".to_vec()),
    };
    let machine = run.executor.machine_mut();
    machine.apply(SeqNo(2), &op.encode(), 100);
    run.ledger.holds(0, SeqNo(2), run.executor.machine());
    assert_eq!(run.violations(), ["state"]);
}

#[test]
fn a_root_that_is_not_that_of_the_state_is_found() {
    let mut run = Run::good();
    run.ledger.root(0, Digest([9; 32]));
    assert_eq!(run.violations(), ["state"]);
}

#[test]
fn a_wrong_result_is_found() {
    let mut run = Run::new();
    run.slot(1, 0);
    run.answer(1, 0, &Outcome::Denied, 0);
    assert_eq!(run.violations(), ["results"]);
}

#[test]
fn a_result_of_another_slot_is_found() {
    let mut run = Run::new();
    let outcome = run.slot(1, 0);
    run.answer(2, 0, &outcome, 0);
    assert_eq!(run.violations(), ["results"]);
}

#[test]
fn an_answer_to_what_was_never_executed_is_found() {
    let mut run = Run::new();
    let outcome = run.slot(1, 0);
    run.answer(1, 1, &outcome, 0);
    assert_eq!(run.violations(), ["results"]);
}

#[test]
fn a_request_that_is_executed_twice_is_found() {
    let mut run = Run::good();
    run.slot(3, 0);
    let mut twice = Executor::new(cluster(), kv::Store::new());
    for (seq, client) in [(1, 0), (2, 1)] {
        twice.execute(SeqNo(seq), Some(&put(&cluster(), client)));
    }
    // A store that has forgotten client 0 and puts its value once more.
    let op = Op::Put {
        key: Blob::from(b"key".to_vec()),
        value: Blob::from(vec![7]),
    };
    twice.machine_mut().apply(SeqNo(3), &op.encode(), 100);
    run.slot(4, 1);
    assert_eq!(run.violations(), Vec::<&str>::new());
    run.ledger.holds(0, SeqNo(4), twice.machine());
    assert_eq!(run.violations(), ["state"]);
}

#[test]
fn a_log_against_the_order_of_real_time_is_found() {
    let mut run = Run::new();
    let first = run.slot(1, 0);
    let second = run.slot(2, 1);
    run.answer(2, 1, &second, 0);
    // Made when slot 2 had been answered, but it stands in slot 1.
    let floor = run.ledger.floor();
    run.answer(1, 0, &first, floor);
    assert_eq!(run.violations(), ["linearizability"]);
}

#[test]
fn overlapping_calls_may_stand_in_either_order() {
    let mut run = Run::new();
    let first = run.slot(1, 0);
    let second = run.slot(2, 1);
    run.answer(2, 1, &second, 0);
    run.answer(1, 0, &first, 0);
    assert_eq!(run.violations(), Vec::<&str>::new());
}

#[test]
fn a_request_that_its_client_did_not_sign_is_found() {
    for (client, signer) in [(0, 1), (7, 0)] {
        let mut run = Run::new();
        let forged = put_signed_by(&cluster(), client, signer);
        run.ledger.executed(0, SeqNo(1), Some(&forged));
        assert_eq!(run.violations(), ["integrity"]);
    }
}

fn vote(view: u64, seq: u64, digest: u8) -> Wire {
    Wire::Prepare(Prepare {
        epoch: Epoch(0),
        statement: Statement {
            view: View(view),
            seq: SeqNo(seq),
            digest: Digest([digest; 32]),
        },
        replica: ReplicaId(1),
        signature: Signature([0; 64]),
        header_signature: Signature([0; 64]),
    })
}

fn claim(seq: u64, digest: u8) -> Wire {
    Wire::Checkpoint(Checkpoint {
        epoch: Epoch(0),
        seq: SeqNo(seq),
        digest: Digest([digest; 32]),
        replica: ReplicaId(1),
        signature: Signature([0; 64]),
    })
}

fn said(wires: &[Wire]) -> usize {
    let mut run = Run::new();
    for wire in wires {
        run.ledger.sent(&Said::by(&cluster(), wire).unwrap());
    }
    assert!(run.violations().iter().all(|v| *v == "non-equivocation"));
    run.violations().len()
}

#[test]
fn two_contents_under_one_signature_are_found() {
    assert_eq!(said(&[vote(0, 1, 1), vote(0, 1, 2)]), 1);
    assert_eq!(said(&[claim(2, 1), claim(2, 2)]), 1);
}

#[test]
fn repeating_oneself_is_no_equivocation_and_neither_is_another_view_slot_or_kind() {
    let all = [
        vote(0, 1, 1),
        vote(0, 1, 1),
        vote(1, 1, 2),
        vote(0, 2, 3),
        claim(2, 4),
        claim(2, 4),
    ];
    assert_eq!(said(&all), 0);
}

#[test]
fn what_is_remembered_does_not_grow_with_the_log() {
    let mut run = Run::new();
    let mut held = Vec::new();
    for seq in 1..=1_000 {
        for view in 0..2 {
            let wire = vote(view, seq, 1);
            run.ledger.sent(&Said::by(&cluster(), &wire).unwrap());
        }
        run.ledger.executed(0, SeqNo(seq), None);
        held.push(run.ledger.held());
    }
    assert_eq!(run.violations(), Vec::<&str>::new());
    assert!(held.iter().all(|held| *held < 200), "{:?}", held.last());
}
