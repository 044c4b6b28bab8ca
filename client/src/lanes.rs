//! The links as the actor uses them: what is to be sent in this turn, and to whom it can be.

use bytes::Bytes;
use consensus::client::{Contradiction, To};
use consensus::{Limits, ReplicaId, SeqNo};
use network::{Observation, ToReplica};
use tokio::sync::{mpsc, oneshot};

use crate::error::ObserveError;
use crate::link::LinkCommand;
use crate::outbox::Outbox;

/// One lane for each replica, in order of id.
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    frames_dropped: u64,
}

struct Lane {
    commands: mpsc::Sender<LinkCommand>,
    connected: bool,
    outbox: Outbox,
    reads: Outbox,
    /// A first contradiction of this replica has been logged.
    suspected: bool,
}

impl Lanes {
    pub(crate) fn new(limits: &Limits, links: Vec<mpsc::Sender<LinkCommand>>) -> Self {
        let lane = |commands| Lane {
            commands,
            connected: false,
            outbox: Outbox::new(limits),
            reads: Outbox::of(ToReplica::Reads, limits),
            suspected: false,
        };
        Lanes {
            lanes: links.into_iter().map(lane).collect(),
            frames_dropped: 0,
        }
    }

    pub(crate) fn set_connected(&mut self, replica: ReplicaId, connected: bool) {
        if let Some(lane) = self.lanes.get_mut(replica.index()) {
            lane.connected = connected;
        }
    }

    /// Takes a request for the next [`Lanes::flush`]. A replica that is not connected gets none:
    /// when it is, the sessions send again what it should have.
    pub(crate) fn send(&mut self, to: To, raw: &Bytes) {
        self.each(to, |lane| lane.outbox.push(raw.clone()));
    }

    /// Takes a READ, which is sent once.
    pub(crate) fn read(&mut self, to: To, raw: &Bytes) {
        self.each(to, |lane| lane.reads.push(raw.clone()));
    }

    /// Every connected lane that is meant.
    fn each(&mut self, to: To, mut push: impl FnMut(&mut Lane)) {
        let only = match to {
            To::One(replica) => Some(replica.index()),
            To::All => None,
        };
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            if lane.connected && only.is_none_or(|only| only == at) {
                push(lane);
            }
        }
    }

    /// Hands the turn's frames to the links. A link whose queue is full loses them, as a network
    /// may: the sessions' time-outs make up for it.
    pub(crate) fn flush(&mut self) {
        for lane in &mut self.lanes {
            for frame in lane.outbox.frames().chain(lane.reads.frames()) {
                if lane.commands.try_send(LinkCommand::Frame(frame)).is_err() {
                    self.frames_dropped += 1;
                }
            }
        }
    }

    /// Frames lost so far.
    pub(crate) fn frames_dropped(&self) -> u64 {
        self.frames_dropped
    }

    /// Asks a replica to show itself.
    pub(crate) fn observe(
        &mut self,
        replica: ReplicaId,
        from_seq: SeqNo,
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

    /// Logs a contradiction: the first of each replica aloud, for a liar may send any number.
    pub(crate) fn suspect(&mut self, contradiction: &Contradiction) {
        let lane = self.lanes.get_mut(contradiction.said.replica.index());
        if lane.is_some_and(|lane| !std::mem::replace(&mut lane.suspected, true)) {
            tracing::warn!("{contradiction}; further ones of this replica are only counted");
        } else {
            tracing::debug!("{contradiction}");
        }
    }
}
