//! What follows a repeat's measurement: everything is stopped, what it left is collected and
//! checked, the figures are doubted where they should be, and the files are written.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::links::Network;
use super::liveness::{Disturbed, Watched};
use super::repeat::{Measured, Running, Target, unwritable};
use super::{checks, facts, faults};
use replica::observer::status::ReplicaStatus;

use crate::check::{
    CheckResult, CommittedLog, EXECUTED_FILE, ExecutedLog, Kept, RESOURCES_FILE, Remains,
    SIGNATURES_FILE, Usage, check_resources, keep_evidence, parse_committed, write_burdens,
    write_usage,
};
use crate::exit::Exit;
use crate::load::WorkerReport;
use crate::options::RunError;
use crate::record::{
    HistoryCounts, HistoryFacts, HistoryMode, REPLICAS_FILE, Repeat, read_history,
    write_latency_files, write_timeseries,
};
use crate::report::Stage;
use crate::scenario::correct;

/// Share of the machine that the load generator may use before the figures are doubted.
const GENERATOR_SHARE_MAX: f64 = 0.8;
/// Times that the replicas are asked how much they executed before nobody knows.
const EXECUTED_ASKED_MAX: u32 = 10;

/// Bytes of contents that stay with the results: a minute of 30,000 operations a second.
const CONTENTS_KEPT_BYTES_MAX: u64 = 256 << 20;

/// How a repeat ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// As planned.
    Planned,
    /// Somebody stopped it.
    Early,
}

/// A repeat's results.
pub(super) struct RepeatOutcome {
    pub(super) repeat: Repeat,
    pub(super) warnings: Vec<String>,
    pub(super) ended: Ended,
    /// What the replicas say of their storage; `mixed` if they differ.
    pub(super) durability: Option<String>,
}

