//! `bench saturate`: the highest offered rate at which a cluster still meets its objective.
//!
//! ```text
//!   low load ─► double until it is missed ─► halve the gap ─► runs at 50, 70 and 90 % of what was found
//! ```
//!
//! Each rate is decided by a majority of runs on fresh clusters, since one run may be disturbed. Runs, rates and time have
//! bounds. If the load generator could not keep up, the limit found is its own and not the cluster's, and is said to be. A
//! search that was stopped takes the same way once more, and what it measured before it reads back from its runs.

mod document;
mod earlier;
mod probe;
mod render;

pub use document::{LimitedBy, Objectives, SaturateDocument, SaturateStatus};
pub use probe::{Probe, ProbeRun, Stage};
pub use render::{saturate_markdown, saturate_text};

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::campaign::{self, Campaign, Program, SEARCH, Wanted};
use crate::exit::Exit;
use crate::options::{Finished, RunError};
use crate::record::{Environment, Run, RunStatus, RunVerdict, write_file, write_json};
use crate::scenario::Loaded;
use crate::scenario::schema::{LoadModel, Rate};

/// The rate at which a cluster is taken to be idle.
const LOW_RATE: f64 = 100.0;
/// No machine offers more.
const RATE_MAX: f64 = 1e6;
/// What is looked at once the limit is known.
const SHARES: [f64; 3] = [0.5, 0.7, 0.9];
/// Without an objective: p99 at most this many times the median at low load.
const P99_FACTOR: f64 = 10.0;

/// What is looked for, and for how long.
#[derive(Clone, Debug)]
pub struct SaturateOptions {
    /// The scenario, in an open loop.
    pub base: Loaded,
    /// Where its objectives come from.
    pub objectives_from: Objectives,
    /// Runs of one rate at most; most of them decide.
    pub repeats: u32,
    /// How close the rates around the limit shall be: 0.05 for 5 %.
    pub precision: f64,
    /// Rates that are tried at most.
    pub probes_max: usize,
    /// After this much time no further run begins.
    pub time_max: Duration,
    /// The machine and the program.
    pub environment: Environment,
}

/// Why a search ends before it has found out.
enum Stop {
    Because(LimitedBy),
    Failed(RunError),
}

struct Search<'s, R, T, P> {
    options: &'s SaturateOptions,
    campaign: &'s Campaign,
    run: R,
    elapsed: T,
    progress: P,
    document: SaturateDocument,
    exit: Exit,
    /// What p99 may be, if no objective says so, microseconds.
    p99_max_us: Option<f64>,
}

/// Finds the newest search of this name in `out` that did not come to its end, or makes a new one. `fresh` never looks.
///
/// # Errors
/// The one that was stopped is of another scenario, objective, program or machine, or goes on; or nothing can be written.
pub fn open(
    out: &Path,
    options: &SaturateOptions,
    program: &Program,
    fresh: bool,
) -> Result<Campaign, RunError> {
    let wanted = Wanted {
        kind: SEARCH,
        base: &options.base,
        // Both decide which rates are tried and when one is decided.
        settings: vec![
            ("repeats", "--repeat", json!(options.repeats)),
            (
                "precision",
                "--precision, as a share,",
                json!(options.precision),
            ),
        ],
        environment: &options.environment,
        program,
    };
    campaign::open(out, &wanted, fresh)
}

