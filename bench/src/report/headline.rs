//! The headline figures of a run.

use super::document::Tone;
use super::html::Tile;
use super::summary::{named_checks, outcome};
use super::units;
use crate::check::Verdict;
use crate::record::{Counters, Repeat, Run, median};

/// The tiles, the verdict first.
pub(super) fn tiles(run: &Run) -> Vec<Tile> {
    let mut tiles = vec![verdict(run)];
    let rate = &run.summary.throughput_ops_s;
    tiles.push(Tile {
        name: "throughput",
        value: units::rate(rate.median),
        remark: match (rate.interval(), rate.repeats) {
            (Some(interval), _) => {
                let [low, high] = interval.map(units::rate);
                format!("95 % interval {low} to {high}")
            }
            (None, 0 | 1) => "one repeat: no interval".to_owned(),
            (None, several) => format!("{several} repeats: too few for an interval"),
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

fn verdict(run: &Run) -> Tile {
    let (word, tone) = outcome(run);
    let word = word.to_lowercase();
    // A tile is too narrow for a sentence: what qualifies the word stands below it.
    let (value, rest) = word.split_once(", ").unwrap_or((&word, ""));
    let misses = match run.misses.len() {
        0 => String::new(),
        count => units::counted(count as u64, "miss").replace("misss", "misses"),
    };
    let remarks = [rest, &misses];
    let told: Vec<&str> = remarks.into_iter().filter(|it| !it.is_empty()).collect();
    Tile {
        name: "verdict",
        value: value.to_owned(),
        remark: told.join("; "),
        tone,
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::check::CheckResult;
    use crate::judge::Miss;
    use crate::record::{ConsensusFacts, FaultFact, RunStatus, RunVerdict};

    fn tile(repeats: Vec<Repeat>, name: &str) -> (String, String, Tone) {
        let run = Run {
            repeats,
            ..Run::default()
        };
        let found = tiles(&run).into_iter().find(|tile| tile.name == name);
        let Tile {
            value,
            remark,
            tone,
            ..
        } = found.unwrap();
        (value, remark, tone)
    }

    fn views(view_changes: u64) -> Repeat {
        Repeat {
            consensus: ConsensusFacts {
                view_changes,
                ..ConsensusFacts::default()
            },
            ..Repeat::default()
        }
    }

    #[test]
    fn a_run_that_was_cut_short_says_so_in_one_word_and_the_rest_below() {
        let of = |status, verdict, misses: usize| {
            let run = Run {
                status,
                verdict,
                misses: vec![Miss::default(); misses],
                ..Run::default()
            };
            let tile = super::verdict(&run);
            (tile.value, tile.remark)
        };
        let said = |value: &str, remark: &str| (value.to_owned(), remark.to_owned());
        let (done, cut) = (RunStatus::Completed, RunStatus::Interrupted);
        assert_eq!(of(done, RunVerdict::Pass, 0), said("pass", ""));
        assert_eq!(
            of(cut, RunVerdict::Pass, 0),
            said("interrupted", "results are partial")
        );
        assert_eq!(
            of(cut, RunVerdict::SafetyViolation, 1),
            said(
                "safety violation",
                "interrupted, results are partial; 1 miss"
            )
        );
    }

    #[test]
    fn views_are_doubtful_only_where_nothing_was_done_to_the_cluster() {
        let of = |repeats| tile(repeats, "view changes");
        assert_eq!(of(vec![views(0)]).2, Tone::Neutral);
        let (value, remark, tone) = of(vec![views(1), views(2)]);
        assert_eq!(
            (value.as_str(), remark.as_str()),
            ("3", "no faults injected")
        );
        assert_eq!(tone, Tone::Doubtful);
        let attacked = Repeat {
            faults: vec![FaultFact::default()],
            ..views(1)
        };
        assert_eq!(of(vec![attacked]).2, Tone::Neutral);
    }

    #[test]
    fn what_was_dropped_and_what_stayed_unknown_is_without_an_answer() {
        let mut repeat = Repeat::default();
        repeat.operations.offered = 1_000;
        repeat.operations.failed = 40;
        let of = |repeat: &Repeat| tile(vec![repeat.clone()], "without an answer");
        assert_eq!(of(&repeat).0, "0");
        assert_eq!(of(&repeat).2, Tone::Neutral, "a refusal is an answer");
        (repeat.operations.unknown, repeat.operations.dropped) = (2, 3);
        let (value, remark, tone) = of(&repeat);
        assert_eq!(
            (value.as_str(), remark.as_str(), tone),
            ("5", "of 1,000 operations offered", Tone::Doubtful)
        );
    }

    #[test]
    fn one_failed_check_outweighs_all_that_passed_and_none_at_all_is_doubtful() {
        let mut repeat = Repeat::default();
        let of = |repeat: &Repeat| tile(vec![repeat.clone()], "checks");
        assert_eq!(of(&repeat).2, Tone::Doubtful, "nothing was looked at");
        repeat.checks.agreement = CheckResult::pass("x");
        repeat.checks.state = CheckResult::pass("x");
        let (value, remark, tone) = of(&repeat);
        assert_eq!((value.as_str(), tone), ("2 passed", Tone::Good));
        assert_eq!(remark, "7 skipped");
        repeat.checks.liveness = CheckResult::fail("x");
        let (value, remark, tone) = of(&repeat);
        assert_eq!((value.as_str(), tone), ("1 FAILED", Tone::Bad));
        assert_eq!(remark, "2 passed, 6 skipped");
    }

    #[test]
    fn the_share_of_the_fast_path_is_of_repeats_that_decided_something() {
        let decided = |share: f64, slots: u64| Repeat {
            consensus: ConsensusFacts {
                slots,
                fast_path_slots: slots,
                fast_path_share: share,
                ..ConsensusFacts::default()
            },
            ..Repeat::default()
        };
        let (value, remark, _) = tile(vec![decided(0.0, 0), decided(0.5, 20)], "fast path");
        assert_eq!((value.as_str(), remark.as_str()), ("50 %", "of 20 slots"));
        assert_eq!(tile(vec![decided(0.0, 0)], "fast path").0, "-");
    }
}
