//! Whatever a peer sends, admission and the core answer with values, never with a panic.

use std::collections::BTreeSet;

use consensus::pbft::Pbft;
use consensus::pbft::certificate::Phase;
use consensus::pbft::message::{
    Decision, Header, MisbehaviourProof, Mode, Status, ViewChange, Wire,
};
use consensus::{Epoch, Event, Misbehaviour, Protocol, ReplicaId, SeqNo, Timer, View};
use crypto::codec::Blob;
use crypto::{Digest, Kind, Signature};
use proptest::prelude::*;

use crate::fixture::{Fixture, statement};
use crate::node::Node;
use crate::signing_views::voted;

/// Hands bytes of replica 4 to admission, and to the replica what is left of them.
fn hand_in(fixture: &Fixture, node: &mut Node, bytes: &[u8]) -> bool {
    let Ok(wire) = crypto::decode::<Wire>(bytes) else {
        return false;
    };
    let mut checks = Vec::new();
    let _ = Pbft::examine(&fixture.keyring, ReplicaId(4), wire.clone(), &mut checks);
    // Not every decodable encoding is canonical, but what is admitted was encoded again.
    let admitted =
        consensus::protocol::admit_all::<Pbft>(&fixture.keyring, vec![(ReplicaId(4), wire)]);
    for (from, message) in admitted {
        if let Ok(message) = message {
            node.step(Event::Received { from, message });
        }
    }
    true
}

/// A replica with slots in every state: decided, voted for, proposed, and a checkpoint.
fn busy(fixture: &Fixture) -> Node {
    let mut node = fixture.node(1);
    crate::voting::decide(fixture, &mut node, 1..=4);
    node.state_saved(4, crate::fixture::state_at(4));
    node.receive(0, &fixture.proposal(5).wire());
    node.persisted();
    node.receive(0, &fixture.proposal(6).header_only());
    node
}

/// A number from the ends of its range, or close to what is in use.
fn edge() -> impl Strategy<Value = u64> {
    prop_oneof![0..24u64, u64::MAX - 20..=u64::MAX, any::<u64>()]
}

/// Everything that replica 4, which has its own key and no other, can say.
fn lies(fixture: &'static Fixture) -> impl Strategy<Value = Wire> {
    let numbers = (edge(), edge(), edge(), any::<u8>(), 0..13u8);
    numbers.prop_map(move |(view, seq, other, byte, kind)| {
        let mut header = fixture.header(0, seq, Digest([byte; 32]));
        header.statement = statement(view, seq, Digest([byte; 32]));
        let body = header.statement.body();
        header.signature = fixture.sign(4, Kind::PrePrepare, &body);
        match kind {
            0 => Wire::Prepare(fixture.prepare(4, &header)),
            1 => Wire::Commit(fixture.commit(4, &header)),
            2 => Wire::Checkpoint(fixture.checkpoint(4, seq, Digest([byte; 32]))),
            3 => Wire::PrePrepare(header, Some(fixture.proposal(5).batch.to_raw())),
            4 => Wire::FetchBatch(SeqNo(seq), Digest([byte; 32])),
            5 => Wire::FetchDecisions(SeqNo(seq), SeqNo(other)),
            6 => Wire::Decision(Decision {
                certificate: fixture.certificate(Phase::Commit, &[4], &header),
                batch: None,
            }),
            7 => Wire::Stable(fixture.stable(&[4], seq, Digest([byte; 32]))),
            8 => Wire::ViewChange(fixture.sign_report(&report(fixture, view, other, &header))),
            9 => opening(fixture, led_by_4(view), other, &header),
            10 => Wire::Evidence(MisbehaviourProof::DoublePrePrepare(
                header,
                fixture.header(led_by_4(view), seq, Digest([byte / 2; 32])),
            )),
            _ => Wire::Status(Status {
                epoch: Epoch(0),
                view: View(view),
                mode: Mode::Normal,
                stable: SeqNo(seq),
                last_executed: SeqNo(other),
                undecided: Blob::from(vec![byte; usize::from(byte % 3)]),
            }),
        }
    })
}