/// Searches, and writes the documents after each rate. `run` does one run into a folder, `elapsed` is the time since the
/// search began or was gone on with, `progress` hears of each run before it starts.
///
/// # Errors
/// A run could not be made before anything was found, or the documents cannot be written.
pub fn saturate(
    options: &SaturateOptions,
    campaign: &Campaign,
    run: impl Fn(&Loaded, &Path) -> Result<Finished, RunError>,
    elapsed: impl Fn() -> Duration,
    progress: impl Fn(&str),
) -> Result<(SaturateDocument, Exit), RunError> {
    let mut search = Search {
        document: SaturateDocument::new(options, campaign),
        options,
        campaign,
        run,
        elapsed,
        progress,
        exit: Exit::Ok,
        p99_max_us: None,
    };
    search.write()?;
    let ended = search.search();
    let document = &mut search.document;
    let mut failed = None;
    match ended {
        Ok(limited_by) => document.limited_by = Some(limited_by),
        Err(Stop::Because(why)) => document.limited_by = Some(why),
        Err(Stop::Failed(error)) => {
            document.failure = Some(error.message.clone());
            search.exit = search.exit.max(error.exit);
            failed = Some(error);
        }
    }
    document.status = match (&document.failure, document.limited_by) {
        (Some(_), _) => SaturateStatus::Failed,
        (None, Some(LimitedBy::Interrupted)) => SaturateStatus::Interrupted,
        (None, _) => SaturateStatus::Completed,
    };
    if document.limited_by == Some(LimitedBy::Interrupted) {
        search.exit = search.exit.max(Exit::Interrupted);
    } else if document.limit_ops_s.is_none() {
        search.exit = search.exit.max(Exit::Missed);
    }
    document.conclude();
    search.write()?;
    match failed {
        Some(error) if search.document.probes.is_empty() => Err(error),
        _ => Ok((search.document, search.exit)),
    }
}

