//! What one attack cost: a row of the scorecard.

use serde::{Deserialize, Serialize};

use super::Entry;
use super::series::Series;
use crate::options::{Finished, RunError};
use crate::record::{Repeat, RunVerdict};

/// The value of the field `schema`.
pub const SCORECARD_SCHEMA: &str = "bench.scorecard/v1";
/// A defence may take this long; from here on what is kept is judged once more.
const SETTLED_S: f64 = 10.0;
/// After a fault's end; who comes back takes something of the others until then.
const HEALED_S: f64 = 1.0;

/// All rows of a sweep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Card {
    /// [`SCORECARD_SCHEMA`].
    pub schema: String,
    /// The commit, machine and settings of the first run.
    pub environment: serde_json::Value,
    /// Runs without faults, in the order of their first use.
    pub references: Vec<Reference>,
    /// Runs with the faults of a scenario but without its liars, in the order of their first use.
    #[serde(default)]
    pub twins: Vec<Twin>,
    /// One a scenario.
    pub rows: Vec<Row>,
    /// What could not be run, and why.
    pub failures: Vec<String>,
}

impl Default for Card {
    fn default() -> Self {
        Card {
            schema: SCORECARD_SCHEMA.to_owned(),
            environment: serde_json::Value::Null,
            references: Vec::new(),
            twins: Vec::new(),
            rows: Vec::new(),
            failures: Vec::new(),
        }
    }
}

/// What the same load gives while nothing goes wrong: medians over the runs of the session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Reference {
    index: usize,
    /// Throughput of each run, operations a second.
    pub throughputs: Vec<f64>,
    /// p99 of each run, microseconds.
    pub p99s: Vec<f64>,
    /// Views entered in all of them: 0 on a machine that is fit.
    pub view_changes: u64,
}

impl Reference {
    /// Median throughput, operations a second.
    pub fn throughput(&self) -> f64 {
        median(&self.throughputs)
    }

    /// Median p99, microseconds.
    pub fn p99(&self) -> f64 {
        median(&self.p99s)
    }

    /// (max - min) / median of the throughput: below this a difference says nothing.
    pub fn spread(&self) -> f64 {
        let most = self.throughputs.iter().copied().fold(f64::MIN, f64::max);
        let least = self.throughputs.iter().copied().fold(f64::MAX, f64::min);
        (most - least) / self.throughput()
    }
}

/// What the same faults cost while nobody lies.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Twin {
    index: usize,
    /// The directories of its runs.
    pub runs: Vec<String>,
    /// Throughput of each run as a whole, operations a second.
    pub throughputs: Vec<f64>,
    #[serde(skip)]
    series: Vec<Series>,
}

impl Twin {
    /// Median throughput from `from` to `to`, seconds; `None` if none of its runs is as long.
    fn throughput(&self, (from, to): (f64, f64)) -> Option<f64> {
        let means = self.series.iter().filter_map(|run| run.mean(from, to));
        let means: Vec<f64> = means.collect();
        (!means.is_empty()).then(|| median(&means))
    }
}

/// The one that is there already, or `new` at the end.
fn held<T>(all: &mut Vec<T>, is: impl Fn(&T) -> bool, new: T) -> &mut T {
    let at = all.iter().position(is).unwrap_or_else(|| {
        all.push(new);
        all.len() - 1
    });
    &mut all[at]
}

impl Card {
    pub(super) fn add_reference(&mut self, index: usize, finished: &Finished) {
        self.note_environment(finished);
        let new = Reference {
            index,
            ..Reference::default()
        };
        let reference = held(&mut self.references, |held| held.index == index, new);
        for repeat in &finished.run.repeats {
            reference.throughputs.push(repeat.throughput_ops_s);
            reference.p99s.push(p99(repeat));
            reference.view_changes += repeat.consensus.view_changes;
        }
    }

    pub(super) fn reference(&self, index: usize) -> Option<&Reference> {
        self.references.iter().find(|held| held.index == index)
    }

