//! Whatever a peer sends, admission and the core answer with values, never with a panic.

use consensus::pbft::Pbft;
use consensus::pbft::certificate::Phase;
use consensus::pbft::message::{Decision, Mode, Status, Wire};
use consensus::{Epoch, Event, Protocol, ReplicaId, SeqNo, Timer, View};
use crypto::codec::Blob;
use crypto::{Digest, Kind};
use proptest::prelude::*;

use crate::fixture::{Fixture, statement};
use crate::node::Node;

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
    let numbers = (edge(), edge(), edge(), any::<u8>(), 0..10u8);
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
        which in 0..6usize,
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
    assert_eq!(decodable, 6);
}