impl Running<'_> {
    fn unwritable(&self, error: &std::io::Error) -> RunError {
        unwritable(&self.directory.path(), error)
    }

    /// Stops everything, checks what was left and writes the files.
    pub(super) fn finish(mut self, measured: Measured) -> Result<RepeatOutcome, RunError> {
        let ended = if self.stopped() {
            Ended::Early
        } else {
            Ended::Planned
        };
        if ended == Ended::Early {
            self.event("interrupted", &[]);
        }
        self.progress.phase(Stage::Stop, Duration::ZERO);
        let mut requests = checks::Requests::default();
        if matches!(self.target, Target::Local(_)) {
            requests.executed = self.executed_requests();
        }
        let mut collected = None;
        for thread in std::mem::take(&mut self.threads) {
            let (report, logs) = thread.close()?;
            collected = collected.or(logs);
            requests.answered += report.answered_requests;
            requests.unknown += report.unknown_requests;
            self.take_report(report);
        }
        if let Target::Local(local) = &self.target {
            let complaints = local.stop();
            self.warnings.extend(complaints);
        }
        let local = matches!(self.target, Target::Local(_));
        self.yardstick
            .measure_again(&self.directory.path(), self.scenario, local);
        let attacks = measured
            .injected
            .iter()
            .filter_map(|one| one.attacked.as_ref());
        requests.hostile = attacks.map(|attacked| attacked.counts.executable).sum();
        let committed = self.committed_logs(collected)?;
        self.progress.phase(Stage::Check, Duration::ZERO);
        let counts = match self.history.take() {
            Some(history) => history.finish().map_err(|error| self.unwritable(&error))?,
            None => HistoryCounts::default(),
        };
        let recording = &measured.recording;
        let facts = HistoryFacts::new(self.mode, counts);
        let mut repeat =
            Repeat::measured(self.seed, measured.duration.as_secs_f64(), recording, facts);
        repeat.key_prefix = self.key_prefix.clone();
        repeat.measured_from_ns = Some(self.measured_ns);
        let liars = self.scenario.byzantine_replicas();
        repeat.consensus = measured.ends.without(&liars).consensus(
            &committed,
            self.scenario.cluster.storage.checkpoint_interval,
        );
        repeat.resources = measured
            .ends
            .resources(measured.generator, repeat.operations.ok);
        self.explain(&mut repeat, &measured);
        let remains = self.remains(committed);
        let (checks, verdicts) = checks::check(
            self.scenario,
            &remains,
            recording,
            &checks::Circumstances {
                watched: Watched {
                    measured: measured.duration,
                    drained: measured.drained,
                },
                disturbed: self.disturbed(&measured),
                local: matches!(self.target, Target::Local(_)),
            },
            requests,
        );
        repeat.checks = checks;
        repeat.checks.resources = self.resources(&measured)?;
        self.progress.judged(&repeat.checks);
        repeat.evidence = keep_evidence(&self.directory.path(), &verdicts.proofs)
            .map_err(|error| self.unwritable(&error))?;
        if let Some(again) = &verdicts.reexecution {
            self.keep_contents(&again.contents)?;
        }
        repeat.faults = faults::facts(
            &measured.injected,
            &faults::Seen {
                recording,
                progress: &self.progressed.iter().cloned().collect::<Vec<_>>(),
                measured: measured.duration,
            },
        );
        repeat.network = self.network.as_ref().map(|network| network.facts());
        self.warnings
            .extend(repeat.network.as_ref().and_then(Network::doubt));
        repeat.bounds = self.yardstick.bounds(self.scenario, &repeat);
        self.warnings.extend(self.yardstick.doubts(self.scenario));
        self.doubt(&repeat, measured.generator_share);

        let since_measured = self.clock.now_ns().saturating_sub(self.measured_ns);
        let measured_at = SystemTime::now() - Duration::from_nanos(since_measured);
        write_latency_files(&self.directory.latency(), recording, measured_at)
            .map_err(|error| self.unwritable(&error))?;
        write_timeseries(
            &self.directory.join("timeseries.csv"),
            recording,
            &measured.samples,
        )
        .map_err(|error| self.unwritable(&error))?;
        let follow = measured.follow.into_series();
        follow
            .write(&self.directory.join(REPLICAS_FILE))
            .map_err(|error| self.unwritable(&error))?;
        let folder = self.directory.path();
        // The thread of the faults had the only other handle, and has ended.
        if let Some(events) = Arc::into_inner(self.events) {
            events
                .finish()
                .map_err(|error| unwritable(&folder, &error))?;
        }
        self.progress.finish();
        let durability = facts::durability(&self.snapshot);
        Ok(RepeatOutcome {
            durability,
            repeat,
            warnings: self.warnings,
            ended,
        })
    }

    /// What the liveness of this repeat is judged by.
    fn disturbed(&self, measured: &Measured) -> Disturbed {
        let ends = measured.injected.iter().map(|fault| fault.end);
        let all: Option<Vec<Duration>> = ends.collect();
        Disturbed {
            healed: all.and_then(|ends| ends.into_iter().max()),
            excesses: self.scenario.excesses(),
        }
    }

    /// Requests executed by the correct replica that got furthest. Each accepted answer has f + 1 replicas
    /// behind it, so among any n - f there is one that has executed all that was answered; fewer, or
    /// old news, prove nothing. Replicas count from the start of their process, and only what they
    /// executed themselves: those that were restarted or fetched a state do not know.
    fn executed_requests(&mut self) -> Option<u64> {
        let cluster = &self.scenario.cluster;
        let enough = (cluster.n - cluster.f) as usize;
        let liars = self.scenario.byzantine_replicas();
        for _ in 0..EXECUTED_ASKED_MAX {
            let snapshot = self.poll();
            let fresh: Vec<&ReplicaStatus> = snapshot
                .heard()
                .map(|(_, status)| status)
                .filter(|status| !liars.contains(&u32::from(status.replica)))
                .collect();
            let furthest = fresh.iter().map(|status| status.last_executed).max();
            let knows = |status: &&&ReplicaStatus| {
                Some(status.last_executed) == furthest
                    && status.consensus.state_transfers == 0
                    && self.lived_once(usize::from(status.replica))
            };
            let counts = fresh.iter().filter(knows);
            let executed = counts
                .map(|status| status.consensus.executed_requests)
                .max();
            if fresh.len() >= enough && executed.is_some() {
                return executed;
            }
        }
        None
    }

    fn lived_once(&self, id: usize) -> bool {
        match &self.target {
            Target::Local(local) => local.members().only_life(id),
            Target::Attached => true,
        }
    }

    /// The replicas' committed logs, copied into the results; those of correct replicas are parsed.
    fn committed_logs(
        &mut self,
        collected: Option<Vec<String>>,
    ) -> Result<Vec<CommittedLog>, RunError> {
        let mut logs = Vec::new();
        for id in 0..self
            .scenario
            .cluster
            .n
            .max(self.snapshot.replicas.len() as u32)
        {
            let text = match (&self.target, &collected) {
                (Target::Local(local), _) => local.committed_log(id as usize),
                (Target::Attached, Some(collected)) => collected.get(id as usize).cloned(),
                (Target::Attached, None) => None,
            };
            let Some(text) = text else {
                if matches!(self.target, Target::Local(_)) {
                    self.warnings
                        .push(format!("replica {id} left no committed log"));
                }
                continue;
            };
            let folder = self
                .directory
                .replica(id)
                .map_err(|error| RunError::new(Exit::Environment, error.to_string()))?;
            crate::record::write_file(&folder.join("committed.jsonl"), text.as_bytes())
                .map_err(|error| self.unwritable(&error))?;
            // What a liar writes about itself proves nothing.
            if self.scenario.byzantine_replicas().contains(&id) {
                continue;
            }
            match parse_committed(id, &text) {
                Ok(log) => logs.push(log),
                Err(error) => self.warnings.push(error.to_string()),
            }
        }
        Ok(logs)
    }

    /// What the replicas needed, disk and log included, written and judged.
    fn resources(&self, measured: &Measured) -> Result<CheckResult, RunError> {
        let burdens = measured.burdens.totals();
        write_burdens(&self.directory.join(SIGNATURES_FILE), &burdens)
            .map_err(|error| self.unwritable(&error))?;
        let mut usage = measured.usage.usage();
        if let Target::Local(local) = &self.target {
            let t_s = measured.duration.as_secs_f64();
            for replica in 0..self.scenario.cluster.n {
                let last = usage.iter().rfind(|each| each.replica == replica).copied();
                let log = self.directory.logs().join(format!("replica-{replica}.log"));
                usage.push(Usage {
                    t_s,
                    replica,
                    data: Some(local.data_bytes(replica as usize)),
                    log: std::fs::metadata(log).ok().map(|meta| meta.len()),
                    ..last.unwrap_or_default()
                });
            }
        }
        write_usage(&self.directory.join(RESOURCES_FILE), &usage)
            .map_err(|error| self.unwritable(&error))?;
        let correct = correct(self.scenario);
        Ok(check_resources(
            &usage,
            Some(&burdens),
            &self.scenario.check.resources,
            |id| correct.contains(&id),
        ))
    }

    /// What the checks look at.
    fn remains(&self, committed: Vec<CommittedLog>) -> Remains {
        let exhibits = match &self.target {
            Target::Attached => {
                Err("the replicas run elsewhere and keep their evidence".to_owned())
            }
            Target::Local(local) => (0..local.file().replicas.len())
                .map(|id| local.evidence(id))
                .collect::<std::io::Result<Vec<_>>>()
                .map(|each| each.concat())
                .map_err(|error| format!("the evidence cannot be read: {error}")),
        };
        let executed = match &self.target {
            Target::Attached => Kept::Elsewhere,
            Target::Local(_) if !self.scenario.check.state => {
                Kept::Missing("the scenario does not ask for it".to_owned())
            }
            Target::Local(local) => (0..local.file().replicas.len())
                .filter_map(|id| local.executed_log(id).transpose())
                .collect::<std::io::Result<_>>()
                .map_or_else(
                    |error| Kept::Missing(format!("an executed log cannot be read: {error}")),
                    Kept::Logs,
                ),
        };
        Remains {
            cluster: self.file.cluster().map_err(|error| error.to_string()),
            correct: correct(self.scenario),
            committed,
            executed,
            exhibits,
            history: match self.mode {
                HistoryMode::Off => Err("no history was kept".to_owned()),
                _ => read_history(&self.directory.join("history.jsonl")),
            },
        }
    }

    /// Keeps what is needed to check the run again: the public keys, and the contents unless there are too many.
    fn keep_contents(&mut self, contents: &ExecutedLog) -> Result<(), RunError> {
        let bytes = contents.bytes();
        if bytes > CONTENTS_KEPT_BYTES_MAX {
            self.warnings.push(format!(
                "{EXECUTED_FILE} is not kept, since it would have {} MiB: the state was checked, but \
                 `bench verify` cannot check it again",
                bytes >> 20
            ));
            return Ok(());
        }
        contents
            .write(&self.directory.join(EXECUTED_FILE))
            .map_err(|error| self.unwritable(&error))
    }

    fn take_report(&mut self, report: WorkerReport) {
        for (complaint, count) in report.complaints {
            self.warnings.push(format!("{count} x {complaint}"));
        }
        if report.differing > 0 {
            self.warnings.push(format!(
                "{} replies differed from the accepted result: a replica is broken or lies",
                report.differing
            ));
        }
    }

    /// Reasons to doubt the figures.
    fn doubt(&mut self, repeat: &Repeat, generator_share: f64) {
        if generator_share > GENERATOR_SHARE_MAX {
            self.warnings.push(format!(
                "the load generator used {:.0} % of its threads: it may be what limits the \
                 throughput; give it fewer clients or more operations a request",
                generator_share * 100.0
            ));
        }
        let late = repeat.operations.late;
        if late * 100 > repeat.operations.sent && repeat.operations.sent > 0 {
            self.warnings.push(format!(
                "{late} operations were sent more than 10 ms after their intended start: the load \
                 generator was behind; latency counts from the intended start all the same"
            ));
        }
    }
}
