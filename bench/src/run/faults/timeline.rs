//! The thread that lets faults strike when their time has come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use crypto::SecretKey;
use network::ClusterFile;
use serde_json::Value;

use super::super::links::Network;
use super::super::threads::Poller;
use super::clients::Attacked;
use super::outsider::OutsidersWorld;
use super::target::{Situation, choose};
use crate::cluster::{Failed, Members};
use crate::exit::Exit;
use crate::hostile_clients::Attackers;
use crate::load::Clock;
use crate::options::RunError;
use crate::outsider::OutsiderReport;
use crate::record::{EventLog, Live};
use crate::scenario::schema::{Byzantine, ClientFault, Fault, FaultKind, Scenario, Strike};
use crate::workload::fault_stream;

/// Between two looks at whether the run was stopped.
pub(super) const TICK: Duration = Duration::from_millis(20);
/// What happened and nobody has looked at yet; more is in events.jsonl only.
const NOTES_MAX: usize = 1024;
/// What the replicas said within this time decides who the primary is: to ask again would mean to wait for those that are
/// down, and whoever asks all the time (the run, every 0.2 s) has done so within 0.7 s.
const RECENT: Duration = Duration::from_secs(1);
const NS: f64 = 1e9;
/// The kind of fault that a lying replica is in run.json.
const BYZANTINE: &str = "byzantine";
/// A Byzantine replica says what it did every 100 ms.
const DEEDS_LATE: Duration = Duration::from_millis(250);

/// What a timeline works with.
pub(in crate::run) struct TimelinePlan {
    /// The replicas.
    pub(in crate::run) members: Arc<Members>,
    /// The run's clock, and where the measured phase begins on it.
    pub(in crate::run) clock: Clock,
    pub(in crate::run) measured_ns: u64,
    /// Set when somebody wants the run to end.
    pub(in crate::run) stop: Arc<AtomicBool>,
    /// Holds the marks.
    pub(in crate::run) live: Arc<Live>,
    pub(in crate::run) events: Arc<EventLog>,
    /// The links between the replicas, if they are emulated.
    pub(in crate::run) network: Option<Arc<Network>>,
    /// What strangers know of the cluster.
    pub(in crate::run) outsiders: OutsidersWorld,
    /// Asks the replicas where they stand.
    pub(in crate::run) poller: Poller,
    /// Where the replicas are, and the keys of hostile clients in the order of their faults.
    pub(in crate::run) file: ClusterFile,
    pub(in crate::run) hostile: Vec<SecretKey>,
    /// The draws of random targets derive from it.
    pub(in crate::run) seed: u64,
}

/// A fault that struck a replica, or should have.
#[derive(Clone, Debug)]
pub(in crate::run) struct Injected {
    /// As the scenario names it; `byzantine` for a replica that lies.
    pub(in crate::run) kind: &'static str,
    /// That in detail: which links, which file.
    pub(in crate::run) what: Option<String>,
    /// The replica; `None` if none could be chosen.
    pub(in crate::run) target: Option<usize>,
    /// Whether its disk was lost.
    pub(in crate::run) wiped: bool,
    /// What a Byzantine replica does.
    pub(in crate::run) behavior: Option<&'static str>,
    /// How often it did so, as it says itself.
    pub(in crate::run) acted: Option<u64>,
    /// What was done to its disk.
    pub(in crate::run) attack: Option<&'static str>,
    /// The words with which the replica stopped because of it.
    pub(in crate::run) stopped: Option<String>,
    /// The words with which it refused to start because of it.
    pub(in crate::run) refused: Option<String>,
    /// Whether it came back without a vote.
    pub(in crate::run) learner: bool,
    /// Into the measured phase: when it struck.
    pub(in crate::run) start: Duration,
    /// When the replica listened again or went on; `None`: not before the end of the load.
    pub(in crate::run) end: Option<Duration>,
    /// What hostile clients did, if it was their attack.
    pub(in crate::run) attacked: Option<Attacked>,
    /// The mark that the recorders saw.
    pub(in crate::run) mark: usize,
    /// What an outsider did and what came of it.
    pub(in crate::run) outsider: Option<OutsiderReport>,
    /// Why it did not strike or end as planned.
    pub(in crate::run) failed: Option<String>,
}

/// A running timeline.
pub(in crate::run) struct Timeline {
    thread: JoinHandle<Vec<Injected>>,
    notes: mpsc::Receiver<String>,
}

