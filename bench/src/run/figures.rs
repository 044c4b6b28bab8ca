//! The figures of a repeat that explain its throughput and latency: where slots spent their time, what was sent, whether the phase
//! was steady, and what the machine did.

use super::facts::Ends;
use super::messages::{Commits, Theory};
use super::repeat::{Measured, Running, Target};
use super::{messages, slots, steadiness};
use crate::cluster::policy;
use crate::record::{MachineFacts, Repeat, Stationarity};
use crate::scenario::schema::CommitMode;

impl Running<'_> {
    /// Fills them in. What a liar says of itself is not among them.
    pub(super) fn explain(&self, repeat: &mut Repeat, measured: &Measured) {
        let ends = measured.ends.without(&self.scenario.byzantine_replicas());
        repeat.phases = slots::phases(&ends);
        repeat.fallbacks = Some(slots::fallbacks(&ends, self.scenario.cluster.n as usize));
        repeat.messages = messages::messages(&ends, &repeat.consensus, self.theory(measured));
        repeat.stationarity = Some(self.stationarity(measured));
        repeat.machine = self.machine_facts(measured);
    }

    fn theory(&self, measured: &Measured) -> Theory {
        let cluster = &self.scenario.cluster;
        let quorums = self.file.cluster().ok();
        let quorums = quorums.as_ref().map(|cluster| cluster.quorums());
        let commits = match quorums {
            Some(quorums) if quorums.prepared_is_decided() => Commits::Never,
            Some(quorums) if quorums.fast().is_none() => Commits::Always,
            _ if cluster.commit_mode == CommitMode::Eager => Commits::Always,
            _ => Commits::WhenSlow,
        };
        let ours = matches!(self.target, Target::Local(_));
        Theory {
            n: u64::from(cluster.n),
            checkpoint_interval: cluster.storage.checkpoint_interval,
            commits,
            // Replicas that run elsewhere have a policy of their own.
            status_interval: ours.then(|| policy(self.scenario).status_interval),
            measured: measured.duration,
        }
    }

    fn stationarity(&self, measured: &Measured) -> Stationarity {
        let scenario = self.scenario;
        let disturbed = if !scenario.faults.is_empty() {
            Some("the scenario has faults, so that its phase is not meant to be alike")
        } else if !scenario.byzantine.is_empty() {
            Some("the scenario has Byzantine replicas, so that its phase is not meant to be alike")
        } else if self.stopped() {
            Some("the run was interrupted")
        } else {
            None
        };
        let duration_s = measured.duration.as_secs_f64();
        steadiness::test(&measured.recording, duration_s, disturbed)
    }

    fn machine_facts(&self, measured: &Measured) -> Option<MachineFacts> {
        let watch = measured.machine.as_ref()?;
        let own = match self.target {
            Target::Local(_) => Some(replicas_cpu_s(&measured.ends) + measured.generator.cpu_s),
            Target::Attached => None,
        };
        Some(watch.facts(own))
    }
}

/// Of all replicas, liars included: they use the same processors.
fn replicas_cpu_s(ends: &Ends) -> f64 {
    let each = ends
        .spans()
        .map(|span| span.last.process.cpu_s - span.first.process.cpu_s);
    each.map(|cpu_s| cpu_s.max(0.0)).sum()
}
