//! The replicas of a local cluster as a fault plan sees them: each can be killed, paused, stopped and started again,
//! by one thread for each fault while others watch. Who is away by plan is no failure of the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use network::genesis::{CLUSTER_FILE, REPLICA_KEY};

use super::child::Arguments;
use super::control::{ControlLine, Deeds};
use super::member_file::MemberFile;
use super::process::Process;

/// Names of committed logs begin with it.
pub(super) const COMMITTED_STEM: &str = "committed";
/// A replica that is started again must listen after this long: it reads what it has on disk first.
const RESTART_PATIENCE: Duration = Duration::from_secs(60);
/// A replica has this long to stop in good order.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// All replicas of a local cluster.
pub struct Members(Vec<Mutex<Member>>);

/// One replica over all its lives.
struct Member {
    id: usize,
    /// Those of its first life.
    arguments: Arguments,
    /// What it is besides; `told` is kept apart, as it changes.
    file: MemberFile,
    log: PathBuf,
    /// What it was told last of each kind, and when.
    told: BTreeMap<&'static str, (Instant, ControlLine)>,
    /// What its processes have done, if it is Byzantine.
    deeds: Vec<Arc<Mutex<Deeds>>>,
    /// Times that it was started.
    lives: usize,
    state: State,
}

/// A replica that was just started for the first time.
pub(super) struct FirstLife {
    pub(super) process: Process,
    pub(super) arguments: Arguments,
    pub(super) file: MemberFile,
    pub(super) log: PathBuf,
}

enum State {
    /// It runs, unless it ended by itself.
    Up(Process),
    /// It stands still by plan.
    Paused(Process),
    /// It is away by plan.
    Away,
}

/// Why a fault could not strike or end as planned: a sentence.
pub type Failed = String;

impl Members {
    /// Replicas that were just started for the first time.
    pub(super) fn new(started: Vec<FirstLife>) -> Self {
        let member = |(id, first): (usize, FirstLife)| {
            Mutex::new(Member {
                id,
                arguments: first.arguments,
                file: first.file,
                log: first.log,
                told: BTreeMap::new(),
                deeds: vec![first.process.deeds()],
                lives: 1,
                state: State::Up(first.process),
            })
        };
        Members(started.into_iter().enumerate().map(member).collect())
    }