    pub(super) fn add_twin(&mut self, index: usize, finished: &Finished, series: Vec<Series>) {
        self.note_environment(finished);
        let new = Twin {
            index,
            ..Twin::default()
        };
        let twin = held(&mut self.twins, |held| held.index == index, new);
        twin.runs.push(finished.run.id.clone());
        let throughputs = finished.run.repeats.iter().map(|one| one.throughput_ops_s);
        twin.throughputs.extend(throughputs);
        twin.series.extend(series);
    }

    pub(super) fn twin(&self, index: usize) -> Option<&Twin> {
        self.twins.iter().find(|held| held.index == index)
    }

    pub(super) fn failed(&mut self, name: &str, error: &RunError) {
        self.failures.push(format!("{name}: {error}"));
    }

    fn note_environment(&mut self, finished: &Finished) {
        if self.environment.is_null() {
            self.environment = serde_json::to_value(&finished.run.environment).unwrap_or_default();
        }
    }
}

/// What one scenario showed. Of several repeats: medians, and the worst verdict.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// The scenario.
    pub name: String,
    /// Its question.
    pub question: String,
    /// The directory of the run.
    pub run: String,
    /// pass, slo-missed, liveness-violation or safety-violation.
    pub verdict: RunVerdict,
    /// The checks that failed, and the expectations that were missed.
    pub misses: Vec<String>,
    /// Throughput while the faults last, as a share of the reference; `None` without reference.
    pub kept: Option<f64>,
    /// As a share of the honest twin's throughput in the same seconds: what the lie itself leaves. `None` without twin.
    #[serde(default)]
    pub kept_of_honest: Option<f64>,
    /// As a share of the same run's throughput before the first fault: a machine that changes its pace from run to run does
    /// not matter. `None` if the run begins with a fault.
    #[serde(default)]
    pub kept_of_before: Option<f64>,
    /// The same run from a second after the last fault, by its throughput before the first one: far from 1 the harm stays,
    /// or the machine changed. `None` if the run ends with a fault, or begins with one.
    #[serde(default)]
    pub after_of_before: Option<f64>,
    /// As `kept`, from 10 s after the first fault began; `None` if the run is not as long.
    pub kept_after_10_s: Option<f64>,
    /// The worst whole second while the faults last, as a share of the reference.
    pub kept_worst_second: Option<f64>,
    /// p99 of the whole run by that of the reference.
    pub p99_ratio: Option<f64>,
    /// From a fault to the first answer to an operation sent after it: the longest, milliseconds.
    pub first_answer_ms: Option<f64>,
    /// From a fault to 95 % of the throughput before it: the longest, milliseconds.
    pub recovered_ms: Option<f64>,
    /// Views entered.
    pub views: u64,
    /// Share of slots on the fast path.
    pub fast_share: f64,
    /// Whom signed proofs convict.
    pub culprits: Vec<u32>,
    /// The largest replica, bytes.
    pub memory_bytes: u64,
}

/// Operations a second of a part of a run, from and to in seconds.
type Rate<'a> = &'a dyn Fn(&Series, (f64, f64)) -> Option<f64>;

