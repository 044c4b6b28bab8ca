//! One load worker: submits the requests of its clients and records what becomes of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use client::{ClientHandle, Completion, CompletionSink, RequestError};
use consensus::client::ReadPath;
use consensus::{ByteList, Grade};
use tokio::sync::mpsc;

use super::Namespace;
use super::convert::{to_op, to_outcome};
use super::pacer::{self, Due};
use super::request::{Request, Requests};
use crate::record::{Answer, Outcome, Recorder, Times};
use crate::workload::{Arrivals, ClientLoad, KeySpace, Loader, Operation};

/// Different complaints of a worker that are kept; more are only counted.
const COMPLAINTS_MAX: usize = 16;
/// Requests of the load phase that a client has outstanding.
const LOAD_OUTSTANDING: usize = 8;
/// Requests under way while keys are read back.
const READ_BACK_OUTSTANDING: usize = 64;
/// Completions taken between two looks at the clock.
const DRAIN_MAX: usize = 512;
/// How often an idle worker looks whether it should stop.
const IDLE_TICK: Duration = Duration::from_millis(20);

/// The run's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Clock(Instant::now())
    }

    /// Nanoseconds since its start.
    pub fn now_ns(&self) -> u64 {
        self.at_ns(Instant::now())
    }

    /// Nanoseconds from its start to `instant`; 0 if that was before.
    pub fn at_ns(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.0).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What a worker does in one stage.
pub enum Stage {
    /// Create the records.
    Load,
    /// Keep `outstanding` requests of each client under way until `end_ns`.
    Closed {
        /// Per client.
        outstanding: usize,
        /// When the first are sent.
        start_ns: u64,
        /// When no more are sent.
        end_ns: u64,
    },
    /// Send requests when they are due.
    Open {
        /// The schedule of each of the worker's clients, in their order.
        schedules: Vec<Arrivals>,
        /// Where the schedules begin.
        start_ns: u64,
        /// When no more are sent.
        end_ns: u64,
        /// Requests that a client may have under way; arrivals beyond are dropped, and counted.
        outstanding_max: usize,
    },
    /// Read these keys.
    ReadBack {
        /// Each once.
        keys: Vec<Bytes>,
    },
}

/// What all workers of a repeat share.
#[derive(Clone)]
pub struct Plan {
    /// The run's clock.
    pub clock: Clock,
    /// Operations under one signature.
    pub ops_per_request: usize,
    /// All or nothing?
    pub atomic: bool,
    /// Are requests that do nothing but read asked beside the log?
    pub quorum_reads: bool,
    /// The keys.
    pub space: Arc<KeySpace>,
    /// Where they are in the store.
    pub namespace: Namespace,
    /// Set when somebody wants the run to end.
    pub stop: Arc<AtomicBool>,
}

/// One client of a worker.
struct WorkerClient {
    /// Its number in the whole run.
    pub number: u64,
    /// How it submits.
    pub handle: ClientHandle,
    /// What it asks for.
    pub load: ClientLoad,
    /// What it creates in the load phase.
    pub loader: Loader,
    outstanding: usize,
}

/// What a worker has to say beside its recording.
#[derive(Clone, Debug, Default)]
pub struct WorkerReport {
    /// Complaints, each with how often it came up.
    pub complaints: BTreeMap<String, u64>,
    /// Requests that had to be sent again.
    pub retransmissions: u64,
    /// Replies that differed from what was accepted.
    pub differing: u64,
    /// Requests with an accepted answer of the log, in all phases.
    pub answered_requests: u64,
    /// Requests that may or may not have been executed, in all phases.
    pub unknown_requests: u64,
}

/// A load worker. Lives on one task.
pub struct Worker {
    plan: Plan,
    clients: Vec<WorkerClient>,
    requests: Requests,
    results: mpsc::UnboundedReceiver<(u64, Result<Completion, RequestError>)>,
    sink: Arc<dyn CompletionSink>,
    report: WorkerReport,
    /// What was written is read back in the order of the log, whatever the scenario's reads are.
    reading_back: bool,
}

