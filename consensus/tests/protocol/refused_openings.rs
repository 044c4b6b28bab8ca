//! R10.6: what is no NEW-VIEW, and what follows from it.

use consensus::batch::null_digest;
use consensus::pbft::message::{MisbehaviourProof, Mode, NewView, SignedNewView, ViewChange, Wire};
use consensus::{Epoch, Event, Misbehaviour, Timer, View};
use crypto::{Digest, Kind, Signature};

use crate::fixture::{Fixture, ms, state_at};
use crate::node::Node;
use crate::signing_views::voted;

const NOTHING: [&str; 0] = [];

fn value() -> Digest {
    Digest::of("test", b"batch")
}

/// Replicas 0, 1, 3 and 4 leave view 0 for `view`; three of them have voted in slots 2 and 3.
fn reports(fixture: &Fixture, view: u64) -> Vec<ViewChange> {
    let report = |replica: u16| {
        let slots = if replica == 4 { &[][..] } else { &[2, 3][..] };
        let votes = slots
            .iter()
            .map(|seq| voted(&fixture.header(0, *seq, value())))
            .collect();
        fixture.report(replica, view, votes)
    };
    [0, 1, 3, 4].map(report).into()
}

/// Slot 1 is a gap, slots 2 and 3 are proposed again.
fn right(fixture: &Fixture, view: u64) -> NewView {
    let digests = [null_digest(), value(), value()];
    fixture.new_view(&reports(fixture, view), Vec::new(), 1, &digests)
}

fn wire(fixture: &Fixture, new_view: &NewView) -> Wire {
    Wire::NewView(fixture.sign_new_view(new_view))
}

/// Replica 2, which waits for view 1 to open.
fn waiting(fixture: &Fixture) -> Node {
    let mut node = fixture.node(2);
    node.step(Event::Started);
    node.wait(ms(250));
    node.fire(Timer::Heartbeat);
    assert_eq!(
        (node.core.view(), node.core.mode()),
        (View(1), Mode::ViewChange)
    );
    node
}

#[test]
fn the_opening_that_the_others_differ_from_is_right() {
    let fixture = Fixture::strong();
    let mut node = waiting(&fixture);
    // Also from a replica that passes it on.
    let lines = node.receive(4, &wire(&fixture, &right(&fixture, 1)));
    assert_eq!(lines[..2], ["persist view v1 Normal", "entered v1"]);
}

type Damage = fn(&Fixture, &mut NewView);