impl Row {
    pub(super) fn new(
        entry: &Entry,
        finished: &Finished,
        series: &[Series],
        reference: Option<&Reference>,
        twin: Option<&Twin>,
    ) -> Self {
        let run = &finished.run;
        let window = |repeat: &Repeat| faulty(repeat);
        let usual = reference.map(Reference::throughput);
        let shares = |rate: Rate<'_>| -> Option<f64> {
            let usual = usual.filter(|usual| *usual > 0.0)?;
            let each: Vec<f64> = run
                .repeats
                .iter()
                .zip(series)
                .filter_map(|(repeat, series)| rate(series, window(repeat)?))
                .map(|rate| rate / usual)
                .collect();
            (!each.is_empty()).then(|| median(&each))
        };
        let of_honest: Vec<f64> = run
            .repeats
            .iter()
            .zip(series)
            .filter_map(|(repeat, series)| {
                let window = window(repeat)?;
                let usual = twin?.throughput(window).filter(|usual| *usual > 0.0)?;
                Some(series.mean(window.0, window.1)? / usual)
            })
            .collect();
        // What this part of a run answers, of what it answered before the first fault.
        let of_before = |part: &dyn Fn((f64, f64), f64) -> (f64, f64)| -> Option<f64> {
            let each = run.repeats.iter().zip(series);
            let each: Vec<f64> = each
                .filter_map(|(repeat, series)| {
                    let window = window(repeat)?;
                    let before = series.mean(0.0, window.0).filter(|rate| *rate > 0.0)?;
                    let (from, to) = part(window, repeat.duration_s);
                    Some(series.mean(from, to)? / before)
                })
                .collect();
            (!each.is_empty()).then(|| median(&each))
        };
        let worst = |pick: &dyn Fn(&crate::record::FaultFact) -> Option<f64>| {
            let faults = run.repeats.iter().flat_map(|repeat| &repeat.faults);
            faults.filter_map(pick).fold(None, |most: Option<f64>, ms| {
                Some(most.map_or(ms, |most| most.max(ms)))
            })
        };
        let p99s: Vec<f64> = run.repeats.iter().map(p99).collect();
        let mut culprits: Vec<u32> = run
            .repeats
            .iter()
            .flat_map(|repeat| &repeat.evidence)
            .map(|fact| fact.culprit)
            .collect();
        culprits.sort_unstable();
        culprits.dedup();
        let replicas = run
            .repeats
            .iter()
            .flat_map(|repeat| &repeat.resources.replicas);
        Row {
            name: entry.name.clone(),
            question: entry.loaded.scenario.description.clone(),
            run: run.id.clone(),
            verdict: run.verdict,
            misses: run.misses.iter().map(ToString::to_string).collect(),
            kept: shares(&|series, (from, to)| series.mean(from, to)),
            kept_of_honest: (!of_honest.is_empty()).then(|| median(&of_honest)),
            kept_of_before: of_before(&|window, _| window),
            after_of_before: of_before(&|(_, to), end| (to + HEALED_S, end)),
            kept_after_10_s: shares(&|series, (from, to)| series.mean(from + SETTLED_S, to)),
            kept_worst_second: shares(&|series, (from, to)| series.worst_second(from, to)),
            p99_ratio: reference
                .map(Reference::p99)
                .filter(|usual| *usual > 0.0)
                .map(|usual| median(&p99s) / usual),
            first_answer_ms: worst(&|fault| fault.first_commit_ms),
            recovered_ms: worst(&|fault| fault.recovered_95_ms),
            views: run
                .repeats
                .iter()
                .map(|repeat| repeat.consensus.view_changes)
                .max()
                .unwrap_or(0),
            fast_share: median(
                &run.repeats
                    .iter()
                    .map(|repeat| repeat.consensus.fast_path_share)
                    .collect::<Vec<_>>(),
            ),
            culprits,
            memory_bytes: replicas.map(|one| one.rss_max_bytes).max().unwrap_or(0),
        }
    }
}

/// From the first beginning of a fault to the last end, or to the end of the run.
fn faulty(repeat: &Repeat) -> Option<(f64, f64)> {
    let from = repeat
        .faults
        .iter()
        .map(|fault| fault.start_s)
        .reduce(f64::min)?;
    let ends = repeat
        .faults
        .iter()
        .map(|fault| fault.end_s.unwrap_or(repeat.duration_s));
    let to = ends.fold(from, f64::max).min(repeat.duration_s);
    Some((from, to.max(from + 1.0).min(repeat.duration_s)))
}

fn p99(repeat: &Repeat) -> f64 {
    repeat.latency_us.get("all").map_or(0.0, |all| all.p99)
}

