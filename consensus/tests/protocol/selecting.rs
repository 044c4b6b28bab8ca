//! SELECT and COMPUTE_O: the vectors of docs/protocol.md R20 and the shape of O (R10.5).

use consensus::pbft::certificate::{Certificate, Phase, Signers, StableCertificate, Statement};
use consensus::pbft::message::{SlotRecord, ViewChange, VoteReport};
use consensus::pbft::new_view::{Opening, Selected, Unopened, compute_o, select};
use consensus::{Epoch, FastQuorum, Quorums, ReplicaId, SeqNo, View};
use crypto::{Digest, Signature};

fn digest(name: &str) -> Digest {
    match name {
        "NULL" => consensus::batch::null_digest(),
        name => Digest::of("test", name.as_bytes()),
    }
}

/// `B@0,P:B@0`: the latest vote is for B in view 0, and so is the prepared certificate.
fn record(seq: u64, text: &str) -> SlotRecord {
    let mut record = SlotRecord {
        seq: SeqNo(seq),
        vote: None,
        prepared: None,
    };
    for part in text.split(',').filter(|part| *part != "–") {
        let (prepared, value) = match part.strip_prefix("P:") {
            Some(value) => (true, value),
            None => (false, part),
        };
        let (name, view) = value.split_once('@').unwrap();
        let (digest, view) = (digest(name), View(view.parse().unwrap()));
        if prepared {
            let statement = Statement {
                view,
                seq: SeqNo(seq),
                digest,
            };
            record.prepared = Some(Certificate {
                epoch: Epoch(0),
                phase: Phase::Prepare,
                statement,
                signers: Signers(Vec::new()),
            });
        } else {
            record.vote = Some(VoteReport {
                view,
                digest,
                header_signature: Signature([0; 64]),
            });
        }
    }
    record
}

fn quorums(n: u16, f: u16, fast: Option<u16>) -> Quorums {
    let fast = fast.map_or(FastQuorum::Off, FastQuorum::Exactly);
    Quorums::new(n, f, fast).unwrap()
}

/// Name, n, f, q_F, e, the reports in any order, what is selected.
type Vector = (
    &'static str,
    u16,
    u16,
    Option<u16>,
    usize,
    &'static str,
    Selected,
);

#[test]
fn the_vectors_of_section_20_hold() {
    let a = Selected::Value(digest("A"));
    let b = Selected::Value(digest("B"));
    let null = Selected::Value(digest("NULL"));
    let (free, conflict) = (Selected::Free, Selected::Conflict);
    #[rustfmt::skip]
    let vectors: [Vector; 16] = [
        ("V1", 5, 1, Some(4), 0, "A@0 A@0 – –", a),
        ("V2", 5, 1, Some(4), 0, "A@0 – – –", free),
        ("V3", 5, 1, Some(4), 0, "B@0 A@0 A@0 B@0", conflict),
        ("V4", 5, 1, Some(4), 1, "A@0 A@0 B@0 A@0", a),
        ("V5", 5, 1, Some(4), 1, "A@0 A@0 B@0 B@0", free),
        ("V6", 5, 1, Some(4), 0, "A@0 A@2 B@1 –", a),
        ("V7", 5, 1, Some(4), 0, "A@1 A@1 B@0,P:B@0 B@0", a),
        ("V8", 5, 1, Some(4), 0, "A@0 A@0 B@1,P:B@1 B@1", b),
        ("V9", 5, 1, Some(5), 0, "B@0 A@0 A@0 B@0", free),
        ("V10", 5, 1, Some(5), 0, "A@0 A@0,P:A@0 B@1 B@1", a),
        ("V11", 9, 2, Some(7), 0, "A@0 A@0 A@0 A@0 B@1 B@1 B@1", b),
        ("V12", 9, 2, Some(7), 0, "A@0 A@0 A@0 A@0 B@0 B@0 B@0", conflict),
        ("V13", 9, 2, Some(7), 1, "A@0 A@0 A@0 A@0 B@0 B@0 B@0", a),
        ("V14", 9, 2, Some(7), 2, "A@0 A@0 A@0 B@0 B@0 B@0 B@0", free),
        ("V15", 5, 1, None, 0, "A@0 A@0 A@0 A@0", free),
        ("V16", 5, 1, None, 0, "A@0,P:A@0 NULL@2 NULL@1,P:NULL@1 –", null),
    ];
    for (name, n, f, fast, excluded, reports, expected) in vectors {
        let records: Vec<SlotRecord> = reports.split(' ').map(|text| record(1, text)).collect();
        let mut reports: Vec<&SlotRecord> = records.iter().collect();
        // The order of the reports must not matter.
        for _ in 0..reports.len() {
            reports.rotate_left(1);
            let selected = select(&quorums(n, f, fast), &reports, excluded);
            assert_eq!(selected, expected, "{name}");
        }
    }
}

