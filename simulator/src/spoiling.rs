//! What goes wrong with disks: what they hold is lost while their replica is down (D3, D4, D6, D7), or they fail while it
//! runs (D1, D2, D5, D8).
//!
//! A failing disk stops its replica, which must never try again and acknowledge. A disk that lies about syncs shows it at
//! the next crash: all since the lie is gone. If the anchor lies on another disk, the replica notices and is a learner; if
//! that is lost as well, nothing within it can tell, it has forgotten promises, and it is one of the f Byzantine ones until
//! the end of the run.

use rand::RngExt;

use crate::disk::Loss;
use crate::nemesis::ARMED_FOR;
use crate::node::CrashPoint;
use crate::queue::{Remedy, What};
use crate::world::World;

/// How a disk fails under a running replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// The next sync errs.
    Sync,
    /// No room, for a while.
    Full,
    /// Syncs take half a second, for a while.
    Slow,
    /// Syncs return and write nothing, until the power goes.
    Lies,
}

impl World<'_> {
    /// A replica crashes and its disk loses something before it comes back.
    pub(crate) fn spoil_disk(&mut self) {
        // A copy of somebody's disk may be put back at some later time.
        let copied = self.rng.random_range(0..self.nodes.len());
        self.nodes[copied].disk.copy();
        let Some(at) = self.victim() else { return };
        let losses = [
            Loss::Wiped,
            Loss::Stale,
            Loss::DamagedLog,
            Loss::DamagedState,
        ];
        let loss = losses[self.rng.random_range(0..losses.len())];
        self.crash(at);
        let node = &mut self.nodes[at];
        if !node.disk.lose(loss) {
            return;
        }
        node.learner = true;
        match loss {
            Loss::Wiped => self.stats.disks_wiped += 1,
            Loss::Stale => self.stats.disks_stale += 1,
            Loss::DamagedLog => self.stats.logs_damaged += 1,
            Loss::DamagedState => self.stats.states_damaged += 1,
        }
        self.chart(|world| format!("{:<4} disk: {loss:?}", world.name(at)));
    }

    /// The disk of a running replica fails.
    pub(crate) fn fail_disk(&mut self) {
        let failures = [Failure::Sync, Failure::Full, Failure::Slow, Failure::Lies];
        let failure = failures[self.rng.random_range(0..failures.len())];
        if failure == Failure::Slow {
            return self.slow_disk();
        }
        let Some(at) = self.victim() else { return };
        let (life, node) = (self.nodes[at].life, &mut self.nodes[at]);
        let crash_in = match failure {
            Failure::Lies => {
                node.disk.begin_to_lie();
                let lasting = self.config.faults.lasting.clone();
                self.drawn(&lasting)
            }
            failure => {
                node.armed = Some(match failure {
                    Failure::Full => CrashPoint::NoRoom,
                    _ => CrashPoint::SyncFails,
                });
                // A replica that writes nothing does not find out.
                ARMED_FOR
            }
        };
        self.chart(|world| format!("{:<4} disk: {failure:?}", world.name(at)));
        let at = at as u32;
        let remedy = match failure {
            Failure::Lies => Remedy::PowerCut { at, life },
            _ => Remedy::Disarm { at, life },
        };
        self.schedule(crash_in, What::Remedy(remedy));
    }

    /// Anybody's disk may be slow: that is no fault, only late.
    fn slow_disk(&mut self) {
        let at = self.rng.random_range(0..self.nodes.len());
        let lasting = self.config.faults.lasting.clone();
        let after = self.drawn(&lasting);
        self.nodes[at].slow_until = self.now + after;
        self.stats.disks_slow += 1;
        self.chart(|world| format!("{:<4} disk: Slow", world.name(at)));
    }

    /// A disk that failed is well again before its replica noticed anything.
    pub(crate) fn disarm(&mut self, at: usize, life: u32) {
        let node = &mut self.nodes[at];
        let failing = matches!(node.armed, Some(CrashPoint::SyncFails | CrashPoint::NoRoom));
        if node.life == life && failing {
            node.armed = None;
        }
    }

    /// A crash shows what a disk that lied really holds.
    pub(crate) fn lies_come_to_light(&mut self, at: usize) {
        if !self.nodes[at].disk.lies() {
            return;
        }
        let noticed = self.rng.random();
        let node = &mut self.nodes[at];
        node.disk.come_to_light(noticed);
        if noticed {
            node.learner = true;
            self.stats.lies_noticed += 1;
        } else {
            node.forgetful = true;
            self.stats.lies_unnoticed += 1;
        }
        self.chart(|world| {
            let how = if noticed {
                "notices"
            } else {
                "does not notice"
            };
            format!("{:<4} disk had lied, and it {how}", world.name(at))
        });
    }
}