impl Timeline {
    /// Starts the thread; `None` if the scenario has no faults.
    ///
    /// # Errors
    /// If there can be no such thread.
    pub(in crate::run) fn start(
        scenario: &Scenario,
        plan: TimelinePlan,
    ) -> Result<Option<Self>, RunError> {
        if scenario.faults.is_empty() && scenario.byzantine.is_empty() {
            return Ok(None);
        }
        let mut strikes: Vec<(Strike, Fault)> = Vec::new();
        for fault in &scenario.faults {
            strikes.extend(fault.strikes().map(|strike| (strike, fault.clone())));
        }
        // Stable: what strikes at the same time does so in the order of the file.
        strikes.sort_by_key(|(strike, _)| strike.at);
        let lies = scenario.byzantine.clone();
        let liars = scenario.byzantine_replicas();
        let liars = liars.into_iter().map(|id| id as usize).collect();
        let (n, f) = (scenario.cluster.n as usize, scenario.cluster.f as usize);
        let measured = scenario.load.duration;
        let (say, notes) = mpsc::sync_channel(NOTES_MAX);
        let thread = std::thread::Builder::new()
            .name("faults".to_owned())
            .spawn(move || {
                let faults = Faults {
                    plan,
                    n,
                    f,
                    measured,
                    held: Mutex::default(),
                    liars,
                    injected: Mutex::default(),
                    say: Mutex::new(say),
                };
                faults.run(&strikes, &lies);
                faults
                    .injected
                    .into_inner()
                    .unwrap_or_else(PoisonError::into_inner)
            })
            .map_err(|error| RunError::new(Exit::Environment, error.to_string()))?;
        Ok(Some(Timeline { thread, notes }))
    }

    /// What happened since the last call, for whoever watches.
    pub(in crate::run) fn notes(&self) -> Vec<String> {
        self.notes.try_iter().collect()
    }

    /// Waits for faults that are about to end, and says what was injected, in the order of time.
    ///
    /// # Errors
    /// If the thread panicked.
    pub(in crate::run) fn finish(self) -> Result<Vec<Injected>, RunError> {
        let mut injected = self
            .thread
            .join()
            .map_err(|_| RunError::new(Exit::Runtime, "the thread of the faults panicked"))?;
        injected.sort_by_key(|one| (one.start, one.target));
        Ok(injected)
    }
}

/// Keys that no attack has taken yet.
struct HostileKeys(Vec<SecretKey>);

impl HostileKeys {
    fn take(&mut self, count: usize) -> Vec<SecretKey> {
        self.0.drain(..count.min(self.0.len())).collect()
    }
}

/// What the threads of the faults share.
pub(super) struct Faults {
    pub(super) plan: TimelinePlan,
    pub(super) n: usize,
    f: usize,
    /// Length of the measured phase.
    pub(super) measured: Duration,
    /// Replicas that a fault holds.
    pub(super) held: Mutex<BTreeSet<usize>>,
    /// Replicas that lie, which no rule calls correct.
    pub(super) liars: BTreeSet<usize>,
    pub(super) injected: Mutex<Vec<Injected>>,
    say: Mutex<mpsc::SyncSender<String>>,
}

impl Faults {
    /// Lets each strike begin in its turn; returns when all that end have ended, or the run is stopped.
    fn run(&self, strikes: &[(Strike, Fault)], lies: &[Byzantine]) {
        let mut random = fault_stream(self.plan.seed);
        let mut hostile = HostileKeys(self.plan.hostile.clone());
        std::thread::scope(|scope| {
            let mut places: BTreeMap<usize, usize> = BTreeMap::new();
            for lie in lies {
                for id in lie.replica.ids().iter().map(|id| *id as usize) {
                    let place = places.entry(id).or_default();
                    let behaviour = *place;
                    *place += 1;
                    scope.spawn(move || self.lie(lie, id, behaviour));
                }
            }
            for (strike, fault) in strikes {
                if !self.sleep_until(strike.at) {
                    return;
                }
                if let FaultKind::Client(client) = &fault.kind {
                    let keys = hostile.take(client.count as usize);
                    scope.spawn(move || self.attack(client, keys));
                    continue;
                }
                let snapshot = self.plan.poller.recent(RECENT).unwrap_or_default();
                let chosen = choose(
                    &fault.target,
                    &Situation {
                        n: self.n,
                        f: self.f,
                        held: &lock(&self.held),
                        liars: &self.liars,
                        snapshot: &snapshot,
                    },
                    &mut random,
                );
                let start_ns = self.plan.clock.now_ns();
                let injected = Injected {
                    kind: fault.kind.name(),
                    what: None,
                    target: None,
                    wiped: fault.kind.wipes(),
                    behavior: None,
                    acted: None,
                    attack: fault.kind.attack(),
                    stopped: None,
                    refused: None,
                    learner: false,
                    start: self.since(start_ns),
                    end: None,
                    attacked: None,
                    mark: self.plan.live.marks().set(start_ns),
                    outsider: None,
                    failed: None,
                };
                let targets = match chosen {
                    Ok(targets) => targets,
                    Err(why) => {
                        self.skip(injected, why);
                        continue;
                    }
                };
                if let FaultKind::Outsider(outsider) = &fault.kind {
                    scope.spawn(move || self.let_in(&targets, strike, outsider, injected));
                    continue;
                }
                if fault.kind.is_of_the_network() {
                    scope.spawn(move || self.strike_links(&targets, strike, &fault.kind, injected));
                    continue;
                }
                for id in targets {
                    let injected = Injected {
                        target: Some(id),
                        ..injected.clone()
                    };
                    if !lock(&self.held).insert(id) {
                        let why = format!("another fault holds replica {id} already");
                        self.skip(injected, why);
                        continue;
                    }
                    scope.spawn(move || self.hold(id, strike, &fault.kind, injected));
                }
            }
        });
    }