#[test]
fn two_prepared_certificates_of_one_view_are_a_contradiction() {
    let records = [record(1, "P:A@1"), record(1, "P:B@1"), record(1, "P:A@0")];
    let reports: Vec<&SlotRecord> = records.iter().collect();
    let selected = select(&quorums(5, 1, Some(4)), &reports, 0);
    assert_eq!(selected, Selected::Contradiction);
}

/// A VIEW-CHANGE with its stable checkpoint and `(slot, report)`s.
fn view_change(replica: u16, stable: u64, records: &[(u64, &str)]) -> ViewChange {
    ViewChange {
        epoch: Epoch(0),
        new_view: View(3),
        replica: ReplicaId(replica),
        stable: (stable > 0).then(|| StableCertificate {
            epoch: Epoch(0),
            seq: SeqNo(stable),
            digest: digest("state"),
            signers: Signers(Vec::new()),
        }),
        records: records
            .iter()
            .map(|(seq, text)| record(*seq, text))
            .collect(),
    }
}

fn opening(set: &[ViewChange]) -> Result<Opening, Unopened> {
    let set: Vec<&ViewChange> = set.iter().collect();
    compute_o(&quorums(5, 1, Some(4)), SeqNo(0), &set, 0)
}

#[test]
fn gaps_below_a_value_are_filled_with_null_and_nothing_is_assigned_above_it() {
    let set = [
        view_change(1, 0, &[(1, "A@0"), (4, "B@0"), (6, "C@0")]),
        view_change(2, 0, &[(1, "A@0"), (4, "B@0")]),
        view_change(3, 0, &[]),
        view_change(4, 0, &[]),
    ];
    let opening = opening(&set).unwrap();
    assert_eq!((opening.min, opening.max), (SeqNo(0), SeqNo(4)));
    let null = digest("NULL");
    assert_eq!(opening.digests, [digest("A"), null, null, digest("B")]);
    assert_eq!(opening.digest(SeqNo(4)), Some(digest("B")));
    assert_eq!(opening.digest(SeqNo(5)), None);
    assert_eq!(opening.digest(SeqNo(0)), None);
    assert_eq!(opening.slots().count(), 4);
}

#[test]
fn the_base_is_the_highest_stable_checkpoint_and_slots_below_it_do_not_count() {
    let set = [
        view_change(1, 0, &[(3, "A@0"), (5, "A@0")]),
        view_change(2, 4, &[(5, "A@0")]),
        view_change(3, 0, &[(3, "A@0")]),
        view_change(4, 0, &[(3, "A@0")]),
    ];
    let opening = opening(&set).unwrap();
    assert_eq!((opening.min, opening.max), (SeqNo(4), SeqNo(5)));
    assert_eq!(opening.base.map(|base| base.seq), Some(SeqNo(4)));
    assert_eq!(opening.digests, [digest("A")]);
}

#[test]
fn without_reports_nothing_is_assigned() {
    let set: Vec<ViewChange> = (1..5).map(|replica| view_change(replica, 0, &[])).collect();
    let opening = opening(&set).unwrap();
    assert_eq!((opening.min, opening.max), (SeqNo(0), SeqNo(0)));
    assert!(opening.digests.is_empty() && opening.base.is_none());
}

#[test]
fn a_conflict_in_any_slot_keeps_the_view_shut() {
    let set = [
        view_change(0, 0, &[(1, "A@0"), (2, "B@0")]),
        view_change(1, 0, &[(1, "A@0"), (2, "A@0")]),
        view_change(2, 0, &[(1, "A@0"), (2, "A@0")]),
        view_change(3, 0, &[(1, "A@0"), (2, "B@0")]),
    ];
    assert_eq!(opening(&set), Err(Unopened::Conflict(SeqNo(2))));
}
