//! sweep.json: everything that a sweep measured as one document. Names are a contract: add, never rename.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::directory::Opened;
use super::{Experiment, Outcome, Row};
use crate::campaign::SWEEP;
use crate::record::{Environment, Estimate};
use crate::scenario::planned_rate;
use crate::scenario::schema::Settings;

/// The whole document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepDocument {
    /// That of [`SWEEP`].
    pub schema: &'static str,
    /// The name of its directory.
    pub id: String,
    /// The name of the scenario.
    pub name: String,
    /// Its question.
    pub description: String,
    /// How far it is.
    pub status: SweepStatus,
    /// Runs of each cell.
    pub repeats: u32,
    /// The keys of the cross product and their values as written.
    pub axes: Vec<Value>,
    /// The variants and what they set.
    pub variants: Vec<Value>,
    /// The effective scenario without its sweep.
    pub scenario: Value,
    /// Machine, build, durability, authentication.
    pub environment: Environment,
    /// Each cell, in the order in which they take turns.
    pub cells: Vec<CellDocument>,
    /// Runs that left no figures, one sentence each.
    pub failures: Vec<String>,
    /// Where it is; not part of the document.
    #[serde(skip)]
    pub directory: String,
}

/// How far a sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SweepStatus {
    /// It goes on, or was cut off.
    Running,
    /// Every repeat of every cell was measured.
    Completed,
    /// Somebody stopped it; asked for again, it goes on.
    Interrupted,
    /// Some runs left no figures; asked for again, it tries those once more.
    Failed,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellDocument {
    /// For legends: variant and values.
    pub name: String,
    /// Below the sweep; its runs are in there.
    pub directory: String,
    /// The variant, if there are any.
    pub variant: Option<String>,
    /// The values of the axes.
    pub values: Map<String, Value>,
    /// Operations per second that were to be offered; `None` in a closed loop.
    pub rate_ops_s: Option<f64>,
    /// Medians over the repeats; `None` before the first.
    pub summary: Option<CellSummary>,
    /// What has been measured.
    pub runs: Vec<Row>,
}

/// Medians over the repeats of a cell; `None` for what no repeat has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names of run.json, with their units")]
pub struct CellSummary {
    pub offered_ops_s: Option<Estimate>,
    pub throughput_ops_s: Option<Estimate>,
    pub p50_us: Option<Estimate>,
    pub p99_us: Option<Estimate>,
    pub cpu_us_per_op: Option<Estimate>,
    pub fast_path_share: Option<Estimate>,
}

/// The document of what has been measured so far.
#[must_use]
pub fn document(experiment: &Experiment, opened: &Opened, outcome: &Outcome) -> SweepDocument {
    let scenario = &experiment.base.scenario;
    let mut plain = scenario.clone();
    let sweep = plain.sweep.take().unwrap_or_default();
    let cells = experiment.cells.iter().zip(&outcome.rows);
    SweepDocument {
        schema: SWEEP.schema,
        id: opened.campaign.id(),
        name: scenario.name.clone(),
        description: scenario.description.clone(),
        status: outcome.status,
        repeats: experiment.repeats,
        axes: sweep
            .axes
            .iter()
            .map(|axis| serde_json::json!({ "key": axis.key, "values": axis.values }))
            .collect(),
        variants: sweep
            .variants
            .iter()
            .map(|variant| serde_json::json!({ "name": variant.name, "set": object(&variant.set) }))
            .collect(),
        scenario: serde_json::to_value(&plain).unwrap_or_default(),
        environment: opened.environment.clone(),
        cells: cells
            .map(|(cell, rows)| {
                let runs: Vec<Row> = rows.iter().flatten().cloned().collect();
                CellDocument {
                    name: cell.name.clone(),
                    directory: cell.directory.clone(),
                    variant: cell.variant.clone(),
                    values: object(&cell.values),
                    rate_ops_s: planned_rate(&cell.loaded.scenario),
                    summary: summary(&runs),
                    runs,
                }
            })
            .collect(),
        failures: outcome.failures.clone(),
        directory: opened.campaign.path.display().to_string(),
    }
}

fn object(settings: &Settings) -> Map<String, Value> {
    let entry = |(key, value): &(String, toml::Value)| {
        Some((key.clone(), serde_json::to_value(value).ok()?))
    };
    settings.0.iter().filter_map(entry).collect()
}

fn summary(runs: &[Row]) -> Option<CellSummary> {
    let over = |value: fn(&Row) -> Option<f64>| {
        let values: Vec<f64> = runs.iter().filter_map(value).collect();
        (!values.is_empty()).then(|| Estimate::of(&values))
    };
    (!runs.is_empty()).then(|| CellSummary {
        offered_ops_s: over(|row| row.offered_ops_s),
        throughput_ops_s: over(|row| row.throughput_ops_s),
        p50_us: over(|row| row.p50_us),
        p99_us: over(|row| row.p99_us),
        cpu_us_per_op: over(|row| row.cpu_us_per_op),
        fast_path_share: over(|row| row.fast_path_share),
    })
}