impl Worker {
    /// A worker for these clients: number, handle, stream of operations, records to create.
    pub fn new(plan: Plan, clients: Vec<(u64, ClientHandle, ClientLoad, Loader)>) -> Self {
        // It holds at most one result for each request under way, and those are bounded by the
        // clients' windows.
        #[expect(clippy::disallowed_methods, reason = "bounded by what is under way")]
        let (sender, results) = mpsc::unbounded_channel();
        Worker {
            plan,
            clients: clients
                .into_iter()
                .map(|(number, handle, load, loader)| WorkerClient {
                    number,
                    handle,
                    load,
                    loader,
                    outstanding: 0,
                })
                .collect(),
            requests: Requests::default(),
            results,
            sink: Arc::new(sender),
            report: WorkerReport::default(),
            reading_back: false,
        }
    }

    /// Runs one stage to its end, answers included.
    pub async fn run(&mut self, stage: Stage, recorder: &mut Recorder) {
        match stage {
            Stage::Load => self.load(recorder).await,
            Stage::Closed {
                outstanding,
                start_ns,
                end_ns,
            } => {
                let lead = start_ns.saturating_sub(self.plan.clock.now_ns());
                tokio::time::sleep(Duration::from_nanos(lead)).await;
                self.closed(outstanding, end_ns, recorder).await;
            }
            Stage::Open {
                schedules,
                start_ns,
                end_ns,
                outstanding_max,
            } => {
                self.open(schedules, start_ns, end_ns, outstanding_max, recorder)
                    .await;
            }
            Stage::ReadBack { keys } => {
                self.reading_back = true;
                self.read_back(keys, recorder).await;
            }
        }
        self.drain(recorder).await;
    }

    /// What came up.
    pub fn into_report(self) -> WorkerReport {
        self.report
    }

    async fn load(&mut self, recorder: &mut Recorder) {
        loop {
            let mut waiting = false;
            for client in 0..self.clients.len() {
                while self.clients[client].outstanding < LOAD_OUTSTANDING && !self.stopped() {
                    let count = self.plan.ops_per_request;
                    let operations: Vec<Operation> =
                        self.clients[client].loader.by_ref().take(count).collect();
                    if operations.is_empty() {
                        break;
                    }
                    let now = self.plan.clock.now_ns();
                    self.submit(client, operations, now, recorder);
                    waiting = true;
                }
            }
            if self.requests.len() == 0 && !waiting {
                return;
            }
            self.settle_some(recorder).await;
        }
    }

    /// Reads the keys, as many in a request as the scenario has operations in one. A cluster that does not answer the first request is asked no more.
    async fn read_back(&mut self, keys: Vec<Bytes>, recorder: &mut Recorder) {
        if self.clients.is_empty() {
            return;
        }
        let before = self.report.answered_requests;
        for (number, group) in keys.chunks(self.plan.ops_per_request).enumerate() {
            let operations = group.iter().map(|key| Operation::Read { key: key.clone() });
            let now = self.plan.clock.now_ns();
            let client = number % self.clients.len();
            self.submit(client, operations.collect(), now, recorder);
            let outstanding = if number == 0 {
                0
            } else {
                READ_BACK_OUTSTANDING
            };
            while self.requests.len() > outstanding {
                self.settle_some(recorder).await;
            }
            if self.report.answered_requests == before || self.stopped() {
                return;
            }
        }
    }

    async fn closed(&mut self, outstanding: usize, end_ns: u64, recorder: &mut Recorder) {
        loop {
            let now = self.plan.clock.now_ns();
            if now >= end_ns || self.stopped() {
                return;
            }
            for client in 0..self.clients.len() {
                while self.clients[client].outstanding < outstanding {
                    let operations = self.next_operations(client);
                    let now = self.plan.clock.now_ns();
                    self.submit(client, operations, now, recorder);
                }
            }
            self.settle_some(recorder).await;
        }
    }