impl<R, T, P> Search<'_, R, T, P>
where
    R: Fn(&Loaded, &Path) -> Result<Finished, RunError>,
    T: Fn() -> Duration,
    P: Fn(&str),
{
    fn search(&mut self) -> Result<LimitedBy, Stop> {
        let met = self.probe(Stage::Baseline, LOW_RATE, None)?;
        if !met {
            return Ok(LimitedBy::NothingMet);
        }
        let (mut low, mut high) = (LOW_RATE, None);
        while high.is_none() {
            let rate = low * 2.0;
            if rate > RATE_MAX {
                return Ok(LimitedBy::RateMax);
            }
            match self.probe(Stage::Doubling, rate, None)? {
                true => low = rate,
                false => high = Some(rate),
            }
        }
        let mut high = high.unwrap_or(RATE_MAX);
        while high / low > 1.0 + self.options.precision {
            let rate = round((low * high).sqrt());
            if rate <= low || rate >= high {
                break;
            }
            match self.probe(Stage::Bisection, rate, None)? {
                true => low = rate,
                false => high = rate,
            }
        }
        for share in SHARES {
            self.probe(Stage::Share, round(low * share), Some(share))?;
        }
        let missed = self.document.probes.iter().filter(|probe| !probe.met);
        // The rate just above the limit says what stood in the way.
        let nearest = missed.min_by(|one, other| one.rate_ops_s.total_cmp(&other.rate_ops_s));
        Ok(match nearest {
            Some(probe) if probe.generator_limited => LimitedBy::LoadGenerator,
            _ => LimitedBy::Cluster,
        })
    }

    /// Tries one rate: whether most of its runs met the objective.
    fn probe(&mut self, stage: Stage, rate: f64, share: Option<f64>) -> Result<bool, Stop> {
        let number = self.document.probes.len() + 1;
        if number > self.options.probes_max {
            return Err(Stop::Because(LimitedBy::Probes));
        }
        let mut runs: Vec<ProbeRun> = Vec::new();
        let mut earlier = self.earlier(number, rate).into_iter();
        let needed = self.options.repeats / 2 + 1;
        let votes =
            |runs: &[ProbeRun], met: bool| runs.iter().filter(|run| run.met == met).count() as u32;
        let mut stop = None;
        while votes(&runs, true) < needed && votes(&runs, false) < needed {
            let known = earlier.next().flatten();
            if known.is_none() && (self.elapsed)() >= self.options.time_max {
                stop = Some(Stop::Because(LimitedBy::Time));
                break;
            }
            let repeat = runs.len() as u32;
            let measured = match known {
                Some(run) => self.judge(number, &run),
                None => self.one(number, repeat, rate),
            };
            match measured {
                Ok(run) => runs.push(run),
                Err(why) => {
                    stop = Some(why);
                    break;
                }
            }
        }
        if runs.is_empty() {
            return Err(stop.unwrap_or(Stop::Because(LimitedBy::Probes)));
        }
        let met = votes(&runs, true) >= needed;
        let probe = Probe::new(number, stage, share, rate, met, runs);
        if stage == Stage::Baseline && self.options.base.scenario.slo.objectives.is_empty() {
            self.choose_objective(&probe);
        }
        // What was cut short decides nothing.
        if stop.is_none() && stage != Stage::Share {
            self.document.decide(rate, met);
        }
        self.document.probes.push(probe);
        self.write().map_err(Stop::Failed)?;
        match stop {
            Some(why) => Err(why),
            None => Ok(met),
        }
    }

    /// What was measured of this rate before the search was stopped, by repeat.
    fn earlier(&self, number: usize, rate: f64) -> Vec<Option<Run>> {
        let place = self.campaign.path.join(folder(number));
        let wanted = (0..self.options.repeats).map(|repeat| self.scenario(rate, repeat));
        earlier::runs(&place, wanted)
    }

    fn scenario(&self, rate: f64, repeat: u32) -> Loaded {
        let mut loaded = self.options.base.clone();
        let scenario = &mut loaded.scenario;
        scenario.repeat = 1;
        scenario.seed = scenario.seed.wrapping_add(u64::from(repeat));
        scenario.sweep = None;
        if let LoadModel::Open { rate: wanted, .. } = &mut scenario.load.model {
            *wanted = Rate::of(rate);
        }
        loaded
    }

    fn one(&mut self, number: usize, repeat: u32, rate: f64) -> Result<ProbeRun, Stop> {
        (self.progress)(&format!("{rate:.0}/s, run {}", repeat + 1));
        let out = self.campaign.path.join(folder(number));
        let finished = (self.run)(&self.scenario(rate, repeat), &out).map_err(Stop::Failed)?;
        let why = match finished.run.status {
            RunStatus::Completed => return self.judge(number, &finished.run),
            RunStatus::Interrupted => Stop::Because(LimitedBy::Interrupted),
            RunStatus::Failed => {
                let why = finished.run.warnings.last().cloned().unwrap_or_default();
                Stop::Failed(RunError::new(finished.exit(), why))
            }
        };
        self.campaign
            .set_aside(&finished.directory)
            .map_err(Stop::Failed)?;
        Err(why)
    }

    fn judge(&mut self, number: usize, run: &Run) -> Result<ProbeRun, Stop> {
        // A missed objective is what is looked for; a violation is not.
        if run.verdict > RunVerdict::SloMissed {
            self.exit = self.exit.max(Exit::of(run));
        }
        let place = format!("{}/{}", folder(number), run.id);
        ProbeRun::of(run, &place, self.p99_max_us).ok_or_else(|| {
            let message = format!("{place} measured nothing");
            Stop::Failed(RunError::new(Exit::Runtime, message))
        })
    }

    /// Without any objective: ten times the median of a cluster that has little to do.
    fn choose_objective(&mut self, baseline: &Probe) {
        if let Some(p50) = &baseline.p50_us {
            let limit = p50.median * P99_FACTOR;
            self.p99_max_us = Some(limit);
            self.document.objectives.insert(
                0,
                format!(
                    "p99 <= {} ({P99_FACTOR} times the median at {LOW_RATE}/s)",
                    crate::report::units::time(limit)
                ),
            );
        }
    }

    fn write(&self) -> Result<(), RunError> {
        let place = &self.campaign.path;
        let write = || {
            write_file(
                &place.join(SEARCH.table),
                saturate_markdown(&self.document).as_bytes(),
            )?;
            write_json(&place.join(SEARCH.document), &self.document)
        };
        write().map_err(|error: std::io::Error| self.campaign.unwritable(&error))
    }
}

/// Where the runs of a rate are, below the search.
fn folder(number: usize) -> String {
    format!("probes/{number:02}")
}

/// A rate that a person can read: three significant digits.
fn round(rate: f64) -> f64 {
    let scale = 10_f64.powf(rate.log10().floor() - 2.0);
    (rate / scale).round() * scale
}

#[cfg(test)]
mod tests;
