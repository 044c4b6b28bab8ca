//! The answer of a comparison as a sentence.

use super::comparison::{Comparison, Pair};
use super::judge::{MetricComparison, Verdict};
use super::side::Side;
use crate::report::units;

/// Rises from which on a share is a factor in disguise: ten times as much.
pub(super) const MANY_TIMES: f64 = 9.0;

/// Changes that a sentence names; the table has all of them.
const PHRASES_MAX: usize = 4;

/// What came of the comparison, in one sentence.
#[must_use]
pub fn conclusion(comparison: &Comparison) -> String {
    let clauses: Vec<String> = comparison
        .pairs
        .iter()
        .map(|pair| clause(comparison, pair))
        .collect();
    let caution = if comparison.forced.is_empty() {
        ""
    } else {
        "not comparable, and compared all the same: "
    };
    let sentence = format!("{caution}{}.", clauses.join("; "));
    let mut letters = sentence.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => sentence,
    }
}

fn clause(comparison: &Comparison, pair: &Pair) -> String {
    let baseline = named(comparison, comparison.baseline());
    let candidate = named(comparison, &comparison.sides[pair.candidate]);
    let list = |verdict| {
        let mut phrases: Vec<String> = pair.with(verdict).map(phrase).collect();
        let more = phrases.len().saturating_sub(PHRASES_MAX);
        phrases.truncate(PHRASES_MAX);
        match more {
            0 => phrases.join(", "),
            more => format!("{} and {more} more", phrases.join(", ")),
        }
    };
    let (better, worse) = (list(Verdict::Better), list(Verdict::Worse));
    let same = pair.with(Verdict::Same).count();
    let open = pair.with(Verdict::Inconclusive).count();
    let all = pair.metrics.len();
    let within = within(comparison, pair);
    let rest = match (same, open) {
        (0, 0) => String::new(),
        (same, 0) => format!(" ({same} of {all} metrics are the same within {within})"),
        (0, open) => format!(" ({open} of {all} metrics are undecided)"),
        (same, open) => {
            format!(" ({same} of {all} metrics are the same within {within}, {open} undecided)")
        }
    };
    match (better.is_empty(), worse.is_empty()) {
        (false, true) => format!("{candidate} is better than {baseline}: {better}{rest}"),
        (true, false) => format!("{candidate} is worse than {baseline}: {worse}{rest}"),
        (false, false) => format!(
            "{candidate} is worse than {baseline} in one thing and better in another: {worse}, but {better}{rest}"
        ),
        (true, true) => undecided(&candidate, &baseline, pair, (same, open), &within),
    }
}

/// What "the same" means here.
fn within(comparison: &Comparison, pair: &Pair) -> String {
    let options = &comparison.options;
    let threshold = percent(options.threshold);
    let raised = |one: &MetricComparison| options.raised(one.metric).is_some();
    if pair.metrics.iter().any(raised) {
        format!("{threshold} or the noise floor")
    } else {
        threshold
    }
}

fn undecided(
    candidate: &str,
    baseline: &str,
    pair: &Pair,
    (same, open): (usize, usize),
    within: &str,
) -> String {
    let all = pair.metrics.len();
    match (pair.repeats(), same, open) {
        (0, ..) => format!("nothing was measured both in {baseline} and in {candidate}"),
        (_, same, 0) => {
            format!("{candidate} is the same as {baseline} within {within} in all {same} metrics")
        }
        (1, ..) => {
            let seen = pair.metrics.first().map_or(String::new(), |one| {
                format!(", and {} may be chance", phrase(one))
            });
            format!("one repeat a side decides nothing about {candidate} against {baseline}{seen}")
        }
        (repeats, 0, _) => format!(
            "{repeats} repeats a side do not tell {candidate} from {baseline}, nor show that they are the same within {within}"
        ),
        (_, same, open) => format!(
            "no difference is shown between {candidate} and {baseline}: {same} of {all} metrics are the same within {within}, {open} undecided"
        ),
    }
}

/// A side by its letter, and by its scenario's name where that tells it from others.
fn named(comparison: &Comparison, side: &Side) -> String {
    let name = &side.first().name;
    let alike = |other: &Side| other.first().name == *name;
    if name.is_empty() || comparison.sides.iter().all(alike) {
        side.label.to_owned()
    } else {
        format!("{} ({name})", side.label)
    }
}

/// A metric and how it changed, such as `latency p99 12 % higher`.
pub(super) fn phrase(one: &MetricComparison) -> String {
    let title = one.metric.title();
    match one.change() {
        Some(change) if change < 0.0 => format!("{title} {} lower", percent(-change)),
        Some(change) if change >= MANY_TIMES => {
            format!("{title} {:.0} times as high", change + 1.0)
        }
        Some(change) if change > 0.0 => format!("{title} {} higher", percent(change)),
        Some(_) => format!("{title} without a change"),
        None => format!(
            "{title} {} where it was 0",
            units::number(one.candidate.median)
        ),
    }
}

/// A share as a percentage with at most one decimal: `5 %`, `2.5 %`, `230 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let text = if percent.abs() < 99.95 {
        format!("{percent:.1}")
    } else {
        format!("{percent:.0}")
    };
    match text.strip_suffix(".0").unwrap_or(&text) {
        "0" | "-0" if percent > 0.0 => "less than 0.1 %".to_owned(),
        "-0" => "0 %".to_owned(),
        text => format!("{text} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_no_more_digits_than_they_are_worth() {
        for (share, text) in [
            (0.05, "5 %"),
            (0.07, "7 %"),
            (0.025, "2.5 %"),
            (2.304, "230 %"),
            (0.0001, "less than 0.1 %"),
            (0.0, "0 %"),
        ] {
            assert_eq!(percent(share), text);
        }
    }
}