/// The nearest view of which replica 4 is the primary.
fn led_by_4(view: u64) -> u64 {
    (view / 5).min(u64::MAX / 5 - 1) * 5 + 4
}

/// A report of replica 4; with a vote only if its header is its own.
fn report(fixture: &Fixture, new_view: u64, stable: u64, header: &Header) -> ViewChange {
    let stable = fixture.stable(&[4], stable, Digest([1; 32]));
    let stable = header.statement.seq.0.is_multiple_of(2).then_some(stable);
    ViewChange {
        stable,
        ..fixture.report(4, new_view, vec![voted(header)])
    }
}

/// A NEW-VIEW of replica 4, from as many reports as it takes, all of its own making.
fn opening(fixture: &Fixture, view: u64, stable: u64, header: &Header) -> Wire {
    let empty = |replica| fixture.report(replica, view, Vec::new());
    let reports = match stable % 3 {
        0 => vec![report(fixture, view, stable, header); 4],
        1 => vec![
            report(fixture, view, stable, header),
            empty(0),
            empty(1),
            empty(2),
        ],
        _ => [0, 1, 2, 3].map(empty).into(),
    };
    let mut new_view = fixture.new_view(&reports, Vec::new(), stable, &[]);
    new_view.headers.push(*header);
    // It has no other key than its own.
    for (signed, by) in new_view.view_changes.iter_mut().zip(&reports) {
        if by.replica != ReplicaId(4) {
            signed.signature = fixture.sign(4, Kind::ViewChange, &signed.bytes);
        }
    }
    Wire::NewView(fixture.sign_new_view(&new_view))
}

static FIXTURE: std::sync::LazyLock<Fixture> = std::sync::LazyLock::new(Fixture::conservative);

/// Well-formed messages, to be damaged.
fn good() -> Vec<Vec<u8>> {
    let fixture = &*FIXTURE;
    let proposal = fixture.proposal(5);
    let certificate = fixture.certificate(Phase::Commit, &[0, 2, 3, 4], &proposal.header);
    let batch = Some(proposal.batch.to_raw());
    let wires = [
        proposal.wire(),
        Wire::Prepare(fixture.prepare(4, &proposal.header)),
        Wire::Stable(fixture.stable(&[0, 2, 3, 4], 4, Digest([1; 32]))),
        Wire::Decision(Decision { certificate, batch }),
        Wire::Forward(vec![Blob(fixture.request(0, 9).raw().clone())]),
        Wire::Batch(proposal.batch.to_raw()),
        Wire::ViewChange(fixture.sign_report(&crate::refused_reports::right(fixture))),
        fixture.opens_empty(1),
        Wire::Evidence(fixture.double_pre_prepare(1, 5)),
    ];
    wires.iter().map(crypto::encode).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_are_refused_or_harmless(
        kind in 0..16u8,
        rest in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        // The kind is a u32: most arbitrary bytes would end there.
        let mut bytes = u32::from(kind).to_le_bytes().to_vec();
        bytes.extend(rest);
        hand_in(&FIXTURE, &mut FIXTURE.node(1), &bytes);
    }

    #[test]
    fn damaged_messages_are_refused_or_harmless(
        which in 0..9usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = good().swap_remove(which);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        hand_in(&FIXTURE, &mut FIXTURE.node(1), &bytes);
    }

    #[test]
    fn one_liar_cannot_stop_or_convince_a_replica(
        said in prop::collection::vec(lies(&FIXTURE), 1..16),
    ) {
        let fixture = &*FIXTURE;
        let mut node = busy(fixture);
        for wire in said {
            hand_in(fixture, &mut node, &crypto::encode(&wire));
            node.fire(Timer::Status);
        }
        prop_assert_eq!(node.core.stable(), SeqNo(0));
        prop_assert_eq!(node.core.view(), View(0));
        // It still decides what correct replicas vote for.
        let mut lines = node.receive(0, &fixture.proposal(5).wire());
        let header = fixture.proposal(5).header;
        for voter in [0, 2, 3] {
            lines.extend(node.receive(voter, &Wire::Prepare(fixture.prepare(voter, &header))));
        }
        for voter in [0, 2, 3] {
            lines.extend(node.receive(voter, &Wire::Commit(fixture.commit(voter, &header))));
        }
        lines.extend(node.persisted());
        prop_assert!(lines.contains(&"execute s5 (1)".to_owned()), "{:?}", lines);
    }
}

