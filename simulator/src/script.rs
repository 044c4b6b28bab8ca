//! Faults that come at times which are written down, not drawn: what happens to whom, and for how long.

use std::time::Duration;

use crate::disk::Loss;
use crate::world::World;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scripted {
    /// When, from the start of the run.
    pub at: Duration,
    /// To which replica.
    pub replica: u16,
    /// How long it is down.
    pub lasting: Duration,
    /// Whether its disk is empty when it comes back.
    pub wiped: bool,
}

impl World<'_> {
    /// The time of a scripted fault has come. A replica that is down already stays down as long as it would have, and loses its
    /// disk all the same.
    pub(crate) fn follow_script(&mut self, number: usize) {
        let Some(fault) = self.config.script.get(number) else {
            return;
        };
        let at = usize::from(fault.replica);
        if self.nodes[at].running.is_some() {
            self.go_down(at, None);
            self.come_back(at, fault.lasting);
        }
        if fault.wiped {
            let node = &mut self.nodes[at];
            node.learner = node.disk.lose(Loss::Wiped);
            self.stats.disks_wiped += 1;
        }
    }
}
