//! saturate.json: every rate that was tried, and what came of the search. Names are a contract: add, never rename.

use serde::Serialize;
use serde_json::Value;

use super::SaturateOptions;
use super::probe::{Probe, Stage};
use crate::campaign::{Campaign, SEARCH};
use crate::record::Environment;
use crate::report::units;

/// Where objectives come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Objectives {
    /// `--slo`.
    #[serde(rename = "command line")]
    CommandLine,
    /// `[slo]`.
    Scenario,
    /// Neither says anything.
    Default,
}

/// The whole document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SaturateDocument {
    /// That of [`SEARCH`].
    pub schema: &'static str,
    /// The name of its directory.
    pub id: String,
    /// The name of the scenario.
    pub name: String,
    /// Its question.
    pub description: String,
    /// How far it came.
    pub status: SaturateStatus,
    /// What has to hold.
    pub objectives: Vec<String>,
    /// Where that comes from.
    pub objectives_from: Objectives,
    /// Runs of one rate at most; most of them decide.
    pub repeats: u32,
    /// How close the rates around the limit shall be, as a share of the lower.
    pub precision: f64,
    /// The effective scenario; its rate is that of no probe.
    pub scenario: Value,
    /// Machine, build, durability, authentication.
    pub environment: Environment,
    /// The highest rate that met every objective, operations per second.
    pub limit_ops_s: Option<f64>,
    /// The lowest rate that missed one.
    pub missed_ops_s: Option<f64>,
    /// What ended the search.
    pub limited_by: Option<LimitedBy>,
    /// All of it in a sentence or two.
    pub conclusion: String,
    /// Why the search could not go on, if so.
    pub failure: Option<String>,
    /// Each rate, in the order in which they were tried.
    pub probes: Vec<Probe>,
    /// Where it is; not part of the document.
    #[serde(skip)]
    pub directory: String,
}

/// How far a search came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SaturateStatus {
    /// It goes on, or was cut off.
    Running,
    /// To its end, or its bounds.
    Completed,
    /// Somebody stopped it.
    Interrupted,
    /// It could not go on.
    Failed,
}

/// What ended a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitedBy {
    /// The cluster, or the machine that it shares with the load generator.
    Cluster,
    /// The program that makes the load was behind.
    LoadGenerator,
    /// Not even the low load met the objective.
    NothingMet,
    /// No higher rate is tried.
    RateMax,
    /// As many rates as were allowed were tried.
    Probes,
    /// The time was over.
    Time,
    /// Somebody stopped it.
    Interrupted,
}

impl SaturateDocument {
    pub(super) fn new(options: &SaturateOptions, campaign: &Campaign) -> Self {
        let scenario = &options.base.scenario;
        let mut objectives: Vec<String> = scenario
            .slo
            .objectives
            .iter()
            .map(|objective| format!("{} {}", objective.name(), objective.bound.condition()))
            .collect();
        objectives.push("nothing dropped, nothing unanswered".to_owned());
        Self {
            schema: SEARCH.schema,
            id: campaign.id(),
            name: scenario.name.clone(),
            description: scenario.description.clone(),
            status: SaturateStatus::Running,
            objectives,
            objectives_from: options.objectives_from,
            repeats: options.repeats,
            precision: options.precision,
            scenario: serde_json::to_value(scenario).unwrap_or_default(),
            environment: options.environment.clone(),
            limit_ops_s: None,
            missed_ops_s: None,
            limited_by: None,
            conclusion: String::new(),
            failure: None,
            probes: Vec::new(),
            directory: campaign.path.display().to_string(),
        }
    }

    /// Takes what most runs of a rate said.
    pub(super) fn decide(&mut self, rate: f64, met: bool) {
        if met {
            self.limit_ops_s = Some(self.limit_ops_s.map_or(rate, |known| known.max(rate)));
        } else {
            self.missed_ops_s = Some(self.missed_ops_s.map_or(rate, |known| known.min(rate)));
        }
    }

    /// Says in words what was found.
    pub(super) fn conclude(&mut self) {
        let rate = |rate: Option<f64>| rate.map_or_else(|| "?".to_owned(), units::rate);
        let limit = rate(self.limit_ops_s);
        let missed = rate(self.missed_ops_s);
        let at_least = match (self.limit_ops_s, self.missed_ops_s) {
            (None, _) => "nothing is known yet".to_owned(),
            (Some(_), None) => {
                format!("{limit} met the objective, and no rate that missed it was found")
            }
            (Some(_), Some(_)) => format!("the limit lies between {limit} and {missed}"),
        };
        let mut words = match self.limited_by {
            Some(LimitedBy::Cluster) => {
                format!("{limit} is the highest rate that met the objective; {missed} missed it")
            }
            Some(LimitedBy::LoadGenerator) => format!(
                "{limit} is the highest rate that met the objective, and the load generator was behind at {missed}: this is its limit on this machine, \
                 not that of the cluster. Give it more operations a request (load.ops_per_request) or cores of its own (bench run --attach)"
            ),
            Some(LimitedBy::NothingMet) => {
                "not even the lowest rate met the objective: it asks for more than an idle cluster gives".to_owned()
            }
            Some(LimitedBy::RateMax) => format!("{limit} met the objective, and no higher rate is tried"),
            Some(LimitedBy::Probes) => format!("as many rates as allowed were tried (--max-probes): {at_least}"),
            Some(LimitedBy::Time) => format!("the time was over (--max-time): {at_least}"),
            Some(LimitedBy::Interrupted) => {
                format!("interrupted, and the same command goes on: {at_least}")
            }
            None => at_least,
        };
        let shaky: Vec<String> = self
            .probes
            .iter()
            .filter(|probe| probe.stage == Stage::Share && !probe.met)
            .filter_map(|probe| Some(units::share(probe.share?)))
            .collect();
        if !shaky.is_empty() {
            words.push_str(&format!(
                "; {} of it missed the objective when tried afterwards, so the limit is not to be relied on",
                shaky.join(" and ")
            ));
        }
        if let Some(failure) = &self.failure {
            words.push_str(&format!(
                "; the search could not go on: {failure}; the same command tries that rate once more"
            ));
        }
        self.conclusion = words;
    }
}
