//! A comparison for a terminal, and for a pull request.

use std::collections::BTreeMap;

use super::comparison::{Comparison, Pair};
use super::judge::{MetricComparison, Verdict};
use super::side::Side;
use super::words::{MANY_TIMES, conclusion};
use crate::report::{Paint, Section, Table, Tone, page_markdown, page_text, units};
use crate::statistics::{REPEATS_FOR_INTERVAL, repeats_for_any_answer};

/// Columns of a value in the table of differences.
const VALUE_COLUMNS: usize = 36;

/// Repeats a side where nothing better is known.
const REPEATS_ADVISED: usize = 10;

/// A command asks for no more repeats than this; who wants more knows why.
const REPEATS_ADVISED_MAX: usize = 50;

/// For a terminal or a pipe.
#[must_use]
pub fn comparison_text(comparison: &Comparison, paint: Paint) -> String {
    page_text(&conclusion(comparison), &sections(comparison), paint)
}

/// To paste into a pull request.
#[must_use]
pub fn comparison_markdown(comparison: &Comparison) -> String {
    page_markdown(&conclusion(comparison), &sections(comparison))
}

pub(super) fn sections(comparison: &Comparison) -> Vec<Section> {
    let mut all = Vec::new();
    // Not comparable goes above everything that could be quoted without it.
    all.extend(Section::list(
        "Not comparable",
        Tone::Bad,
        comparison.forced.clone(),
    ));
    all.push(runs(comparison));
    for pair in &comparison.pairs {
        let candidate = &comparison.sides[pair.candidate];
        let baseline = comparison.baseline();
        all.push(metrics(pair, baseline, candidate));
        all.extend(noise_floor(comparison, pair));
        all.extend(Section::list("Undecided", Tone::Doubtful, open(pair)));
        all.extend(Section::list("Not compared", Tone::Doubtful, missing(pair)));
        all.push(differences(pair, baseline, candidate));
    }
    all.extend(Section::list(
        "Warnings",
        Tone::Doubtful,
        comparison.warnings.clone(),
    ));
    all.extend(next(comparison));
    all
}

fn runs(comparison: &Comparison) -> Section {
    let fact = |side: &Side| {
        let run = side.first();
        let repeats = units::counted(side.repeats().count() as u64, "repeat");
        let place = match side.runs.len() {
            1 => run.id.clone(),
            count => format!("{count} runs in {}", side.place.display()),
        };
        let durability = match run.environment.durability.as_str() {
            "" => String::new(),
            word => format!("; durability {word}"),
        };
        (
            side.label,
            format!("{}: {repeats}, {place}{durability}", run.name),
        )
    };
    Section {
        heading: "Runs",
        remark: "the first is the baseline".to_owned(),
        facts: comparison.sides.iter().map(fact).collect(),
        ..Section::default()
    }
}

fn metrics(pair: &Pair, baseline: &Side, candidate: &Side) -> Section {
    let row = |one: &MetricComparison| {
        vec![
            one.metric.title().to_owned(),
            one.metric.shown(one.baseline.median),
            one.metric.shown(one.candidate.median),
            one.change().map_or_else(|| "-".to_owned(), signed),
            one.ratio_interval.map_or_else(|| "-".to_owned(), between),
            chance(one.p_holm),
            effect(one).to_owned(),
            one.verdict.word().to_owned(),
        ]
    };
    let tone = if pair.with(Verdict::Worse).count() > 0 {
        Tone::Bad
    } else if pair.with(Verdict::Better).count() > 0 {
        Tone::Good
    } else {
        Tone::Neutral
    };
    let (a, b) = (baseline.label, candidate.label);
    let basis = match (candidate.repeats().count(), baseline.repeats().count()) {
        (1, 1) => "one repeat each".to_owned(),
        (one, other) => format!("medians of {one} and {other} repeats"),
    };
    Section {
        heading: "Metrics",
        tone,
        remark: format!("{b} against {a}: {basis}, change with its 95 % interval"),
        table: Some(Table {
            header: vec![
                "metric", a, b, "change", "interval", "p", "effect", "verdict",
            ],
            rows: pair.metrics.iter().map(row).collect(),
        }),
        ..Section::default()
    }
}

/// The metrics whose noise on this machine is larger than the threshold.
fn noise_floor(comparison: &Comparison, pair: &Pair) -> Option<Section> {
    let options = &comparison.options;
    let raised = |one: &MetricComparison| {
        let floor = options.raised(one.metric)?;
        Some(format!("{} {}", one.metric.title(), units::share(floor)))
    };
    let raised: Vec<String> = pair.metrics.iter().filter_map(raised).collect();
    let sentence = format!(
        "below {} a change is this machine's noise, whatever the threshold: {}",
        if raised.len() == 1 { "this" } else { "these" },
        raised.join(", ")
    );
    (!raised.is_empty()).then(|| Section {
        heading: "Noise floor",
        items: vec![sentence],
        ..Section::default()
    })
}

/// What is undecided, and what would decide it.
fn open(pair: &Pair) -> Vec<String> {
    let mut items = Vec::new();
    let count = pair.metrics.len();
    let (least, have) = (repeats_for_any_answer(count), pair.repeats());
    if pair.with(Verdict::Inconclusive).count() == 0 {
        return items;
    }
    if have < least {
        items.push(format!(
            "{} a side cannot tell any difference, however large, from chance when {} are tested: it takes {least}",
            units::counted(have as u64, "repeat"),
            units::counted(count as u64, "metric"),
        ));
    }
    // By the number, so that metrics which move together are one line.
    let mut by_number: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for one in pair.with(Verdict::Inconclusive) {
        match one.repeats_to_decide {
            Some(repeats) => by_number
                .entry(repeats)
                .or_default()
                .push(one.metric.title()),
            None => unknown.push(one.metric.title()),
        }
    }
    for (repeats, titles) in by_number {
        items.push(format!(
            "{}: about {repeats} repeats a side would decide",
            titles.join(", ")
        ));
    }
    if have < REPEATS_FOR_INTERVAL {
        items.push(
            "three repeats a side are the least from which the number that would decide can be worked out"
                .to_owned(),
        );
    } else if !unknown.is_empty() {
        items.push(format!(
            "{}: no reasonable number of repeats would decide at this scatter and threshold",
            unknown.join(", ")
        ));
    }
    items
}

