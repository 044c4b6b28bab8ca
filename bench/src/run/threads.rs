//! The load generator's threads: each has a runtime of its own, the hubs of some clients, and a
//! worker that drives them stage by stage.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use client::{Hub, HubSettings};
use crypto::SecretKey;
use network::ClusterFile;
use tokio::sync::{mpsc as commands, oneshot};

use crate::cluster::{Observer, Snapshot};
use crate::exit::Exit;
use crate::load::{Plan, Stage, Worker, WorkerReport};
use crate::options::RunError;
use crate::record::Recorder;
use crate::workload::{ClientLoad, LoadPlan, Loader};

/// Replicas must be connected after this long.
const CONNECT_PATIENCE: Duration = Duration::from_secs(20);

/// What a thread is made of.
pub(super) struct ThreadPlan {
    /// The cluster.
    pub(super) file: ClusterFile,
    /// Its clients by connection set: number in the run and key.
    pub(super) hubs: Vec<Vec<(u64, SecretKey)>>,
    /// Time-outs.
    pub(super) pace: client::Pace,
    /// The workload.
    pub(super) load: LoadPlan,
    /// What all workers share.
    pub(super) plan: Plan,
    /// This thread also watches the replicas; with `true` it collects their committed logs.
    pub(super) observe: Option<bool>,
}

/// How the replicas are asked, and who hears of it.
struct Asked {
    how: How,
    answer: oneshot::Sender<Snapshot>,
}

/// Whether everybody is waited for.
#[derive(Clone, Copy)]
enum How {
    /// What they say is of now.
    Poll,
    /// News come as they come.
    Look,
}

enum Command {
    Run(Box<(Stage, Recorder)>),
    Poll(Asked),
    Close(oneshot::Sender<Option<Vec<String>>>),
}

/// What the replicas said last, for those who cannot wait for the silence of a dead one.
#[derive(Clone, Debug, Default)]
struct Latest(Arc<Mutex<Option<(Instant, Snapshot)>>>);

impl Latest {
    fn set(&self, snapshot: &Snapshot) {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = Some((Instant::now(), snapshot.clone()));
    }

    fn within(&self, age: Duration) -> Option<Snapshot> {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, snapshot) = latest.as_ref()?;
        (at.elapsed() <= age).then(|| snapshot.clone())
    }
}

/// Asks the replicas where they stand, from any thread.
#[derive(Clone)]
pub(super) struct Poller {
    commands: commands::Sender<Command>,
    latest: Latest,
}

impl Poller {
    /// Asks all replicas for their status and waits for each; `None` if nobody watches them any more.
    pub(super) fn poll(&self) -> Option<Snapshot> {
        self.ask(How::Poll)
    }

    /// What they have said since the last time, without waiting for one that is silent.
    pub(super) fn look(&self) -> Option<Snapshot> {
        self.ask(How::Look)
    }

    fn ask(&self, how: How) -> Option<Snapshot> {
        let (answer, snapshot) = oneshot::channel();
        let asked = Asked { how, answer };
        self.commands.blocking_send(Command::Poll(asked)).ok()?;
        snapshot.blocking_recv().ok()
    }

    /// What they said within the last `age`, at once; otherwise as [`Poller::poll`].
    pub(super) fn recent(&self, age: Duration) -> Option<Snapshot> {
        self.latest.within(age).or_else(|| self.poll())
    }
}

/// A running load thread.
pub(super) struct LoadThread {
    commands: commands::Sender<Command>,
    done: mpsc::Receiver<Recorder>,
    thread: JoinHandle<WorkerReport>,
    latest: Latest,
}

impl LoadThread {
    /// Starts the thread and waits until its hubs are connected to every replica, or, when that
    /// takes too long, to as many as can decide.
    pub(super) fn start(plan: ThreadPlan) -> Result<Self, RunError> {
        let (commands, received) = commands::channel(16);
        let (finished, done) = mpsc::sync_channel(1);
        let (ready, is_ready) = mpsc::sync_channel(1);
        let latest = Latest::default();
        let noted = latest.clone();
        let thread = std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || drive(plan, received, &finished, &ready, noted))
            .map_err(|error| RunError::new(Exit::Environment, error.to_string()))?;
        match is_ready.recv() {
            Ok(Ok(())) => Ok(LoadThread {
                commands,
                done,
                thread,
                latest,
            }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(RunError::new(
                Exit::Runtime,
                "a load thread ended at its start",
            )),
        }
    }

