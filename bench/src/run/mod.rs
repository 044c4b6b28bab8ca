//! A run from beginning to end: repeats on fresh clusters, each loaded, measured, stopped and
//! checked; then the verdict and the files.

mod aftermath;
mod bounds;
mod burdens;
pub(crate) mod checks;
mod facts;
mod faults;
mod figures;
mod interrupt;
mod links;
mod liveness;
mod machine;
mod messages;
mod page;
mod read_back;
mod repeat;
mod series;
mod slots;
mod steadiness;
mod threads;

pub(crate) use interrupt::stop_flag;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use network::ClusterFile;

use crate::cluster;
use crate::exit::Exit;
use crate::judge::judge;
use crate::options::{Finished, RunError, RunOptions};
use crate::record::{
    Environment, Run, RunDirectory, RunStatus, Settings, Summary, check_writable, write_file,
    write_json,
};
use crate::report::summary_markdown;
use crate::scenario::schema::{Durability, Engine, ReadMode, Scenario};

use aftermath::Ended;
use repeat::RepeatContext;

/// How messages are authenticated; it stands beside every figure.
const AUTHENTICATION: &str =
    "Ed25519 requests and votes (ZIP-215), mutual TLS 1.3 with pinned keys";

/// Runs a scenario and leaves its results.
///
/// # Errors
/// If nothing could be measured. Nothing is left running, and no results directory is left behind
/// that looks like a result.
pub fn run(options: &RunOptions) -> Result<Finished, RunError> {
    let scenario = &options.loaded.scenario;
    if options.attach.is_some() && !scenario.byzantine.is_empty() {
        return Err(RunError::new(
            Exit::Usage,
            "the scenario has Byzantine replicas, and the binary `replica` contains nothing that could lie: \
             run it without --attach, or without liars: --set 'byzantine=[]'",
        ));
    }
    if options.attach.is_some() && !scenario.faults.is_empty() {
        return Err(RunError::new(
            Exit::Usage,
            "the scenario has faults, and only replicas that this program started can be killed or paused: \
             run it without --attach, or without faults: --set 'fault=[]'",
        ));
    }
    if options.attach.is_some() && options.loaded.scenario.network.is_some() {
        return Err(RunError::new(
            Exit::Usage,
            "the scenario has a [network], which only replicas that this program started can emulate: \
             run it without --attach, or take the table out of the scenario",
        ));
    }
    let adopted;
    let options = match &options.attach {
        None => options,
        Some(path) => {
            adopted = with_cluster_of(options, path)?;
            &adopted
        }
    };
    let scenario = &options.loaded.scenario;
    check_writable(&options.out)
        .map_err(|error| RunError::new(Exit::Environment, error.to_string()))?;
    let stop = interrupt::stop_flag()?;
    let directory = RunDirectory::create(&options.out, &scenario.name, Timestamp::now())
        .map_err(|error| RunError::new(Exit::Environment, error.to_string()))?;
    match run_in(options, &directory, &stop) {
        Ok(finished) => Ok(finished),
        Err(error) => {
            // The logs may say why; they stay, marked as incomplete, only if there are any.
            discard_if_empty(&directory);
            Err(error)
        }
    }
}

/// The same run, whose scenario describes the cluster that is measured.
fn with_cluster_of(options: &RunOptions, path: &Path) -> Result<RunOptions, RunError> {
    let file =
        ClusterFile::read(path).map_err(|error| RunError::new(Exit::Usage, error.to_string()))?;
    let mut options = options.clone();
    let scenario = &mut options.loaded.scenario;
    if scenario.workload.read_mode == ReadMode::Quorum && !file.limits.quorum_reads {
        let what = format!(
            "`workload.read_mode` is \"quorum\", but {} has `quorum_reads = false`: its writes complete \
             with too few replies for that; found it with `replica genesis --quorum-reads`, or write \
             read_mode = \"ordered\"",
            path.display()
        );
        return Err(RunError::new(Exit::Usage, what));
    }
    cluster::adopt(scenario, &file);
    Ok(options)
}

