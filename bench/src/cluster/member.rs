//! The replicas of a local cluster as a fault plan sees them: each can be killed, paused, stopped and started again,
//! by one thread for each fault while others watch. Who is away by plan is no failure of the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use network::Version;

use super::child::Arguments;
use super::control::{ControlLine, Deeds};
use super::member_file::MemberFile;
use super::process::{NotReady, Process};
use crate::disk::{Image, lose};
use crate::scenario::schema::Extent;

/// Names of committed logs begin with it.
pub(crate) const COMMITTED_STEM: &str = "committed";
/// Names of executed logs begin with it.
pub(crate) const EXECUTED_STEM: &str = "executed";
/// A replica that is started again must listen after this long: it reads what it has on disk first.
const RESTART_PATIENCE: Duration = Duration::from_secs(60);
/// What a replica says at its start when it has lost its vote.
const LEARNER_SAYS: &str = "has no vote until it is renewed";
/// What stands before the sentence with which a replica ends by itself.
const LAST_WORDS: &str = "replica: ";
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
    /// Whether it may end by itself: a fault is about to make it stop.
    may_end: bool,
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

/// What came of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// It listens.
    Up {
        /// It has found that promises may be lost, and so has no vote.
        learner: bool,
    },
    /// It ended at once and said why.
    Refused(String),
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
                may_end: false,
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
        if wipe {
            if !matches!(self.member(id).state, State::Away) {
                return Err(format!("replica {id} runs already"));
            }
            let home = self.home(id);
            lose(&home, Extent::Everything)
                .map_err(|error| format!("cannot wipe {}: {error}", home.display()))?;
        }
        let (_, ready) = self.launch(id, None)?;
        ready.map_err(|failed| failed.message)
    }

    /// Starts a replica that is away as a program that speaks the next version of the protocol; returns when it listens.
    ///
    /// # Errors
    /// If it does not come back: with the end of its log.
    pub fn start_upgraded(&self, id: usize) -> Result<(), Failed> {
        let (_, ready) = self.launch(id, Some(Version::PRESENT.0 + 1))?;
        ready.map_err(|failed| failed.message)
    }

    /// Starts a replica that is away and whose disk was tampered with; returns when it listens, or has refused to.
    ///
    /// # Errors
    /// If it does neither, or ends without saying why.
    pub fn try_start(&self, id: usize) -> Result<Started, Failed> {
        let (said, ready) = self.launch(id, None)?;
        match (ready, last_words(&said)) {
            (Ok(()), _) => Ok(Started::Up {
                learner: said.contains(LEARNER_SAYS),
            }),
            (Err(NotReady { code: Some(1), .. }), Some(words)) => Ok(Started::Refused(words)),
            (Err(failed), _) => Err(failed.message),
        }
    }

    /// What the new process said, and whether it listens.
    fn launch(
        &self,
        id: usize,
        speaks: Option<u32>,
    ) -> Result<(String, Result<(), NotReady>), Failed> {
        let (arguments, file, log) = {
            let mut member = self.member(id);
            if !matches!(member.state, State::Away) {
                return Err(format!("replica {id} runs already"));
            }
            member.lives += 1;
            member.may_end = false;
            let arguments = member.arguments_of(member.lives);
            let file = MemberFile {
                speaks,
                ..member.file_now()
            };
            (arguments, file, member.log.clone())
        };
        let spawned = Instant::now();
        let mut process = Process::start(id, &arguments, &file, &log)
            .map_err(|error| format!("cannot start replica {id} again: {error}"))?;
        let ready = process.wait_ready(Instant::now() + RESTART_PATIENCE);
        let said = process.said();
        if ready.is_ok() {
            let mut member = self.member(id);
            member.deeds.push(process.deeds());
            let mut meanwhile = member.told.values().filter(|(at, _)| *at >= spawned);
            let told = meanwhile.try_for_each(|(at, line)| process.tell(line.later(at.elapsed())));
            member.state = State::Up(process);
            told?;
        }
        Ok((said, ready.map(|_| ())))
    }

    /// From now on until it is started again this replica may end by itself.
    pub fn allow_end(&self, id: usize) {
        self.member(id).may_end = true;
    }

    /// What a replica said when it ended by itself; `None` if it has not. After this it is away by plan.
    ///
    /// The inner error is that of a replica that ended and did not say why.
    pub fn take_ended(&self, id: usize) -> Option<Result<String, Failed>> {
        let mut member = self.member(id);
        let State::Up(process) = &mut member.state else {
            return None;
        };
        let status = process.ended()?;
        let words = last_words(&process.said())
            .filter(|_| status.code() == Some(1))
            .ok_or_else(|| format!("replica {id} ended ({status}){}", process.tail()));
        member.state = State::Away;
        Some(words)
    }

    /// The directory of a replica.
    pub fn home(&self, id: usize) -> PathBuf {
        self.member(id).arguments.dir.clone()
    }

    /// Copies what a replica wrote, which stands still for as long as that takes. `number` tells its copies apart.
    ///
    /// # Errors
    /// If it is away, or the copy cannot be made.
    pub fn copy(&self, id: usize, number: usize) -> Result<Image, Failed> {
        self.pause(id)?;
        let home = self.home(id);
        let place = home.with_extension(format!("copy-{number}"));
        let taken = Image::take(&home, place)
            .map_err(|error| format!("cannot copy {}: {error}", home.display()));
        self.resume(id)?;
        taken
    }

    /// Bytes of memory that a replica holds; `None` if it does not run.
    pub fn resident_bytes(&self, id: usize) -> Option<u64> {
        let mut member = self.member(id);
        let State::Up(process) = &mut member.state else {
            return None;
        };
        process.resident_bytes()
    }

    /// Whether every start of this replica was its first.
    pub fn only_life(&self, id: usize) -> bool {
        self.member(id).lives == 1
    }

    /// Replicas that ended without being asked to, with the end of their logs.
    pub(super) fn fallen(&self) -> Vec<(usize, String)> {
        let fallen = |mut member: MutexGuard<'_, Member>| {
            let id = member.id;
            if member.may_end {
                return None;
            }
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

    /// The files in which a replica kept the contents of what it executed, one for each life, in order; none if it was
    /// not to.
    pub(super) fn executed_logs(&self, id: usize) -> Vec<PathBuf> {
        let member = self.member(id);
        (1..=member.lives)
            .filter_map(|life| member.arguments_of(life).executed)
            .collect()
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
            restarted: true,
            ..self.file.clone()
        }
    }

    /// Every life has logs of its own: a replica replaces the file that it finds.
    fn arguments_of(&self, life: usize) -> Arguments {
        let mut arguments = self.arguments.clone();
        if life > 1 {
            arguments.committed = of_life(&arguments.committed, life);
            arguments.executed = arguments.executed.map(|path| of_life(&path, life));
        }
        arguments
    }
}