    /// Begins a stage; [`LoadThread::finished`] says when it is over.
    pub(super) fn begin(&self, stage: Stage, recorder: Recorder) {
        // A thread that is gone has panicked; `join` says so.
        let _ = self
            .commands
            .blocking_send(Command::Run(Box::new((stage, recorder))));
    }

    /// The recorder of the stage, once it is over; `None` if it is not within `patience`.
    pub(super) fn finished(&self, patience: Duration) -> Result<Option<Recorder>, RunError> {
        match self.done.recv_timeout(patience) {
            Ok(recorder) => Ok(Some(recorder)),
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(RunError::new(
                Exit::Runtime,
                "a load thread ended unexpectedly",
            )),
        }
    }

    /// Asks the replicas through this thread, which must be the one that observes.
    pub(super) fn poller(&self) -> Poller {
        Poller {
            commands: self.commands.clone(),
            latest: self.latest.clone(),
        }
    }

    /// Closes the connections and ends the thread. Returns the committed logs if they were
    /// collected.
    pub(super) fn close(self) -> Result<(WorkerReport, Option<Vec<String>>), RunError> {
        let (answer, logs) = oneshot::channel();
        let _ = self.commands.blocking_send(Command::Close(answer));
        let logs = logs.blocking_recv().unwrap_or_default();
        let report = self
            .thread
            .join()
            .map_err(|_| RunError::new(Exit::Runtime, "a load thread panicked"))?;
        Ok((report, logs))
    }
}

fn drive(
    plan: ThreadPlan,
    commands: commands::Receiver<Command>,
    finished: &mpsc::SyncSender<Recorder>,
    ready: &mpsc::SyncSender<Result<(), RunError>>,
    latest: Latest,
) -> WorkerReport {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = RunError::new(Exit::Environment, format!("no async runtime: {error}"));
            let _ = ready.send(Err(error));
            return WorkerReport::default();
        }
    };
    runtime.block_on(async {
        let mut thread = match Connected::connect(plan, latest).await {
            Ok(thread) => thread,
            Err(error) => {
                let _ = ready.send(Err(error));
                return WorkerReport::default();
            }
        };
        let _ = ready.send(Ok(()));
        thread.obey(commands, finished).await;
        let report = thread.worker.into_report();
        drop(thread.observer);
        for hub in thread.hubs {
            if let Ok(hub) = Arc::try_unwrap(hub) {
                hub.close().await;
            }
        }
        report
    })
}

struct Connected {
    hubs: Vec<Arc<Hub>>,
    worker: Worker,
    observer: Option<WatchTask>,
}

/// The observer as a task of its own, so that a slow replica never holds up the load.
struct WatchTask {
    polls: commands::Sender<Asked>,
    /// Ends once nobody can ask any more, with the committed logs if they are collected.
    logs: tokio::task::JoinHandle<Option<Vec<String>>>,
}

impl Connected {
    async fn connect(plan: ThreadPlan, latest: Latest) -> Result<Self, RunError> {
        let failed = |error: &dyn std::fmt::Display| {
            RunError::new(Exit::Runtime, format!("cannot reach the cluster: {error}"))
        };
        let mut hubs = Vec::with_capacity(plan.hubs.len());
        let mut clients = Vec::new();
        for members in plan.hubs {
            let (numbers, keys): (Vec<u64>, Vec<SecretKey>) = members.into_iter().unzip();
            let settings = HubSettings {
                pace: plan.pace.clone(),
                ..HubSettings::default()
            };
            let hub = Hub::start(&plan.file, keys, settings).map_err(|error| failed(&error))?;
            for (index, number) in numbers.into_iter().enumerate() {
                let handle = hub.client(index).expect("the hub was given this many keys");
                let load = ClientLoad::new(&plan.load, Arc::clone(&plan.plan.space), number)
                    .map_err(|error| RunError::new(Exit::Usage, error.to_string()))?;
                clients.push((number, handle, load, Loader::new(&plan.load, number)));
            }
            hubs.push(Arc::new(hub));
        }
        for hub in &hubs {
            let all = hub.cluster().quorums().n();
            if hub.wait_connected(all, CONNECT_PATIENCE).await.is_err() {
                hub.ready(Duration::ZERO)
                    .await
                    .map_err(|error| failed(&error))?;
            }
        }
        let observer = match (plan.observe, hubs.first()) {
            (Some(collect), Some(hub)) => {
                let observer = Observer::new(Arc::clone(hub), collect);
                Some(WatchTask::spawn(observer, collect, latest))
            }
            _ => None,
        };
        Ok(Connected {
            hubs,
            worker: Worker::new(plan.plan, clients),
            observer,
        })
    }

