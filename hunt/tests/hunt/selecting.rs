//! SELECT and COMPUTE_O against the specification read literally, and against all histories.

use consensus::batch::null_digest;
use consensus::mutation::{Mutation, plant};
use consensus::pbft::certificate::{Certificate, Phase, Signers};
use consensus::pbft::message::{SlotRecord, ViewChange, VoteReport};
use consensus::pbft::new_view::{Selected, Unopened, compute_o, select};
use consensus::{Epoch, FastQuorum, Quorums, ReplicaId, SeqNo, View};
use crypto::{Digest, Signature};

use crate::cast::{Size, statement};
use crate::chance::Chance;
use crate::history::Setting;

/// n = 4, 5 and 6 with f = 1: all histories of these are gone through.
const SMALL: [Size; 5] = [
    (4, 1, FastQuorum::Strong),
    (5, 1, FastQuorum::Strong),
    (5, 1, FastQuorum::Conservative),
    (5, 1, FastQuorum::Off),
    (6, 1, FastQuorum::Strong),
];

/// Larger ones: of these, histories are drawn.
const LARGE: [Size; 5] = [
    (7, 2, FastQuorum::Strong),
    (9, 2, FastQuorum::Strong),
    (9, 2, FastQuorum::Conservative),
    (9, 2, FastQuorum::Off),
    (10, 2, FastQuorum::Strong),
];

/// Which views have Byzantine primaries: with n ≥ 4 and f = 1 at most one of the first four.
const TRAITOR: [&[usize]; 3] = [&[0], &[1], &[]];
const TRAITORS: [&[usize]; 6] = [&[0], &[1], &[0, 1], &[0, 2], &[1, 2], &[]];

fn full() -> bool {
    std::env::var_os("FULL").is_some()
}

/// All histories of the small sizes. The first counterexample, if there is one.
pub(crate) fn all_small_histories(views: usize) -> Result<usize, String> {
    let mut histories = 0;
    for size in SMALL {
        for traitor in TRAITOR {
            histories += Setting::new(size, traitor)
                .exhaust(views)
                .map_err(|why| format!("{size:?} {traitor:?}: {why}"))?;
        }
    }
    Ok(histories)
}

/// `count` histories of a size, drawn from `seed`.
pub(crate) fn drawn_histories(size: Size, seed: u64, count: usize) -> Result<(), String> {
    let mut chance = Chance::new(seed);
    let settings = TRAITORS.map(|traitors| Setting::new(size, traitors));
    for round in 0..count {
        settings[round % settings.len()]
            .wander(3, &mut chance)
            .map_err(|why| format!("{size:?}, seed {seed}, history {round}: {why}"))?;
    }
    Ok(())
}

#[test]
fn no_history_of_a_small_cluster_loses_a_decision_or_gets_stuck() {
    let views = if full() { 3 } else { 2 };
    let histories = all_small_histories(views).unwrap();
    println!("{histories} histories of up to {views} views");
    assert!(histories > 10_000, "{histories}");
}

#[test]
fn no_drawn_history_of_a_larger_cluster_loses_a_decision_or_gets_stuck() {
    let count = if full() { 20_000 } else { 60 };
    for size in LARGE {
        drawn_histories(size, 1, count).unwrap();
    }
}

/// The table of R21: the sizes at which one vote less in the fast quorum is known to be fatal.
#[test]
fn one_vote_less_in_the_fast_quorum_is_caught_at_every_size() {
    let _planted = plant(Some(Mutation::FastQuorumOneSmaller));
    for n in [4, 5, 6, 7] {
        let caught = TRAITOR.iter().any(|traitor| {
            Setting::new((n, 1, FastQuorum::Strong), traitor)
                .exhaust(2)
                .is_err()
        });
        assert!(caught, "n = {n}");
    }
    for n in [8, 9, 10] {
        let caught = drawn_histories((n, 2, FastQuorum::Strong), 1, 400);
        assert!(caught.is_err(), "n = {n}");
    }
}

/// SELECT as R10.5 has it, word by word.
fn literal_select(quorums: &Quorums, set: &[&SlotRecord], excluded: usize) -> Selected {
    let prepared: Vec<(i64, Digest)> = set
        .iter()
        .filter_map(|report| report.prepared.as_ref())
        .map(|certificate| certificate.statement)
        .map(|statement| (statement.view.0 as i64, statement.digest))
        .collect();
    let newest = prepared.iter().map(|(view, _)| *view).max().unwrap_or(-1);
    let p: Vec<Digest> = prepared
        .iter()
        .filter(|(view, _)| *view == newest)
        .map(|(_, digest)| *digest)
        .collect();
    let mut w: Vec<(Digest, i64)> = Vec::new();
    let mut w_star = -1;
    if let Some(fast) = quorums.fast() {
        let t = fast - 2 * quorums.f() + excluded;
        for d in set.iter().filter_map(|report| Some(report.vote?.digest)) {
            // The largest view such that t replicas voted d in that view or a later one.
            let reached = (0..10i64).rfind(|z| {
                let votes = set.iter().filter_map(|report| report.vote);
                let counted = votes.filter(|vote| vote.digest == d && vote.view.0 as i64 >= *z);
                counted.count() >= t
            });
            w.push((d, reached.unwrap_or(-1)));
        }
        w_star = w.iter().map(|(_, reached)| *reached).max().unwrap_or(-1);
    }
    if newest >= 0 && newest >= w_star {
        return Selected::Value(p[0]);
    }
    if w_star < 0 {
        return Selected::Free;
    }
    let mut best: Vec<Digest> = w
        .iter()
        .filter(|(_, reached)| *reached == w_star)
        .map(|(digest, _)| *digest)
        .collect();
    best.sort();
    best.dedup();
    match best[..] {
        [digest] => Selected::Value(digest),
        _ => Selected::Conflict,
    }
}

