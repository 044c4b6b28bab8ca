//! What a run is asked to do, and what comes back: the seam between the command line and the runner.

use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::prom::LoadMetrics;
use crate::record::{HistoryMode, Invocation, Run};
use crate::scenario::Loaded;

/// One run as the command line asks for it.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The scenario; `--set`, `--repeat`, `--seed` and `--name` are part of it already.
    pub loaded: Loaded,
    /// What stood on the command line, if this run did.
    pub invocation: Option<Invocation>,
    /// The directory that gets the run's directory.
    pub out: PathBuf,
    /// How much history is kept; `None`: as much as the scenario's check for linearizability needs.
    pub history: Option<HistoryMode>,
    /// The cluster file of a running cluster to measure instead of starting one.
    pub attach: Option<PathBuf>,
    /// Whether the replicas' data directories are kept after the run.
    pub keep_data: bool,
    /// Who shows Prometheus what the load generator does, if anybody does.
    pub metrics: Option<LoadMetrics>,
    /// How progress is shown.
    pub display: Display,
}

impl RunOptions {
    /// One of many runs that a command makes by itself: it stood on no command line, and its cluster is started and cleared
    /// away.
    #[must_use]
    pub fn one_of_many(loaded: &Loaded, out: &Path, display: Display) -> Self {
        Self {
            loaded: loaded.clone(),
            invocation: None,
            out: out.to_owned(),
            history: None,
            attach: None,
            keep_data: false,
            metrics: None,
            display,
        }
    }
}

/// How progress is shown on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Display {
    /// One line that redraws itself: stderr is a terminal.
    Tty,
    /// The whole terminal.
    Screen {
        /// Whether colours may be used.
        colour: bool,
    },
    /// One heartbeat line a second.
    Plain,
    /// Nothing.
    Quiet,
}

/// A run that left results, complete or partial: see `run.status`.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The content of run.json, with verdict, misses and warnings.
    pub run: Run,
    /// The run's directory.
    pub directory: PathBuf,
}

impl Finished {
    /// What this run calls for.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        Exit::of(&self.run)
    }
}

/// Why a run left no results.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RunError {
    /// Whose fault it is, as an exit code.
    pub exit: Exit,
    /// What is wrong, where, and the remedy, in one sentence.
    pub message: String,
}

impl RunError {
    /// A failure with its kind.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }
}