/// The sentence with which a replica ended, if it is one that names a cause and not a bug.
fn last_words(said: &str) -> Option<String> {
    let line = said.trim_end().lines().next_back()?;
    let words = line.strip_prefix(LAST_WORDS)?;
    (!words.contains("is a bug")).then(|| words.to_owned())
}

fn of_life(path: &Path, life: usize) -> PathBuf {
    let kind = path.extension().unwrap_or_default().to_string_lossy();
    path.with_extension(format!("{life}.{kind}"))
}

fn not_stopped(id: usize) -> String {
    format!(
        "replica {id} did not stop within {} s and was killed",
        STOP_PATIENCE.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_says_why_it_ends_is_told_from_one_that_breaks() {
        let said = "WARN something\nreplica: no space left for log.db\n";
        assert_eq!(
            last_words(said).as_deref(),
            Some("no space left for log.db")
        );
        assert_eq!(last_words("thread 'core' panicked\n"), None);
        assert_eq!(last_words(""), None);
        let bug =
            "replica: stopped by the panic above, which is a bug; its data is as after a crash";
        assert_eq!(last_words(bug), None);
    }

    #[test]
    fn each_life_has_logs_of_its_own() {
        let first = Path::new("replica-3/committed.jsonl");
        assert_eq!(of_life(first, 2), Path::new("replica-3/committed.2.jsonl"));
        let contents = of_life(Path::new("replica-3/executed.bin"), 3);
        assert_eq!(contents, Path::new("replica-3/executed.3.bin"));
    }
}