    async fn open(
        &mut self,
        schedules: Vec<Arrivals>,
        start_ns: u64,
        end_ns: u64,
        outstanding_max: usize,
        recorder: &mut Recorder,
    ) {
        let (sender, mut due) = mpsc::channel::<Vec<Due>>(pacer::GROUPS_MAX);
        let (clock, stop) = (self.plan.clock, Arc::clone(&self.plan.stop));
        let paced = std::thread::Builder::new()
            .name("pacer".to_owned())
            .spawn(move || pacer::pace(clock, schedules, start_ns, end_ns, &stop, &sender));
        if let Err(error) = paced {
            self.complain(format!("the pacer could not start: {error}"));
            return;
        }
        loop {
            tokio::select! {
                biased;
                result = self.results.recv() => {
                    if let Some((token, result)) = result {
                        self.settle(token, result, recorder);
                    }
                    self.settle_ready(recorder);
                }
                group = due.recv() => match group {
                    None => return,
                    Some(group) => {
                        for arrival in group {
                            self.arrive(arrival, outstanding_max, recorder);
                        }
                    }
                },
            }
        }
    }

    fn arrive(&mut self, due: Due, outstanding_max: usize, recorder: &mut Recorder) {
        let operations = self.next_operations(due.client);
        if self.clients[due.client].outstanding >= outstanding_max {
            let count = total(&operations);
            recorder.offered(due.intended_ns, count);
            recorder.dropped(due.intended_ns, count);
            self.forget(&operations);
            return;
        }
        self.submit(due.client, operations, due.intended_ns, recorder);
    }

    fn next_operations(&mut self, client: usize) -> Vec<Operation> {
        let load = &mut self.clients[client].load;
        (0..self.plan.ops_per_request)
            .map(|_| load.next_operation())
            .collect()
    }

    fn submit(
        &mut self,
        client: usize,
        operations: Vec<Operation>,
        intended_ns: u64,
        recorder: &mut Recorder,
    ) {
        let ops: ByteList = operations
            .iter()
            .map(|operation| to_op(operation, &self.plan.namespace).encode())
            .collect();
        let beside_the_log = self.plan.quorum_reads
            && !self.reading_back
            && operations.iter().all(Operation::only_reads);
        let count = total(&operations);
        let submitted_ns = self.plan.clock.now_ns();
        let token = self.requests.insert(Request {
            client,
            operations,
            intended_ns,
            submitted_ns,
        });
        recorder.offered(intended_ns, count);
        self.clients[client].outstanding += 1;
        let handle = &self.clients[client].handle;
        let submitted = if beside_the_log {
            handle.read_with(ops, Grade::Quorum, token, &self.sink)
        } else {
            handle.submit_with(ops, self.plan.atomic, token, &self.sink)
        };
        match submitted {
            Ok(()) => recorder.sent(intended_ns, submitted_ns, count),
            Err(error) => {
                // Never sent: it cannot have been executed.
                self.complain(error.to_string());
                recorder.dropped(intended_ns, count);
                if let Some(request) = self.requests.take(token) {
                    self.clients[request.client].outstanding -= 1;
                    self.forget(&request.operations);
                }
            }
        }
    }

    /// Waits for a result, then takes whatever else is there.
    async fn settle_some(&mut self, recorder: &mut Recorder) {
        if let Ok(Some((token, result))) =
            tokio::time::timeout(IDLE_TICK, self.results.recv()).await
        {
            self.settle(token, result, recorder);
        }
        self.settle_ready(recorder);
    }

    fn settle_ready(&mut self, recorder: &mut Recorder) {
        for _ in 0..DRAIN_MAX {
            let Ok((token, result)) = self.results.try_recv() else {
                return;
            };
            self.settle(token, result, recorder);
        }
    }

    /// The answers that are still out. Every request ends: the hub gives up on what has no answer.
    async fn drain(&mut self, recorder: &mut Recorder) {
        while self.requests.len() > 0 {
            self.settle_some(recorder).await;
        }
    }

