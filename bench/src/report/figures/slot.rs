//! The chart of a slot in which replicas contradict each other.

use std::collections::BTreeMap;

use replica::evidence::{Proof, ProofKind};

use crate::check::read_exhibits;
use crate::report::figure::{Axis, Colour, Dash, Drawing, Figure, Grid, Look, Trace};
use crate::report::files::{Conflict, RepeatFiles, liars, path_word};
use crate::report::units;

/// Digits of a digest or signature in words.
const DIGITS: usize = 12;
/// Proofs that the table lists.
const PROOFS_MAX: usize = 100;
/// From the newest step at the bottom to the oldest at the top.
const STEPS: [(&str, Option<ProofKind>); 4] = [
    ("committed", None),
    ("COMMIT", Some(ProofKind::DoubleCommit)),
    ("PREPARE", Some(ProofKind::DoublePrepare)),
    ("PRE-PREPARE", Some(ProofKind::DoublePrePrepare)),
];

/// Something about one batch in the slot.
struct Point {
    replica: u32,
    step: usize,
    digest: String,
    note: String,
}

/// What is known of the slot: what was signed twice in it, and what each replica committed.
pub(super) fn chart(repeat: &RepeatFiles<'_>, conflict: Option<Conflict>) -> Figure {
    let proofs: Vec<Proof> = read_exhibits(None, &repeat.path("evidence"))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|exhibit| exhibit.proof.ok())
        .collect();
    // Where no log contradicts another, the place of the first proof is the place to look at.
    let seq = conflict
        .as_ref()
        .map(|conflict| conflict.seq)
        .or_else(|| proofs.iter().map(|proof| proof.seq).min());
    let detail = [
        &repeat.repeat.checks.agreement,
        &repeat.repeat.checks.state,
        &repeat.repeat.checks.evidence,
    ];
    let detail: Vec<&str> = detail
        .into_iter()
        .filter(|check| check.verdict == crate::check::Verdict::Fail)
        .map(|check| check.detail.as_str())
        .collect();
    let place = match (seq, &conflict) {
        (Some(seq), Some(conflict)) if conflict.places > 1 => {
            format!(
                "Slot {seq}, the first of {} in which correct replicas contradict each other. ",
                units::count(conflict.places)
            )
        }
        (Some(seq), _) => format!("Slot {seq}. "),
        (None, _) => String::new(),
    };
    Figure::new(
        "slot",
        "The slot in which replicas contradict each other",
        format!(
            "{place}From top to bottom what was signed twice, and what each replica committed; one colour is one batch, and a line leads from a signature to those who committed its batch. \
             Only messages of which a contradiction proves the signature are kept with a run. {}",
            detail.join(" ")
        ),
        drawing(repeat, seq, conflict, &proofs),
    )
}

fn drawing(
    repeat: &RepeatFiles<'_>,
    seq: Option<u64>,
    conflict: Option<Conflict>,
    proofs: &[Proof],
) -> Result<Drawing, String> {
    let (members, liars) = (repeat.members(), liars(repeat));
    let mut points = Vec::new();
    let mut table = Grid::new(&[
        "replica",
        "what",
        "view",
        "batch or state",
        "signature",
        "file",
    ]);
    for proof in proofs
        .iter()
        .filter(|proof| Some(proof.seq) == seq)
        .take(PROOFS_MAX)
    {
        let step = STEPS.iter().position(|(_, kind)| *kind == Some(proof.kind));
        for content in &proof.contents {
            table.push([
                format!("r{}", proof.culprit),
                proof.kind.name().to_owned(),
                proof.view.to_string(),
                content.digest.clone(),
                if content.signature.is_empty() {
                    "of the vouchers".to_owned()
                } else {
                    content.signature.clone()
                },
                format!("evidence/{}", proof.file_name()),
            ]);
            if let Some(step) = step {
                let replica = u32::from(proof.culprit);
                let note = format!("r{replica} signed {} in view {}", STEPS[step].0, proof.view);
                points.push(Point {
                    replica,
                    step,
                    digest: content.digest.clone(),
                    note,
                });
            }
        }
    }
    for (replica, entries) in conflict.into_iter().flat_map(|conflict| conflict.commits) {
        for entry in entries {
            let path = path_word(entry.path);
            let operations = units::counted(entry.ops, "operation");
            let liar = if liars.contains(&replica) {
                ", as a liar says of itself"
            } else {
                ""
            };
            let note = format!(
                "r{replica} committed {operations} in view {}, {path}{liar}",
                entry.view
            );
            table.push([
                format!("r{replica}"),
                format!("committed {path}{liar}"),
                entry.view.to_string(),
                entry.digest.clone(),
                "-".to_owned(),
                format!("replicas/{replica}/committed.jsonl"),
            ]);
            points.push(Point {
                replica,
                step: 0,
                digest: entry.digest,
                note,
            });
        }
    }
    if points.is_empty() {
        return Err("The replicas' logs do not contradict each other, and no proof is about a slot: the sentences of the checks have what there is.".to_owned());
    }
    let mut batches: BTreeMap<String, Vec<&Point>> = BTreeMap::new();
    for point in &points {
        batches.entry(point.digest.clone()).or_default().push(point);
    }
    let mut traces = Vec::new();
    for (number, (digest, points)) in batches.iter().enumerate() {
        // Beside each other, for one replica may have signed several.
        let aside = (number as f64 - (batches.len() as f64 - 1.0) / 2.0) * 0.24
            / batches.len().max(2) as f64
            * 2.0;
        let place = |point: &Point| (f64::from(point.replica) + aside, Some(point.step as f64));
        let colour = match number {
            0 => Colour::Blue,
            1 => Colour::Red,
            more => Colour::of(more),
        };
        let mut lines = Vec::new();
        for signed in points.iter().filter(|point| point.step > 0) {
            for committed in points.iter().filter(|point| point.step == 0) {
                lines.extend([place(signed), place(committed), (place(committed).0, None)]);
            }
        }
        if !lines.is_empty() {
            traces.push(Trace {
                look: Look::Faint,
                points: lines,
                colour,
                dash: Dash::Dotted,
                ..Trace::default()
            });
        }
        traces.push(Trace {
            name: format!("batch {}", short(digest)),
            look: Look::Points,
            points: points.iter().map(|point| place(point)).collect(),
            notes: points
                .iter()
                .map(|point| format!("{}: {}", point.note, short(digest)))
                .collect(),
            words: points
                .iter()
                .map(|_| short(digest).chars().take(4).collect())
                .collect(),
            colour,
            ..Trace::default()
        });
    }
    Ok(Drawing {
        traces,
        x: Axis::names("", (0..members.max(1)).map(|id| format!("r{id}"))),
        y: Axis::names("", STEPS.iter().map(|(name, _)| format!("{name} "))),
        height: 340,
        wide: true,
        table,
        ..Drawing::default()
    })
}

fn short(digest: &str) -> String {
    digest.chars().take(DIGITS).collect()
}