    fn member(&self, id: usize) -> MutexGuard<'_, Member> {
        // A thread that panicked has not left a member half changed: each change is one assignment.
        self.0[id].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> impl Iterator<Item = MutexGuard<'_, Member>> {
        (0..self.0.len()).map(|id| self.member(id))
    }

    /// Replicas.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Says something to a replica. One that is away is told when it is started again.
    ///
    /// # Errors
    /// If the replica stands still for so long that it has left too much unread.
    pub fn tell(&self, id: usize, line: ControlLine) -> Result<(), Failed> {
        let mut member = self.member(id);
        let now = Instant::now();
        member.told.insert(line.kind(), (now, line.clone()));
        match &member.state {
            State::Up(process) | State::Paused(process) => process.tell(line),
            State::Away => Ok(()),
        }
    }

    /// What a Byzantine replica has done in all its lives.
    pub fn deeds(&self, id: usize) -> Deeds {
        let member = self.member(id);
        let lives = member.deeds.iter();
        lives.fold(Deeds::default(), |all, life| {
            all.and(&life.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// If the replica does not run.
    pub fn kill(&self, id: usize) -> Result<(), Failed> {
        self.member(id).leave()?.kill();
        Ok(())
    }

    /// SIGTERM; returns when the replica has stopped.
    ///
    /// # Errors
    /// If the replica does not run, or does not stop in good order.
    pub fn stop(&self, id: usize) -> Result<(), Failed> {
        let mut process = self.member(id).leave()?;
        process.terminate();
        let (status, killed) = process.reap(Instant::now() + STOP_PATIENCE);
        match status {
            _ if killed => Err(not_stopped(id)),
            Some(status) if status.success() => Ok(()),
            _ => Err(format!(
                "replica {id} stopped in disorder{}",
                process.tail()
            )),
        }
    }

    /// SIGSTOP.
    ///
    /// # Errors
    /// If the replica does not run.
    pub fn pause(&self, id: usize) -> Result<(), Failed> {
        let mut member = self.member(id);
        let mut process = member.leave()?;
        process.pause();
        member.state = State::Paused(process);
        Ok(())
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// If the replica is not paused.
    pub fn resume(&self, id: usize) -> Result<(), Failed> {
        let mut member = self.member(id);
        match std::mem::replace(&mut member.state, State::Away) {
            State::Paused(mut process) => {
                process.resume();
                member.state = State::Up(process);
                Ok(())
            }
            other => {
                member.state = other;
                Err(format!("replica {id} is not paused"))
            }
        }
    }

    /// Starts a replica that is away, with what it left on its disk, or with nothing; returns when it listens.
    ///
    /// # Errors
    /// If it does not come back: with the end of its log.
    pub fn start(&self, id: usize, wipe: bool) -> Result<(), Failed> {
        let (arguments, file, log) = {
            let mut member = self.member(id);
            if !matches!(member.state, State::Away) {
                return Err(format!("replica {id} runs already"));
            }
            member.lives += 1;
            let arguments = member.arguments_of(member.lives);
            (arguments, member.file_now(), member.log.clone())
        };
        if wipe {
            lose_disk(&arguments.dir)
                .map_err(|error| format!("cannot wipe {}: {error}", arguments.dir.display()))?;
        }
        let spawned = Instant::now();
        let mut process = Process::start(id, &arguments, &file, &log)
            .map_err(|error| format!("cannot start replica {id} again: {error}"))?;
        process
            .wait_ready(Instant::now() + RESTART_PATIENCE)
            .map_err(|failed| failed.message)?;
        let mut member = self.member(id);
        member.deeds.push(process.deeds());
        let mut meanwhile = member.told.values().filter(|(at, _)| *at >= spawned);
        let told = meanwhile.try_for_each(|(at, line)| process.tell(line.later(at.elapsed())));
        member.state = State::Up(process);
        told
    }

    /// Whether every start of this replica was its first.
    pub fn only_life(&self, id: usize) -> bool {
        self.member(id).lives == 1
    }

    /// Replicas that ended without being asked to, with the end of their logs.
    pub(super) fn fallen(&self) -> Vec<(usize, String)> {
        let fallen = |mut member: MutexGuard<'_, Member>| {
            let id = member.id;
            let State::Up(process) = &mut member.state else {
                return None;
            };
            let status = process.ended()?;
            let complaint = format!("replica {id} ended ({status}){}", process.tail());
            Some((id, complaint))
        };
        self.all().filter_map(fallen).collect()
    }

    /// Stops every replica that is there in good order, paused ones too. Returns a sentence for each that was not.
    pub(super) fn stop_all(&self) -> Vec<String> {
        for mut member in self.all() {
            match &mut member.state {
                State::Up(process) => process.terminate(),
                State::Paused(process) => {
                    process.resume();
                    process.terminate();
                }
                State::Away => {}
            }
        }
        let deadline = Instant::now() + STOP_PATIENCE;
        let mut complaints = Vec::new();
        for mut member in self.all() {
            let id = member.id;
            let (State::Up(process) | State::Paused(process)) = &mut member.state else {
                continue;
            };
            let (status, killed) = process.reap(deadline);
            if killed {
                complaints.push(not_stopped(id));
            } else if status.is_some_and(|status| !status.success()) {
                complaints.push(format!(
                    "replica {id} stopped in disorder{}",
                    process.tail()
                ));
            }
        }
        complaints
    }

    /// Ends every process at once.
    pub(super) fn kill_all(&self) {
        for mut member in self.all() {
            member.state = State::Away;
        }
    }

    /// The files in which a replica kept its committed log, one for each life, in order.
    pub(super) fn committed_logs(&self, id: usize) -> Vec<PathBuf> {
        let member = self.member(id);
        (1..=member.lives)
            .map(|life| member.arguments_of(life).committed)
            .collect()
    }
}

impl Member {
    /// Takes the process out; whoever looks meanwhile sees a replica that is away by plan.
    fn leave(&mut self) -> Result<Process, Failed> {
        let id = self.id;
        match std::mem::replace(&mut self.state, State::Away) {
            State::Up(mut process) => match process.ended() {
                None => Ok(process),
                Some(status) => {
                    self.state = State::Up(process);
                    Err(format!("replica {id} had ended by itself ({status})"))
                }
            },
            other => {
                self.state = other;
                Err(format!("replica {id} is away already"))
            }
        }
    }

    /// The member file of a life that begins now.
    fn file_now(&self) -> MemberFile {
        let told = self.told.values();
        MemberFile {
            told: told.map(|(at, line)| line.later(at.elapsed())).collect(),
            ..self.file.clone()
        }
    }

    /// Every life has a committed log of its own: a replica replaces the file that it finds.
    fn arguments_of(&self, life: usize) -> Arguments {
        let mut arguments = self.arguments.clone();
        if life > 1 {
            arguments.committed = of_life(&arguments.committed, life);
        }
        arguments
    }
}

/// Removes all that a replica ever wrote, also what it keeps beside its data to notice their loss. Who it is (its key and
/// the cluster file) is restored with the machine, and the committed logs belong to the run.
fn lose_disk(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if [CLUSTER_FILE, REPLICA_KEY].contains(&name) || name.starts_with(COMMITTED_STEM) {
            continue;
        }
        if path.is_dir() {
            std::fs::remove_dir_all(&path)?;
        } else {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn of_life(path: &Path, life: usize) -> PathBuf {
    path.with_extension(format!("{life}.jsonl"))
}

fn not_stopped(id: usize) -> String {
    format!(
        "replica {id} did not stop within {} s and was killed",
        STOP_PATIENCE.as_secs()
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lost_disk_leaves_who_the_replica_is_and_what_the_run_needs() {
        let dir = tempfile::tempdir().unwrap();
        let kept = [
            CLUSTER_FILE,
            REPLICA_KEY,
            "committed.jsonl",
            "committed.2.jsonl",
        ];
        for name in kept.into_iter().chain(["LOCK", "anchor", "founding"]) {
            std::fs::write(dir.path().join(name), b"x").unwrap();
        }
        std::fs::create_dir_all(dir.path().join("data/deep")).unwrap();
        lose_disk(dir.path()).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort_unstable();
        let mut expected = kept.map(str::to_owned);
        expected.sort_unstable();
        assert_eq!(left, expected);
    }

    #[test]
    fn each_life_has_a_committed_log_of_its_own() {
        let first = Path::new("replica-3/committed.jsonl");
        assert_eq!(of_life(first, 2), Path::new("replica-3/committed.2.jsonl"));
    }
}
