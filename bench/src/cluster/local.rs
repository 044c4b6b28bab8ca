//! A cluster of replica processes on loopback, for the length of one repeat.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crypto::SecretKey;
use network::ClusterFile;
use replica::evidence::EVIDENCE;
use replica::storage::sqlite::DATA;

use super::child::{Arguments, DurabilityName, EngineName};
use super::founding;
use super::member::{COMMITTED_STEM, EXECUTED_STEM, FirstLife, Members};
use super::member_file::MemberFile;
use super::process::Process;
use crate::check::{ExecutedLog, Exhibit, read_exhibits};
use crate::emulation;
use crate::exit::Exit;
use crate::options::RunError;
use crate::scenario::schema::{Durability, Engine, Scenario};
use crate::scenario::witnesses;

/// All replicas must listen after this long. Loopback and a fresh directory take milliseconds;
/// the rest is for machines that are busy with something else.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// Times that a start is tried when a chosen port turns out to be taken.
const START_ATTEMPTS: u32 = 3;
/// Exit code of a replica whose port is taken.
const PORT_TAKEN: i32 = 6;

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
    members: Arc<Members>,
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
        let witnesses = match options.scenario.check.state {
            true => witnesses(options.scenario),
            false => BTreeSet::new(),
        };
        let mut started = Vec::with_capacity(file.replicas.len());
        let mesh = options.scenario.mesh();
        for id in 0..file.replicas.len() {
            let dir = directory.join(format!("replica-{id}"));
            let witness = u32::try_from(id).is_ok_and(|id| witnesses.contains(&id));
            let arguments = Arguments {
                executed: witness.then(|| dir.join(format!("{EXECUTED_STEM}.bin"))),
                committed: dir.join(format!("{COMMITTED_STEM}.jsonl")),
                dir,
                member: directory.join(format!("member-{id}.json")),
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
            let file = MemberFile {
                seed: options.seed,
                network: mesh.as_ref().map(|mesh| emulation::Plan {
                    seed: options.seed,
                    me: u16::try_from(id).unwrap_or(u16::MAX),
                    far: options.scenario.network.is_some(),
                    links: mesh.of(id),
                }),
                restarted: false,
                speaks: None,
                byzantine: options.scenario.byzantine_plan(id as u32, options.seed),
                told: Vec::new(),
            };
            let process = Process::start(id, &arguments, &file, &log).map_err(|error| {
                let message = format!("cannot start replica {id}: {error}");
                (RunError::new(Exit::Environment, message), false)
            })?;
            started.push(FirstLife {
                process,
                arguments,
                file,
                log,
            });
        }
        let deadline = Instant::now() + START_PATIENCE;
        for FirstLife { process, .. } in &mut started {
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
            members: Arc::new(Members::new(started)),
        })
    }

    /// The replicas, for whoever injects faults.
    pub fn members(&self) -> &Arc<Members> {
        &self.members
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
    pub fn fallen(&self) -> Vec<(usize, String)> {
        self.members.fallen()
    }

    /// Stops every replica in good order. Returns a sentence for each that was not.
    pub fn stop(&self) -> Vec<String> {
        self.members.stop_all()
    }

    /// What replica `id` said that it committed, all its lives one after the other; `None` if it left nothing.
    pub fn committed_log(&self, id: usize) -> Option<String> {
        let lives: Vec<String> = self
            .members
            .committed_logs(id)
            .iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .collect();
        (!lives.is_empty()).then(|| joined(&lives))
    }

    /// The contents of what replica `id` executed in all its lives; `None` if it was not to keep them.
    ///
    /// # Errors
    /// If a file is there and cannot be read, or is none of these.
    pub fn executed_log(&self, id: usize) -> std::io::Result<Option<ExecutedLog>> {
        let replica = u32::try_from(id).ok();
        let mut whole: Option<ExecutedLog> = None;
        for path in self.members.executed_logs(id) {
            let life = match ExecutedLog::read(replica, &path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                life => life?,
            };
            match &mut whole {
                Some(whole) => whole.append(life),
                None => whole = Some(life),
            }
        }
        Ok(whole)
    }

    /// The proofs that replica `id` wrote against others.
    ///
    /// # Errors
    /// If its folder cannot be read.
    pub fn evidence(&self, id: usize) -> std::io::Result<Vec<Exhibit>> {
        let folder = self.replica(id).join(EVIDENCE);
        read_exhibits(u32::try_from(id).ok(), &folder)
    }

    /// Bytes of everything in the directory of replica `id` that it must keep, not of what it writes for this program.
    pub fn data_bytes(&self, id: usize) -> u64 {
        size(&self.replica(id).join(DATA))
    }

    fn replica(&self, id: usize) -> PathBuf {
        self.directory.join(format!("replica-{id}"))
    }
}

/// The logs of one replica's lives as one. A life that was killed may have left half a line; only that of the last may
/// stay, since nothing follows it.
fn joined(lives: &[String]) -> String {
    let mut text = String::new();
    for (number, life) in lives.iter().enumerate() {
        let whole = match number + 1 < lives.len() {
            true => life.rfind('\n').map_or(0, |end| end + 1),
            false => life.len(),
        };
        text.push_str(&life[..whole]);
    }
    text
}

impl Drop for Local {
    fn drop(&mut self) {
        // Whoever still runs would write into a directory that is being removed.
        self.members.kill_all();
        if !self.keep_data {
            remove(&self.directory);
        }
    }
}

fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return 0;
    };
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

fn remove(directory: &Path) {
    if directory.exists()
        && let Err(error) = std::fs::remove_dir_all(directory)
    {
        tracing::warn!("{} stays behind: {error}", directory.display());
    }
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn half_a_line_of_a_killed_life_does_not_spoil_the_next() {
        let lives = ["a\nb\nhal", "c\nhal"].map(str::to_owned);
        assert_eq!(joined(&lives), "a\nb\nc\nhal");
        assert_eq!(joined(&["half".to_owned(), "c\n".to_owned()]), "c\n");
    }
}
