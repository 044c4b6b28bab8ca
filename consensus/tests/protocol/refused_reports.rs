//! R10.3: one thing wrong in a VIEW-CHANGE, and all of it is discarded.

use consensus::pbft::certificate::{Phase, StableCertificate};
use consensus::pbft::message::{SignedViewChange, SlotRecord, ViewChange, Wire};
use consensus::{Epoch, FastQuorum, Misbehaviour, ReplicaId, SeqNo, View};
use crypto::codec::Blob;
use crypto::{Digest, Kind, Signature};

use crate::fixture::{Fixture, state_at};
use crate::node::Node;
use crate::signing_views::voted;

const NOTHING: [&str; 0] = [];

/// A right report of replica 3 for view 2: a stable checkpoint at 4, slot 5 prepared in view 0,
/// slot 7 voted for in view 1, and slot 12, the last of the window, in view 0.
pub(crate) fn right(fixture: &Fixture) -> ViewChange {
    let header = |view, seq| fixture.header(view, seq, Digest::of("test", b"batch"));
    fixture.report_above(
        fixture.stable(&[0, 1, 2, 4], 4, state_at(4)),
        (3, 2),
        vec![
            fixture.prepared(&header(0, 5), &[0, 1, 3, 4]),
            voted(&header(1, 7)),
            voted(&header(0, 12)),
        ],
    )
}

fn receive(fixture: &Fixture, report: &ViewChange) -> Result<Vec<String>, Misbehaviour> {
    let wire = Wire::ViewChange(fixture.sign_report(report));
    fixture.node(1).try_receive(3, &wire)
}

#[test]
fn the_report_that_the_others_differ_from_is_right() {
    let fixture = Fixture::strong();
    let lines = receive(&fixture, &right(&fixture)).unwrap();
    assert_eq!(lines, NOTHING, "kept until f more have left");
    // And from anybody: it is signed.
    let wire = Wire::ViewChange(fixture.sign_report(&right(&fixture)));
    let mut node = fixture.node(1);
    assert_eq!(node.receive(4, &wire), NOTHING);
    assert_eq!(
        node.receive(0, &wire),
        NOTHING,
        "it was r3 that left, not r0"
    );
}

pub(crate) type Damage = fn(&Fixture, &mut ViewChange);

