//! Watches the replicas while the load threads do their stage: where they stand, what changed, what the user is shown.

use std::time::Duration;

use super::{NS, Running, STAGE_WAIT, Target};
use crate::cluster::Snapshot;
use crate::options::RunError;
use crate::record::{ClusterSample, ProcessResources, Recording, SeenCluster, Thinned};
use crate::report::Stage;
use crate::run::facts;
use crate::run::faults::{Progressed, Standing, Timeline};
use crate::run::machine::MachineWatch;
use crate::run::threads::{LoadThread, Poller};

/// Between two looks at the replicas.
const POLL: Duration = Duration::from_millis(200);
/// What a replica without a vote calls itself.
const LEARNER: &str = "learner";

impl Running<'_> {
    /// Waits for every thread's stage while the replicas are watched and progress is shown.
    /// Snapshots are taken when the measured phase begins and ends.
    pub(super) fn wait_for_all(
        &mut self,
        end_ns: u64,
        samples: &mut Thinned<ClusterSample>,
        first: &mut Option<(Snapshot, ProcessResources)>,
        last: &mut Option<(Snapshot, ProcessResources)>,
    ) -> Result<Recording, RunError> {
        let measuring = end_ns != u64::MAX;
        let mut waiting: Vec<usize> = (0..self.threads.len()).collect();
        let mut merged = Recording::default();
        let mut next_poll = self.clock.now_ns();
        let mut draining = false;
        while !waiting.is_empty() {
            let mut still = Vec::new();
            for index in std::mem::take(&mut waiting) {
                match self.threads[index].finished(STAGE_WAIT)? {
                    Some(recorder) => merged.merge(recorder.into_recording()),
                    None => still.push(index),
                }
            }
            waiting = still;
            for note in self.timeline.iter().flat_map(Timeline::notes) {
                self.progress.note(&note);
            }
            let now = self.clock.now_ns();
            let begins = measuring && first.is_none() && now >= self.measured_ns;
            let ends = measuring && last.is_none() && now >= end_ns;
            if begins && !draining {
                self.progress
                    .phase(Stage::Measure, self.scenario.load.duration);
            }
            // Whoever interrupts a run waits for the last answers, too.
            if !draining && (ends || self.stopped()) {
                draining = true;
                self.progress.phase(Stage::Drain, Duration::ZERO);
            }
            if begins || ends || now >= next_poll {
                next_poll = now + u64::try_from(POLL.as_nanos()).unwrap_or(u64::MAX);
                // What is counted between two moments has to be of these moments.
                let snapshot = match begins || ends {
                    true => self.poll(),
                    false => self.look(),
                };
                let at_ns = self.heard_ns(&snapshot).saturating_sub(self.measured_ns);
                if begins {
                    *first = Some((snapshot.clone(), facts::own_process()));
                    self.machine = Some(MachineWatch::start());
                    samples.push(facts::sample(&snapshot, 0));
                } else if measuring && first.is_some() && last.is_none() {
                    samples.push(facts::sample(&snapshot, at_ns));
                    if let Some(network) = &self.network {
                        network.sample(&snapshot);
                    }
                }
                if measuring && first.is_some() {
                    let liars = self.scenario.byzantine_replicas();
                    let (clock, measured_ns) = (self.clock, self.measured_ns);
                    let time = |at| clock.at_ns(at).saturating_sub(measured_ns) as f64 / NS;
                    self.follow.look(&snapshot, time, &liars);
                    self.burdens.look(&snapshot, time);
                    self.usage.push(facts::usage(&snapshot, time));
                }
                if let Some(machine) = self.machine.as_mut().filter(|_| last.is_none()) {
                    machine.look();
                }
                if ends {
                    if let Some(machine) = &mut self.machine {
                        machine.end();
                    }
                    *last = Some((snapshot.clone(), facts::own_process()));
                }
                self.progress.look(|| facts::replicas(&snapshot));
                let recent = self.live.take_recent();
                let seen = facts::view(&snapshot);
                if seen.replicas_up > 0 {
                    self.live.saw(SeenCluster {
                        view: seen.view,
                        replicas_up: seen.replicas_up,
                    });
                }
                self.progress.tick(&self.live.snapshot(), recent, &seen);
            }
        }
        Ok(merged)
    }

    /// Asks the replicas where they stand, waits for each, and notes what changed.
    pub(in crate::run) fn poll(&mut self) -> Snapshot {
        self.ask(Poller::poll)
    }

    /// The same without waiting for those that are silent.
    fn look(&mut self) -> Snapshot {
        self.ask(Poller::look)
    }

    /// When the last of the news came; now, if there are none.
    fn heard_ns(&self, snapshot: &Snapshot) -> u64 {
        let newest = snapshot.heard().map(|(at, _)| at).max();
        newest.map_or_else(|| self.clock.now_ns(), |at| self.clock.at_ns(at))
    }

    fn ask(&mut self, ask: fn(&Poller) -> Option<Snapshot>) -> Snapshot {
        let poller = self.threads.first().map(LoadThread::poller);
        let snapshot = poller.as_ref().and_then(ask).unwrap_or_default();
        let mut heard: Vec<_> = snapshot.heard().collect();
        heard.sort_by_key(|(at, _)| *at);
        for (at, status) in heard {
            let id = usize::from(status.replica);
            let Some(Some(before)) = self.snapshot.replicas.get(id) else {
                continue;
            };
            let at_ns = self.clock.at_ns(at);
            let replica = ("replica", serde_json::Value::from(id));
            if status.view != before.view {
                self.event_at(
                    at_ns,
                    "view-change",
                    &[replica.clone(), ("view", status.view.into())],
                );
            }
            if status.stable != before.stable {
                self.event_at(
                    at_ns,
                    "checkpoint",
                    &[replica.clone(), ("seq", status.stable.into())],
                );
            }
            if status.epoch != before.epoch {
                self.event_at(
                    at_ns,
                    "epoch",
                    &[replica.clone(), ("epoch", status.epoch.into())],
                );
            }
            if status.role != before.role {
                self.event_at(
                    at_ns,
                    "role",
                    &[replica.clone(), ("role", status.role.clone().into())],
                );
            }
            let transfers = facts::transfers(before, status);
            if transfers > 0 {
                let bytes = ("bytes", status.consensus.transfer_bytes.into());
                self.event_at(at_ns, "state-transfer", &[replica.clone(), bytes]);
            }
            let fell_back = status.consensus.fallbacks
                - before.consensus.fallbacks.min(status.consensus.fallbacks);
            if fell_back > 0 {
                self.event_at(at_ns, "fallback", &[replica, ("slots", fell_back.into())]);
            }
        }
        let mut fallen = Vec::new();
        if let Target::Local(local) = &self.target {
            fallen = local.fallen();
        }
        for (id, complaint) in fallen {
            if !self.warnings.contains(&complaint) {
                self.event("replica-ended", &[("replica", id.into())]);
                self.progress.note(&complaint);
                self.warnings.push(complaint);
            }
        }
        self.note_progress(&snapshot);
        self.snapshot = snapshot.clone();
        snapshot
    }

    fn note_progress(&mut self, snapshot: &Snapshot) {
        let now_ns = self.clock.now_ns();
        if self.measured_ns == 0
            || now_ns < self.measured_ns
            || (self.scenario.faults.is_empty() && self.scenario.byzantine.is_empty())
        {
            return;
        }
        let answers = snapshot.replicas.iter().zip(&snapshot.answered);
        let replicas = answers.map(|(status, answered)| {
            let (status, at) = (status.as_ref()?, (*answered)?);
            let at_ns = self.clock.at_ns(at).saturating_sub(self.measured_ns);
            Some(Standing {
                at: Duration::from_nanos(at_ns),
                executed: status.last_executed,
                // A replica that does not know the word has no other role.
                member: status.role != LEARNER,
            })
        });
        let replicas = replicas.collect();
        self.progressed.push(Progressed { replicas });
    }
}
