//! What goes wrong, and when it ends. One fault after the other is drawn from those that the
//! configuration enables; a fault that would make more than f replicas faulty at a time is left
//! out, but for power cuts.

use std::ops::Range;
use std::time::Duration;

use consensus::ReplicaId;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::disk::Disk;
use crate::network::{Partition, nanos};
use crate::node::CrashPoint;
use crate::queue::{Remedy, What};
use crate::world::World;

/// A crash that finds no persistence point within this time comes anyway.
pub(crate) const ARMED_FOR: Duration = Duration::from_millis(150);
/// One stop in this many is a clean one.
const CLEAN_STOPS: u32 = 6;
/// One fault in this many that could be anybody's is the primary's.
const PRIMARYS: u32 = 3;

/// What can go wrong at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Partition,
    Crash,
    PowerCut,
    Pause,
    Clock,
    /// What is on a disk is lost in part or as a whole.
    Disk,
    /// A disk fails under a running replica.
    FailingDisk,
    /// Twins deal with other replicas than before.
    Sides,
}

/// The replicas that run twice, ascending; none of the `wicked`, who are faulty already.
pub(crate) fn drawn_twins(
    rng: &mut ChaCha8Rng,
    n: usize,
    count: usize,
    wicked: &[usize],
) -> Vec<usize> {
    let mut twins = Vec::new();
    while twins.len() < count.min(n.saturating_sub(wicked.len())) {
        let at = rng.random_range(0..n);
        if !twins.contains(&at) && !wicked.contains(&at) {
            twins.push(at);
        }
    }
    twins.sort_unstable();
    twins
}

