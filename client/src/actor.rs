//! The one task that owns the sessions of a hub: takes submissions and replies, keeps timers,
//! and sends what the sessions want sent. It waits for nobody but its queues.
//!
//! A turn takes everything that is queued (up to a bound), and only then sends: all requests of
//! a turn to one replica share a frame.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use consensus::client::{Action, ClientSession, SubmitError, To};
use consensus::{
    ByteList, ClientId, Cluster, Instant, Outcome, ReplicaId, Reply, ResultBody, View,
};
use network::Observation;
use tokio::sync::{mpsc, oneshot};

use crate::completion::{Completion, Waiter};
use crate::error::{ObserveError, RequestError};
use crate::link::{LinkCommand, LinkEvent};
use crate::outbox::Outbox;
use crate::state::HubReport;

/// Events and commands that one turn takes of each kind.
const TURN_MAX: usize = 1024;

/// A timer that has never been set fires in this time, and finds nothing to do.
const IDLE: std::time::Duration = std::time::Duration::from_secs(3600);

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
    pub(crate) atomic: bool,
    pub(crate) waiter: Waiter,
}

/// One client key.
struct Owner {
    session: ClientSession,
    /// Who waits for which number.
    waiting: BTreeMap<u64, Waiter>,
    /// Submissions that find no room in the window; bounded by W.
    backlog: VecDeque<Submission>,
}

/// A link as the actor sees it.
struct Lane {
    commands: mpsc::Sender<LinkCommand>,
    connected: bool,
    outbox: Outbox,
    /// A first contradiction of this replica has been logged.
    suspected: bool,
}

/// See the module.
pub(crate) struct Actor {
    cluster: Arc<Cluster>,
    origin: tokio::time::Instant,
    owners: Vec<Owner>,
    owner_of: BTreeMap<ClientId, usize>,
    lanes: Vec<Lane>,
    events: mpsc::Receiver<LinkEvent>,
    commands: mpsc::Receiver<Command>,
    actions: Vec<Action>,
    frames_dropped: u64,
}

