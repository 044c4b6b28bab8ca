//! `bench verify`: a run judged once more, from its files alone.
//!
//! Nothing of what the run's own verdicts say is believed: histories, logs, contents, proofs and samples are read again and
//! judged by the scenario in `effective.toml`, every signature included. What run.json said is shown where it differs.
//! A file that is missing, because the run was made by an older version or kept no such thing, makes a check `skipped`
//! with the reason, never a pass.

mod durability;
mod liveness;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use network::ClusterFile;
use network::genesis::CLUSTER_FILE;
use serde::Serialize;

use crate::check::{
    CheckResult, CommittedLog, EXECUTED_FILE, ExecutedLog, Kept, RESOURCES_FILE, Remains,
    SIGNATURES_FILE, Signatures, Verdict, check_resources, parse_committed, read_burdens,
    read_exhibits, read_usage,
};
use crate::exit::Exit;
use crate::record::{HistoryMode, Repeat, Run, read_history};
use crate::run::checks::{ANSWERED, Requests, UNKNOWN, exactly_once, executed_of};
use crate::scenario::{Scenario, Source, correct, load};

/// The `schema` of the document.
pub const VERIFY_SCHEMA: &str = "bench.verify/v1";

/// A check by the name that the command line knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// No two correct replicas committed different batches
    Agreement,
    /// The log executed again gives the states and answers of the run
    State,
    /// Known clients signed whatever took effect
    Integrity,
    /// Clients saw one copy of the map
    Linearizable,
    /// No request took effect twice, and none that was answered is lost
    ExactlyOnce,
    /// What clients were told is stored was there at the end
    Durability,
    /// No correct replica signed two contents, and nobody is accused without proof
    Evidence,
    /// The cluster went on, and recovered after the last fault
    Liveness,
    /// No correct replica needed more than its bounds
    Resources,
}

impl Named {
    /// Every check, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Agreement,
        Self::State,
        Self::Integrity,
        Self::Linearizable,
        Self::ExactlyOnce,
        Self::Durability,
        Self::Evidence,
        Self::Liveness,
        Self::Resources,
    ];

    /// As tables write it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::State => "state",
            Self::Integrity => "integrity",
            Self::Linearizable => "linearizable",
            Self::ExactlyOnce => "exactly once",
            Self::Durability => "durability",
            Self::Evidence => "evidence",
            Self::Liveness => "liveness",
            Self::Resources => "resources",
        }
    }

    /// What the run itself said.
    fn recorded(self, repeat: &Repeat) -> &CheckResult {
        let checks = &repeat.checks;
        match self {
            Self::Agreement => &checks.agreement,
            Self::State => &checks.state,
            Self::Integrity => &checks.integrity,
            Self::Linearizable => &checks.linearizable,
            Self::ExactlyOnce => &checks.exactly_once,
            Self::Durability => &checks.read_back,
            Self::Evidence => &checks.evidence,
            Self::Liveness => &checks.liveness,
            Self::Resources => &checks.resources,
        }
    }

    /// What a failure of it means.
    const fn grave(self) -> Exit {
        match self {
            Self::Liveness => Exit::Liveness,
            Self::Resources => Exit::Missed,
            _ => Exit::Safety,
        }
    }
}

/// A run judged once more.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// [`VERIFY_SCHEMA`].
    pub schema: &'static str,
    /// The run.
    pub id: String,
    /// Each repeat.
    pub repeats: Vec<VerifiedRepeat>,
}

/// A repeat judged once more.
#[derive(Debug, Serialize)]
pub struct VerifiedRepeat {
    /// From 1.
    pub number: usize,
    /// The checks asked for.
    pub checks: BTreeMap<Named, CheckResult>,
    /// What run.json says, where that differs.
    pub recorded: BTreeMap<Named, Verdict>,
}

impl Verified {
    /// The gravest that was found.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let all = self.repeats.iter().flat_map(|repeat| &repeat.checks);
        all.filter(|(_, result)| result.verdict == Verdict::Fail)
            .map(|(named, _)| named.grave())
            .max()
            .unwrap_or_default()
    }
}

/// Judges the run in `directory`.
///
/// # Errors
/// A sentence, if it is no run or its scenario cannot be read.
pub fn verify(directory: &Path, asked: &[Named]) -> Result<Verified, String> {
    let path = directory.join("run.json");
    let unreadable = |why: String| format!("{} cannot be read: {why}", path.display());
    let text = std::fs::read_to_string(&path).map_err(|error| unreadable(error.to_string()))?;
    let run: Run = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let scenario = scenario(directory)?;
    let repeats = run.repeats.iter().enumerate().map(|(index, repeat)| {
        let folder = directory.join(format!("repeat-{}", index + 1));
        let left = Left {
            folder,
            repeat,
            scenario: &scenario,
            attached: run.attached.is_some(),
        };
        let checks = left.judge(asked);
        let recorded = checks
            .iter()
            .map(|(named, result)| (*named, named.recorded(repeat).verdict, result.verdict))
            .filter(|(_, before, now)| before != now)
            .map(|(named, before, _)| (named, before))
            .collect();
        VerifiedRepeat {
            number: index + 1,
            checks,
            recorded,
        }
    });
    Ok(Verified {
        schema: VERIFY_SCHEMA,
        id: run.id.clone(),
        repeats: repeats.collect(),
    })
}

fn scenario(directory: &Path) -> Result<Scenario, String> {
    let path = directory.join("effective.toml");
    let source = Source::find(&path.display().to_string()).map_err(|error| error.to_string())?;
    let loaded = load(&[source], &[]).map_err(|error| error.to_string())?;
    Ok(loaded.scenario)
}

