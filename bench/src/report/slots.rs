//! Where slots spent their time, what was sent for them, and who was missing when some fell back.

use super::document::{Section, Table};
use super::measurements::{median, median_of, medians};
use super::units;
use crate::record::{LatencySummary, MessageFacts, PhaseFacts, Repeat, Run};

/// The phases in the order of a request's way, and between which moments they lie.
const PHASES: [(&str, &str); 7] = [
    ("queue", "a request's arrival until it is proposed"),
    ("pre_prepare", "a proposal's arrival until the vote"),
    ("prepare", "the vote until decided or COMMIT"),
    ("commit", "COMMIT until decided"),
    ("execute", "decided until executed"),
    ("fsync", "records on their way to disk"),
    ("reply", "executed until written to the client"),
];

/// Messages whose number the protocol fixes for each slot.
const A_SLOT: [&str; 3] = ["pre-prepare", "prepare", "commit"];

/// Nothing if the replicas measured nothing of the kind.
pub(super) fn slots(run: &Run) -> Option<Section> {
    let measured: Vec<&PhaseFacts> = run
        .repeats
        .iter()
        .filter_map(|repeat| repeat.phases.as_ref())
        .collect();
    let row = |(name, between): (&str, &str)| {
        let of: Vec<&LatencySummary> = measured
            .iter()
            .filter_map(|facts| facts.all.get(name))
            .collect();
        let time = |point: fn(&LatencySummary) -> f64| {
            units::time(median(of.iter().map(|summary| point(summary))))
        };
        (!of.is_empty()).then(|| {
            vec![
                name.replace('_', "-"),
                between.to_owned(),
                units::count(of.iter().map(|summary| summary.count).sum()),
                time(|summary| summary.p50),
                time(|summary| summary.p99),
                time(|summary| summary.max),
            ]
        })
    };
    let rows: Vec<Vec<String>> = PHASES.into_iter().filter_map(row).collect();
    let facts: Vec<(&'static str, String)> = [
        a_slot(run).map(|text| ("messages", text)),
        fallbacks(run).map(|text| ("fallbacks", text)),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!rows.is_empty()).then(|| Section {
        heading: "Slots",
        remark: format!(
            "as the correct replicas saw them{}",
            match medians(run) {
                text if text.is_empty() => text,
                text => format!("; {text}"),
            }
        ),
        facts,
        table: Some(Table {
            header: vec!["phase", "from", "count", "p50", "p99", "max"],
            rows,
        }),
        ..Section::default()
    })
}

/// Messages between replicas for each slot, against the protocol's number.
fn a_slot(run: &Run) -> Option<String> {
    let counted = |repeat: &Repeat| -> Option<(f64, f64)> {
        let facts = repeat.messages.as_ref().filter(|facts| facts.slots > 0)?;
        Some((sent(facts), in_theory(facts)?))
    };
    let each: Vec<(f64, f64)> = run.repeats.iter().filter_map(counted).collect();
    if each.is_empty() {
        return None;
    }
    let complete = run
        .repeats
        .iter()
        .filter_map(|repeat| repeat.messages.as_ref())
        .all(|facts| facts.complete);
    Some(format!(
        "{} proposals and votes a slot, {} by the protocol{}",
        units::number(median(each.iter().map(|pair| pair.0))),
        units::number(median(each.iter().map(|pair| pair.1))),
        if complete {
            ""
        } else {
            " (not every replica could be counted all the time)"
        }
    ))
}

fn sent(facts: &MessageFacts) -> f64 {
    let of_slots = facts
        .types
        .iter()
        .filter(|each| A_SLOT.contains(&each.name.as_str()));
    of_slots.map(|each| each.counts.sent).sum::<u64>() as f64 / facts.slots as f64
}

fn in_theory(facts: &MessageFacts) -> Option<f64> {
    let of_slots = facts
        .types
        .iter()
        .filter(|each| A_SLOT.contains(&each.name.as_str()));
    let sum: Option<f64> = of_slots.map(|each| each.in_theory).sum();
    sum.map(|sum| sum / facts.slots as f64)
}

