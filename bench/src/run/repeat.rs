//! One repeat: a fresh cluster, its records, warm-up, measurement, and what was left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crypto::SecretKey;
use network::ClusterFile;

use super::facts::{self, Ends};
use super::threads::{LoadThread, ThreadPlan};
use super::{bounds, checks};
use crate::check::{CommittedLog, parse_committed};
use crate::cluster::{self, Local, LocalOptions, Snapshot};
use crate::exit::Exit;
use crate::load::{Clock, Namespace, Plan, Stage as LoadStage, WorkerReport};
use crate::options::{RunError, RunOptions};
use crate::record::{
    ClusterSample, EventLog, HistoryCounts, HistoryFacts, HistoryMode, HistoryWriter, Live, Phases,
    ProcessResources, Recorder, Recording, Repeat, RepeatDirectory, RunDirectory,
    write_latency_files, write_timeseries,
};
use crate::report::{Progress, Stage};
use crate::scenario::schema::{Linearizable, LoadModel, Scenario};
use crate::workload::{Arrivals, KeySpace, LoadPlan};

/// Between two looks at the replicas.
const POLL: Duration = Duration::from_millis(200);
/// Between the order to start and the first request, so that all workers begin together.
const LEAD: Duration = Duration::from_millis(50);
/// After this long without news a stage is waited for again.
const STAGE_WAIT: Duration = Duration::from_millis(10);
/// Share of the machine that the load generator may use before the figures are doubted.
const GENERATOR_SHARE_MAX: f64 = 0.8;
const NS: f64 = 1e9;
/// Times that the replicas are asked how much they executed before nobody knows.
const EXECUTED_ASKED_MAX: u32 = 10;
/// Events of the load phase that wait for the origin of their times; later ones count from the
/// start of the run.
const EARLY_EVENTS_MAX: usize = 4096;

/// What a repeat is made of.
pub(super) struct RepeatContext<'r> {
    pub(super) options: &'r RunOptions,
    pub(super) directory: &'r RunDirectory,
    /// From 1.
    pub(super) number: u32,
    pub(super) stop: Arc<AtomicBool>,
}

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

/// The cluster, local or not.
enum Target {
    Local(Box<Local>),
    Attached,
}

/// What the measured stage leaves.
struct Measured {
    recording: Recording,
    duration: Duration,
    ends: Ends,
    samples: Vec<ClusterSample>,
    generator: ProcessResources,
    generator_share: f64,
}

/// Runs one repeat to its end.
pub(super) fn run(context: &RepeatContext<'_>) -> Result<RepeatOutcome, RunError> {
    Running::start(context)?.go_on()
}

struct Running<'r> {
    context: &'r RepeatContext<'r>,
    scenario: &'r Scenario,
    seed: u64,
    directory: RepeatDirectory,
    target: Target,
    threads: Vec<LoadThread>,
    clock: Clock,
    progress: Progress,
    live: Arc<Live>,
    events: EventLog,
    history: Option<HistoryWriter>,
    mode: HistoryMode,
    warnings: Vec<String>,
    /// The last thing the replicas said.
    snapshot: Snapshot,
    /// Origin of the events' times; 0 until it is known.
    measured_ns: u64,
    /// What happened before it was known, and when.
    early: Mutex<Vec<EarlyEvent>>,
    /// What stands before every key of this repeat in the store.
    key_prefix: Option<String>,
}

/// Time on the run's clock, name and fields.
type EarlyEvent = (u64, String, Vec<(String, serde_json::Value)>);

fn environment(error: impl std::fmt::Display) -> RunError {
    RunError::new(Exit::Environment, error.to_string())
}