/// The files of a repeat.
struct Left<'r> {
    folder: PathBuf,
    repeat: &'r Repeat,
    scenario: &'r Scenario,
    attached: bool,
}

impl Left<'_> {
    fn judge(&self, asked: &[Named]) -> BTreeMap<Named, CheckResult> {
        let scenario = self.scenario;
        let remains = match self.remains() {
            Ok(remains) => remains,
            // Nothing is known of what the replicas committed.
            Err(why) => {
                let skipped = |named: &Named| (*named, CheckResult::skipped(why.as_str()));
                return asked.iter().map(skipped).collect();
            }
        };
        let verdicts = remains.judge(Signatures::All);
        let history = remains.history.as_deref();
        let one = |named: Named| match named {
            Named::Agreement => verdicts.agreement.clone(),
            Named::State => verdicts.state.clone(),
            Named::Integrity => verdicts.integrity.clone(),
            Named::Linearizable => verdicts.linearizable.clone(),
            Named::Evidence => verdicts.evidence.clone(),
            Named::ExactlyOnce => match &verdicts.reexecution {
                Some(again) if again.is_complete() => {
                    self.exactly_once(executed_of(again, scenario.load.clients))
                }
                _ => CheckResult::skipped(format!(
                    "the log was not executed again to its end: {}",
                    verdicts.state.detail
                )),
            },
            Named::Durability => match history {
                Ok(lines) => durability::check(lines),
                Err(why) => CheckResult::skipped(why.as_str()),
            },
            Named::Liveness => liveness::check(&self.folder, self.repeat, scenario, history.ok()),
            Named::Resources => self.resources(),
        };
        asked.iter().map(|named| (*named, one(*named))).collect()
    }

    fn remains(&self) -> Result<Remains, String> {
        let cluster = self.folder.join(CLUSTER_FILE);
        let old = "the run has no cluster.toml, so the public keys are not known: an older version made it";
        let cluster = match cluster.exists() {
            false => Err(old.to_owned()),
            true => ClusterFile::read(&cluster)
                .map_err(|error| error.to_string())
                .and_then(|file| file.cluster().map_err(|error| error.to_string())),
        };
        let executed = self.folder.join(EXECUTED_FILE);
        let executed = match (self.attached, executed.exists()) {
            (true, _) => Kept::Elsewhere,
            (_, false) => Kept::Missing(format!(
                "the run has no {EXECUTED_FILE}: it was too large to keep, or check.state was off, or an older version made the run"
            )),
            (_, true) => match ExecutedLog::read(None, &executed) {
                Ok(log) => Kept::Logs(vec![log]),
                Err(error) => {
                    Kept::Missing(format!("{} cannot be read: {error}", executed.display()))
                }
            },
        };
        let exhibits = match (self.attached, &cluster) {
            (true, _) => Err("the replicas run elsewhere and keep their evidence".to_owned()),
            // Older versions left the folder empty.
            (_, Err(why)) => Err(why.clone()),
            _ => read_exhibits(None, &self.folder.join("evidence")).map_err(|e| e.to_string()),
        };
        Ok(Remains {
            cluster,
            correct: correct(self.scenario),
            committed: self.committed()?,
            executed,
            exhibits,
            history: match self.repeat.history.mode {
                HistoryMode::Off => Err("no history was kept".to_owned()),
                _ => read_history(&self.folder.join("history.jsonl")),
            },
        })
    }

    fn committed(&self) -> Result<Vec<CommittedLog>, String> {
        let mut logs = Vec::new();
        for id in 0..self.scenario.cluster.n {
            let path = self.folder.join(format!("replicas/{id}/committed.jsonl"));
            match std::fs::read_to_string(&path) {
                Ok(text) => logs.push(parse_committed(id, &text).map_err(|e| e.to_string())?),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
            }
        }
        Ok(logs)
    }

    /// How many requests were answered only the clients knew, and run.json has it from them.
    fn exactly_once(&self, executed: u64) -> CheckResult {
        let facts = &self.repeat.checks.exactly_once.facts;
        let fact = |name: &str| facts.get(name).and_then(serde_json::Value::as_u64);
        match (fact(ANSWERED), fact(UNKNOWN)) {
            (Some(answered), Some(unknown)) => exactly_once(Requests {
                answered,
                unknown,
                // Only what correct clients asked for was counted again.
                hostile: 0,
                executed: Some(executed),
            }),
            _ => CheckResult::skipped(
                "run.json does not say how many requests were answered: an older version made it",
            ),
        }
    }

    fn resources(&self) -> CheckResult {
        let path = self.folder.join(RESOURCES_FILE);
        if !path.exists() {
            return CheckResult::skipped(format!(
                "the run has no {RESOURCES_FILE}: an older version made it"
            ));
        }
        // Earlier versions did not count signatures by source.
        let signatures = self.folder.join(SIGNATURES_FILE);
        let burdens = match signatures.exists().then(|| read_burdens(&signatures)) {
            Some(Err(why)) => return CheckResult::skipped(why),
            burdens => burdens.and_then(Result::ok),
        };
        let correct = correct(self.scenario);
        match read_usage(&path) {
            Ok(usage) => check_resources(
                &usage,
                burdens.as_deref(),
                &self.scenario.check.resources,
                |id| correct.contains(&id),
            ),
            Err(why) => CheckResult::skipped(why),
        }
    }
}

#[cfg(test)]
mod tests;