    /// One attack by clients, from its beginning to its end.
    fn attack(&self, fault: &ClientFault, keys: Vec<SecretKey>) {
        let start_ns = self.plan.clock.now_ns();
        let name = fault.attack.entry().name;
        let mut injected = Injected {
            kind: "client",
            target: None,
            wiped: false,
            what: None,
            behavior: None,
            acted: None,
            attack: Some(name),
            stopped: None,
            refused: None,
            learner: false,
            start: self.since(start_ns),
            end: None,
            attacked: None,
            mark: self.plan.live.marks().set(start_ns),
            outsider: None,
            failed: None,
        };
        self.note(&format!("{name} by {} clients", fault.count));
        let fields = [("attack", Value::from(name)), ("count", fault.count.into())];
        self.event("fault", &injected, &fields);
        let attackers = Attackers::start(&self.plan.file, keys, fault, self.plan.seed);
        let counts = attackers.and_then(|attackers| {
            self.sleep_until(fault.until);
            attackers.finish()
        });
        injected.end = Some(self.since(self.plan.clock.now_ns()));
        match counts {
            Ok(counts) => {
                self.note(&format!("{name} is over"));
                self.event("fault-end", &injected, &fields);
                injected.attacked = Some(Attacked {
                    fault: fault.clone(),
                    counts,
                });
            }
            Err(why) => {
                self.note(&why);
                self.event("fault-failed", &injected, &[("why", why.clone().into())]);
                injected.failed = Some(why);
            }
        }
        lock(&self.injected).push(injected);
    }

    /// One fault of one replica, from its beginning to its end.
    fn hold(&self, id: usize, strike: &Strike, kind: &FaultKind, mut injected: Injected) {
        self.note(&match kind.attack() {
            Some(attack) => format!("{} {attack} replica {id}", kind.name()),
            None => format!("{} replica {id}", kind.name()),
        });
        self.event("fault", &injected, &[]);
        let result = match kind {
            FaultKind::Disk { attack, .. } => self.strike_disk(id, strike, attack, &mut injected),
            FaultKind::Memory { cap, .. } => {
                self.cap_memory(id, strike, cap.bytes(), &mut injected)
            }
            FaultKind::Upgrade { .. } => self.strike_version(id, strike, &mut injected),
            FaultKind::Kill { .. } | FaultKind::Pause { .. } | FaultKind::Restart { .. } => {
                self.strike_process(id, strike, kind, &mut injected)
            }
            FaultKind::Partition(_)
            | FaultKind::Link(_)
            | FaultKind::Rebind
            | FaultKind::Client(_)
            | FaultKind::Outsider(_) => Ok(()),
        };
        if injected.end.is_some() {
            lock(&self.held).remove(&id);
            self.note(&format!("replica {id} is back"));
            self.event("fault-end", &injected, &[]);
        }
        if let Err(why) = result {
            self.note(&why);
            self.event("fault-failed", &injected, &[("why", why.clone().into())]);
            injected.failed = Some(why);
        }
        lock(&self.injected).push(injected);
    }