impl<'r> Running<'r> {
    fn start(context: &'r RepeatContext<'r>) -> Result<Self, RunError> {
        let options = context.options;
        let scenario = &options.loaded.scenario;
        let seed = scenario.seed.wrapping_add(u64::from(context.number) - 1);
        let directory = context
            .directory
            .repeat(context.number)
            .map_err(environment)?;
        let name = if scenario.repeat > 1 {
            format!("{} {}/{}", scenario.name, context.number, scenario.repeat)
        } else {
            scenario.name.clone()
        };
        let progress = Progress::new(options.display, &name);
        let clock = Clock::start();
        let events = EventLog::create(&directory.join("events.jsonl")).map_err(environment)?;
        let mode = options
            .history
            .unwrap_or(match scenario.check.linearizable {
                Linearizable::Off => HistoryMode::Off,
                Linearizable::Sampled => HistoryMode::Sampled,
                Linearizable::Full => HistoryMode::Full,
            });
        let history = HistoryWriter::start(&directory.join("history.jsonl"), mode, seed)
            .map_err(environment)?;

        let (target, file, keys) = match &options.attach {
            Some(path) => {
                let (file, keys) = cluster::attach(path, scenario.load.clients)?;
                (Target::Attached, file, keys)
            }
            None => {
                let local = Local::start(&LocalOptions {
                    scenario,
                    seed,
                    directory: directory.join("cluster"),
                    logs: directory.logs(),
                    log_filter: "warn".to_owned(),
                    keep_data: options.keep_data,
                })?;
                let (file, keys) = (local.file().clone(), local.client_keys()?);
                (Target::Local(Box::new(local)), file, keys)
            }
        };
        // Earlier runs and other clients have left their records there.
        let key_prefix = matches!(target, Target::Attached)
            .then(|| format!("{}/{}/", context.directory.short_id(), context.number));
        let plan = Plan {
            clock,
            ops_per_request: scenario.load.ops_per_request as usize,
            atomic: scenario.load.atomic,
            namespace: Namespace::new(key_prefix.as_deref().unwrap_or_default()),
            space: Arc::new(KeySpace::new(scenario.workload.records)),
            stop: Arc::clone(&context.stop),
        };
        let mut running = Running {
            context,
            scenario,
            seed,
            directory,
            target,
            threads: Vec::new(),
            clock,
            progress,
            live: Arc::new(Live::default()),
            events,
            history,
            mode,
            warnings: Vec::new(),
            snapshot: Snapshot::default(),
            measured_ns: 0,
            early: Mutex::default(),
            key_prefix,
        };
        running.connect(&file, keys, &plan)?;
        Ok(running)
    }

    /// Deals the clients to connection sets, and these to threads.
    fn connect(
        &mut self,
        file: &ClusterFile,
        keys: Vec<SecretKey>,
        plan: &Plan,
    ) -> Result<(), RunError> {
        let load = &self.scenario.load;
        let sets = (load.connections.clamp(1, load.clients)) as usize;
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = threads.min(sets);
        let mut dealt: Vec<Vec<Vec<(u64, SecretKey)>>> = vec![Vec::new(); threads];
        for set in 0..sets {
            dealt[set % threads].push(Vec::new());
        }
        for (number, key) in keys.into_iter().enumerate() {
            let set = number % sets;
            dealt[set % threads][set / threads].push((number as u64, key));
        }
        let collect = matches!(self.target, Target::Attached);
        for (index, hubs) in dealt.into_iter().enumerate() {
            let thread = LoadThread::start(ThreadPlan {
                file: file.clone(),
                hubs,
                pace: cluster::client_pace(self.scenario),
                load: LoadPlan::of(&self.scenario.workload, u64::from(load.clients), self.seed)
                    .map_err(|error| RunError::new(Exit::Usage, error.to_string()))?,
                plan: plan.clone(),
                observe: (index == 0).then_some(collect),
            })?;
            self.threads.push(thread);
        }
        Ok(())
    }

    fn go_on(mut self) -> Result<RepeatOutcome, RunError> {
        self.load_records()?;
        let measured = self.measure()?;
        self.finish(measured)
    }

    fn stopped(&self) -> bool {
        self.context.stop.load(Ordering::Relaxed)
    }

