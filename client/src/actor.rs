//! The one task that owns the sessions of a hub: takes submissions and replies, keeps timers,
//! and sends what the sessions want sent. It waits for nobody but its queues.
//!
//! A turn takes everything that is queued (up to a bound), and only then sends: all requests of
//! a turn to one replica share a frame.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use consensus::client::{Action, ClientSession, SubmitError};
use consensus::{ByteList, ClientId, Cluster, Grade, Instant, ReplicaId, Reply, Term};
use network::Observation;
use tokio::sync::{mpsc, oneshot};

use crate::completion::{Completion, Waiter};
use crate::error::{ObserveError, RequestError};
use crate::joined::JoinedReads;
use crate::lanes::Lanes;
use crate::link::{LinkCommand, LinkEvent};
use crate::state::HubReport;

/// Events and commands that one turn takes of each kind.
const TURN_MAX: usize = 1024;

/// A timer that has never been set fires in this time, and finds nothing to do.
const IDLE: Duration = Duration::from_secs(3600);

/// What handles ask of the actor.
pub(crate) enum Command {
    Submit(Submission),
    Observe {
        replica: ReplicaId,
        from_seq: consensus::SeqNo,
        answer: oneshot::Sender<Result<oneshot::Receiver<Observation>, ObserveError>>,
    },
    Report(oneshot::Sender<HubReport>),
    Close,
}

/// A request that somebody waits for.
pub(crate) struct Submission {
    /// Which of the hub's clients asks.
    pub(crate) client: usize,
    pub(crate) ops: ByteList,
    pub(crate) how: How,
    pub(crate) waiter: Waiter,
}

/// How the operations of a submission are to be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// In the log; `atomic`: all take effect or none does.
    Ordered { atomic: bool },
    /// Beside the log: they do nothing but read.
    Read(Grade),
}

/// One client key.
struct Owner {
    session: ClientSession,
    /// Who waits for which number.
    waiting: BTreeMap<u64, Waiter>,
    reads: JoinedReads,
    /// Submissions that find no room in the window, and since when they wait; bounded by W.
    backlog: VecDeque<(Instant, Submission)>,
}

impl Owner {
    /// When a timer of the session, or the patience of who waits for room, has run out.
    fn due(&self, patience: Duration) -> Option<Instant> {
        let overdue = self.backlog.front().map(|(since, _)| *since + patience);
        let timers = [self.session.next_deadline(), overdue];
        timers.into_iter().flatten().min()
    }

    /// Tells those who have waited for room as long as for a result that there is none: nothing
    /// was sent.
    fn refuse_overdue(&mut self, now: Instant, patience: Duration) {
        while let Some((since, _)) = self.backlog.front()
            && *since + patience <= now
            && let Some((_, submission)) = self.backlog.pop_front()
        {
            let full = SubmitError::WindowFull(self.session.outstanding());
            submission.waiter.answer(Err(full.into()));
        }
    }
}

/// See the module.
pub(crate) struct Actor {
    cluster: Arc<Cluster>,
    origin: tokio::time::Instant,
    owners: Vec<Owner>,
    owner_of: BTreeMap<ClientId, usize>,
    /// Whose reads of this turn are to be sent.
    readers: Vec<usize>,
    lanes: Lanes,
    events: mpsc::Receiver<LinkEvent>,
    commands: mpsc::Receiver<Command>,
    actions: Vec<Action>,
    /// How long a submission may wait for room in the window.
    patience: Duration,
}

