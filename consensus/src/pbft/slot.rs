//! The protocol state of one sequence number, and the window of slots between the watermarks
//! (docs/protocol.md R5).

use std::collections::VecDeque;
use std::sync::Arc;

use crypto::Digest;

use super::certificate::{Certificate, Phase, Statement};
use super::message::{Commit, Header, Prepare};
use super::order::Accepted;
use super::votes::VoteSet;
use crate::batch::Batch;
use crate::ids::{Epoch, ReplicaId, SeqNo, View};
use crate::raw_batch::RawBatch;
use crate::time::Instant;

/// Batches kept per slot: of the accepted header, the own latest vote, the highest prepared
/// certificate and the decision, which may be four.
const BODIES_MAX: usize = 4;

/// A batch that a slot rests on. Its requests stay taken apart until it is executed; after that its bytes are all that
/// anybody asks for, and a window holds tens of thousands of requests.
#[derive(Clone, Debug)]
pub(super) struct Body {
    digest: Digest,
    raw: RawBatch,
    batch: Option<Arc<Batch>>,
}

impl Body {
    fn new(batch: Arc<Batch>, executed: bool) -> Self {
        Body {
            digest: batch.digest(),
            raw: batch.to_raw(),
            batch: (!executed).then_some(batch),
        }
    }

    /// As it travels; shares the bytes.
    pub(super) fn to_raw(&self) -> RawBatch {
        self.raw.clone()
    }

    /// Bytes of all requests.
    pub(super) fn bytes(&self) -> usize {
        self.raw.bytes()
    }

    /// Requests in it.
    pub(super) fn len(&self) -> usize {
        self.raw.len()
    }

    /// `None` once it is executed.
    pub(super) fn batch(&self) -> Option<&Arc<Batch>> {
        self.batch.as_ref()
    }
}

/// A slot that holds a prepared certificate.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// q PREPAREs of the highest view.
    pub(super) certificate: Certificate,
    /// When it was formed.
    pub(super) at: Instant,
    /// Is it durable (or on its way before everything that rests on it)?
    pub(super) persisted: bool,
}

/// The own COMMIT for a slot, and who has been sent it.
#[derive(Clone, Debug)]
pub(super) struct OwnCommit {
    pub(super) vote: Commit,
    sent_to_all: bool,
    /// Those who were sent it alone, at most one entry a replica.
    sent_to: Vec<ReplicaId>,
}

impl OwnCommit {
    /// One that nobody has yet.
    pub(super) fn new(vote: Commit) -> Self {
        OwnCommit {
            vote,
            sent_to_all: false,
            sent_to: Vec::new(),
        }
    }

    /// It goes to all now. False if it has gone before.
    pub(super) fn goes_to_all(&mut self) -> bool {
        !std::mem::replace(&mut self.sent_to_all, true)
    }

    /// It goes to this replica alone now. False if that has it already.
    pub(super) fn goes_to(&mut self, replica: ReplicaId) -> bool {
        let new = !self.sent_to_all && !self.sent_to.contains(&replica);
        if new {
            self.sent_to.push(replica);
        }
        new
    }
}

/// One sequence number.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// The first valid header of the current view.
    pub(super) header: Option<Header>,
    /// When that proposal was here, body and all.
    pub(super) accepted: Option<Accepted>,
    /// Own latest vote, whatever its view (never cleared by a view change).
    pub(super) vote: Option<Prepare>,
    /// Is the own vote durable?
    pub(super) vote_durable: bool,
    /// PREPAREs.
    pub(super) prepares: VoteSet<Prepare>,
    /// COMMITs.
    pub(super) commits: VoteSet<Commit>,
    /// Highest prepared certificate.
    pub(super) prepared: Option<Prepared>,
    /// Own COMMIT of the latest view in which there was one.
    pub(super) commit: Option<OwnCommit>,
    /// What decided the slot, whole: the votes for it give way to those of later views.
    pub(super) decided: Option<Certificate>,
    /// A proposal of a view that is not open here yet; of several the one of the nearest view.
    pub(super) early: Option<(Header, Option<Arc<Batch>>)>,
    bodies: Vec<Body>,
    /// Is it executed? Never again, then.
    executed: bool,
}