    async fn obey(
        &mut self,
        mut commands: commands::Receiver<Command>,
        finished: &mpsc::SyncSender<Recorder>,
    ) {
        let mut next = commands.recv().await;
        loop {
            match next.take() {
                None => return,
                Some(Command::Close(answer)) => {
                    let logs = match self.observer.take() {
                        Some(observer) => observer.finish().await,
                        None => None,
                    };
                    // The caller may have given up.
                    let _ = answer.send(logs);
                    return;
                }
                Some(Command::Poll(asked)) => self.poll(asked).await,
                Some(Command::Run(order)) => {
                    let (stage, mut recorder) = *order;
                    // The replicas are watched while the stage goes on.
                    let polls = self.polls();
                    {
                        let running = self.worker.run(stage, &mut recorder);
                        tokio::pin!(running);
                        loop {
                            tokio::select! {
                                () = &mut running => break,
                                command = commands.recv(), if next.is_none() => match command {
                                    Some(Command::Poll(asked)) => {
                                        if let Some(polls) = &polls {
                                            let _ = polls.send(asked).await;
                                        }
                                    }
                                    // Nobody commands any more: the stage still ends in order.
                                    None => running.as_mut().await,
                                    other => next = other,
                                },
                            }
                        }
                    }
                    // The caller may have given up.
                    let _ = finished.send(recorder);
                }
            }
            if next.is_none() {
                next = commands.recv().await;
            }
        }
    }

    fn polls(&self) -> Option<commands::Sender<Asked>> {
        self.observer
            .as_ref()
            .map(|observer| observer.polls.clone())
    }

    async fn poll(&self, asked: Asked) {
        if let Some(observer) = &self.observer {
            let _ = observer.polls.send(asked).await;
        }
    }
}

impl WatchTask {
    fn spawn(mut observer: Observer, collect: bool, latest: Latest) -> Self {
        let (polls, mut asked) = commands::channel::<Asked>(4);
        let logs = tokio::spawn(async move {
            while let Some(Asked { how, answer }) = asked.recv().await {
                let snapshot = match how {
                    How::Poll => observer.poll().await,
                    How::Look => observer.look().await,
                };
                latest.set(snapshot);
                let _ = answer.send(snapshot.clone());
            }
            if collect {
                observer.catch_up().await;
            }
            observer.into_logs()
        });
        WatchTask { polls, logs }
    }

    /// The committed logs, once what is left of them has been fetched. The runtime must not end before: it would take the
    /// task with it, and what was collected.
    async fn finish(self) -> Option<Vec<String>> {
        drop(self.polls);
        // It ends by itself alone, or by a panic that was printed.
        self.logs.await.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::load::{Clock, Namespace};
    use crate::workload::KeySpace;

    #[test]
    fn a_thread_that_is_told_to_close_has_the_logs_first_although_replicas_take_their_time() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let (order, ordered) = commands::channel(16);
        let (answer, mut logs) = oneshot::channel();
        let (finished, _done) = mpsc::sync_channel(1);
        order.try_send(Command::Close(answer)).unwrap();
        runtime.block_on(async {
            let observer = Observer::of_slow_replicas(&[3, 2_000], true);
            let plan = Plan {
                clock: Clock::start(),
                ops_per_request: 1,
                atomic: false,
                quorum_reads: false,
                space: Arc::new(KeySpace::new(1)),
                namespace: Namespace::default(),
                stop: Arc::default(),
            };
            let mut thread = Connected {
                hubs: Vec::new(),
                worker: Worker::new(plan, Vec::new()),
                observer: Some(WatchTask::spawn(observer, true, Latest::default())),
            };
            thread.obey(ordered, &finished).await;
        });
        // As at the end of a thread: what is not done yet is never done.
        drop(runtime);
        let logs = logs.try_recv().unwrap().unwrap();
        assert!(logs.iter().all(|log| !log.is_empty()), "{logs:?}");
    }
}