/// What is wrong, and how it came to be.
const DAMAGES: &[(&str, Damage)] = &[
    ("a slot more than O has", |f, nv| {
        nv.headers.push(f.header(1, 4, value()));
    }),
    ("a NULL more than O has", |f, nv| {
        nv.headers.push(f.header(1, 4, null_digest()));
    }),
    ("the last slot left out", |_, nv| {
        nv.headers.pop();
    }),
    ("the first slot left out", |_, nv| {
        nv.headers.remove(0);
    }),
    ("a slot in the middle left out", |_, nv| {
        nv.headers.remove(1);
    }),
    ("nothing of O", |_, nv| nv.headers.clear()),
    ("another value", |f, nv| {
        nv.headers[1] = f.header(1, 2, state_at(1));
    }),
    ("NULL for a value", |f, nv| {
        nv.headers[1] = f.header(1, 2, null_digest());
    }),
    ("a value for a gap", |f, nv| {
        nv.headers[0] = f.header(1, 1, value());
    }),
    ("a slot twice", |_, nv| {
        let again = nv.headers[2];
        nv.headers.push(again);
    }),
    ("slots out of order", |_, nv| nv.headers.swap(0, 1)),
    ("a header of an older view", |f, nv| {
        nv.headers[1] = f.header(0, 2, value());
    }),
    ("a header of a later view", |f, nv| {
        nv.headers[1] = f.header(11, 2, value());
    }),
    ("a header of another epoch", |_, nv| {
        nv.headers[1].epoch = Epoch(1);
    }),
    ("a header that nobody signed", |_, nv| {
        nv.headers[1].signature = Signature([0; 64]);
    }),
    ("a header that another replica signed", |f, nv| {
        let body = nv.headers[1].statement.body();
        nv.headers[1].signature = f.sign(4, Kind::PrePrepare, &body);
    }),
    ("too few reports", |_, nv| {
        nv.view_changes.pop();
    }),
    ("no report", |_, nv| nv.view_changes.clear()),
    ("too many reports", |f, nv| {
        let fifth = f.sign_report(&f.report(2, 1, Vec::new()));
        nv.view_changes.push(fifth);
    }),
    ("one report twice", |_, nv| {
        nv.view_changes[3] = nv.view_changes[0].clone();
    }),
    ("two reports of one replica", |f, nv| {
        nv.view_changes[3] = f.sign_report(&f.report(0, 1, Vec::new()));
    }),
    ("a report for another view", |f, nv| {
        nv.view_changes[3] = f.sign_report(&f.report(4, 2, Vec::new()));
    }),
    ("a report with a bad signature", |_, nv| {
        nv.view_changes[3].signature.0[5] ^= 1;
    }),
    ("a report that is no report", |_, nv| {
        nv.view_changes[3].bytes = vec![1, 2, 3].into();
    }),
    ("a report with an invalid vote", |f, nv| {
        let mut vote = voted(&f.header(0, 5, value()));
        vote.vote.as_mut().unwrap().digest = state_at(1);
        nv.view_changes[3] = f.sign_report(&f.report(4, 1, vec![vote]));
    }),
    (
        "a report outside the window of the epoch's start",
        |f, nv| {
            let vote = voted(&f.header(0, 9, value()));
            nv.view_changes[3] = f.sign_report(&f.report(4, 1, vec![vote]));
        },
    ),
    ("a report of an excluded replica", |f, nv| {
        nv.excluded.push(f.double_pre_prepare(4, 1));
    }),
    ("a proof of nothing", |f, nv| {
        let header = f.header(2, 1, value());
        nv.excluded
            .push(MisbehaviourProof::DoublePrePrepare(header, header));
    }),
    ("a proof with a bad signature", |f, nv| {
        let (a, mut b) = (f.header(2, 1, value()), f.header(2, 1, state_at(1)));
        b.signature.0[5] ^= 1;
        nv.excluded.push(MisbehaviourProof::DoublePrePrepare(a, b));
    }),
    (
        "two proofs against one replica, which count as two",
        |f, nv| {
            let [a, b] = [1, 2].map(|seq| f.double_pre_prepare(2, seq));
            nv.excluded.extend([a, b]);
            // With T_2 = 4 three votes for a value are not enough: O would be empty.
            nv.headers.clear();
        },
    ),
    ("a proof of another epoch", |f, nv| {
        let MisbehaviourProof::DoublePrePrepare(mut a, mut b) = f.double_pre_prepare(2, 1) else {
            unreachable!("it is one");
        };
        // The same replica, as primary of view 1 of epoch 1.
        for header in [&mut a, &mut b] {
            header.epoch = Epoch(1);
            header.statement.view = View(1);
            header.signature = f.sign_in(1, 2, Kind::PrePrepare, &header.statement.body());
        }
        nv.excluded.push(MisbehaviourProof::DoublePrePrepare(a, b));
    }),
    ("a tie between two values", |f, nv| {
        let (a, b) = (f.header(0, 2, value()), f.header(0, 2, state_at(1)));
        let vote = |replica| f.report(replica, 1, vec![voted(if replica < 2 { &a } else { &b })]);
        let reports = [0, 1, 3, 4].map(vote);
        *nv = f.new_view(&reports, Vec::new(), 1, &[null_digest(), value()]);
    }),
];