    fn settle(
        &mut self,
        token: u64,
        result: Result<Completion, RequestError>,
        recorder: &mut Recorder,
    ) {
        let Some(request) = self.requests.take(token) else {
            return;
        };
        self.clients[request.client].outstanding -= 1;
        let number = self.clients[request.client].number;
        let clock = self.plan.clock;
        match result {
            Ok(completion) => {
                let beside_the_log = completion.read == Some(ReadPath::Quorum);
                let a_request = completion.leads && !beside_the_log;
                self.report.answered_requests += u64::from(a_request);
                if completion.read.is_some() {
                    let count = total(&request.operations);
                    recorder.quorum_read(request.intended_ns, beside_the_log, count);
                }
                if completion.leads {
                    self.report.retransmissions += u64::from(completion.retransmissions);
                    self.report.differing += completion.differing.len() as u64;
                    for _ in 0..completion.busy {
                        recorder.busy_reply(request.intended_ns);
                    }
                }
                let times = Times {
                    intended_ns: request.intended_ns,
                    sent_ns: clock.at_ns(completion.sent_at).max(request.submitted_ns),
                    end_ns: clock.at_ns(completion.completed_at),
                };
                let outcomes = self.outcomes(&completion, request.operations.len());
                for (operation, outcome) in request.operations.iter().zip(outcomes) {
                    let answer = match outcome {
                        Some(outcome) => {
                            self.learn(request.client, operation, &outcome);
                            Answer::Executed {
                                outcome,
                                seq: (!beside_the_log).then_some(completion.seq.0),
                            }
                        }
                        None => Answer::Unknown,
                    };
                    recorder.finished(number, operation, times, &answer);
                }
            }
            Err(error) => {
                self.report.unknown_requests += 1;
                if let RequestError::TimedOut(timed_out) = &error {
                    self.report.retransmissions += u64::from(timed_out.retransmissions);
                    for _ in 0..timed_out.busy {
                        recorder.busy_reply(request.intended_ns);
                    }
                }
                self.complain(error.to_string());
                let times = Times {
                    intended_ns: request.intended_ns,
                    sent_ns: request.submitted_ns,
                    end_ns: clock.now_ns(),
                };
                for operation in &request.operations {
                    recorder.finished(number, operation, times, &Answer::Unknown);
                }
            }
        }
        self.forget(&request.operations);
    }

    /// One outcome per operation; `None` where the result cannot be what a correct replica says.
    fn outcomes(&mut self, completion: &Completion, count: usize) -> Vec<Option<Outcome>> {
        let mut outcomes = Vec::with_capacity(count);
        let mut complaints = Vec::new();
        for result in completion.results() {
            let outcome = result
                .map_err(|error| error.to_string())
                .and_then(|result| to_outcome(result, &self.plan.namespace));
            outcomes.push(outcome.map_err(|complaint| complaints.push(complaint)).ok());
        }
        if outcomes.len() != count {
            complaints.push(format!("{} results for {count} operations", outcomes.len()));
            outcomes.resize(count, None);
        }
        for complaint in complaints {
            self.complain(complaint);
        }
        let failed = |outcome: &Option<Outcome>| {
            matches!(outcome, Some(Outcome::ConditionFalse | Outcome::RolledBack))
        };
        if self.plan.atomic && count > 1 && outcomes.iter().any(failed) {
            outcomes.fill(Some(Outcome::RolledBack));
        }
        outcomes
    }

    /// What the answer says of keys that this client may guard or compare later.
    fn learn(&mut self, client: usize, operation: &Operation, outcome: &Outcome) {
        let load = &mut self.clients[client].load;
        match (operation, outcome) {
            (Operation::Read { key }, Outcome::Value(value)) => load.observe(key, value.clone()),
            (
                Operation::Create { key, value }
                | Operation::Update { key, value }
                | Operation::Put { key, value }
                | Operation::Cas { key, value, .. },
                Outcome::Written,
            ) => load.observe(key, Some(value.clone())),
            (Operation::Delete { key }, Outcome::Written) => load.observe(key, None),
            _ => {}
        }
    }

    /// The creates among them are over, one way or the other.
    fn forget(&self, operations: &[Operation]) {
        for operation in operations {
            if let Operation::Create { key, .. } = operation {
                self.plan.space.settled(key);
            }
        }
    }

    fn stopped(&self) -> bool {
        self.plan.stop.load(Ordering::Relaxed)
    }

    fn complain(&mut self, complaint: String) {
        let complaints = &mut self.report.complaints;
        if complaints.len() < COMPLAINTS_MAX || complaints.contains_key(&complaint) {
            *complaints.entry(complaint).or_default() += 1;
        }
    }
}

fn total(operations: &[Operation]) -> u64 {
    operations.iter().map(Operation::operations).sum()
}
