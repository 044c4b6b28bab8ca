//! Disk faults and memory caps of a timeline: what is done to one replica, from its beginning to its end.
//!
//! ```text
//!   live   (fsync-error, disk-full, read-only, slow-disk)   tell the storage ─ wait ─ tell it that all is well; start again what stopped
//!   cut    (fsync-lies, stale-restore)                      copy ─ wait ─ kill, put the copy back, start
//!   files  (the others)                                     kill, mangle, start; what refuses is put right at heal_at and started
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use network::genesis::REPLICA_KEY;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use replica::storage::sqlite::DATA;

use super::timeline::{Faults, Injected, TICK};
use crate::cluster::{ControlLine, Failed, Started};
use crate::disk::{Condition, Failing, Mangled, bit_flip, date, lose, torn_write};
use crate::scenario::schema::{DataFile, DiskAttack, Extent, Store, Strike};

/// What struck a replica just before its disk was well again may take so long to end it.
const DYING_MAX: Duration = Duration::from_secs(3);

/// How to make good what a replica cannot start with.
enum Repair {
    /// Nothing to do: whatever it finds is what it has.
    Nothing,
    /// Its own data lie here.
    Data(PathBuf),
    /// Its key was this.
    Key(Vec<u8>),
}

impl Faults {
    /// A disk fault of replica `id`. What came of it is in `injected`.
    ///
    /// # Errors
    /// If it could not be done as planned, or the replica ended without saying why.
    pub(super) fn strike_disk(
        &self,
        id: usize,
        strike: &Strike,
        attack: &DiskAttack,
        injected: &mut Injected,
    ) -> Result<(), Failed> {
        if let Some(condition) = condition(attack) {
            return self.live(id, strike, condition, injected);
        }
        match *attack {
            DiskAttack::FsyncLies { files, cut_at }
            | DiskAttack::StaleRestore { files, cut_at } => {
                // A fault that strikes again keeps the distance.
                let cut_at = strike.back_at.unwrap_or(cut_at);
                self.cut(id, cut_at, files, injected)
            }
            _ => self.files(id, strike, attack, injected),
        }
    }

    /// Kills replica `id` as soon as it holds more than `cap` bytes, until it is started again.
    ///
    /// # Errors
    /// If it ended by itself, or does not come back.
    pub(super) fn cap_memory(
        &self,
        id: usize,
        strike: &Strike,
        cap: u64,
        injected: &mut Injected,
    ) -> Result<(), Failed> {
        let members = &self.plan.members;
        let until = strike.back_at.unwrap_or(self.measured);
        let exceeded = self.wait_until(until, || {
            members.resident_bytes(id).is_some_and(|held| held > cap)
        });
        if !exceeded {
            injected.end = Some(self.now());
            return Ok(());
        }
        members.kill(id)?;
        let words = format!("held more than {cap} bytes and was killed");
        self.note(&format!("replica {id} {words}"));
        injected.what = Some(words);
        if strike.back_at.is_some() && self.sleep_until(until) {
            members.start(id, false)?;
            injected.end = Some(self.now());
        }
        Ok(())
    }

    fn live(
        &self,
        id: usize,
        strike: &Strike,
        condition: Condition,
        injected: &mut Injected,
    ) -> Result<(), Failed> {
        let members = &self.plan.members;
        members.allow_end(id);
        let is_deadly = !matches!(condition, Condition::Slow(_));
        members.tell(id, ControlLine::Disk(condition))?;
        let until = strike.back_at.unwrap_or(self.measured);
        self.wait_for_end(id, until, injected)?;
        if strike.back_at.is_none() || !self.sleep_until(until) {
            return Ok(());
        }
        members.tell(id, ControlLine::Disk(Condition::Well))?;
        if injected.stopped.is_none() {
            injected.end = Some(self.now());
            if is_deadly {
                let dead_by = (self.now() + DYING_MAX).min(self.measured);
                self.wait_for_end(id, dead_by, injected)?;
            }
        }
        if injected.stopped.is_some() {
            return self.start(id, injected);
        }
        Ok(())
    }

    /// Waits until replica `id` stops by itself, or until then.
    fn wait_for_end(
        &self,
        id: usize,
        until: Duration,
        injected: &mut Injected,
    ) -> Result<(), Failed> {
        let mut ended = None;
        self.wait_until(until, || {
            ended = self.plan.members.take_ended(id);
            ended.is_some()
        });
        if let Some(words) = ended {
            let words = words?;
            self.note(&format!("replica {id} stopped: {words}"));
            injected.stopped = Some(words);
        }
        Ok(())
    }

    fn cut(
        &self,
        id: usize,
        cut_at: Duration,
        files: Extent,
        injected: &mut Injected,
    ) -> Result<(), Failed> {
        let members = &self.plan.members;
        let image = members.copy(id, injected.mark)?;
        if !self.sleep_until(cut_at) {
            return Ok(());
        }
        members.kill(id)?;
        let home = members.home(id);
        image
            .restore(&home, files)
            .map_err(|error| unable(&home, &error))?;
        let since = cut_at.saturating_sub(injected.start);
        injected.what = Some(format!(
            "what it wrote in {:.1} s is gone",
            since.as_secs_f64()
        ));
        self.start(id, injected)
    }

