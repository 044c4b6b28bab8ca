//! One repeat up to the end of its measurement: a fresh cluster, its records, warm-up and the
//! measured stage. What follows is in `aftermath`.

mod events;
mod watching;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crypto::SecretKey;
use network::ClusterFile;
use network::genesis::CLUSTER_FILE;

use self::events::EarlyEvent;
use super::aftermath::RepeatOutcome;
use super::bounds::Yardstick;
use super::burdens::Burdens;
use super::facts::{self, Ends};
use super::faults::{Injected, OutsidersWorld, Progressed, Timeline, TimelinePlan};
use super::links::Network;
use super::machine::MachineWatch;
use super::series::Follow;
use super::threads::{LoadThread, ThreadPlan};
use crate::check::UsageSeries;
use crate::cluster::{self, ControlLine, Local, LocalOptions, Snapshot};
use crate::exit::Exit;
use crate::hostile_clients;
use crate::load::{Clock, Namespace, Plan, Stage as LoadStage};
use crate::options::{RunError, RunOptions};
use crate::record::{
    Acknowledged, ClusterSample, EventLog, HistoryMode, HistoryWriter, Live, Phases,
    ProcessResources, Recorder, Recording, RepeatDirectory, RunDirectory, Thinned,
};
use crate::report::{Progress, Stage};
use crate::scenario::schema::{Linearizable, LoadModel, ReadMode, Scenario};
use crate::workload::{Arrivals, KeySpace, LoadPlan};

/// Between the order to start and the first request, so that all workers begin together.
const LEAD: Duration = Duration::from_millis(50);
/// After this long without news a stage is waited for again.
pub(super) const STAGE_WAIT: Duration = Duration::from_millis(10);
const NS: f64 = 1e9;
/// Looks at the cluster that are held at most, and of those at each replica while faults strike: two hours at five a second,
/// then coarser.
const SAMPLES_MAX: usize = 36_000;
/// What a repeat is made of.
pub(super) struct RepeatContext<'r> {
    pub(super) options: &'r RunOptions,
    pub(super) directory: &'r RunDirectory,
    /// From 1.
    pub(super) number: u32,
    pub(super) stop: Arc<AtomicBool>,
}

/// The cluster, local or not.
pub(super) enum Target {
    Local(Box<Local>),
    Attached,
}

/// What the measured stage leaves.
pub(super) struct Measured {
    pub(super) recording: Recording,
    pub(super) duration: Duration,
    /// From the beginning of the measured phase until every answer had come or was given up.
    pub(super) drained: Duration,
    pub(super) ends: Ends,
    pub(super) samples: Vec<ClusterSample>,
    /// What each replica needed at each look in the measured phase.
    pub(super) usage: UsageSeries,
    /// Whose signatures each replica checked.
    pub(super) burdens: Burdens,
    /// Where each replica stood at each look.
    pub(super) follow: Follow,
    /// What the machine did.
    pub(super) machine: Option<MachineWatch>,
    pub(super) generator: ProcessResources,
    pub(super) generator_share: f64,
    /// The faults that struck, or should have.
    pub(super) injected: Vec<Injected>,
}

/// Runs one repeat to its end.
pub(super) fn run(context: &RepeatContext<'_>) -> Result<RepeatOutcome, RunError> {
    Running::start(context)?.go_on()
}