/// What is wrong, and how it came to be.
pub(crate) const DAMAGES: &[(&str, Damage)] = &[
    ("view 0", |_, report| {
        report.new_view = View(0);
        report.records.clear();
    }),
    ("a stable checkpoint of another epoch", |f, report| {
        let stable = report.stable.as_mut().unwrap();
        stable.epoch = Epoch(1);
        let body = StableCertificate::body(stable.seq, &stable.digest);
        for (replica, signature) in &mut stable.signers.0 {
            *signature = f.sign_in(1, replica.0, Kind::Checkpoint, &body);
        }
    }),
    ("a stable checkpoint of too few", |f, report| {
        report.stable = Some(f.stable(&[0, 1, 2], 4, state_at(4)));
    }),
    ("a stable checkpoint of one twice", |f, report| {
        report.stable = Some(f.stable(&[0, 1, 1, 2], 4, state_at(4)));
    }),
    ("a stable checkpoint of unsorted signers", |f, report| {
        report.stable = Some(f.stable(&[1, 0, 2, 4], 4, state_at(4)));
    }),
    ("a stable checkpoint of two states", |f, report| {
        let other = f.stable(&[0], 4, state_at(8)).signers.0.remove(0);
        report.stable.as_mut().unwrap().signers.0[0] = other;
    }),
    (
        "a stable checkpoint at another slot than was signed",
        |_, report| {
            report.stable.as_mut().unwrap().seq = SeqNo(3);
        },
    ),
    ("records out of order", |_, report| {
        report.records.swap(0, 1)
    }),
    ("a slot twice", |_, report| {
        let again = report.records[1].clone();
        report.records.insert(1, again);
    }),
    ("a slot at the low watermark", |f, report| {
        report
            .records
            .insert(0, voted(&f.header(0, 4, state_at(1))));
    }),
    ("slot 0", |f, report| {
        report
            .records
            .insert(0, voted(&f.header(0, 0, state_at(1))));
    }),
    ("a slot above the window", |f, report| {
        report.records.push(voted(&f.header(0, 13, state_at(1))));
    }),
    ("the last slot there is", |f, report| {
        report
            .records
            .push(voted(&f.header(0, u64::MAX, state_at(1))));
    }),
    ("a slot of which nothing is said", |_, report| {
        report.records[1].vote = None;
    }),
    ("a vote in the view it goes to", |f, report| {
        report.records[1] = voted(&f.header(2, 7, state_at(1)));
    }),
    ("a vote in the last view there is", |f, report| {
        report.records[1] = voted(&f.header(u64::MAX, 7, state_at(1)));
    }),
    ("a vote for what another primary proposed", |_, report| {
        report.records[1].vote.as_mut().unwrap().view = View(0);
    }),
    ("a vote for another batch than was proposed", |_, report| {
        report.records[1].vote.as_mut().unwrap().digest = state_at(1);
    }),
    ("a vote for a proposal for another slot", |f, report| {
        let vote = voted(&f.header(1, 8, Digest::of("test", b"batch"))).vote;
        report.records[1].vote = vote;
    }),
    ("a vote for a proposal that nobody signed", |_, report| {
        report.records[1].vote.as_mut().unwrap().header_signature = Signature([0; 64]);
    }),
    ("a certificate of too few", |_, report| {
        prepared(report).signers.0.pop();
    }),
    ("a certificate of nobody", |_, report| {
        prepared(report).signers.0.clear();
    }),
    ("a certificate of one twice", |_, report| {
        let signers = &mut prepared(report).signers.0;
        signers[1] = signers[0];
    }),
    ("a certificate of unsorted signers", |_, report| {
        prepared(report).signers.0.swap(0, 1);
    }),
    ("a certificate of a stranger", |_, report| {
        prepared(report).signers.0[3].0 = ReplicaId(5);
    }),
    ("a certificate of more than all", |_, report| {
        let signers = &mut prepared(report).signers.0;
        let signature = signers[0].1;
        *signers = (0..6).map(|id| (ReplicaId(id), signature)).collect();
    }),
    ("a certificate of votes for two batches", |f, report| {
        let other = f.prepare(4, &f.header(0, 5, state_at(1))).signature;
        prepared(report).signers.0[3].1 = other;
    }),
    ("a certificate of votes in two views", |f, report| {
        let other = f.header(1, 5, Digest::of("test", b"batch"));
        prepared(report).signers.0[3].1 = f.prepare(4, &other).signature;
    }),
    ("a certificate of COMMITs", |f, report| {
        let header = f.header(0, 5, Digest::of("test", b"batch"));
        let commits = f.certificate(Phase::Commit, &[0, 1, 3, 4], &header);
        report.records[0].prepared = Some(commits);
    }),
    ("COMMITs that are called PREPAREs", |f, report| {
        let header = f.header(0, 5, Digest::of("test", b"batch"));
        let commits = f.certificate(Phase::Commit, &[0, 1, 3, 4], &header);
        prepared(report).signers = commits.signers;
    }),
    ("a certificate for another slot", |f, report| {
        let header = f.header(0, 6, Digest::of("test", b"batch"));
        let other = f.certificate(Phase::Prepare, &[0, 1, 3, 4], &header);
        report.records[0].prepared = Some(other);
    }),
    ("a certificate of the view it goes to", |f, report| {
        let header = f.header(2, 5, Digest::of("test", b"batch"));
        let other = f.certificate(Phase::Prepare, &[0, 1, 3, 4], &header);
        report.records[0].prepared = Some(other);
    }),
    ("a certificate of the last view there is", |f, report| {
        let header = f.header(u64::MAX, 5, Digest::of("test", b"batch"));
        let other = f.certificate(Phase::Prepare, &[0, 1, 3, 4], &header);
        report.records[0].prepared = Some(other);
    }),
    ("a certificate of another epoch", |f, report| {
        let held = prepared(report);
        held.epoch = Epoch(1);
        let body = held.statement.body();
        for (replica, signature) in &mut held.signers.0 {
            *signature = f.sign_in(1, replica.0, Kind::Prepare, &body);
        }
    }),
];

fn prepared(report: &mut ViewChange) -> &mut consensus::pbft::certificate::Certificate {
    report.records[0].prepared.as_mut().unwrap()
}

#[test]
fn whatever_is_wrong_inside_the_report_all_of_it_is_refused() {
    let fixture = Fixture::strong();
    for (what, damage) in DAMAGES {
        let mut report = right(&fixture);
        damage(&fixture, &mut report);
        assert_ne!(report, right(&fixture), "{what}: nothing was damaged");
        let received = receive(&fixture, &report);
        assert!(received.is_err(), "{what}: {received:?}");
    }
}