/// The middle one, or the mean of the two in the middle; 0 of nothing.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::{FaultFact, Run};
    use crate::scenario::{Source, load};

    fn series() -> Series {
        series_with(20)
    }

    /// 100 operations in each 100 ms but for the tenth to the thirtieth, with as many.
    fn series_with(meanwhile: u32) -> Series {
        let mut text = "t_s,offered,ok\n".to_owned();
        for bucket in 0..60 {
            let ok = if (10..30).contains(&bucket) {
                meanwhile
            } else {
                100
            };
            text.push_str(&format!("{},100,{ok}\n", f64::from(bucket) / 10.0));
        }
        Series::parse(&text)
    }

    fn finished(repeats: Vec<Repeat>) -> Finished {
        Finished {
            run: Run {
                repeats,
                ..Run::default()
            },
            directory: "none".into(),
        }
    }

    fn entry(reference: Option<usize>, twin: Option<usize>) -> Entry {
        Entry {
            name: "x".to_owned(),
            loaded: load(&[Source::Embedded("quickstart")], &[]).unwrap(),
            reference,
            twin,
        }
    }

    #[test]
    fn what_is_kept_is_that_of_the_time_of_the_fault_by_the_reference() {
        let fault = FaultFact {
            start_s: 1.0,
            end_s: Some(3.0),
            recovered_95_ms: Some(700.0),
            ..FaultFact::default()
        };
        let repeat = Repeat {
            duration_s: 6.0,
            faults: vec![fault],
            ..Repeat::default()
        };
        let finished = finished(vec![repeat]);
        let reference = Reference {
            throughputs: vec![900.0, 1000.0, 1100.0],
            p99s: vec![1.0],
            ..Reference::default()
        };
        let entry = entry(Some(0), None);
        let row = Row::new(&entry, &finished, &[series()], Some(&reference), None);
        assert_eq!(row.kept, Some(0.2));
        assert_eq!(row.kept_worst_second, Some(0.2));
        assert_eq!(
            (row.kept_of_before, row.after_of_before),
            (Some(0.2), Some(1.0))
        );
        assert_eq!(row.kept_after_10_s, None, "the run is not as long");
        assert_eq!(row.recovered_ms, Some(700.0));
        assert!((reference.spread() - 0.2).abs() < 1e-9);
        let alone = Row::new(&entry, &finished, &[series()], None, None);
        assert_eq!((alone.kept, alone.p99_ratio), (None, None));
        assert_eq!(alone.kept_of_before, Some(0.2), "of its own");
    }

    #[test]
    fn a_run_is_compared_with_itself_only_where_it_has_a_second_without_faults() {
        let row = |start_s, end_s, duration_s| {
            let repeat = Repeat {
                duration_s,
                faults: vec![FaultFact {
                    start_s,
                    end_s,
                    ..FaultFact::default()
                }],
                ..Repeat::default()
            };
            let finished = finished(vec![repeat]);
            let entry = entry(None, None);
            let row = Row::new(&entry, &finished, &[series()], None, None);
            (row.kept_of_before, row.after_of_before)
        };
        assert_eq!(row(1.0, None, 6.0), (Some(0.68), None), "it never ends");
        assert_eq!(
            row(0.5, Some(3.0), 6.0),
            (None, None),
            "nothing to compare with"
        );
        assert_eq!(
            row(1.0, Some(2.0), 6.0),
            (Some(0.2), Some(1.0)),
            "a second later"
        );
        assert_eq!(
            row(1.0, Some(2.0), 3.5),
            (Some(0.2), None),
            "what comes after the measured phase is no part of it"
        );
    }

    #[test]
    fn what_a_lie_leaves_is_a_share_of_the_same_seconds_of_its_honest_twins_runs() {
        let during = |start_s, end_s| Repeat {
            duration_s: 6.0,
            throughput_ops_s: 900.0,
            faults: vec![FaultFact {
                start_s,
                end_s: Some(end_s),
                ..FaultFact::default()
            }],
            ..Repeat::default()
        };
        let mut card = Card::default();
        // The kill alone leaves 400 and 600 a second, and is over sooner than the lie.
        for (index, meanwhile) in [(0, 40), (1, 90), (0, 60)] {
            let run = finished(vec![during(1.0, 2.0)]);
            card.add_twin(index, &run, vec![series_with(meanwhile)]);
        }
        let reference = Reference {
            throughputs: vec![1000.0],
            ..Reference::default()
        };
        let entry = entry(Some(0), Some(0));
        let run = finished(vec![during(1.0, 3.0)]);
        let row = |twin| Row::new(&entry, &run, &[series()], Some(&reference), twin);
        let with = row(card.twin(0));
        assert_eq!((with.kept, with.kept_of_honest), (Some(0.2), Some(0.4)));
        assert_eq!(row(None).kept_of_honest, None);
        assert_eq!(row(card.twin(2)).kept_of_honest, None, "it has not run");
        assert_eq!((card.twins.len(), card.twins[0].throughputs.len()), (2, 2));
    }

    #[test]
    fn scorecards_of_before_there_were_twins_are_read() {
        for text in [
            include_str!("../../../results/reference/scorecard/scorecard.json"),
            include_str!("../../../results/reference/scorecard-93e32d0/scorecard.json"),
        ] {
            let card: Card = serde_json::from_str(text).unwrap();
            assert!(card.rows.len() > 100 && card.twins.is_empty());
            assert!(card.rows.iter().all(|row| row.kept_of_honest.is_none()));
        }
    }

    #[test]
    fn a_row_has_the_worst_of_its_faults_and_each_culprit_once() {
        let fault = |first_commit_ms, recovered_95_ms| FaultFact {
            start_s: 1.0,
            end_s: Some(2.0),
            first_commit_ms,
            recovered_95_ms,
            ..FaultFact::default()
        };
        let repeat = |p99: f64, view_changes: u64, rss_max_bytes: u64, culprits: &[u32]| {
            let mut repeat = Repeat {
                duration_s: 6.0,
                faults: vec![fault(Some(20.0), None), fault(Some(90.0), Some(400.0))],
                ..Repeat::default()
            };
            let latency = crate::record::LatencySummary {
                p99,
                ..crate::record::LatencySummary::default()
            };
            repeat.latency_us.insert("all".to_owned(), latency);
            repeat.consensus.view_changes = view_changes;
            repeat.resources.replicas = vec![crate::record::ReplicaResources {
                rss_max_bytes,
                ..crate::record::ReplicaResources::default()
            }];
            repeat.evidence = culprits
                .iter()
                .map(|culprit| crate::record::EvidenceFact {
                    culprit: *culprit,
                    ..crate::record::EvidenceFact::default()
                })
                .collect();
            repeat
        };
        let finished = finished(vec![
            repeat(3_000.0, 1, 70, &[2, 0]),
            repeat(5_000.0, 4, 50, &[2]),
        ]);
        let reference = Reference {
            throughputs: vec![1_000.0],
            p99s: vec![1_000.0, 2_000.0, 9_000.0],
            ..Reference::default()
        };
        let entry = entry(Some(0), None);
        let row = Row::new(&entry, &finished, &[], Some(&reference), None);
        assert_eq!(row.p99_ratio, Some(2.0), "4 ms by 2 ms");
        assert_eq!(row.first_answer_ms, Some(90.0));
        assert_eq!(row.recovered_ms, Some(400.0));
        assert_eq!((row.views, row.memory_bytes), (4, 70));
        assert_eq!(row.culprits, [0, 2]);
        assert_eq!(row.kept, None, "there is no series");
    }

    #[test]
    fn a_window_goes_from_the_first_fault_to_the_last_end_or_to_the_end_of_the_run() {
        let fault = |start_s, end_s| FaultFact {
            start_s,
            end_s,
            ..FaultFact::default()
        };
        let repeat = |faults| Repeat {
            duration_s: 20.0,
            faults,
            ..Repeat::default()
        };
        let both = repeat(vec![fault(4.0, Some(8.0)), fault(2.0, Some(5.0))]);
        assert_eq!(faulty(&both), Some((2.0, 8.0)));
        assert_eq!(faulty(&repeat(vec![fault(4.0, None)])), Some((4.0, 20.0)));
        assert_eq!(
            faulty(&repeat(vec![fault(4.0, Some(4.0))])),
            Some((4.0, 5.0)),
            "a kill takes no time, its effect does"
        );
        assert_eq!(faulty(&repeat(Vec::new())), None);
    }
}