/// Whose votes were missing, most often first; nothing if no slot fell back.
fn fallbacks(run: &Run) -> Option<String> {
    let facts = || {
        run.repeats
            .iter()
            .filter_map(|repeat| repeat.fallbacks.as_ref())
    };
    let slots: u64 = facts().map(|facts| facts.slots).sum();
    if slots == 0 {
        return None;
    }
    let mut missing = std::collections::BTreeMap::<u32, u64>::new();
    for each in facts().flat_map(|facts| &facts.missing) {
        *missing.entry(each.replica).or_default() += each.times;
    }
    let mut missing: Vec<(u32, u64)> = missing
        .into_iter()
        .filter(|(_, times)| *times > 0)
        .collect();
    missing.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    let named: Vec<String> = missing
        .iter()
        .map(|(replica, times)| format!("replica {replica} {} times", units::count(*times)))
        .collect();
    let per_repeat = median_of(run, |repeat| {
        repeat
            .fallbacks
            .as_ref()
            .map_or(0.0, |facts| facts.slots as f64)
    });
    Some(format!(
        "{} COMMITs for want of votes; missing were {}",
        units::count(per_repeat.round() as u64),
        named.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::{FallbackFacts, MessageCounts, MessageType, MissingVotes};

    fn run() -> Run {
        let summary = |count, p50| LatencySummary {
            count,
            p50,
            p99: 4.0 * p50,
            max: 9.0 * p50,
            ..LatencySummary::default()
        };
        let message = |name: &str, sent, in_theory| MessageType {
            name: name.to_owned(),
            counts: MessageCounts {
                sent,
                ..MessageCounts::default()
            },
            in_theory: Some(in_theory),
            ..MessageType::default()
        };
        let repeat = Repeat {
            phases: Some(PhaseFacts {
                all: [
                    ("reply".to_owned(), summary(70, 300.0)),
                    ("pre_prepare".to_owned(), summary(40, 950.0)),
                ]
                .into(),
                replicas: Vec::new(),
            }),
            messages: Some(MessageFacts {
                slots: 100,
                complete: true,
                types: vec![
                    message("pre-prepare", 400, 400.0),
                    message("prepare", 2_010, 2_000.0),
                    message("status", 900, 1_000.0),
                ],
                ..MessageFacts::default()
            }),
            fallbacks: Some(FallbackFacts {
                slots: 12,
                missing: vec![
                    MissingVotes {
                        replica: 1,
                        times: 0,
                    },
                    MissingVotes {
                        replica: 3,
                        times: 2,
                    },
                    MissingVotes {
                        replica: 4,
                        times: 11,
                    },
                ],
                replicas: Vec::new(),
            }),
            ..Repeat::default()
        };
        Run {
            repeats: vec![repeat],
            ..Run::default()
        }
    }

    #[test]
    fn phases_stand_in_the_order_of_a_requests_way_and_those_that_never_came_do_not() {
        let section = slots(&run()).unwrap();
        let table = section.table.unwrap();
        let names: Vec<&str> = table.rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(names, ["pre-prepare", "reply"]);
        assert_eq!(table.rows[1][2..], ["70", "300 us", "1.20 ms", "2.70 ms"]);
    }

    #[test]
    fn what_was_sent_stands_beside_the_protocols_number_and_the_missing_are_named() {
        let facts = slots(&run()).unwrap().facts;
        assert_eq!(
            facts,
            [
                (
                    "messages",
                    "24.1 proposals and votes a slot, 24.0 by the protocol".to_owned()
                ),
                (
                    "fallbacks",
                    "12 COMMITs for want of votes; missing were replica 4 11 times, replica 3 2 times"
                        .to_owned()
                )
            ]
        );
    }

    #[test]
    fn a_run_of_an_older_version_has_no_such_section() {
        let old = Run {
            repeats: vec![Repeat::default()],
            ..Run::default()
        };
        assert!(slots(&old).is_none());
    }
}