impl Actor {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        sessions: Vec<(ClientId, ClientSession)>,
        links: Vec<mpsc::Sender<LinkCommand>>,
        events: mpsc::Receiver<LinkEvent>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let limits = cluster.limits();
        let lane = |commands| Lane {
            commands,
            connected: false,
            outbox: Outbox::new(limits),
            suspected: false,
        };
        let lanes = links.into_iter().map(lane).collect();
        let owner_of = sessions
            .iter()
            .enumerate()
            .map(|(at, (id, _))| (*id, at))
            .collect();
        let owner = |session| Owner {
            session,
            waiting: BTreeMap::new(),
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
            lanes,
            events,
            commands,
            actions: Vec::new(),
            frames_dropped: 0,
        }
    }

    /// Runs until every handle is gone or one says close. Whoever still waits is told.
    pub(crate) async fn run(mut self) {
        let timer = tokio::time::sleep(IDLE);
        tokio::pin!(timer);
        loop {
            if let Some(due) = self
                .owners
                .iter()
                .filter_map(|o| o.session.next_deadline())
                .min()
            {
                let due = self.origin + std::time::Duration::from_nanos(due.0);
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
            self.tick();
            self.flush();
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
            LinkEvent::Hint(replica, view) => self.on_hint(replica, view, now),
            LinkEvent::Connected { replica, view } => {
                self.set_connected(replica, true);
                self.for_each_session(|session, out| session.on_connected(replica, now, out));
                self.on_hint(replica, view, now);
            }
            LinkEvent::Disconnected(replica) => {
                self.set_connected(replica, false);
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

    fn on_hint(&mut self, from: ReplicaId, view: View, now: Instant) {
        self.for_each_session(|session, out| session.on_hint(from, view, now, out));
    }

    fn set_connected(&mut self, replica: ReplicaId, connected: bool) {
        if let Some(lane) = self.lanes.get_mut(replica.index()) {
            lane.connected = connected;
        }
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
            if owner.session.next_deadline().is_some_and(|due| due <= now) {
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
                let _ = answer.send(self.observe(replica, from_seq));
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
        if owner.backlog.is_empty() && owner.session.has_room() {
            self.submit(at, submission, now);
        } else if owner.backlog.len() < most {
            owner.backlog.push_back(submission);
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
            ops,
            atomic,
            waiter,
            ..
        } = submission;
        match owner.session.submit(&ops, atomic, now, &mut self.actions) {
            Ok(number) => {
                owner.waiting.insert(number, waiter);
            }
            Err(error) => waiter.answer(Err(error.into())),
        }
        for action in self.actions.drain(..) {
            if let Action::Send { to, raw } = action {
                send(&mut self.lanes, to, raw);
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
                Action::Send { to, raw } => send(&mut self.lanes, to, raw),
                Action::Completed(completed) => {
                    if let Some(waiter) = owner.waiting.remove(&completed.number) {
                        waiter.answer(completion(completed, self.origin));
                    }
                }
                Action::TimedOut(timed_out) => {
                    if let Some(waiter) = owner.waiting.remove(&timed_out.number) {
                        waiter.answer(Err(RequestError::TimedOut(Box::new(timed_out))));
                    }
                }
                Action::Contradicted(contradiction) => {
                    let lane = self.lanes.get_mut(contradiction.said.replica.index());
                    let first =
                        lane.is_some_and(|lane| !std::mem::replace(&mut lane.suspected, true));
                    if first {
                        tracing::warn!(
                            "{contradiction}; further ones of this replica are only counted"
                        );
                    } else {
                        tracing::debug!("{contradiction}");
                    }
                }
            }
        }
        while let Some(owner) = self.owners.get_mut(at)
            && owner.session.has_room()
            && let Some(submission) = owner.backlog.pop_front()
        {
            self.submit(at, submission, now);
        }
    }

    fn flush(&mut self) {
        for lane in &mut self.lanes {
            for frame in lane.outbox.frames() {
                if lane.commands.try_send(LinkCommand::Frame(frame)).is_err() {
                    self.frames_dropped += 1;
                }
            }
        }
    }

    fn observe(
        &mut self,
        replica: ReplicaId,
        from_seq: consensus::SeqNo,
    ) -> Result<oneshot::Receiver<Observation>, ObserveError> {
        let lane = self.lanes.get(replica.index());
        let lane = lane.ok_or(ObserveError::NoSuchReplica(replica))?;
        if !lane.connected {
            return Err(ObserveError::NotConnected(replica));
        }
        let (answer, observation) = oneshot::channel();
        lane.commands
            .try_send(LinkCommand::Observe { from_seq, answer })
            .map_err(|_| ObserveError::NotConnected(replica))?;
        Ok(observation)
    }

    fn report(&self) -> HubReport {
        let mut report = HubReport {
            frames_dropped: self.frames_dropped,
            ..HubReport::default()
        };
        for Owner { session, .. } in &self.owners {
            let counters = session.counters();
            report.outstanding += session.outstanding();
            report.view = report.view.max(session.view());
            report.counters.retransmissions += counters.retransmissions;
            report.counters.busy += counters.busy;
            report.counters.refused += counters.refused;
            report.counters.contradictions += counters.contradictions;
        }
        report
    }
}

fn send(lanes: &mut [Lane], to: To, raw: bytes::Bytes) {
    match to {
        To::One(replica) => {
            if let Some(lane) = lanes.get_mut(replica.index())
                && lane.connected
            {
                lane.outbox.push(raw);
            }
        }
        To::All => {
            for lane in lanes.iter_mut().filter(|lane| lane.connected) {
                lane.outbox.push(raw.clone());
            }
        }
    }
}

fn completion(
    completed: consensus::client::Completed,
    origin: tokio::time::Instant,
) -> Result<Completion, RequestError> {
    let at = |instant: Instant| (origin + std::time::Duration::from_nanos(instant.0)).into_std();
    let results = match completed.outcome {
        Outcome::Executed(ResultBody::Full(results)) => results,
        Outcome::Denied => return Err(RequestError::Denied),
        Outcome::StaleSession(newer) => return Err(RequestError::StaleSession(newer)),
        Outcome::AlreadyAcked => return Err(RequestError::AlreadyAcked),
        outcome @ (Outcome::Executed(ResultBody::Hash(_))
        | Outcome::OutOfWindow
        | Outcome::Busy { .. }) => {
            // A session completes with none of these.
            return Err(RequestError::UnreadableResult(format!("{outcome:?}")));
        }
    };
    Ok(Completion {
        results,
        seq: completed.seq,
        view: completed.view,
        matching: completed.matching,
        differing: completed.differing,
        retransmissions: completed.retransmissions,
        busy: completed.busy,
        sent_at: at(completed.sent_at),
        completed_at: at(completed.completed_at),
    })
}