fn missing(pair: &Pair) -> Vec<String> {
    pair.missing
        .iter()
        .map(|(metric, label)| format!("{}: not measured in {label}", metric.title()))
        .collect()
}

fn differences(pair: &Pair, baseline: &Side, candidate: &Side) -> Section {
    let cell = |value: &Option<String>| value.as_deref().map_or("-".to_owned(), shortened);
    let rows: Vec<Vec<String>> = pair
        .differences
        .iter()
        .map(|found| {
            vec![
                found.key.clone(),
                cell(&found.baseline),
                cell(&found.candidate),
            ]
        })
        .collect();
    let (a, b) = (baseline.label, candidate.label);
    let none = rows.is_empty();
    Section {
        heading: "What differs",
        remark: if none {
            format!("between {a} and {b}: nothing that was recorded")
        } else {
            format!("between {a} and {b}, seeds and names apart")
        },
        table: (!none).then(|| Table {
            header: vec!["setting", a, b],
            rows,
        }),
        ..Section::default()
    }
}

/// The commands that would decide more, if anything is undecided and a sensible number of repeats would.
fn next(comparison: &Comparison) -> Vec<Section> {
    let Some(repeats) = more_repeats(comparison) else {
        return Vec::new();
    };
    let built = |side: &Side| {
        let environment = &side.first().environment;
        (environment.commit.clone(), environment.dirty)
    };
    let baseline = built(comparison.baseline());
    let one_build = comparison.sides.iter().all(|side| built(side) == baseline);
    let mut scenarios: Vec<String> = comparison.sides.iter().map(Side::scenario).collect();
    scenarios.dedup();
    if one_build {
        scenarios = vec![scenarios.join(" ")];
    }
    let mut sections: Vec<Section> = scenarios
        .iter()
        .map(|scenario| Section {
            command: Some(format!("bench run {scenario} --repeat {repeats}")),
            ..Section::default()
        })
        .collect();
    if let Some(first) = sections.first_mut() {
        first.heading = "To decide more";
        first.remark = if one_build {
            "run them again, or better let them take turns as docs/comparing.md shows"
        } else {
            "run them again or in turns (docs/comparing.md), each with the build of its commit"
        }
        .to_owned();
    }
    sections
}

fn more_repeats(comparison: &Comparison) -> Option<usize> {
    let open = || {
        comparison
            .pairs
            .iter()
            .flat_map(|pair| pair.with(Verdict::Inconclusive))
    };
    open().next()?;
    let have = comparison.pairs.iter().map(Pair::repeats).min()?;
    open()
        .filter_map(|one| one.repeats_to_decide)
        .filter(|repeats| *repeats <= REPEATS_ADVISED_MAX)
        .max()
        .or((have < REPEATS_ADVISED).then_some(REPEATS_ADVISED))
}

/// `+3.1 %`, `-12.0 %`, `+230 %`, `x 14`.
fn signed(change: f64) -> String {
    if change >= MANY_TIMES {
        format!("x {:.0}", change + 1.0)
    } else {
        format!("{} %", points(change))
    }
}

/// `-4.1 to +2.0 %`, `x 9 to x 14`.
fn between([low, high]: [f64; 2]) -> String {
    if high - 1.0 >= MANY_TIMES {
        format!("x {low:.1} to x {high:.1}")
    } else {
        format!("{} to {} %", points(low - 1.0), points(high - 1.0))
    }
}

fn points(share: f64) -> String {
    let percent = share * 100.0;
    if percent.abs() < 0.05 {
        "0.0".to_owned()
    } else if percent.abs() < 99.95 {
        format!("{percent:+.1}")
    } else {
        format!("{percent:+.0}")
    }
}

/// One or two repeats are always all above or below the others, which says nothing.
fn effect(one: &MetricComparison) -> &'static str {
    if one.baseline.values.len().min(one.candidate.values.len()) < REPEATS_FOR_INTERVAL {
        "-"
    } else {
        one.effect().word()
    }
}

fn chance(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else if p > 0.995 {
        "1".to_owned()
    } else if p < 0.1 {
        format!("{p:.3}")
    } else {
        format!("{p:.2}")
    }
}

fn shortened(value: &str) -> String {
    if value.chars().count() <= VALUE_COLUMNS {
        return value.to_owned();
    }
    let kept: String = value.chars().take(VALUE_COLUMNS - 3).collect();
    kept + "..."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_signed() {
        assert_eq!(signed(0.0312), "+3.1 %");
        assert_eq!(signed(-0.0001), "0.0 %");
        assert_eq!(
            (signed(2.3), signed(13.2)),
            ("+230 %".to_owned(), "x 14".to_owned())
        );
        assert_eq!(between([9.5, 14.25]), "x 9.5 to x 14.2");
        assert_eq!(between([0.96, 1.02]), "-4.0 to +2.0 %");
        let chances: Vec<String> = [0.0001, 0.0234, 0.25, 1.0].map(chance).to_vec();
        assert_eq!(chances, ["< 0.001", "0.023", "0.25", "1"]);
        assert_eq!(shortened(&"x".repeat(60)).len(), VALUE_COLUMNS);
    }
}