    fn files(
        &self,
        id: usize,
        strike: &Strike,
        attack: &DiskAttack,
        injected: &mut Injected,
    ) -> Result<(), Failed> {
        let members = &self.plan.members;
        let home = members.home(id);
        // Taken while the other one is there to be copied.
        let foreign = match attack {
            DiskAttack::Swapped { from } => Some(members.copy(*from as usize, injected.mark)?),
            _ => None,
        };
        members.kill(id)?;
        let mut random =
            ChaCha8Rng::seed_from_u64(self.plan.seed ^ (injected.mark as u64) << 32 ^ id as u64);
        let mut repair = Repair::Nothing;
        let mangled = match *attack {
            DiskAttack::TornWrite { file } => torn_write(&home, file, &mut random),
            DiskAttack::BitFlip { file, flips } => {
                if file == DataFile::Key {
                    let key = fs::read(home.join(REPLICA_KEY));
                    repair = Repair::Key(key.map_err(|error| unable(&home, &error))?);
                }
                bit_flip(&home, file, flips, &mut random)
            }
            DiskAttack::FileTimes => date(&home, &mut random),
            DiskAttack::Wiped { files } => lose(&home, files).map(|()| Mangled {
                file: DATA.into(),
                what: "lost".to_owned(),
            }),
            _ => {
                let own = home.with_extension(format!("own-{}", injected.mark));
                let exchanged = fs::rename(home.join(DATA), &own).and_then(|()| match &foreign {
                    Some(foreign) => foreign.restore(&home, Extent::Data),
                    None => Ok(()),
                });
                repair = Repair::Data(own);
                exchanged.map(|()| Mangled {
                    file: DATA.into(),
                    what: "exchanged".to_owned(),
                })
            }
        };
        let mangled = mangled.map_err(|error| unable(&home, &error))?;
        let what = format!("{}: {}", mangled.file.display(), mangled.what);
        self.note(&format!("replica {id}: {what}"));
        injected.what = Some(what);
        self.start(id, injected)?;
        if injected.refused.is_none() || strike.back_at.is_none() {
            return Ok(());
        }
        if !strike
            .back_at
            .is_some_and(|back_at| self.sleep_until(back_at))
        {
            return Ok(());
        }
        repair.make(&home).map_err(|error| unable(&home, &error))?;
        self.start(id, injected)
    }

    /// Starts a replica with whatever its disk holds.
    fn start(&self, id: usize, injected: &mut Injected) -> Result<(), Failed> {
        match self.plan.members.try_start(id)? {
            Started::Up { learner } => {
                injected.learner |= learner;
                injected.end = Some(self.now());
            }
            Started::Refused(words) => {
                self.note(&format!("replica {id} refused to start: {words}"));
                injected.refused = Some(words);
            }
        }
        Ok(())
    }

    /// Whether `happened` before this time came or the run was stopped.
    fn wait_until(&self, at: Duration, mut happened: impl FnMut() -> bool) -> bool {
        loop {
            if happened() {
                return true;
            }
            let left = at.saturating_sub(self.now());
            if left.is_zero() || !self.sleep_until(self.now() + left.min(TICK)) {
                return false;
            }
        }
    }
}

impl Repair {
    fn make(self, home: &Path) -> std::io::Result<()> {
        match self {
            Repair::Nothing => Ok(()),
            Repair::Data(own) => {
                lose(home, Extent::Data)?;
                fs::rename(own, home.join(DATA))
            }
            // In place: the file keeps its mode.
            Repair::Key(key) => fs::write(home.join(REPLICA_KEY), key),
        }
    }
}

/// What a running replica's storage is told; `None` for attacks on its files.
fn condition(attack: &DiskAttack) -> Option<Condition> {
    Some(match *attack {
        DiskAttack::FsyncError { store: Store::Log } => Condition::FailsOnce(Failing::Log),
        DiskAttack::FsyncError {
            store: Store::State,
        } => Condition::FailsOnce(Failing::State),
        DiskAttack::DiskFull => Condition::Full,
        DiskAttack::SlowDisk { delay } => {
            Condition::Slow(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
        }
        DiskAttack::ReadOnly => Condition::ReadOnly,
        _ => return None,
    })
}

fn unable(home: &Path, error: &std::io::Error) -> Failed {
    format!("cannot tamper with {}: {error}", home.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strikes_a_running_replica_is_told_to_its_storage_and_the_rest_is_done_to_files() {
        let attacks = [
            DiskAttack::FsyncError { store: Store::Log },
            DiskAttack::FsyncLies {
                files: Extent::Data,
                cut_at: Duration::from_secs(8),
            },
            DiskAttack::TornWrite {
                file: DataFile::LogWal,
            },
            DiskAttack::BitFlip {
                file: DataFile::Any,
                flips: 1,
            },
            DiskAttack::DiskFull,
            DiskAttack::Wiped {
                files: Extent::Data,
            },
            DiskAttack::StaleRestore {
                files: Extent::Data,
                cut_at: Duration::from_secs(8),
            },
            DiskAttack::SlowDisk {
                delay: Duration::from_millis(500),
            },
            DiskAttack::Swapped { from: 1 },
            DiskAttack::ReadOnly,
            DiskAttack::FileTimes,
        ];
        let names = attacks.each_ref().map(DiskAttack::name);
        assert_eq!(names, DiskAttack::NAMES);
        for attack in &attacks {
            let name = attack.name();
            assert_eq!(condition(attack).is_some(), attack.is_live(), "{name}");
        }
    }
}
