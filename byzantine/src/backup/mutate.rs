//! BB12: small changes to its own messages, signed anew (ByzzFuzz): most protocol bugs that were
//! found by fuzzing needed no more.

use consensus::pbft::certificate::Statement;
use consensus::pbft::message::{Header, Status, ViewChange, Wire};
use consensus::{Epoch, SeqNo, View};
use crypto::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::double_vote::rival_header;
use crate::attack::{Attack, Hand, Outgoing, Recipe, slot_of};

/// Digests that went by and may come back where they do not belong.
const DIGESTS_MAX: usize = 16;

/// See [`crate::Behaviour::Mutate`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mutate {
    /// Of the messages to one replica, this share is changed.
    pub share: f64,
}

impl Default for Mutate {
    fn default() -> Self {
        Mutate { share: 0.2 }
    }
}

impl Recipe for Mutate {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Mutating {
            share: self.share,
            digests: Vec::new(),
        })
    }
}

struct Mutating {
    share: f64,
    digests: Vec<Digest>,
}

/// One more or one less; the ends stay where they are.
fn nudged(number: u64, up: bool) -> u64 {
    match up {
        true => number.saturating_add(1),
        false => number.saturating_sub(1),
    }
}

impl Mutating {
    fn remember(&mut self, digest: Digest) {
        if self.digests.contains(&digest) {
            return;
        }
        if self.digests.len() == DIGESTS_MAX {
            self.digests.remove(0);
        }
        self.digests.push(digest);
    }

    fn changed(&self, hand: &mut Hand<'_>, said: Statement) -> Statement {
        let up = hand.chance.is(0.5);
        let mut said = said;
        match hand.chance.below(3) {
            0 => said.seq = SeqNo(nudged(said.seq.0, up)),
            1 => said.view = View(nudged(said.view.0, up)),
            _ => {
                if let Some(old) = hand.chance.one_of(&self.digests) {
                    said.digest = *old;
                }
            }
        }
        said
    }

    /// The message with one field changed, signed by this member where it may.
    fn mutant(&self, hand: &mut Hand<'_>, wire: &Wire) -> Option<Wire> {
        let me = hand.scene.me();
        let up = hand.chance.is(0.5);
        Some(match wire {
            Wire::PrePrepare(header, body) => {
                let statement = self.changed(hand, header.statement);
                let Header { epoch, .. } = *header;
                let forged = rival_header(&hand.scene.forge, header, statement);
                Wire::PrePrepare(Header { epoch, ..forged }, body.clone())
            }
            Wire::Prepare(vote) => {
                let statement = self.changed(hand, vote.statement);
                let header = rival_header(&hand.scene.forge, &vote.header(), statement);
                Wire::Prepare(hand.scene.forge.prepare(me, &header))
            }
            Wire::Commit(vote) => {
                let statement = self.changed(hand, vote.statement);
                Wire::Commit(hand.scene.forge.commit(me, vote.epoch, statement))
            }
            Wire::Checkpoint(claim) => {
                let interval = hand
                    .scene
                    .forge
                    .keyring
                    .cluster()
                    .limits()
                    .checkpoint_interval;
                let moved = match up {
                    true => claim.seq.0.saturating_add(interval),
                    false => claim.seq.0.saturating_sub(interval),
                };
                let forge = &hand.scene.forge;
                Wire::Checkpoint(forge.checkpoint(me, claim.epoch, SeqNo(moved), claim.digest))
            }
            Wire::ViewChange(signed) => {
                let mut report: ViewChange = crypto::decode(&signed.bytes).ok()?;
                if report.replica != me {
                    return None;
                }
                match hand.chance.below(3) {
                    0 => report.new_view = View(nudged(report.new_view.0, up)),
                    1 => report.epoch = Epoch(nudged(report.epoch.0, up)),
                    _ => {
                        let at = hand.chance.below(report.records.len() as u64);
                        let record = report.records.get_mut(usize::try_from(at).ok()?)?;
                        record.seq = SeqNo(nudged(record.seq.0, up));
                    }
                }
                Wire::ViewChange(hand.scene.forge.view_change(&report))
            }
            Wire::Status(status) => {
                let mut status = Status::clone(status);
                match hand.chance.below(3) {
                    0 => status.view = View(nudged(status.view.0, up)),
                    1 => status.last_executed = SeqNo(nudged(status.last_executed.0, up)),
                    _ => status.stable = SeqNo(nudged(status.stable.0, up)),
                }
                Wire::Status(status)
            }
            _ => return None,
        })
    }
}

impl Attack for Mutating {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        match &sent.wire {
            Wire::Prepare(vote) => self.remember(vote.statement.digest),
            Wire::Checkpoint(claim) => self.remember(claim.digest),
            _ => {}
        }
        let seq = slot_of(&sent.wire);
        if !hand.is_open(seq) {
            return leaves.push(sent);
        }
        for to in hand.scene.receivers(sent.to) {
            let mut copy = sent.copy_for(to);
            if hand.chance.is(self.share)
                && hand.strikes(seq)
                && let Some(mutant) = self.mutant(hand, &sent.wire)
                && mutant != sent.wire
            {
                hand.did();
                copy.wire = mutant;
            }
            leaves.push(copy);
        }
    }
}
