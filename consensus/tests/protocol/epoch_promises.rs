//! R12, R16, R18: what records, reports and proofs of one epoch are worth in another.

use consensus::pbft::message::{MisbehaviourProof, ViewChange, Wire};
use consensus::pbft::record::Record;
use consensus::{Epoch, Protocol, SeqNo, Timer, View};

use crate::epochs::{
    K, NOTHING, at_the_end, carry, final_certificate, in_epoch_1, old_status, proposal,
};
use crate::fixture::{Fixture, ms, state_at};
use crate::node::Node;

/// The records of `before`, as storage gives them back.
fn restore(node: &mut Node, before: &Node) {
    let last = |kind: u8| before.records.iter().rposition(|held| held.kind() == kind);
    for (at, record) in before.records.iter().enumerate() {
        if record.seq() == SeqNo(0) && last(record.kind()) == Some(at) {
            node.core.restore(record.clone());
        }
    }
    for record in before.records.iter().filter(|held| held.seq() > SeqNo(0)) {
        node.core.restore(record.clone());
    }
}

#[test]
fn records_of_the_old_epoch_are_void() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(2);
    before.receive(0, &proposal(&fixture, 5).wire());
    for seq in 1..=K {
        carry(&fixture, &mut before, &proposal(&fixture, seq));
    }
    let boundary = before.core.configuration().clone();
    before.state_saved(K, state_at(K));
    before.receive(3, &Wire::Stable(final_certificate(&fixture)));
    let mut node = fixture.node(2);
    restore(&mut node, &before);
    node.core.restore_state(SeqNo(K), state_at(K), boundary);
    assert_eq!(node.core.epoch(), Epoch(1));
    assert_eq!(node.core.stable(), SeqNo(K));
    let other = fixture.in_epoch(1).other_proposal(5);
    assert_eq!(node.receive(1, &other.wire())[0], "persist vote s5");
}

#[test]
fn a_vote_of_the_new_epoch_is_never_contradicted_after_a_restart() {
    let fixture = Fixture::strong();
    let later = fixture.in_epoch(1);
    let (mut before, _) = in_epoch_1(&fixture, 2);
    before.receive(1, &later.proposal(5).wire());
    let mut node = fixture.node(2);
    restore(&mut node, &before);
    let lines = node.receive(1, &later.other_proposal(5).wire());
    assert_eq!(lines[0], "equivocation r1 s5");
    let voted = node.records.iter().any(|held| held.kind() == 1);
    assert!(!voted, "no second vote");
}

#[test]
fn the_certificate_that_ended_the_last_epoch_is_there_after_a_crash_for_those_who_are_still_in_it()
{
    let fixture = Fixture::strong();
    let boundary = at_the_end(&fixture, 2).core.configuration().clone();
    let certificate = final_certificate(&fixture);
    let mut node = fixture.node(2);
    node.core.restore(Record::Epoch {
        epoch: Epoch(1),
        start: SeqNo(K),
        base: Some(certificate.clone()),
    });
    // The crash came before the record of the certificate itself: what is there is an older one.
    let older = fixture.stable(&[0, 1, 3, 4], K / 2, state_at(K / 2));
    node.core.restore(Record::Stable(older));
    node.core.restore_state(SeqNo(K), state_at(K), boundary);
    node.step(consensus::Event::Started);
    assert_eq!(node.core.epoch(), Epoch(1));
    node.hear_stuck(1, &old_status(K));
    let given = node.sent.iter().filter_map(|wire| match wire {
        Wire::Stable(given) => Some(given.seq),
        _ => None,
    });
    assert_eq!(given.collect::<Vec<_>>(), [SeqNo(K)]);
}

#[test]
fn an_epoch_that_only_the_saved_state_knows_of_is_recorded_before_anything_else() {
    let fixture = Fixture::strong();
    let before = at_the_end(&fixture, 2);
    let mut configuration = before.core.configuration().clone();
    configuration.begin(SeqNo(K + 1));
    let mut node = fixture.node(2);
    restore(&mut node, &before);
    node.core
        .restore_state(SeqNo(2 * K), state_at(2 * K), configuration);
    let lines = node.step(consensus::Event::Started);
    assert_eq!(lines[..2], ["persist epoch e1", "persist view v0 Normal"]);
    assert_eq!(node.core.stable(), SeqNo(K), "where the epoch began");
    let records = node.records.clone();
    let votes = |held: &&Record| matches!(held, Record::Epoch { epoch, .. } if *epoch == Epoch(1));
    assert_eq!(records.iter().filter(votes).count(), 1);
}

#[test]
fn a_view_change_of_the_new_epoch_rests_on_its_beginning() {
    let fixture = Fixture::strong();
    let (mut node, _) = in_epoch_1(&fixture, 2);
    node.wait(ms(250));
    node.fire(Timer::Heartbeat);
    let Some(Wire::ViewChange(sent)) = node.sent.last() else {
        panic!("the silent primary is given up");
    };
    let report: ViewChange = crypto::decode(&sent.bytes).unwrap();
    assert_eq!((report.epoch, report.new_view), (Epoch(1), View(1)));
    assert_eq!(report.stable, None);
    assert_eq!(report.records, []);
}