#[test]
fn a_report_counts_only_with_its_senders_signature() {
    let fixture = Fixture::strong();
    let report = right(&fixture);
    let signed = fixture.sign_report(&report);
    let mut damaged = signed.clone();
    damaged.signature.0[7] ^= 1;
    let by_another = SignedViewChange {
        signature: fixture.sign(4, Kind::ViewChange, &signed.bytes),
        ..signed.clone()
    };
    let of_another_kind = SignedViewChange {
        signature: fixture.sign(3, Kind::NewView, &signed.bytes),
        ..signed.clone()
    };
    for wrong in [damaged, by_another, of_another_kind] {
        let refused = fixture.node(1).try_receive(3, &Wire::ViewChange(wrong));
        assert_eq!(refused, Err(Misbehaviour::BadSignature));
    }
    let stranger = ViewChange {
        replica: ReplicaId(5),
        ..report
    };
    let bytes = crypto::encode(&stranger);
    let signature = fixture.sign(3, Kind::ViewChange, &bytes);
    let bytes = Blob::from(bytes);
    let stranger = Wire::ViewChange(SignedViewChange { bytes, signature });
    let refused = fixture.node(1).try_receive(3, &stranger);
    assert_eq!(refused, Err(Misbehaviour::Unknown));
}

#[test]
fn bytes_that_are_no_report_are_refused_whoever_signed_them() {
    let fixture = Fixture::strong();
    let right = crypto::encode(&right(&fixture));
    let cut = right[..right.len() - 1].to_vec();
    let mut longer = right.clone();
    longer.push(0);
    for bytes in [Vec::new(), vec![0xff; 300], cut, longer] {
        let signature = fixture.sign(3, Kind::ViewChange, &bytes);
        let bytes = Blob::from(bytes);
        let wire = Wire::ViewChange(SignedViewChange { bytes, signature });
        let refused = fixture.node(1).try_receive(3, &wire);
        assert!(matches!(refused, Err(Misbehaviour::Malformed(_))));
    }
}

/// Where an epoch began is not known to admission, but to the replica.
#[test]
fn a_report_from_the_start_of_the_epoch_has_the_window_of_that_start() {
    let fixture = Fixture::strong();
    let vote = |seq: u64| voted(&fixture.header(0, seq, state_at(1)));
    let report = |records: Vec<SlotRecord>| fixture.report(3, 1, records);
    let dropped = ["dropped r3: unexpected message: a view-change that does not fit the epoch"];
    for (slots, expected) in [
        (vec![1, 8], &[][..]),
        (vec![0, 1], &dropped[..]),
        (vec![2, 9], &dropped[..]),
        (vec![u64::MAX - 1, u64::MAX], &dropped[..]),
    ] {
        let records = slots.iter().map(|seq| vote(*seq)).collect();
        assert_eq!(receive(&fixture, &report(records)).unwrap(), expected);
    }
    // Records over more slots than a window has are not even verified.
    let wide = report(vec![vote(1), vote(9)]);
    assert!(matches!(
        receive(&fixture, &wide),
        Err(Misbehaviour::Malformed(_))
    ));
}

#[test]
fn the_stable_checkpoint_of_a_report_is_as_good_as_one_that_is_sent_by_itself() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    crate::voting::decide(&fixture, &mut node, 1..=4);
    node.state_saved(4, state_at(4));
    let wire = Wire::ViewChange(fixture.sign_report(&right(&fixture)));
    assert_eq!(
        node.receive(3, &wire),
        ["stable s4", "persist stable s4", "truncate s4"]
    );
}

#[test]
fn of_two_reports_for_one_view_the_first_counts_and_of_two_views_the_later() {
    let fixture = Fixture::new(9, 2, FastQuorum::Strong);
    let mut node = fixture.node(1);
    // Replica 3 tells others that it voted in slot 1, and this one as well, but too late.
    let first = fixture.leaves(3, 1);
    let vote = voted(&fixture.header(0, 1, state_at(1)));
    let second = Wire::ViewChange(fixture.sign_report(&fixture.report(3, 1, vec![vote])));
    node.receive(3, &first);
    node.receive(3, &second);
    for replica in [2, 4, 5, 6, 7] {
        node.receive(replica, &fixture.leaves(replica, 1));
    }
    let held = opened_with(&node);
    assert!(held.contains(&first) && !held.contains(&second));
    // An older view's report is no news after that of a later one.
    let mut node = fixture.node(1);
    node.receive(3, &fixture.leaves(3, 2));
    node.receive(3, &fixture.leaves(3, 1));
    for replica in [2, 4, 5, 6, 7] {
        node.receive(replica, &fixture.leaves(replica, 1));
    }
    assert!(node.sent.iter().all(|wire| wire.name() != "new-view"));
    node.receive(8, &fixture.leaves(8, 1));
    assert!(!opened_with(&node).contains(&first));
}

/// The reports of the NEW-VIEW that this replica sent.
fn opened_with(node: &Node) -> Vec<Wire> {
    let sent = node.sent.iter().find_map(|wire| match wire {
        Wire::NewView(signed) => Some(signed),
        _ => None,
    });
    let new_view: consensus::pbft::message::NewView =
        crypto::decode(&sent.expect("it opened the view").bytes).unwrap();
    let reports = new_view.view_changes.into_iter();
    reports.map(Wire::ViewChange).collect()
}