impl Slot {
    /// Batches held.
    pub(super) fn bodies_held(&self) -> usize {
        self.bodies.len()
    }

    /// The batch with this digest, if it is here.
    pub(super) fn body(&self, digest: &Digest) -> Option<&Body> {
        self.bodies.iter().find(|body| body.digest == *digest)
    }

    /// It is executed: nobody asks what its batches consist of any more.
    pub(super) fn execute(&mut self) {
        self.executed = true;
        for body in &mut self.bodies {
            body.batch = None;
        }
    }

    /// Batches that are held taken apart.
    pub(super) fn parsed_held(&self) -> usize {
        self.bodies.iter().filter_map(Body::batch).count()
    }

    /// The batch of the header of the current view, if both are here.
    pub(super) fn proposed(&self) -> Option<&Body> {
        self.body(&self.header?.statement.digest)
    }

    /// Does anything here rest on the batch with this digest?
    pub(super) fn needs_body(&self, digest: &Digest) -> bool {
        let header = self.header.map(|header| header.statement.digest);
        let decided = self
            .decided
            .as_ref()
            .map(|decided| decided.statement.digest);
        let vote = self.vote.map(|vote| vote.statement.digest);
        [header, decided, vote].contains(&Some(*digest)) && self.body(digest).is_none()
    }

    /// The batches here other than this one, as they travel.
    pub(super) fn other_bodies(&self, digest: &Digest) -> Vec<RawBatch> {
        let others = self.bodies.iter().filter(|body| body.digest != *digest);
        others.map(Body::to_raw).collect()
    }

    /// Keeps a batch, unless the bound is reached by batches that are needed.
    pub(super) fn keep_body(&mut self, batch: Arc<Batch>) {
        if self.body(&batch.digest()).is_some() {
            return;
        }
        if self.bodies.len() == BODIES_MAX {
            let needed = [
                self.header.map(|header| header.statement.digest),
                self.vote.map(|vote| vote.statement.digest),
                self.prepared
                    .as_ref()
                    .map(|held| held.certificate.statement.digest),
                self.decided
                    .as_ref()
                    .map(|decided| decided.statement.digest),
            ];
            let Some(at) = self
                .bodies
                .iter()
                .position(|body| !needed.contains(&Some(body.digest)))
            else {
                return;
            };
            self.bodies.remove(at);
        }
        self.bodies.push(Body::new(batch, self.executed));
    }

    /// Was the own COMMIT of this view sent to all?
    pub(super) fn committed_in(&self, view: View) -> bool {
        let own = self.commit.as_ref();
        own.is_some_and(|own| own.vote.statement.view == view && own.sent_to_all)
    }

    /// Bytes of a body that is kept for a later view.
    pub(super) fn early_bytes(&self) -> usize {
        let body = self.early.as_ref().and_then(|(_, body)| body.as_ref());
        body.map_or(0, |body| body.bytes())
    }

    /// The certificate that the votes here make, if there are enough.
    pub(super) fn certificate(
        &self,
        epoch: Epoch,
        phase: Phase,
        statement: &Statement,
        quorum: usize,
    ) -> Option<Certificate> {
        let signers = match phase {
            Phase::Prepare => self.prepares.signers(statement, quorum)?,
            Phase::Commit => self.commits.signers(statement, quorum)?,
        };
        Some(Certificate {
            epoch,
            phase,
            statement: *statement,
            signers,
        })
    }
}

/// The slots above the low watermark h. Votes are taken up to h + 2L (a replica whose checkpoint
/// became stable late must not lose what its peers sent), proposals accepted up to h + L.
#[derive(Clone, Debug)]
pub(super) struct Window {
    low: SeqNo,
    log_window: u64,
    slots: VecDeque<Slot>,
}

impl Window {
    pub(super) fn new(log_window: u64) -> Self {
        Window {
            low: SeqNo(0),
            log_window,
            slots: VecDeque::new(),
        }
    }