#[test]
fn whatever_is_wrong_in_the_opening_of_its_own_view_a_replica_goes_to_the_next() {
    let fixture = Fixture::strong();
    for (what, damage) in DAMAGES {
        let mut new_view = right(&fixture, 1);
        damage(&fixture, &mut new_view);
        let mut node = waiting(&fixture);
        // Whoever passes it on could not have changed a byte of it.
        let lines = node.receive(4, &wire(&fixture, &new_view));
        assert!(lines[0].starts_with("dropped r1: malformed message: new-view"));
        assert_eq!(lines[1], "leave for v2: invalid-new-view", "{what}");
        // And once there it does not care.
        let lines = node.receive(1, &wire(&fixture, &new_view));
        assert_eq!(node.core.view(), View(2), "{what}: {lines:?}");
    }
}

#[test]
fn an_invalid_opening_of_a_view_that_a_replica_is_not_in_moves_it_nowhere() {
    let fixture = Fixture::strong();
    for view in [1, 6] {
        for (what, damage) in DAMAGES {
            let mut new_view = right(&fixture, view);
            damage(&fixture, &mut new_view);
            let mut node = fixture.node(2);
            node.step(Event::Started);
            let lines = node.receive(1, &wire(&fixture, &new_view));
            assert!(lines.len() <= 1, "{what}: {lines:?}");
            assert_eq!(node.core.view(), View(0), "{what}");
            assert_eq!(node.core.mode(), Mode::Normal, "{what}");
        }
    }
}

#[test]
fn what_the_primary_of_the_view_did_not_sign_is_no_opening_at_all() {
    let fixture = Fixture::strong();
    let new_view = right(&fixture, 1);
    let signed = fixture.sign_new_view(&new_view);
    let mut flipped = signed.clone();
    flipped.signature.0[0] ^= 1;
    let by_another = SignedNewView {
        signature: fixture.sign(4, Kind::NewView, &signed.bytes),
        ..signed.clone()
    };
    let as_another_kind = SignedNewView {
        signature: fixture.sign(1, Kind::ViewChange, &signed.bytes),
        ..signed.clone()
    };
    // Invalid as well as unsigned: nobody is to blame but the sender.
    let mut worse = right(&fixture, 1);
    worse.headers.clear();
    worse.view_changes.clear();
    let mut worse = fixture.sign_new_view(&worse);
    worse.signature.0[0] ^= 1;
    for wrong in [flipped, by_another, as_another_kind, worse] {
        let mut node = waiting(&fixture);
        let refused = node.try_receive(4, &Wire::NewView(wrong));
        assert_eq!(refused, Err(Misbehaviour::BadSignature));
        assert_eq!(node.core.view(), View(1));
    }
}

#[test]
fn only_the_first_valid_opening_of_a_view_counts() {
    let fixture = Fixture::strong();
    let mut node = waiting(&fixture);
    node.receive(1, &wire(&fixture, &right(&fixture, 1)));
    assert_eq!(node.receive(1, &fixture.opens_empty(1)), NOTHING);
    let mut invalid = right(&fixture, 1);
    invalid.headers.clear();
    assert_eq!(node.receive(1, &wire(&fixture, &invalid)), NOTHING);
    assert_eq!(
        (node.core.view(), node.core.mode()),
        (View(1), Mode::Normal)
    );
}

#[test]
fn an_opening_of_an_older_view_is_nothing() {
    let fixture = Fixture::strong();
    let mut node = waiting(&fixture);
    node.fire(Timer::NewView);
    assert_eq!(node.core.view(), View(2));
    assert_eq!(node.receive(1, &fixture.opens_empty(1)), NOTHING);
}

#[test]
fn an_invalid_report_inside_an_opening_says_nothing_of_its_sender() {
    let fixture = Fixture::strong();
    let mut new_view = right(&fixture, 1);
    new_view.view_changes[3].signature.0[5] ^= 1;
    let mut node = waiting(&fixture);
    node.receive(1, &wire(&fixture, &new_view));
    // The primary put it there; the report that replica 4 did sign is as good as ever.
    let lines = node.receive(4, &fixture.leaves(4, 2));
    assert_eq!(lines, NOTHING);
    assert_eq!(node.core.evidence().count(), 0);
}