fn digests() -> [Digest; 3] {
    [Digest::of("d", b"A"), Digest::of("d", b"B"), null_digest()]
}

/// Any report at all, except that certificates of one view agree, as F1 has it.
fn any_record(seq: u64, chance: &mut Chance) -> SlotRecord {
    let vote = (chance.below(5) > 0).then(|| VoteReport {
        view: View(chance.below(4) as u64),
        digest: *chance.one_of(&digests()),
        header_signature: Signature([0; 64]),
    });
    let prepared = (chance.below(4) == 0).then(|| {
        let view = chance.below(4) as u64;
        Certificate {
            epoch: Epoch(0),
            phase: Phase::Prepare,
            statement: statement(view, seq, digests()[view as usize % 3]),
            signers: Signers(Vec::new()),
        }
    });
    SlotRecord {
        seq: SeqNo(seq),
        vote,
        prepared,
    }
}

/// Any reports: SELECT says what the specification says, in whatever order they come.
pub(crate) fn select_follows_the_words(seed: u64, count: usize) -> Result<(), String> {
    let mut chance = Chance::new(seed);
    for round in 0..count {
        let sizes = if round % 2 == 0 { SMALL } else { LARGE };
        let (n, f, fast) = *chance.one_of(&sizes);
        let quorums = Quorums::new(n, f, fast).unwrap();
        let excluded = chance.below(usize::from(f) + 1);
        let records: Vec<SlotRecord> = (0..n - f).map(|_| any_record(1, &mut chance)).collect();
        let mut set: Vec<&SlotRecord> = records.iter().collect();
        // What the specification says is said of the unbroken rule.
        let expected = {
            let _unbroken = plant(None);
            literal_select(&quorums, &set, excluded)
        };
        for _ in 0..3 {
            let selected = select(&quorums, &set, excluded);
            if selected != expected {
                return Err(format!(
                    "round {round}: {selected:?}, not {expected:?}: {set:?}"
                ));
            }
            let by = chance.below(set.len());
            set.rotate_left(by);
        }
    }
    Ok(())
}

#[test]
fn select_says_what_the_specification_says() {
    select_follows_the_words(7, 3_000).unwrap();
}

/// COMPUTE_O over several slots: base, gaps and end as R10.5 has them, in any order of S.
pub(crate) fn openings_follow_the_words(seed: u64, count: usize) -> Result<(), String> {
    let mut chance = Chance::new(seed);
    for round in 0..count {
        let (n, f, fast) = *chance.one_of(&SMALL);
        let quorums = Quorums::new(n, f, fast).unwrap();
        let mut set: Vec<ViewChange> = (0..n - f)
            .map(|id| any_view_change(id, &mut chance))
            .collect();
        let expected = {
            let _unbroken = plant(None);
            literal_opening(&quorums, &set)
        };
        for _ in 0..3 {
            let by = chance.below(set.len());
            set.rotate_left(by);
            let reports: Vec<&ViewChange> = set.iter().collect();
            let found = compute_o(&quorums, SeqNo(0), &reports, 0)
                .map(|opening| (opening.min.0, opening.slots().collect::<Vec<_>>()));
            let same = match (&found, &expected) {
                (Ok(found), Ok(expected)) => found == expected,
                (Err(Unopened::Conflict(_)), Err(())) => true,
                _ => false,
            };
            if !same {
                return Err(format!(
                    "round {round} is not what R10.5 says; {found:?}, not {expected:?}: {set:?}"
                ));
            }
        }
    }
    Ok(())
}

fn any_view_change(id: u16, chance: &mut Chance) -> ViewChange {
    let base = 4 * chance.below(3) as u64;
    let records = (base + 1..=base + 8)
        .filter(|_| chance.below(3) == 0)
        .collect::<Vec<u64>>();
    ViewChange {
        epoch: Epoch(0),
        new_view: View(4),
        replica: ReplicaId(id),
        stable: (base > 0).then(|| consensus::pbft::certificate::StableCertificate {
            epoch: Epoch(0),
            seq: SeqNo(base),
            digest: Digest::of("state", &base.to_le_bytes()),
            signers: Signers(Vec::new()),
        }),
        records: records
            .into_iter()
            .map(|seq| any_record(seq, chance))
            .collect(),
    }
}

/// The highest checkpoint, and every slot above it up to the last that has a value.
type Opening = (u64, Vec<(SeqNo, Digest)>);

fn literal_opening(quorums: &Quorums, set: &[ViewChange]) -> Result<Opening, ()> {
    let base = |report: &ViewChange| report.stable.as_ref().map_or(0, |stable| stable.seq.0);
    let min = set.iter().map(base).max().unwrap();
    let mut all = Vec::new();
    for seq in min + 1..=min + 8 {
        let records: Vec<&SlotRecord> = set
            .iter()
            .flat_map(|report| &report.records)
            .filter(|record| record.seq.0 == seq)
            .collect();
        match literal_select(quorums, &records, 0) {
            Selected::Conflict | Selected::Contradiction => return Err(()),
            Selected::Value(digest) => all.push(Some(digest)),
            Selected::Free => all.push(None),
        }
    }
    let assigned = all.iter().rposition(Option::is_some).map_or(0, |at| at + 1);
    let slots = all[..assigned]
        .iter()
        .zip(min + 1..)
        .map(|(digest, seq)| (SeqNo(seq), digest.unwrap_or(null_digest())))
        .collect();
    Ok((min, slots))
}

#[test]
fn openings_are_what_the_specification_says() {
    openings_follow_the_words(11, 400).unwrap();
}