impl World<'_> {
    pub(crate) fn drawn(&mut self, range: &Range<Duration>) -> Duration {
        let (from, to) = (nanos(range.start), nanos(range.end));
        Duration::from_nanos(self.rng.random_range(from..to.max(from + 1)))
    }

    pub(crate) fn one_in(&mut self, count: u32) -> bool {
        self.rng.random_ratio(1, count)
    }

    fn enabled(&self) -> Vec<Fault> {
        let faults = &self.config.faults;
        let all = [
            (Fault::Partition, faults.partitions),
            (Fault::Crash, faults.crashes),
            (Fault::PowerCut, faults.power_cuts),
            (Fault::Pause, faults.pauses),
            (Fault::Clock, faults.clocks),
            (Fault::Disk, faults.disks),
            (Fault::FailingDisk, faults.failing_disks),
            (Fault::Sides, faults.twins > 0),
        ];
        let on = all.into_iter().filter(|(_, on)| *on);
        on.map(|(fault, _)| fault).collect()
    }

    pub(crate) fn plan_next_fault(&mut self) {
        if !self.enabled().is_empty() {
            let every = self.config.faults.every.clone();
            let after = self.drawn(&every);
            self.schedule(after, What::Nemesis);
        }
    }

    pub(crate) fn something_goes_wrong(&mut self) {
        if self.healed {
            return;
        }
        let enabled = self.enabled();
        let fault = enabled[self.rng.random_range(0..enabled.len())];
        self.note(10, 0, fault as u64);
        match fault {
            Fault::Partition => self.partition(),
            Fault::Crash => self.strike(),
            Fault::PowerCut => {
                let lasting = self.config.faults.lasting.clone();
                self.cut_power(lasting);
            }
            Fault::Pause => self.pause(),
            Fault::Clock => self.disturb_clock(),
            Fault::Disk => self.spoil_disk(),
            Fault::FailingDisk => self.fail_disk(),
            Fault::Sides => self.redraw_sides(),
        }
        self.plan_next_fault();
    }

    /// The primary of the view that most replicas are in.
    fn primary(&self) -> ReplicaId {
        let mut primaries: Vec<ReplicaId> = self
            .nodes
            .iter()
            .filter_map(|node| Some(node.running.as_ref()?.protocol.primary()))
            .collect();
        primaries.sort_unstable();
        let middle = primaries.len() / 2;
        primaries.get(middle).copied().unwrap_or(ReplicaId(0))
    }

    /// Replicas that are faulty at the moment: down, standing still, or Byzantine.
    fn faulty(&self) -> usize {
        let n = usize::from(self.config.n);
        let nodes = self.nodes.iter().take(n);
        nodes.filter(|node| node.is_faulty()).count()
    }

    /// A replica that may fail without there being more than f faulty ones.
    pub(crate) fn victim(&mut self) -> Option<usize> {
        if self.faulty() >= usize::from(self.config.f) {
            return None;
        }
        let n = usize::from(self.config.n);
        let may_fail = |at: &usize| !self.nodes[*at].is_faulty();
        let candidates: Vec<usize> = (0..n).filter(may_fail).collect();
        let primary = self.primary().index();
        if candidates.contains(&primary) && self.one_in(PRIMARYS) {
            return Some(primary);
        }
        let count = candidates.len().max(1);
        candidates.get(self.rng.random_range(0..count)).copied()
    }

    fn partition(&mut self) {
        let kinds = [
            Partition::Groups,
            Partition::OneWay,
            Partition::Bridge,
            Partition::Primary,
            Partition::Ring,
        ];
        let kind = kinds[self.rng.random_range(0..kinds.len())];
        self.arrange(kind);
        let lasting = self.config.faults.lasting.clone();
        let after = self.drawn(&lasting);
        let arrangement = self.network.arrangement;
        self.schedule(after, What::Remedy(Remedy::Network { arrangement }));
    }

    /// Links are cut.
    pub(crate) fn arrange(&mut self, kind: Partition) {
        let primary = self.primary().index();
        self.network.arrange(&mut self.rng, kind, primary);
        self.stats.partitions += 1;
        self.stats.primary_isolated += u64::from(kind == Partition::Primary);
        self.chart(|_| format!("network: {kind:?}"));
    }

    /// A crash, now or at a persistence point; or a clean stop.
    pub(crate) fn strike(&mut self) {
        let Some(at) = self.victim() else { return };
        if self.one_in(CLEAN_STOPS) {
            return self.stop_cleanly(at);
        }
        let points = [
            None,
            Some(CrashPoint::BeforeSync),
            Some(CrashPoint::InSync),
            Some(CrashPoint::AfterSync),
            Some(CrashPoint::InBroadcast),
            Some(CrashPoint::InSave),
            Some(CrashPoint::AfterSave),
        ];
        let point = points[self.rng.random_range(0..points.len())];
        if point.is_none() {
            return self.crash(at);
        }
        self.nodes[at].armed = point;
        let life = self.nodes[at].life;
        let at = at as u32;
        self.schedule(ARMED_FOR, What::Remedy(Remedy::Crash { at, life }));
    }

    /// Power is lost at one replica, which comes back after a while.
    pub(crate) fn crash(&mut self, at: usize) {
        self.crash_keeping(at, None);
    }

    /// Of a sync that is under way so many writes have reached the disk; `None`: any number.
    pub(crate) fn crash_keeping(&mut self, at: usize, kept: Option<usize>) {
        self.go_down(at, kept);
        let lasting = self.config.faults.lasting.clone();
        let after = self.drawn(&lasting);
        self.come_back(at, after);
    }

    pub(crate) fn come_back(&mut self, at: usize, after: Duration) {
        let life = self.nodes[at].life;
        let at = at as u32;
        self.schedule(after, What::Remedy(Remedy::Restart { at, life }));
    }

    pub(crate) fn go_down(&mut self, at: usize, kept: Option<usize>) {
        let was_primary = self.primary() == self.nodes[at].id;
        let node = &mut self.nodes[at];
        if node.running.take().is_none() {
            return;
        }
        node.armed = None;
        let in_sync = node.disk.is_syncing();
        let group = node.disk.group();
        let kept = match kept {
            Some(kept) => kept,
            None if in_sync => self.rng.random_range(0..=group),
            None => 0,
        };
        let lost = self.nodes[at].disk.crash(kept);
        if self.config.faults.amnesia {
            self.nodes[at].disk = Disk::founded();
        }
        self.lies_come_to_light(at);
        self.stats.crashes += 1;
        self.stats.primary_crashes += u64::from(was_primary);
        self.stats.crashes_in_sync += u64::from(in_sync);
        self.stats.torn_writes += u64::from(lost.torn);
        self.stats.records_lost += lost.records;
        self.note(5, at as u32, lost.records);
        self.chart(|world| {
            let name = world.name(at);
            format!("{name:<4} crashes, {} records undurable", lost.records)
        });
        self.tell_clients(at, false);
    }

    fn stop_cleanly(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.running = None;
        node.disk.flush();
        node.stopped_cleanly = true;
        self.stats.clean_restarts += 1;
        self.note(11, at as u32, 0);
        self.chart(|world| format!("{:<4} stops", world.name(at)));
        self.tell_clients(at, false);
        let lasting = self.config.faults.lasting.clone();
        let after = self.drawn(&lasting);
        self.come_back(at, after);
    }

    /// Every replica crashes at once, and comes back after `lasting`.
    pub(crate) fn cut_power(&mut self, lasting: Range<Duration>) {
        self.stats.power_cuts += 1;
        for at in 0..self.nodes.len() {
            if self.nodes[at].running.is_some() {
                self.go_down(at, None);
                let after = self.drawn(&lasting);
                self.come_back(at, after);
            }
        }
    }

    pub(crate) fn pause(&mut self) {
        let Some(at) = self.victim() else { return };
        let life = self.nodes[at].life;
        if let Some(running) = &mut self.nodes[at].running {
            running.paused = Some(std::collections::VecDeque::new());
        }
        self.stats.pauses += 1;
        self.chart(|world| format!("{:<4} stands still", world.name(at)));
        let lasting = self.config.faults.lasting.clone();
        let after = self.drawn(&lasting);
        let at = at as u32;
        self.schedule(after, What::Remedy(Remedy::Resume { at, life }));
    }

    /// The process goes on, and finds everything at once that came in meanwhile.
    fn resume(&mut self, at: usize) {
        let running = self.nodes[at].running.as_mut();
        let Some(inbox) = running.and_then(|running| running.paused.take()) else {
            return;
        };
        self.chart(|world| format!("{:<4} goes on", world.name(at)));
        for what in inbox {
            self.happen(what);
        }
    }

    fn disturb_clock(&mut self) {
        let at = self.rng.random_range(0..self.nodes.len());
        let step = Duration::from_millis(self.rng.random_range(1..1_000));
        let (now, clock) = (self.now, &mut self.nodes[at].clock);
        match self.rng.random_range(0..4) {
            0 => clock.jump(Duration::from_secs(3_600)),
            1 => clock.jump(step),
            2 => clock.set_back(now, step),
            _ => {
                let rate = self.rng.random_range(900_000..1_100_000);
                clock.drift(now, rate);
                self.stats.clock_drifts += 1;
                return self.set_timers_again(at);
            }
        }
        self.stats.clock_jumps += 1;
        self.chart(|world| format!("{:<4} has another time of day", world.name(at)));
        self.set_timers_again(at);
    }

    /// The clock has changed: timers run out at another time than they were scheduled for.
    fn set_timers_again(&mut self, at: usize) {
        let Some(running) = &self.nodes[at].running else {
            return;
        };
        for (timer, generation, deadline) in running.timers_set() {
            let after = self.nodes[at].clock.until(self.now, deadline);
            let at = at as u32;
            self.schedule(
                after,
                What::Timer {
                    at,
                    timer,
                    generation,
                },
            );
        }
    }

    /// Draws anew with which instance of a replica that runs twice everybody deals.
    pub(crate) fn redraw_sides(&mut self) {
        for side in self.sides.iter_mut().flatten() {
            // The first, the second, and now and then both: otherwise nobody would ever find out.
            *side = [1, 1, 2, 2, 3][self.rng.random_range(0..5)];
        }
    }

    pub(crate) fn remedy(&mut self, remedy: Remedy) {
        match remedy {
            Remedy::Restart { at, life } => {
                let node = &self.nodes[at as usize];
                if node.running.is_none() && node.life == life {
                    self.stats.restarts += 1;
                    self.bring_up(at as usize);
                }
            }
            Remedy::Crash { at, life } => {
                let node = &self.nodes[at as usize];
                if node.running.is_some() && node.life == life && node.armed.is_some() {
                    self.crash(at as usize);
                }
            }
            Remedy::PowerCut { at, life } => {
                let node = &self.nodes[at as usize];
                if node.running.is_some() && node.life == life && node.disk.lies() {
                    self.crash(at as usize);
                }
            }
            Remedy::Disarm { at, life } => self.disarm(at as usize, life),
            Remedy::Resume { at, life } if self.nodes[at as usize].life == life => {
                self.resume(at as usize);
            }
            Remedy::Resume { .. } => {}
            Remedy::Network { arrangement } => {
                if self.network.arrangement == arrangement {
                    self.network.reconnect();
                    self.chart(|_| "network: connected".to_owned());
                }
            }
        }
    }

    /// From here on nothing goes wrong.
    pub(crate) fn heal(&mut self) {
        self.healed = true;
        self.network.heal();
        self.chart(|_| "everything is healed".to_owned());
        for at in 0..self.nodes.len() {
            let now = self.now;
            let node = &mut self.nodes[at];
            node.armed = None;
            node.clock.drift(now, 1_000_000);
            node.slow_until = now;
            node.disk.tell_the_truth();
            self.set_timers_again(at);
            if self.nodes[at].running.is_none() {
                let after = self.network.delay(&mut self.rng);
                self.come_back(at, after);
            }
            self.resume(at);
        }
        self.demand_progress();
        self.next_phase();
    }
}
