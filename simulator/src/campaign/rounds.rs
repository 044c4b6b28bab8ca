//! A round of a short schedule: what becomes of its messages, and who is struck in it.

use std::time::Duration;

use rand::RngExt;

use crate::network::Partition;
use crate::queue::What;
use crate::world::World;

/// An arrangement of the network lasts for a round, and one in this many for the next as well.
const LASTS: u32 = 3;
/// One round in this many strikes a process, if anything that strikes is enabled.
const STRIKES: u32 = 3;
/// One round in this many has lossy links, and one as many messages that come rounds later.
const STORMS: u32 = 4;
/// The share of messages that are lost, or held back, then.
const STORM: f64 = 0.3;

impl World<'_> {
    /// A round begins, unless everything is healed already.
    pub(crate) fn begin_round(&mut self) {
        let Some(round) = self.config.faults.round else {
            return;
        };
        if self.healed {
            return;
        }
        self.weather();
        self.redraw_sides();
        self.strike_someone(round);
        self.schedule(round, What::Round);
    }

    fn weather(&mut self) {
        let lossy = if self.one_in(STORMS) { STORM } else { 0.0 };
        let late = if self.one_in(STORMS) { STORM } else { 0.0 };
        self.network.set_weather(lossy, late);
        if !self.config.faults.partitions || self.one_in(LASTS) {
            return;
        }
        let kind = match self.rng.random_range(0..12) {
            0..=3 => return self.network.reconnect(),
            4 | 5 => Partition::Groups,
            6 => Partition::OneWay,
            7 => Partition::Bridge,
            8 => Partition::Primary,
            9 => Partition::Ring,
            10 => Partition::Links(1),
            _ => Partition::Links(4),
        };
        self.arrange(kind);
    }

    fn strike_someone(&mut self, round: Duration) {
        let faults = &self.config.faults;
        let on = [
            faults.crashes,
            faults.pauses,
            faults.disks,
            faults.failing_disks,
            faults.power_cuts,
        ];
        let enabled: Vec<usize> = (0..on.len()).filter(|at| on[*at]).collect();
        if enabled.is_empty() || !self.one_in(STRIKES) {
            return;
        }
        match enabled[self.rng.random_range(0..enabled.len())] {
            0 => self.strike(),
            1 => self.pause(),
            2 => self.spoil_disk(),
            3 => self.fail_disk(),
            _ => self.cut_power(round / 2..round * 2),
        }
    }
}
