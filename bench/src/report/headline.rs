//! The headline figures of a run.

use super::document::Tone;
use super::html::Tile;
use super::summary::{named_checks, outcome};
use super::units;
use crate::check::Verdict;
use crate::record::{Counters, EstimateMethod, Repeat, Run, median};

/// The tiles, the verdict first.
pub(super) fn tiles(run: &Run) -> Vec<Tile> {
    let (word, tone) = outcome(run);
    let mut tiles = vec![Tile {
        name: "verdict",
        value: word.to_lowercase(),
        remark: match run.misses.len() {
            0 => String::new(),
            count => units::counted(count as u64, "miss").replace("misss", "misses"),
        },
        tone,
    }];
    let rate = &run.summary.throughput_ops_s;
    tiles.push(Tile {
        name: "throughput",
        value: units::rate(rate.median),
        remark: match rate.method {
            EstimateMethod::SingleRun => "one repeat: no interval".to_owned(),
            EstimateMethod::PercentileBootstrap => {
                let [low, high] = rate.ci95.map(units::rate);
                format!("95 % interval {low} to {high}")
            }
        },
        tone: if rate.median > 0.0 {
            Tone::Neutral
        } else {
            Tone::Bad
        },
    });
    let answered = run.repeats.iter().any(|repeat| repeat.operations.ok > 0);
    for (name, estimate) in [("p50", &run.summary.p50_us), ("p99", &run.summary.p99_us)] {
        tiles.push(Tile {
            name,
            value: if answered {
                units::time(estimate.median)
            } else {
                "-".to_owned()
            },
            remark: "from the intended start".to_owned(),
            ..Tile::default()
        });
    }
    tiles.push(fast_path(run));
    tiles.push(views(run));
    tiles.push(unanswered(run));
    tiles.push(checks(run));
    tiles
}

fn fast_path(run: &Run) -> Tile {
    let decided =
        |repeat: &&Repeat| repeat.consensus.fast_path_slots + repeat.consensus.slow_path_slots > 0;
    let mut shares: Vec<f64> = run
        .repeats
        .iter()
        .filter(decided)
        .map(|repeat| repeat.consensus.fast_path_share)
        .collect();
    let slots: u64 = run
        .repeats
        .iter()
        .map(|repeat| repeat.consensus.slots)
        .sum();
    Tile {
        name: "fast path",
        value: match shares.is_empty() {
            true => "-".to_owned(),
            false => units::share(median(&mut shares)),
        },
        remark: format!("of {}", units::counted(slots, "slot")),
        tone: Tone::Neutral,
    }
}

fn views(run: &Run) -> Tile {
    let all: u64 = run
        .repeats
        .iter()
        .map(|repeat| repeat.consensus.view_changes)
        .sum();
    let faults: usize = run.repeats.iter().map(|repeat| repeat.faults.len()).sum();
    Tile {
        name: "view changes",
        value: units::count(all),
        remark: match faults {
            0 => "no faults injected".to_owned(),
            count => format!("{} injected", units::counted(count as u64, "fault")),
        },
        tone: if all > 0 && faults == 0 {
            Tone::Doubtful
        } else {
            Tone::Neutral
        },
    }
}

/// Operations whose outcome nobody told the client.
fn unanswered(run: &Run) -> Tile {
    let mut total = Counters::default();
    run.repeats
        .iter()
        .for_each(|repeat| total.add(&repeat.operations));
    let without = total.unknown + total.dropped;
    Tile {
        name: "without an answer",
        value: units::count(without),
        remark: format!("of {} offered", units::counted(total.offered, "operation")),
        tone: if without > 0 {
            Tone::Doubtful
        } else {
            Tone::Neutral
        },
    }
}

fn checks(run: &Run) -> Tile {
    let all = || {
        run.repeats
            .iter()
            .flat_map(|repeat| named_checks(&repeat.checks))
    };
    let count = |verdict| all().filter(|(_, check)| check.verdict == verdict).count();
    let (passed, failed, skipped) = (
        count(Verdict::Pass),
        count(Verdict::Fail),
        count(Verdict::Skipped),
    );
    Tile {
        name: "checks",
        value: match failed {
            0 => format!("{passed} passed"),
            failed => format!("{failed} FAILED"),
        },
        remark: match (failed, skipped) {
            (0, 0) => "none skipped".to_owned(),
            (0, skipped) => format!("{skipped} skipped"),
            (_, skipped) => format!("{passed} passed, {skipped} skipped"),
        },
        tone: match (failed, passed) {
            (0, 0) => Tone::Doubtful,
            (0, _) => Tone::Good,
            _ => Tone::Bad,
        },
    }
}
