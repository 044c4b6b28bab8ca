//! What receivers are told about a slot in place of what the honest code proposed.
//!
//! The honest code goes on in good faith: it sends its proposal, its votes, and all of them again when a
//! peer lacks them. Here each of these becomes the version that its receiver was told, so that a lie is
//! told consistently.

use std::collections::BTreeMap;

use consensus::pbft::certificate::Statement;
use consensus::pbft::message::{Header, Wire};
use consensus::{Destination, RawBatch, ReplicaId, Request, SeqNo, View};

use crate::attack::{Hand, Outgoing};

/// Slots of which it is remembered who was told what.
const SLOTS_MAX: usize = 512;

/// One version of a proposal.
pub type Version = (Header, RawBatch);

/// Versions of slots; the number of a version is that of the group of replicas that is told it.
#[derive(Debug, Default)]
pub struct Retold(BTreeMap<(View, SeqNo), Story>);

#[derive(Debug)]
struct Story {
    /// What the honest code believes to have proposed.
    original: Statement,
    versions: Vec<Version>,
}

/// What a message says about a slot.
fn statement_of(wire: &Wire) -> Option<Statement> {
    match wire {
        Wire::PrePrepare(header, _) => Some(header.statement),
        Wire::Prepare(vote) => Some(vote.statement),
        Wire::Commit(vote) => Some(vote.statement),
        _ => None,
    }
}

impl Retold {
    /// From now on these versions are told. Whoever has no version of its own is told the last one.
    pub fn insert(&mut self, original: Statement, versions: Vec<Version>) {
        let story = Story { original, versions };
        self.0.insert((original.view, original.seq), story);
        if self.0.len() > SLOTS_MAX {
            self.0.pop_first();
        }
    }

    /// Is something else told about this slot?
    pub fn holds(&self, at: &Statement) -> bool {
        self.0.contains_key(&(at.view, at.seq))
    }

    /// The version of a slot that a group is told.
    pub fn version(&self, view: View, seq: SeqNo, group: usize) -> Option<&Version> {
        let versions = &self.0.get(&(view, seq))?.versions;
        versions.get(group).or(versions.last())
    }

    /// Slots of which something else was told, ascending.
    pub fn slots(&self) -> impl Iterator<Item = (View, SeqNo)> {
        self.0.keys().copied()
    }

    /// Puts what is told instead into `leaves`; gives the message back if it is about something else.
    /// `group` says which version a replica is told, and `votes` whether it gets votes for it; those
    /// who do not get none.
    pub fn tell(
        &self,
        hand: &Hand<'_>,
        sent: Outgoing,
        group: impl Fn(ReplicaId) -> usize,
        votes: impl Fn(ReplicaId) -> bool,
        leaves: &mut Vec<Outgoing>,
    ) -> Option<Outgoing> {
        let Some(at) = statement_of(&sent.wire) else {
            return Some(sent);
        };
        let story = self.0.get(&(at.view, at.seq));
        let Some(story) = story.filter(|story| story.original == at) else {
            return Some(sent);
        };
        let forge = &hand.scene.forge;
        for to in hand.scene.receivers(sent.to) {
            let versions = &story.versions;
            let Some((header, raw)) = versions.get(group(to)).or(versions.last()) else {
                continue;
            };
            let wire = match &sent.wire {
                Wire::PrePrepare(_, body) => {
                    Wire::PrePrepare(*header, body.as_ref().map(|_| raw.clone()))
                }
                _ if !votes(to) => continue,
                Wire::Prepare(_) => Wire::Prepare(forge.prepare(forge.me, header)),
                _ => Wire::Commit(forge.commit(forge.me, header.epoch, header.statement)),
            };
            leaves.push(Outgoing {
                wire,
                ..sent.copy_for(to)
            });
        }
        None
    }
}

/// The member's own new proposal, on its way to everybody.
pub fn own_proposal(hand: &Hand<'_>, sent: &Outgoing) -> Option<Version> {
    let Wire::PrePrepare(header, Some(raw)) = &sent.wire else {
        return None;
    };
    let author = hand
        .scene
        .forge
        .primary(header.epoch, header.statement.view);
    let new = sent.to == Destination::Others && author == hand.scene.me();
    new.then(|| (*header, raw.clone()))
}

/// The requests of a batch that the honest code proposed.
pub fn requests_of(hand: &Hand<'_>, raw: &RawBatch) -> Vec<Request> {
    let limits = hand.scene.forge.keyring.cluster().limits();
    let parsed = raw.iter().map(|one| Request::parse(one, limits));
    parsed.filter_map(Result::ok).collect()
}

/// Another proposal for the slot of `header`, whose digest is what `raw` has, if it has any.
pub fn proposal_of(
    hand: &Hand<'_>,
    header: &Header,
    raw: RawBatch,
    digest: crypto::Digest,
) -> Version {
    let at = header.statement;
    let forged = hand
        .scene
        .forge
        .header(header.epoch, at.view, at.seq, digest);
    (forged, raw)
}