#[test]
fn the_generator_of_arbitrary_bytes_does_reach_admission() {
    let decodable = good()
        .iter()
        .filter(|bytes| hand_in(&FIXTURE, &mut FIXTURE.node(1), bytes))
        .count();
    assert_eq!(decodable, 9);
}

/// The message with one bit of a signature wrong; `None` for what carries none of a replica.
fn badly_signed(wire: &Wire) -> Option<Wire> {
    let flip = |signature: &mut Signature| signature.0[9] ^= 1;
    let mut wrong = wire.clone();
    match &mut wrong {
        Wire::PrePrepare(header, _) => flip(&mut header.signature),
        Wire::Prepare(vote) => flip(&mut vote.signature),
        Wire::Commit(vote) => flip(&mut vote.signature),
        Wire::Checkpoint(claim) => flip(&mut claim.signature),
        Wire::Stable(certificate) => flip(&mut certificate.signers.0[1].1),
        Wire::Decision(decision) => flip(&mut decision.certificate.signers.0[1].1),
        Wire::Evidence(MisbehaviourProof::DoublePrePrepare(_, second)) => {
            flip(&mut second.signature);
        }
        Wire::Evidence(MisbehaviourProof::DoublePrepare(_, second)) => flip(&mut second.signature),
        Wire::ViewChange(signed) => flip(&mut signed.signature),
        Wire::NewView(signed) => flip(&mut signed.signature),
        // Requests: the batch's digest and the client's own signature.
        Wire::Batch(_) | Wire::Forward(_) => return None,
        Wire::Status(_) | Wire::FetchBatch(..) | Wire::FetchDecisions(..) => return None,
        // Parts of a state have a certified digest.
        Wire::State(_) => return None,
    }
    Some(wrong)
}

#[test]
fn every_kind_of_message_that_carries_a_signature_is_refused_when_it_does_not_hold() {
    let fixture = &*FIXTURE;
    let header = fixture.proposal(5).header;
    let mut wires: Vec<Wire> = good()
        .iter()
        .map(|bytes| crypto::decode(bytes).unwrap())
        .collect();
    wires.push(Wire::Commit(fixture.commit(4, &header)));
    wires.push(Wire::Checkpoint(fixture.checkpoint(4, 4, Digest([1; 32]))));
    let other = fixture.prepare(4, &fixture.other_proposal(5).header);
    let double = MisbehaviourProof::DoublePrepare(fixture.prepare(4, &header), other);
    wires.push(Wire::Evidence(double));
    let mut kinds = BTreeSet::new();
    for wire in &wires {
        let from = |wire: &Wire| {
            if matches!(wire, Wire::PrePrepare(..)) {
                0
            } else {
                4
            }
        };
        let mut node = fixture.node(1);
        node.try_receive(from(wire), wire).expect("it is right");
        if let Some(wrong) = badly_signed(wire) {
            let refused = fixture.node(1).try_receive(from(&wrong), &wrong);
            assert_eq!(refused, Err(Misbehaviour::BadSignature), "{}", wire.name());
            kinds.insert(wire.name());
        }
    }
    assert_eq!(kinds.len(), 9, "{kinds:?}");
}