    /// The time in which a replica may misbehave in one way; `place` is that of the behaviour in the replica's plan.
    fn lie(&self, lie: &Byzantine, id: usize, place: usize) {
        let (from, to) = lie.window();
        if !self.sleep_until(from) {
            return;
        }
        let start_ns = self.plan.clock.now_ns();
        let behavior = lie.behavior.name();
        let mut injected = Injected {
            kind: BYZANTINE,
            what: None,
            target: Some(id),
            wiped: false,
            behavior: Some(behavior),
            acted: None,
            attack: None,
            stopped: None,
            refused: None,
            learner: false,
            start: self.since(start_ns),
            end: None,
            attacked: None,
            mark: self.plan.live.marks().set(start_ns),
            outsider: None,
            failed: None,
        };
        self.note(&format!("replica {id}: {behavior}"));
        self.event("fault", &injected, &[]);
        let last = to.unwrap_or(self.measured);
        if self.sleep_until(last) && to.is_some() {
            injected.end = Some(self.since(self.plan.clock.now_ns()));
            self.event("fault-end", &injected, &[]);
        }
        // What was done just now is told a moment later.
        std::thread::sleep(DEEDS_LATE);
        let acted = self.plan.members.deeds(id).counts.get(place).copied();
        injected.acted = Some(acted.unwrap_or_default());
        if injected.acted == Some(0) {
            injected.failed = Some(format!("replica {id} found no occasion for {behavior}"));
        }
        lock(&self.injected).push(injected);
    }

    /// A signal, and the end of it if it ends.
    fn strike_process(
        &self,
        id: usize,
        strike: &Strike,
        kind: &FaultKind,
        injected: &mut Injected,
    ) -> Result<(), Failed> {
        let members = &self.plan.members;
        let struck = match kind {
            FaultKind::Pause { .. } => members.pause(id),
            FaultKind::Restart { .. } => members.stop(id),
            _ => members.kill(id),
        };
        let ends = match (&struck, strike.back_at) {
            (Ok(()), Some(back_at)) => self.sleep_until(back_at),
            // A replica that did not stop in good order is started again all the same.
            (Err(_), Some(_)) => matches!(kind, FaultKind::Restart { .. }),
            (_, None) => false,
        };
        if !ends {
            return struck;
        }
        let back = match kind {
            FaultKind::Pause { .. } => members.resume(id),
            _ => members.start(id, injected.wiped),
        };
        if back.is_ok() {
            injected.end = Some(self.now());
        }
        struck.and(back)
    }

    /// A replica of another version for a while.
    fn strike_version(
        &self,
        id: usize,
        strike: &Strike,
        injected: &mut Injected,
    ) -> Result<(), Failed> {
        let members = &self.plan.members;
        members.stop(id)?;
        members.start_upgraded(id)?;
        if let Some(back_at) = strike.back_at
            && self.sleep_until(back_at)
        {
            members.stop(id)?;
            members.start(id, false)?;
            injected.end = Some(self.now());
        }
        Ok(())
    }

    fn skip(&self, injected: Injected, why: String) {
        self.note(&format!("no {}: {why}", injected.kind));
        self.event("fault-skipped", &injected, &[("why", why.clone().into())]);
        lock(&self.injected).push(Injected {
            failed: Some(why),
            ..injected
        });
    }

    /// Whether the time came before the run was stopped.
    pub(super) fn sleep_until(&self, at: Duration) -> bool {
        let at_ns = self.plan.measured_ns + u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        loop {
            if self.plan.stop.load(Ordering::Relaxed) {
                return false;
            }
            let left = Duration::from_nanos(at_ns.saturating_sub(self.plan.clock.now_ns()));
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(TICK));
        }
    }

    pub(super) fn since(&self, now_ns: u64) -> Duration {
        Duration::from_nanos(now_ns.saturating_sub(self.plan.measured_ns))
    }

    /// Into the measured phase.
    pub(super) fn now(&self) -> Duration {
        self.since(self.plan.clock.now_ns())
    }

    pub(super) fn note(&self, what: &str) {
        let at = self.since(self.plan.clock.now_ns()).as_secs_f64();
        // Nobody watches any more once the load is over.
        let _ = lock(&self.say).try_send(format!("{at:.1} s: {what}"));
    }

    pub(super) fn event(&self, event: &str, injected: &Injected, more: &[(&str, Value)]) {
        let mut fields = vec![("kind", Value::from(injected.kind))];
        fields.extend(injected.target.map(|id| ("replica", id.into())));
        fields.extend(injected.behavior.map(|name| ("behavior", name.into())));
        let words = [
            ("attack", injected.attack.map(str::to_owned)),
            ("what", injected.what.clone()),
            ("stopped", injected.stopped.clone()),
            ("refused", injected.refused.clone()),
        ];
        for (name, word) in words {
            fields.extend(word.map(|word| (name, word.into())));
        }
        if injected.wiped {
            fields.push(("wipe", true.into()));
        }
        fields.extend(more.iter().cloned());
        let now_ns = self.plan.clock.now_ns();
        let t_s = (now_ns as f64 - self.plan.measured_ns as f64) / NS;
        if let Err(error) = self.plan.events.record(t_s, event, &fields) {
            tracing::warn!("events.jsonl: {error}");
        }
    }
}

pub(super) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