impl Actor {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        sessions: Vec<(ClientId, ClientSession)>,
        links: Vec<mpsc::Sender<LinkCommand>>,
        events: mpsc::Receiver<LinkEvent>,
        commands: mpsc::Receiver<Command>,
        patience: Duration,
    ) -> Self {
        let lanes = Lanes::new(cluster.limits(), links);
        let owner_of = sessions
            .iter()
            .enumerate()
            .map(|(at, (id, _))| (*id, at))
            .collect();
        let owner = |session| Owner {
            session,
            waiting: BTreeMap::new(),
            reads: JoinedReads::default(),
            backlog: VecDeque::new(),
        };
        let owners = sessions
            .into_iter()
            .map(|(_, session)| owner(session))
            .collect();
        Actor {
            cluster,
            origin: tokio::time::Instant::now(),
            owners,
            owner_of,
            readers: Vec::new(),
            lanes,
            events,
            commands,
            actions: Vec::new(),
            patience,
        }
    }

    /// Runs until every handle is gone or one says close. Whoever still waits is told.
    pub(crate) async fn run(mut self) {
        let timer = tokio::time::sleep(IDLE);
        tokio::pin!(timer);
        loop {
            let dues = self
                .owners
                .iter()
                .filter_map(|owner| owner.due(self.patience));
            if let Some(due) = dues.min() {
                let due = self.origin + Duration::from_nanos(due.0);
                // A timer that fires too early finds nothing to do; setting it each turn to a
                // later time would cost more.
                if due < timer.deadline() || timer.is_elapsed() {
                    timer.as_mut().reset(due);
                }
            } else if timer.is_elapsed() {
                timer.as_mut().reset(tokio::time::Instant::now() + IDLE);
            }
            let closed = tokio::select! {
                biased;
                Some(event) = self.events.recv() => {
                    self.on_event(event);
                    false
                }
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => true,
                },
                () = &mut timer => false,
            };
            if closed || self.drain() {
                return;
            }
            self.submit_reads();
            self.tick();
            self.lanes.flush();
        }
    }

    /// Takes what else is queued; true if a command said close.
    fn drain(&mut self) -> bool {
        for _ in 0..TURN_MAX {
            let Ok(event) = self.events.try_recv() else {
                break;
            };
            self.on_event(event);
        }
        for _ in 0..TURN_MAX {
            let Ok(command) = self.commands.try_recv() else {
                break;
            };
            if self.on_command(command) {
                return true;
            }
        }
        false
    }

    fn now(&self) -> Instant {
        let nanos = self.origin.elapsed().as_nanos();
        Instant(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn on_event(&mut self, event: LinkEvent) {
        let now = self.now();
        match event {
            LinkEvent::Replies(from, replies) => {
                for reply in replies {
                    self.on_reply(from, reply, now);
                }
            }
            LinkEvent::Hint(replica, term) => self.on_hint(replica, term, now),
            LinkEvent::Connected { replica, term } => {
                self.lanes.set_connected(replica, true);
                self.for_each_session(|session, out| session.on_connected(replica, now, out));
                self.on_hint(replica, term, now);
            }
            LinkEvent::Disconnected(replica) => {
                self.lanes.set_connected(replica, false);
                self.for_each_session(|session, out| session.on_disconnected(replica, now, out));
            }
        }
    }

    fn on_reply(&mut self, from: ReplicaId, reply: Reply, now: Instant) {
        let Some(at) = self.owner_of.get(&reply.id.client).copied() else {
            return;
        };
        let Some(owner) = self.owners.get_mut(at) else {
            return;
        };
        owner.session.on_reply(from, reply, now, &mut self.actions);
        self.perform(at, now);
    }

    fn on_hint(&mut self, from: ReplicaId, term: Term, now: Instant) {
        self.for_each_session(|session, out| session.on_hint(from, term, now, out));
    }

    fn for_each_session(&mut self, mut step: impl FnMut(&mut ClientSession, &mut Vec<Action>)) {
        let now = self.now();
        for at in 0..self.owners.len() {
            if let Some(owner) = self.owners.get_mut(at) {
                step(&mut owner.session, &mut self.actions);
            }
            self.perform(at, now);
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        for at in 0..self.owners.len() {
            let Some(owner) = self.owners.get_mut(at) else {
                continue;
            };
            if owner.due(self.patience).is_some_and(|due| due <= now) {
                owner.refuse_overdue(now, self.patience);
                owner.session.tick(now, &mut self.actions);
                self.perform(at, now);
            }
        }
    }

    /// True if it says close.
    fn on_command(&mut self, command: Command) -> bool {
        match command {
            Command::Submit(submission) => self.on_submission(submission),
            Command::Observe {
                replica,
                from_seq,
                answer,
            } => {
                // Whoever asked has stopped waiting.
                let _ = answer.send(self.lanes.observe(replica, from_seq));
            }
            Command::Report(answer) => {
                // As above.
                let _ = answer.send(self.report());
            }
            Command::Close => return true,
        }
        false
    }

    fn on_submission(&mut self, submission: Submission) {
        let (now, at) = (self.now(), submission.client);
        let most = usize::try_from(self.cluster.limits().client_window).unwrap_or(usize::MAX);
        let Some(owner) = self.owners.get_mut(at) else {
            return;
        };
        if let How::Read(grade) = submission.how {
            if owner.reads.push(grade, submission.ops, submission.waiter) {
                self.readers.push(at);
            }
        } else if owner.backlog.is_empty() && owner.session.has_room() {
            self.submit(at, submission, now);
        } else if owner.backlog.len() < most {
            owner.backlog.push_back((now, submission));
        } else {
            let full = SubmitError::WindowFull(owner.session.outstanding());
            submission.waiter.answer(Err(full.into()));
        }
    }

    fn submit(&mut self, at: usize, submission: Submission, now: Instant) {
        let Some(owner) = self.owners.get_mut(at) else {
            return;
        };
        let Submission {
            ops, how, waiter, ..
        } = submission;
        let atomic = how == How::Ordered { atomic: true };
        match owner.session.submit(&ops, atomic, now, &mut self.actions) {
            Ok(number) => {
                owner.waiting.insert(number, waiter);
            }
            Err(error) => waiter.answer(Err(error.into())),
        }
        self.send();
    }

    /// The reads of this turn; there are no more of them than requests, and none waits for room.
    fn submit_reads(&mut self) {
        let now = self.now();
        for at in std::mem::take(&mut self.readers) {
            if let Some(Owner { session, reads, .. }) = self.owners.get_mut(at) {
                reads.submit(session, self.cluster.limits(), now, &mut self.actions);
            }
            self.send();
        }
    }

    /// What submitting has brought about: it sends, and has no result yet.
    fn send(&mut self) {
        for action in self.actions.drain(..) {
            match action {
                Action::Send { to, raw } => self.lanes.send(to, &raw),
                Action::SendRead { to, raw } => self.lanes.read(to, &raw),
                _ => {}
            }
        }
    }

    /// Performs what the session of `at` wants, and submits what waited for room.
    fn perform(&mut self, at: usize, now: Instant) {
        if self.actions.is_empty() {
            return;
        }
        let Some(owner) = self.owners.get_mut(at) else {
            return;
        };
        for action in self.actions.drain(..) {
            match action {
                Action::Send { to, raw } => self.lanes.send(to, &raw),
                Action::SendRead { to, raw } => self.lanes.read(to, &raw),
                Action::Completed(completed) => {
                    if let Some(waiter) = owner.waiting.remove(&completed.number) {
                        waiter.answer(Completion::of(completed, None, self.origin));
                    }
                }
                Action::ReadCompleted { completed, path } => {
                    owner.reads.completed(completed, path, self.origin);
                }
                Action::TimedOut(timed_out) => {
                    owner.reads.timed_out(&timed_out);
                    if let Some(waiter) = owner.waiting.remove(&timed_out.number) {
                        waiter.answer(Err(RequestError::TimedOut(Box::new(timed_out))));
                    }
                }
                Action::Contradicted(contradiction) => self.lanes.suspect(&contradiction),
            }
        }
        while let Some(owner) = self.owners.get_mut(at)
            && owner.session.has_room()
            && let Some((_, submission)) = owner.backlog.pop_front()
        {
            self.submit(at, submission, now);
        }
    }

    fn report(&self) -> HubReport {
        let mut report = HubReport {
            frames_dropped: self.lanes.frames_dropped(),
            ..HubReport::default()
        };
        for Owner { session, .. } in &self.owners {
            let counters = session.counters();
            report.outstanding += session.outstanding();
            report.term = report.term.max(session.term());
            report.counters.retransmissions += counters.retransmissions;
            report.counters.bodies_asked += counters.bodies_asked;
            report.counters.busy += counters.busy;
            report.counters.refused += counters.refused;
            report.counters.contradictions += counters.contradictions;
            report.counters.quorum_reads += counters.quorum_reads;
            report.counters.read_fallbacks += counters.read_fallbacks;
        }
        report
    }
}