/// A repeat under way.
pub(super) struct Running<'r> {
    context: &'r RepeatContext<'r>,
    pub(super) scenario: &'r Scenario,
    pub(super) seed: u64,
    pub(super) directory: RepeatDirectory,
    /// What the machine would allow.
    pub(super) yardstick: Yardstick,
    pub(super) target: Target,
    pub(super) threads: Vec<LoadThread>,
    pub(super) clock: Clock,
    pub(super) progress: Progress,
    live: Arc<Live>,
    pub(super) events: Arc<EventLog>,
    pub(super) history: Option<HistoryWriter>,
    pub(super) mode: HistoryMode,
    pub(super) warnings: Vec<String>,
    /// The last thing the replicas said.
    pub(super) snapshot: Snapshot,
    /// Origin of the events' times; 0 until it is known.
    pub(super) measured_ns: u64,
    /// What happened before it was known, and when.
    early: Mutex<Vec<EarlyEvent>>,
    /// What stands before every key of this repeat in the store.
    pub(super) key_prefix: Option<String>,
    timeline: Option<Timeline>,
    /// What strangers know of the cluster.
    outsiders: OutsidersWorld,
    /// The links between the replicas, if they are emulated.
    pub(super) network: Option<Arc<Network>>,
    /// What each replica needed so far in the measured phase.
    usage: UsageSeries,
    /// Whose signatures each replica checked so far in the measured phase.
    burdens: Burdens,
    /// Where each replica stood so far in the measured phase.
    follow: Follow,
    /// Since the measured phase began.
    machine: Option<MachineWatch>,
    /// Members, clients and their public keys.
    pub(super) file: ClusterFile,
    /// How far the replicas were at each look in the measured phase.
    pub(super) progressed: Thinned<Progressed>,
    /// Writes of the load phase that clients were told of.
    loaded: Acknowledged,
    /// The keys of hostile clients.
    hostile: Vec<SecretKey>,
}

