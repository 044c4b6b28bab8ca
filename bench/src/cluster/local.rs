//! A cluster of replica processes on loopback, for the length of one repeat.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crypto::SecretKey;
use network::ClusterFile;

use super::child::{Arguments, DurabilityName, EngineName};
use super::founding;
use super::process::Process;
use crate::exit::Exit;
use crate::options::RunError;
use crate::scenario::schema::{Durability, Engine, Scenario};

/// All replicas must listen after this long. Loopback and a fresh directory take milliseconds;
/// the rest is for machines that are busy with something else.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// A replica has this long to stop in good order.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Times that a start is tried when a chosen port turns out to be taken.
const START_ATTEMPTS: u32 = 3;
/// Exit code of a replica whose port is taken.
const PORT_TAKEN: i32 = 6;
const COMMITTED: &str = "committed.jsonl";

/// Where a local cluster keeps its things.
pub struct LocalOptions<'o> {
    /// What to start.
    pub scenario: &'o Scenario,
    /// Keys derive from it.
    pub seed: u64,
    /// The replicas' directories are made here; it must not exist.
    pub directory: PathBuf,
    /// The replicas' logs go here.
    pub logs: PathBuf,
    /// Filter of the replicas' logs.
    pub log_filter: String,
    /// Whether the replicas' directories stay when the cluster is gone.
    pub keep_data: bool,
}

/// A running local cluster. Dropping it kills what still runs and removes the replicas'
/// directories, keys and all.
pub struct Local {
    directory: PathBuf,
    keep_data: bool,
    file: ClusterFile,
    processes: Vec<Process>,
}

impl Local {
    /// Founds and starts a cluster.
    ///
    /// # Errors
    /// If the machine does not allow it; nothing is left running.
    pub fn start(options: &LocalOptions<'_>) -> Result<Self, RunError> {
        for attempt in 1.. {
            match Self::try_start(options) {
                Err((error, true)) if attempt < START_ATTEMPTS => {
                    tracing::info!("{}; trying other ports", error.message);
                    remove(&options.directory);
                }
                Err((error, _)) => {
                    remove(&options.directory);
                    return Err(error);
                }
                Ok(cluster) => return Ok(cluster),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// The flag of an error says that other ports may help.
    fn try_start(options: &LocalOptions<'_>) -> Result<Self, (RunError, bool)> {
        let directory = &options.directory;
        founding::found(options.scenario, options.seed, directory).map_err(|e| (e, false))?;
        let file = ClusterFile::read(&directory.join("cluster.toml"))
            .map_err(|error| (RunError::new(Exit::Runtime, error.to_string()), false))?;
        let storage = &options.scenario.cluster.storage;
        let mut processes = Vec::with_capacity(file.replicas.len());
        for id in 0..file.replicas.len() {
            let dir = directory.join(format!("replica-{id}"));
            let arguments = Arguments {
                committed: dir.join(COMMITTED),
                dir,
                durability: match storage.durability {
                    Durability::Full => DurabilityName::Full,
                    Durability::Off => DurabilityName::Off,
                },
                storage: match storage.engine {
                    Engine::Sqlite => EngineName::Sqlite,
                    Engine::Memory => EngineName::Memory,
                },
                log: options.log_filter.clone(),
            };
            let log = options.logs.join(format!("replica-{id}.log"));
            let process = Process::start(id, &arguments, &log).map_err(|error| {
                let message = format!("cannot start replica {id}: {error}");
                (RunError::new(Exit::Environment, message), false)
            })?;
            processes.push(process);
        }
        let deadline = Instant::now() + START_PATIENCE;
        for process in &mut processes {
            process.wait_ready(deadline).map_err(|failed| {
                let port_taken = failed.code == Some(PORT_TAKEN);
                let exit = if port_taken {
                    Exit::Environment
                } else {
                    Exit::Runtime
                };
                (RunError::new(exit, failed.message), port_taken)
            })?;
        }
        Ok(Local {
            directory: directory.clone(),
            keep_data: options.keep_data,
            file,
            processes,
        })
    }

    /// The cluster's file.
    pub fn file(&self) -> &ClusterFile {
        &self.file
    }

    /// The clients' keys.
    ///
    /// # Errors
    /// If a key file cannot be read.
    pub fn client_keys(&self) -> Result<Vec<SecretKey>, RunError> {
        let folder = self.directory.join("clients");
        (0..self.file.clients.len())
            .map(|id| crypto::files::read_secret(&folder.join(format!("client-{id}.key"))))
            .collect::<Result<_, _>>()
            .map_err(|error| RunError::new(Exit::Runtime, error.to_string()))
    }

    /// Replicas that ended without being asked to, with the end of their logs.
    pub fn fallen(&mut self) -> Vec<(usize, String)> {
        let mut fallen = Vec::new();
        for (id, process) in self.processes.iter_mut().enumerate() {
            if let Some(status) = process.ended() {
                fallen.push((
                    id,
                    format!("replica {id} ended ({status}){}", process.tail()),
                ));
            }
        }
        fallen
    }

    /// Stops every replica in good order. Returns a sentence for each that was not.
    pub fn stop(&mut self) -> Vec<String> {
        for process in &mut self.processes {
            process.terminate();
        }
        let deadline = Instant::now() + STOP_PATIENCE;
        let mut complaints = Vec::new();
        for (id, process) in self.processes.iter_mut().enumerate() {
            let (status, killed) = process.reap(deadline);
            if killed {
                complaints.push(format!(
                    "replica {id} did not stop within {} s and was killed",
                    STOP_PATIENCE.as_secs()
                ));
            } else if status.is_some_and(|status| !status.success()) {
                complaints.push(format!(
                    "replica {id} stopped in disorder{}",
                    process.tail()
                ));
            }
        }
        complaints
    }

    /// The file in which replica `id` keeps its committed log.
    pub fn committed_log(&self, id: usize) -> PathBuf {
        self.directory.join(format!("replica-{id}")).join(COMMITTED)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // Whoever still runs would write into a directory that is being removed.
        self.processes.clear();
        if !self.keep_data {
            remove(&self.directory);
        }
    }
}

fn remove(directory: &Path) {
    if directory.exists()
        && let Err(error) = std::fs::remove_dir_all(directory)
    {
        tracing::warn!("{} stays behind: {error}", directory.display());
    }
}
