//! BP2: a batch that exactly one replica can see decided by the fast path, and a rival for the rest;
//! then nothing, as if it had crashed. Whether the view change keeps what one replica has executed, and
//! its client may have read, is the classic question of fast paths (Zyzzyva, FaB).

use consensus::Instant;
use consensus::pbft::message::{ViewChange, VoteReport, Wire};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::equivocate::rivals;
use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::retold::{Retold, own_proposal};
use crate::span::Span;

/// See [`crate::Behaviour::EquivocateFast`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EquivocateFast {
    /// Replicas that get its own vote, and with it a fast quorum.
    pub lucky: u16,
    /// Slots that it does so with before it falls silent.
    pub slots: u16,
    /// How long it is silent before it begins anew; 0: for ever.
    pub silence: Span,
    /// Reports in its VIEW-CHANGE, rather than nothing, that it voted for the rival.
    pub lies: bool,
}

impl Default for EquivocateFast {
    fn default() -> Self {
        EquivocateFast {
            lucky: 1,
            slots: 1,
            silence: Span::millis(1_500),
            lies: true,
        }
    }
}

impl Recipe for EquivocateFast {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Splitting {
            plan: self.clone(),
            told: Retold::default(),
            struck: 0,
            silent_until: None,
        })
    }
}

struct Splitting {
    plan: EquivocateFast,
    told: Retold,
    struck: u16,
    silent_until: Option<Instant>,
}

impl Splitting {
    /// Others that get the first batch: with its own vote they are a fast quorum.
    fn first(hand: &Hand<'_>) -> usize {
        let quorums = hand.scene.forge.keyring.cluster().quorums();
        quorums.fast().unwrap_or(quorums.slow()) - 1
    }

    /// The member's report, with the rival in place of what it voted for.
    fn lie(&self, hand: &Hand<'_>, sent: &Outgoing) -> Option<Outgoing> {
        let Wire::ViewChange(signed) = &sent.wire else {
            return None;
        };
        let mut report: ViewChange = crypto::decode(&signed.bytes).ok()?;
        if report.replica != hand.scene.me() {
            return None;
        }
        for record in &mut report.records {
            let vote = record.vote.as_mut()?;
            if let Some((header, _)) = self.told.version(vote.view, record.seq, 1) {
                *vote = VoteReport {
                    view: vote.view,
                    digest: header.statement.digest,
                    header_signature: header.signature,
                };
            }
        }
        Some(Outgoing {
            wire: Wire::ViewChange(hand.scene.forge.view_change(&report)),
            ..sent.clone()
        })
    }
}

impl Attack for Splitting {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        if let Some(until) = self.silent_until {
            if hand.scene.now < until {
                if self.plan.lies {
                    leaves.extend(self.lie(hand, &sent));
                }
                return;
            }
            self.silent_until = None;
            self.struck = 0;
        }
        if let Some(proposal) = own_proposal(hand, &sent)
            && let at = proposal.0.statement
            && !self.told.holds(&at)
            && self.struck < self.plan.slots
            && hand.strikes(Some(at.seq))
        {
            let versions = rivals(hand, 2, &proposal);
            if versions.len() == 2 {
                hand.did();
                self.struck += 1;
                self.told.insert(at, versions);
            }
        }
        let (others, first) = (hand.scene.others(), Self::first(hand));
        let place = |to| others.iter().position(|id| *id == to).unwrap_or(0);
        let lucky = usize::from(self.plan.lucky);
        let votes = |to| place(to) < lucky || place(to) >= first;
        let group = |to| usize::from(place(to) >= first);
        let own_vote = matches!(&sent.wire, Wire::Prepare(_));
        let Some(sent) = self.told.tell(hand, sent, group, votes, leaves) else {
            // Its vote was all that was missing: now it is gone.
            if own_vote && self.struck >= self.plan.slots {
                let silence = self.plan.silence.0;
                let now = hand.scene.now;
                self.silent_until = Some(match silence.is_zero() {
                    true => Instant(u64::MAX),
                    false => now + silence,
                });
            }
            return;
        };
        leaves.push(sent);
    }
}