/// The results cannot be written: where, why, and what to do about it.
pub(super) fn unwritable(directory: &Path, error: &std::io::Error) -> RunError {
    RunError::new(
        Exit::Environment,
        format!(
            "cannot write the results in {}: {error}; make room there, or choose another directory \
             with --out",
            directory.display()
        ),
    )
}

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
        let events = EventLog::create(&directory.join("events.jsonl"))
            .map_err(|error| unwritable(&directory.path(), &error))?;
        let events = Arc::new(events);
        let mode = options
            .history
            .unwrap_or(match scenario.check.linearizable {
                Linearizable::Off => HistoryMode::Off,
                Linearizable::Sampled => HistoryMode::Sampled,
                Linearizable::Full => HistoryMode::Full,
            });
        let history = HistoryWriter::start(&directory.join("history.jsonl"), mode, seed)
            .map_err(|error| unwritable(&directory.path(), &error))?;

        // Before there is anything that would be measured with it.
        let local = options.attach.is_none();
        let yardstick = Yardstick::measure(&directory.path(), scenario, local);
        let (target, file, mut keys) = match &options.attach {
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
        let key_prefix = match target {
            Target::Attached => Some(format!(
                "{}/{}/",
                context.directory.short_id(),
                context.number
            )),
            Target::Local(_) => None,
        };
        let namespace = match scenario.hostile_clients() {
            0 => Namespace::new(key_prefix.as_deref().unwrap_or_default()),
            // What hostile clients write must not be in the way of the load's history.
            _ => Namespace::before(hostile_clients::KEYS),
        };
        let hostile = keys.split_off(keys.len().min(scenario.load.clients as usize));
        let plan = Plan {
            clock,
            ops_per_request: scenario.load.ops_per_request as usize,
            atomic: scenario.load.atomic,
            quorum_reads: scenario.workload.read_mode == ReadMode::Quorum,
            namespace,
            space: Arc::new(KeySpace::new(scenario.workload.records)),
            stop: Arc::clone(&context.stop),
        };
        let outsiders = OutsidersWorld::new(
            &file,
            &directory,
            scenario.load.clients + scenario.hostile_clients(),
        );
        let live = Arc::new(Live::default());
        if let Some(metrics) = &options.metrics {
            metrics.begin(&scenario.name, context.number, &live);
        }
        let mut running = Running {
            outsiders,
            context,
            scenario,
            seed,
            directory,
            yardstick,
            target,
            threads: Vec::new(),
            clock,
            progress,
            live,
            events,
            history,
            mode,
            warnings: Vec::new(),
            snapshot: Snapshot::default(),
            measured_ns: 0,
            early: Mutex::default(),
            key_prefix,
            timeline: None,
            network: scenario.mesh().map(Network::new).map(Arc::new),
            usage: UsageSeries::default(),
            burdens: Burdens::default(),
            follow: Follow::default(),
            machine: None,
            file: file.clone(),
            progressed: Thinned::new(SAMPLES_MAX),
            loaded: Acknowledged::default(),
            hostile,
        };
        running
            .file
            .write(&running.directory.join(CLUSTER_FILE))
            .map_err(|error| RunError::new(Exit::Environment, error.to_string()))?;
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
        let mut measured = self.measure()?;
        let loaded = std::mem::take(&mut self.loaded);
        measured.recording.acknowledged.merge(loaded);
        self.read_back(&mut measured.recording)?;
        self.finish(measured)
    }

    pub(super) fn stopped(&self) -> bool {
        self.context.stop.load(Ordering::Relaxed)
    }

    pub(super) fn recorder(&self, phases: Phases) -> Recorder {
        let sink = self.history.as_ref().map(HistoryWriter::sink);
        let recorder = Recorder::new(phases, Arc::clone(&self.live), sink);
        match self.scenario.hostile_clients() {
            0 => recorder,
            _ => recorder.by_client(),
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
        let recording = self.wait_for_all(u64::MAX, &mut Thinned::new(0), &mut None, &mut None)?;
        self.loaded = recording.acknowledged;
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
        self.tell_begin();
        self.timeline = self.start_timeline()?;
        let mut samples = Thinned::new(SAMPLES_MAX);
        let (mut first, mut last) = (None, None);
        let recording = self.wait_for_all(end_ns, &mut samples, &mut first, &mut last)?;
        let injected = match self.timeline.take() {
            Some(timeline) => timeline.finish()?,
            None => Vec::new(),
        };
        let drained = Duration::from_nanos(self.clock.now_ns().saturating_sub(measured_ns));
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
            drained,
            ends: Ends { first, last },
            samples: samples.into_vec(),
            usage: std::mem::take(&mut self.usage),
            burdens: std::mem::take(&mut self.burdens),
            follow: std::mem::take(&mut self.follow),
            machine: self.machine.take(),
            generator,
            generator_share,
            injected,
        })
    }

    /// Tells every replica when the measured phase begins: what a scenario times counts from there.
    fn tell_begin(&mut self) {
        let Target::Local(local) = &self.target else {
            return;
        };
        const NS_PER_MS: i64 = 1_000_000;
        let ns = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        let ago_ms = (ns(self.clock.now_ns()) - ns(self.measured_ns)) / NS_PER_MS;
        let members = local.members();
        let told = (0..members.count()).map(|id| members.tell(id, ControlLine::Begin { ago_ms }));
        self.warnings.extend(told.filter_map(Result::err));
    }

    /// The thread that injects the scenario's faults, if it has any.
    fn start_timeline(&self) -> Result<Option<Timeline>, RunError> {
        let (Target::Local(local), Some(thread)) = (&self.target, self.threads.first()) else {
            return Ok(None);
        };
        let plan = TimelinePlan {
            members: Arc::clone(local.members()),
            clock: self.clock,
            measured_ns: self.measured_ns,
            stop: Arc::clone(&self.context.stop),
            live: Arc::clone(&self.live),
            events: Arc::clone(&self.events),
            network: self.network.clone(),
            outsiders: self.outsiders.clone(),
            poller: thread.poller(),
            file: self.file.clone(),
            hostile: self.hostile.clone(),
            seed: self.seed,
        };
        Timeline::start(self.scenario, plan)
    }
}

/// Requests that an open-loop client may have under way before arrivals are dropped: what its
/// session takes.
fn outstanding_max() -> usize {
    let window = consensus::Limits::default().client_window;
    usize::try_from(window).unwrap_or(usize::MAX)
}
