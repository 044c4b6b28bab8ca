//! Runs of one and the same thing, in turns, and what they differ by.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::spread::{MetricNoise, floor};
use crate::compare::Metric;
use crate::exit::Exit;
use crate::options::{Finished, RunError};
use crate::record::{Environment, Repeat, RunStatus, RunVerdict, median, write_json};
use crate::scenario::{Loaded, QUICKSTART, Source, load};

/// The value of the field `schema`.
pub const NOISE_SCHEMA: &str = "bench.noise-floor/v1";
/// The file beside the results.
pub const NOISE_FILE: &str = "noise-floor.json";

/// What the quickstart is made of it: short, and still in the state in which longer runs are.
const OVERRIDES: [&str; 5] = [
    "name=noise-floor",
    "workload.records=1000",
    "load.warmup=1s",
    "load.duration=4s",
    "repeat=1",
];

/// The noise floor of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// [`NOISE_SCHEMA`].
    pub schema: String,
    /// The machine and the program.
    pub environment: Environment,
    /// What was run again and again: a scenario and its overrides.
    pub scenario: String,
    /// Pairs of runs.
    pub pairs: usize,
    /// Where the runs are, beside this file.
    pub directory: String,
    /// Each metric that every run has.
    pub metrics: Vec<MetricNoise>,
}

/// How the noise floor is measured.
#[derive(Clone, Debug)]
pub struct NoiseOptions {
    /// Where results go.
    pub results: PathBuf,
    /// Pairs of runs, at least two.
    pub pairs: usize,
    /// Overrides of the scenario.
    pub set: Vec<String>,
}

/// Runs pairs of one thing, A B A B, and keeps what they differ by in the results directory. `run` does one run into a
/// folder; `progress` hears of each before it starts.
///
/// # Errors
/// A run failed, was interrupted or contradicts itself: then there is no noise floor, and an older one stays.
pub fn measure_noise(
    options: &NoiseOptions,
    environment: Environment,
    folder: &str,
    run: impl Fn(&Loaded, &Path) -> Result<Finished, RunError>,
    progress: impl Fn(usize, usize),
) -> Result<Noise, RunError> {
    let total = options.pairs * 2;
    let mut repeats = Vec::with_capacity(total);
    for number in 0..total {
        progress(number + 1, total);
        let side = ["a", "b"][number % 2];
        // A pair shares its seed, so that nothing differs but the time.
        let mut set: Vec<String> = OVERRIDES.iter().map(|text| (*text).to_owned()).collect();
        set.extend(options.set.iter().cloned());
        set.push(format!("seed={}", number / 2 + 1));
        let loaded = load(&[Source::Embedded(QUICKSTART)], &set)
            .map_err(|error| RunError::new(Exit::Usage, error.to_string()))?;
        let finished = run(&loaded, &options.results.join(folder).join(side))?;
        let ended = &finished.run;
        match (ended.status, ended.verdict) {
            (RunStatus::Completed, RunVerdict::Pass | RunVerdict::SloMissed) => {}
            (RunStatus::Interrupted, _) => {
                return Err(RunError::new(
                    Exit::Interrupted,
                    "interrupted: there is no new noise floor",
                ));
            }
            _ => {
                return Err(RunError::new(
                    finished.exit(),
                    format!(
                        "{} did not end well, so there is no noise floor: bench show {}",
                        ended.id,
                        finished.directory.display()
                    ),
                ));
            }
        }
        repeats.extend(finished.run.repeats);
    }
    let noise = Noise {
        schema: NOISE_SCHEMA.to_owned(),
        environment,
        scenario: [&[QUICKSTART], &OVERRIDES[..]]
            .concat()
            .into_iter()
            .chain(options.set.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" "),
        pairs: options.pairs,
        directory: folder.to_owned(),
        metrics: Metric::ALL
            .into_iter()
            .filter_map(|metric| of(metric, &repeats))
            .collect(),
    };
    let file = options.results.join(NOISE_FILE);
    write_json(&file, &noise).map_err(|error| {
        let message = format!(
            "cannot write {}: {error}; choose another place with --results DIR",
            file.display()
        );
        RunError::new(Exit::Environment, message)
    })?;
    Ok(noise)
}

fn of(metric: Metric, repeats: &[Repeat]) -> Option<MetricNoise> {
    let values: Option<Vec<f64>> = repeats.iter().map(|repeat| metric.of(repeat)).collect();
    let values = values?;
    Some(MetricNoise {
        name: metric.name().to_owned(),
        floor: floor(&values)?,
        median: median(&mut values.clone()),
        min: values.iter().copied().min_by(f64::total_cmp)?,
        max: values.iter().copied().max_by(f64::total_cmp)?,
    })
}

impl Noise {
    /// The floor of a metric as a share, if it was measured.
    #[must_use]
    pub fn floor(&self, metric: Metric) -> Option<f64> {
        let found = self.metrics.iter().find(|one| one.name == metric.name())?;
        Some(found.floor)
    }

    /// Whether it was measured on the machine, and with the kind of build, of `other`.
    #[must_use]
    pub fn belongs_to(&self, other: &Environment) -> bool {
        let own = &self.environment;
        own.cpu == other.cpu
            && own.cores == other.cores
            && own.memory_bytes == other.memory_bytes
            && own.build == other.build
    }
}

/// Reads the noise floor beside the results; `None` if nobody measured it.
///
/// # Errors
/// The file is there and cannot be read, or is something else.
pub fn read_noise(results: &Path) -> Result<Option<Noise>, String> {
    let file = results.join(NOISE_FILE);
    let wrong = |what: String| {
        format!(
            "{}: {what}; remove it, or measure again with bench doctor --aa",
            file.display()
        )
    };
    let text = match std::fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let noise: Noise =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("no noise floor: {error}")))?;
    if noise.schema != NOISE_SCHEMA {
        return Err(wrong(format!("has the schema {:?}", noise.schema)));
    }
    Ok(Some(noise))
}

#[cfg(test)]
#[path = "noise_tests.rs"]
mod tests;