    fn recorder(&self, phases: Phases) -> Recorder {
        let sink = self.history.as_ref().map(HistoryWriter::sink);
        Recorder::new(phases, Arc::clone(&self.live), sink)
    }

    fn event(&self, event: &str, fields: &[(&str, serde_json::Value)]) {
        let now_ns = self.clock.now_ns();
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        if self.measured_ns == 0 && early.len() < EARLY_EVENTS_MAX {
            let fields = fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()));
            early.push((now_ns, event.to_owned(), fields.collect()));
            return;
        }
        for (at_ns, event, fields) in early.drain(..) {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect();
            self.record_event(at_ns, &event, &fields);
        }
        self.record_event(now_ns, event, fields);
    }

    fn record_event(&self, at_ns: u64, event: &str, fields: &[(&str, serde_json::Value)]) {
        let t_s = (at_ns as f64 - self.measured_ns as f64) / NS;
        if let Err(error) = self.events.record(t_s, event, fields) {
            tracing::warn!("events.jsonl: {error}");
        }
    }

    fn load_records(&mut self) -> Result<(), RunError> {
        if self.scenario.workload.records == 0 || self.stopped() {
            return Ok(());
        }
        self.progress.phase(Stage::Load, Duration::ZERO);
        self.event("load", &[]);
        // All of it lies before any warm-up.
        let phases = Phases::new(u64::MAX, u64::MAX, u64::MAX);
        for thread in &self.threads {
            thread.begin(LoadStage::Load, self.recorder(phases));
        }
        self.wait_for_all(u64::MAX, &mut Vec::new(), &mut None, &mut None)?;
        Ok(())
    }

    fn measure(&mut self) -> Result<Measured, RunError> {
        let load = self.scenario.load.clone();
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let start_ns = self.clock.now_ns() + nanos(LEAD);
        let measured_ns = start_ns + nanos(load.warmup);
        let end_ns = measured_ns + nanos(load.duration);
        self.measured_ns = measured_ns;
        let phases = Phases::new(start_ns, measured_ns, end_ns);
        self.progress.phase(Stage::Warmup, load.warmup);
        self.event("warmup", &[]);

        let clients = u64::from(load.clients);
        let sets = load.connections.clamp(1, load.clients) as usize;
        let threads = self.threads.len();
        for (index, thread) in self.threads.iter().enumerate() {
            let stage = match load.model {
                LoadModel::Closed { outstanding } => LoadStage::Closed {
                    outstanding: outstanding as usize,
                    start_ns,
                    end_ns,
                },
                LoadModel::Open { rate, arrival } => {
                    let requests = rate.per_second() / f64::from(load.ops_per_request);
                    // In the order in which `connect` dealt the clients to this thread.
                    let mut numbers: Vec<u64> = (0..clients)
                        .filter(|number| (*number as usize % sets) % threads == index)
                        .collect();
                    numbers.sort_by_key(|number| (*number as usize % sets, *number));
                    let schedules = numbers
                        .into_iter()
                        .map(|number| {
                            Arrivals::new(arrival.into(), requests, self.seed, number, clients)
                        })
                        .collect::<Result<_, _>>()
                        .map_err(|error| RunError::new(Exit::Usage, error.to_string()))?;
                    LoadStage::Open {
                        schedules,
                        start_ns,
                        end_ns,
                        outstanding_max: outstanding_max(),
                    }
                }
            };
            thread.begin(stage, self.recorder(phases));
        }
        let mut samples = Vec::new();
        let (mut first, mut last) = (None, None);
        let recording = self.wait_for_all(end_ns, &mut samples, &mut first, &mut last)?;
        let end = self.clock.now_ns().min(end_ns);
        let duration = Duration::from_nanos(end.saturating_sub(measured_ns));
        let (first, cpu_first) = first.unwrap_or_default();
        let (last, cpu_last) = match last {
            Some(last) => last,
            None => (self.poll(), facts::own_process()),
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let generator = ProcessResources {
            cpu_s: (cpu_last.cpu_s - cpu_first.cpu_s).max(0.0),
            rss_max_bytes: cpu_last.rss_max_bytes,
        };
        let threads = self.threads.len().min(cores) as f64;
        let generator_share = generator.cpu_s / duration.as_secs_f64().max(1e-9) / threads;
        Ok(Measured {
            recording,
            duration,
            ends: Ends { first, last },
            samples,
            generator,
            generator_share,
        })
    }

    /// Waits for every thread's stage while the replicas are watched and progress is shown.
    /// Snapshots are taken when the measured phase begins and ends.
    fn wait_for_all(
        &mut self,
        end_ns: u64,
        samples: &mut Vec<ClusterSample>,
        first: &mut Option<(Snapshot, ProcessResources)>,
        last: &mut Option<(Snapshot, ProcessResources)>,
    ) -> Result<Recording, RunError> {
        let measuring = end_ns != u64::MAX;
        let mut waiting: Vec<usize> = (0..self.threads.len()).collect();
        let mut merged = Recording::default();
        let mut next_poll = self.clock.now_ns();
        while !waiting.is_empty() {
            let mut still = Vec::new();
            for index in std::mem::take(&mut waiting) {
                match self.threads[index].finished(STAGE_WAIT)? {
                    Some(recorder) => merged.merge(recorder.into_recording()),
                    None => still.push(index),
                }
            }
            waiting = still;
            let now = self.clock.now_ns();
            let begins = measuring && first.is_none() && now >= self.measured_ns;
            let ends = measuring && last.is_none() && now >= end_ns;
            if begins {
                self.progress
                    .phase(Stage::Measure, self.scenario.load.duration);
            }
            if ends {
                self.progress.phase(Stage::Drain, Duration::ZERO);
            }
            if begins || ends || now >= next_poll {
                next_poll = now + u64::try_from(POLL.as_nanos()).unwrap_or(u64::MAX);
                let snapshot = self.poll();
                let at_ns = self.clock.now_ns().saturating_sub(self.measured_ns);
                if begins {
                    *first = Some((snapshot.clone(), facts::own_process()));
                    samples.push(facts::sample(&snapshot, 0));
                } else if measuring && first.is_some() && last.is_none() {
                    samples.push(facts::sample(&snapshot, at_ns));
                }
                if ends {
                    *last = Some((snapshot.clone(), facts::own_process()));
                }
                let recent = self.live.take_recent();
                self.progress
                    .tick(&self.live.snapshot(), recent, &facts::view(&snapshot));
            }
        }
        Ok(merged)
    }

    /// Asks the replicas where they stand, and notes what changed.
    fn poll(&mut self) -> Snapshot {
        let snapshot = self
            .threads
            .first()
            .and_then(LoadThread::poll)
            .unwrap_or_default();
        for (id, status) in snapshot.replicas.iter().enumerate() {
            let (Some(status), Some(Some(before))) = (status, self.snapshot.replicas.get(id))
            else {
                continue;
            };
            let replica = ("replica", serde_json::Value::from(id));
            if status.view != before.view {
                self.event(
                    "view-change",
                    &[replica.clone(), ("view", status.view.into())],
                );
            }
            if status.stable != before.stable {
                self.event(
                    "checkpoint",
                    &[replica.clone(), ("seq", status.stable.into())],
                );
            }
            let fell_back = status.consensus.fallbacks
                - before.consensus.fallbacks.min(status.consensus.fallbacks);
            if fell_back > 0 {
                self.event("fallback", &[replica, ("slots", fell_back.into())]);
            }
        }
        let mut fallen = Vec::new();
        if let Target::Local(local) = &mut self.target {
            fallen = local.fallen();
        }
        for (id, complaint) in fallen {
            if !self.warnings.contains(&complaint) {
                self.event("replica-ended", &[("replica", id.into())]);
                self.progress.note(&complaint);
                self.warnings.push(complaint);
            }
        }
        self.snapshot = snapshot.clone();
        snapshot
    }

    /// Requests executed by the replica that got furthest. Each accepted answer has f + 1 replicas
    /// behind it, so among any n - f there is one that has executed all that was answered; fewer, or
    /// old news, prove nothing.
    fn executed_requests(&mut self) -> Option<u64> {
        let cluster = &self.scenario.cluster;
        let enough = (cluster.n - cluster.f) as usize;
        for _ in 0..EXECUTED_ASKED_MAX {
            let snapshot = self.poll();
            let fresh: Vec<u64> = snapshot
                .replicas
                .iter()
                .zip(&snapshot.answered)
                .filter(|(_, answered)| **answered)
                .filter_map(|(status, _)| Some(status.as_ref()?.consensus.executed_requests))
                .collect();
            if fresh.len() >= enough {
                return fresh.into_iter().max();
            }
        }
        None
    }

    /// Stops everything, checks what was left and writes the files.
    fn finish(mut self, measured: Measured) -> Result<RepeatOutcome, RunError> {
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
        if let Target::Local(local) = &mut self.target {
            let complaints = local.stop();
            self.warnings.extend(complaints);
        }
        let logs = self.committed_logs(collected)?;
        self.progress.phase(Stage::Check, Duration::ZERO);
        let counts = match self.history.take() {
            Some(history) => history.finish().map_err(environment)?,
            None => HistoryCounts::default(),
        };
        let recording = &measured.recording;
        let facts = HistoryFacts::new(self.mode, counts);
        let mut repeat =
            Repeat::measured(self.seed, measured.duration.as_secs_f64(), recording, facts);
        repeat.key_prefix = self.key_prefix.clone();
        repeat.consensus = measured
            .ends
            .consensus(&logs, self.scenario.cluster.storage.checkpoint_interval);
        repeat.resources = measured
            .ends
            .resources(measured.generator, repeat.operations.ok);
        let history = self.directory.join("history.jsonl");
        repeat.checks = checks::check(
            self.scenario,
            &logs,
            (self.mode != HistoryMode::Off).then_some(history.as_path()),
            self.mode,
            recording,
            measured.duration,
            requests,
        );
        repeat.bounds = bounds::measure(
            self.scenario.cluster.n,
            self.scenario.load.ops_per_request,
            repeat.throughput_ops_s,
        );
        self.doubt(&repeat, measured.generator_share);

        let since_measured = self.clock.now_ns().saturating_sub(self.measured_ns);
        let measured_at = SystemTime::now() - Duration::from_nanos(since_measured);
        write_latency_files(&self.directory.latency(), recording, measured_at)
            .map_err(environment)?;
        write_timeseries(
            &self.directory.join("timeseries.csv"),
            recording,
            &measured.samples,
        )
        .map_err(environment)?;
        self.events.finish().map_err(environment)?;
        self.progress.finish();
        let durability = facts::durability(&self.snapshot);
        Ok(RepeatOutcome {
            durability,
            repeat,
            warnings: self.warnings,
            ended,
        })
    }

    /// The replicas' committed logs, copied into the results and parsed.
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
                (Target::Local(local), _) => {
                    std::fs::read_to_string(local.committed_log(id as usize)).ok()
                }
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
            let folder = self.directory.replica(id).map_err(environment)?;
            crate::record::write_file(&folder.join("committed.jsonl"), text.as_bytes())
                .map_err(environment)?;
            match parse_committed(id, &text) {
                Ok(log) => logs.push(log),
                Err(error) => self.warnings.push(error.to_string()),
            }
        }
        Ok(logs)
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

/// Requests that an open-loop client may have under way before arrivals are dropped: what its
/// session takes.
fn outstanding_max() -> usize {
    let window = consensus::Limits::default().client_window;
    usize::try_from(window).unwrap_or(usize::MAX)
}