    /// An empty window above `low`: an epoch begins.
    pub(super) fn starting(low: SeqNo, log_window: u64) -> Self {
        Window {
            low,
            ..Self::new(log_window)
        }
    }

    /// The batches held for slots above `low` that are not executed.
    pub(super) fn all_batches(&self, low: SeqNo) -> Vec<Arc<Batch>> {
        self.iter()
            .filter(|(seq, _)| *seq > low)
            .flat_map(|(_, slot)| slot.bodies.iter().filter_map(Body::batch).cloned())
            .collect()
    }

    /// h: everything up to here is stable.
    pub(super) fn low(&self) -> SeqNo {
        self.low
    }

    /// h + L: proposals are accepted up to here.
    pub(super) fn high(&self) -> SeqNo {
        self.low.plus(self.log_window)
    }

    /// Is `h < seq ≤ h + L`?
    pub(super) fn contains(&self, seq: SeqNo) -> bool {
        seq > self.low && seq <= self.high()
    }

    /// Is `h < seq ≤ h + 2L`?
    pub(super) fn reaches(&self, seq: SeqNo) -> bool {
        seq > self.low && seq <= self.horizon()
    }

    /// h + 2L: what is said of later slots is not kept.
    pub(super) fn horizon(&self) -> SeqNo {
        self.high().plus(self.log_window)
    }

    fn index(&self, seq: SeqNo) -> Option<usize> {
        if !self.reaches(seq) {
            return None;
        }
        usize::try_from(seq.0 - self.low.0 - 1).ok()
    }

    /// The slot, if it has any state.
    pub(super) fn get(&self, seq: SeqNo) -> Option<&Slot> {
        self.slots.get(self.index(seq)?)
    }

    /// The slot, made if need be; `None` outside h + 2L.
    pub(super) fn slot(&mut self, seq: SeqNo) -> Option<&mut Slot> {
        let index = self.index(seq)?;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Slot::default);
        }
        self.slots.get_mut(index)
    }

    /// Raises h and forgets everything up to it.
    pub(super) fn advance(&mut self, low: SeqNo) {
        while self.low < low && self.slots.pop_front().is_some() {
            self.low = self.low.next();
        }
        self.low = self.low.max(low);
    }

    /// A new view: headers of the old one are no longer accepted.
    pub(super) fn forget_headers(&mut self) {
        for slot in &mut self.slots {
            slot.header = None;
            slot.accepted = None;
        }
    }

    /// What no correct replica does (`Mutation::ForgetVotesAtViewChange`).
    pub(super) fn forget_votes(&mut self) {
        for slot in &mut self.slots {
            slot.vote = None;
        }
    }

    /// The slots with state, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SeqNo, &Slot)> {
        let first = self.low.next();
        self.slots
            .iter()
            .zip(0u64..)
            .map(move |(slot, offset)| (first.plus(offset), slot))
    }
}

#[cfg(test)]
mod tests {
    use crypto::{ClusterId, SecretKey};

    use super::*;
    use crate::byte_list::ByteList;
    use crate::ids::{ClientId, RequestId};
    use crate::request::Request;

    fn batch(number: u64) -> Arc<Batch> {
        let id = RequestId {
            client: ClientId(0),
            session: 1,
            number,
        };
        let (key, cluster) = (SecretKey::from_seed(&[1; 32]), ClusterId(Digest::default()));
        let ops = ByteList::from_iter([vec![7; 5]]);
        Arc::new(Batch::new(vec![Request::sign(
            &key, &cluster, id, 0, true, &ops,
        )]))
    }

    #[test]
    fn a_slot_that_is_executed_keeps_the_bytes_of_its_batches_and_of_those_that_come() {
        let mut slot = Slot::default();
        slot.keep_body(batch(1));
        assert_eq!((slot.bodies_held(), slot.parsed_held()), (1, 1));
        slot.execute();
        slot.keep_body(batch(2));
        assert_eq!((slot.bodies_held(), slot.parsed_held()), (2, 0));
        for batch in [batch(1), batch(2)] {
            let body = slot.body(&batch.digest()).map(Body::to_raw);
            assert_eq!(body, Some(batch.to_raw()));
        }
    }
}