#[test]
fn reports_of_the_old_epoch_make_nobody_join_in_the_new_one() {
    let fixture = Fixture::strong();
    let mut node = at_the_end(&fixture, 2);
    let leave = |fixture: &Fixture, replica: u16| {
        let report = ViewChange {
            epoch: fixture.epoch,
            new_view: View(3),
            replica: consensus::ReplicaId(replica),
            stable: None,
            records: Vec::new(),
        };
        let bytes = crypto::encode(&report);
        let signature = fixture.sign(replica, crypto::Kind::ViewChange, &bytes);
        Wire::ViewChange(consensus::pbft::message::SignedViewChange {
            bytes: bytes.into(),
            signature,
        })
    };
    assert_eq!(node.receive(3, &leave(&fixture, 3)), NOTHING);
    node.receive(0, &Wire::Stable(final_certificate(&fixture)));
    let later = fixture.in_epoch(1);
    assert_eq!(node.receive(4, &leave(&later, 4)), NOTHING);
    let lines = node.receive(3, &leave(&later, 3));
    assert_eq!(lines[0], "leave for v3: join");
}

#[test]
fn a_proof_of_an_earlier_epoch_against_its_first_primary_does_not_end_the_first_view() {
    let fixture = Fixture::strong();
    let mut node = at_the_end(&fixture, 2);
    let (a, b) = (proposal(&fixture, 7), fixture.other_proposal(7));
    let votes = (fixture.prepare(1, &a.header), fixture.prepare(1, &b.header));
    let proof = MisbehaviourProof::DoublePrepare(votes.0, votes.1);
    let lines = node.receive(3, &Wire::Evidence(proof));
    assert_eq!(lines[0], "equivocation r1 s7");
    node.receive(0, &Wire::Stable(final_certificate(&fixture)));
    assert_eq!((node.core.epoch(), node.core.view()), (Epoch(1), View(0)));
    assert_eq!(node.core.primary().0, 1);
}

#[test]
fn a_proof_against_an_earlier_life_stops_nobody() {
    let fixture = Fixture::strong();
    let proof = |fixture: &Fixture| {
        let (a, b) = (fixture.proposal(7), fixture.other_proposal(7));
        let votes = (fixture.prepare(2, &a.header), fixture.prepare(2, &b.header));
        Wire::Evidence(MisbehaviourProof::DoublePrepare(votes.0, votes.1))
    };
    let (mut renewed, _) = in_epoch_1(&fixture, 2);
    let lines = renewed.receive(3, &proof(&fixture));
    assert_eq!(lines, ["equivocation r2 s7", "send EVIDENCE to all"]);
    let mut core = fixture.core(2);
    core.become_learner(consensus::Nonce([1; 16]));
    let mut learner = Node::new(core, fixture.keyring.clone());
    let lines = learner.receive(3, &proof(&fixture));
    assert_eq!(lines[0], "equivocation r2 s7");
    let now = renewed.receive(3, &proof(&fixture.in_epoch(1)));
    assert!(now[0].starts_with("halt"), "{now:?}");
}

#[test]
fn a_proof_of_an_earlier_epoch_is_passed_on_and_excludes_nobody() {
    let fixture = Fixture::strong();
    let (mut node, _) = in_epoch_1(&fixture, 2);
    let proof = |fixture: &Fixture| {
        let primary = fixture.cluster.primary(fixture.epoch, View(0)).0;
        let (a, b) = (fixture.proposal(7).header, fixture.other_proposal(7).header);
        (
            primary,
            Wire::Evidence(MisbehaviourProof::DoublePrePrepare(a, b)),
        )
    };
    let (culprit, old) = proof(&fixture);
    assert_eq!(culprit, 0);
    let passed_on = ["equivocation r0 s7", "send EVIDENCE to all"];
    assert_eq!(node.receive(3, &old), passed_on);
    assert_eq!(node.receive(3, &old), NOTHING, "once");
    assert_eq!(node.core.evidence().count(), 1);
    let later = fixture.in_epoch(1);
    let view_5 = |digest| later.header(4, 7, digest);
    let again = MisbehaviourProof::DoublePrePrepare(
        view_5(later.proposal(7).batch.digest()),
        view_5(later.other_proposal(7).batch.digest()),
    );
    let lines = node.receive(3, &Wire::Evidence(again));
    assert_eq!(lines[..2], passed_on, "proven in this epoch as well");
    let far = fixture.in_epoch(9);
    let far = MisbehaviourProof::DoublePrepare(
        far.prepare(3, &far.proposal(7).header),
        far.prepare(3, &far.other_proposal(7).header),
    );
    assert_eq!(node.receive(3, &Wire::Evidence(far)), NOTHING, "not yet");
}