fn run_in(
    options: &RunOptions,
    directory: &RunDirectory,
    stop: &Arc<AtomicBool>,
) -> Result<Finished, RunError> {
    let scenario = &options.loaded.scenario;
    let environment = Environment::gather(settings(scenario, options.attach.is_some()));
    let io = |error: std::io::Error| repeat::unwritable(&directory.path(), &error);
    write_file(
        &directory.join("scenario.toml"),
        options.loaded.source_text().as_bytes(),
    )
    .map_err(io)?;
    write_file(
        &directory.join("effective.toml"),
        options.loaded.effective_toml().as_bytes(),
    )
    .map_err(io)?;
    write_json(&directory.join("env.json"), &environment).map_err(io)?;

    let mut run = Run {
        id: directory.id().to_owned(),
        name: scenario.name.clone(),
        scenario: serde_json::to_value(scenario)
            .map_err(|error| RunError::new(Exit::Runtime, error.to_string()))?,
        environment,
        attached: options
            .attach
            .as_ref()
            .map(|path| path.display().to_string()),
        invocation: options.invocation.clone(),
        warnings: options
            .loaded
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect(),
        ..Run::default()
    };
    for number in 1..=scenario.repeat {
        let context = RepeatContext {
            options,
            directory,
            number,
            stop: Arc::clone(stop),
        };
        match repeat::run(&context) {
            Ok(outcome) => {
                run.warnings.extend(outcome.warnings);
                run.repeats.push(outcome.repeat);
                if let (Some(_), Some(durability)) = (&options.attach, outcome.durability) {
                    run.environment.durability = durability;
                }
                if outcome.ended == Ended::Early {
                    run.status = RunStatus::Interrupted;
                    break;
                }
            }
            // What was measured before is kept.
            Err(_) if stop.load(Ordering::Relaxed) => {
                run.status = RunStatus::Interrupted;
                break;
            }
            Err(error) if run.repeats.is_empty() => return Err(error),
            Err(error) => {
                run.status = RunStatus::Failed;
                run.warnings.push(error.message);
                break;
            }
        }
    }
    run.summary = Summary::of(&run.repeats);
    let judgement = judge(scenario, &run.repeats);
    run.verdict = judgement.verdict;
    run.misses = judgement.misses;
    run.warnings.extend(judgement.notes);
    // Before run.json, which says that all is there; whatever is wrong with it, the results are not.
    run.warnings
        .extend(page::leave_page(&run, &directory.path()).err());
    write_file(
        &directory.join("summary.md"),
        summary_markdown(&run).as_bytes(),
    )
    .map_err(io)?;
    directory
        .finish(&run)
        .map_err(|error| RunError::new(Exit::Environment, error.to_string()))?;
    Ok(Finished {
        run,
        directory: directory.path(),
    })
}

/// What a cluster of this scenario promises, if `bench` starts it.
pub(crate) fn settings(scenario: &Scenario, attached: bool) -> Settings {
    let storage = &scenario.cluster.storage;
    let durability = if attached {
        "not known: the replicas did not say"
    } else {
        match (storage.engine, storage.durability) {
            (Engine::Memory, _) => "off (memory)",
            (Engine::Sqlite, Durability::Full) => "full",
            (Engine::Sqlite, Durability::Off) => "off",
        }
    };
    Settings {
        durability: durability.to_owned(),
        authentication: AUTHENTICATION.to_owned(),
    }
}

/// Removes a run's directory that has no results and whose logs are all empty.
fn discard_if_empty(directory: &RunDirectory) {
    fn logs(path: &std::path::Path) -> u64 {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries
            .map(|entry| match entry.metadata() {
                Ok(meta) if meta.is_dir() => logs(&entry.path()),
                Ok(meta) if entry.path().extension().is_some_and(|kind| kind == "log") => {
                    meta.len()
                }
                _ => 0,
            })
            .sum()
    }
    if logs(&directory.path()) == 0
        && let Err(error) = std::fs::remove_dir_all(directory.path())
    {
        tracing::warn!("{} stays behind: {error}", directory.path().display());
    }
}
