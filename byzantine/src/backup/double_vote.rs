//! BB1: two votes where a replica has one.

use consensus::View;
use consensus::pbft::certificate::Statement;
use consensus::pbft::message::{Header, Wire};
use crypto::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::forge::{Forge, NO_SIGNATURE};

/// Who gets which vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Doubling {
    /// Half of the replicas get the honest vote, the others one for something else.
    Halves,
    /// Everybody gets both: each receiver holds a proof.
    #[default]
    Both,
    /// Beside the honest vote one for something else in the view before, which was left.
    OtherView,
}

/// See [`crate::Behaviour::DoubleVote`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DoubleVote {
    /// Who gets which vote.
    pub way: Doubling,
}

impl Recipe for DoubleVote {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Doubled {
            way: self.way,
            last: None,
        })
    }
}

struct Doubled {
    way: Doubling,
    /// What was voted for in another slot: a digest that means something.
    last: Option<Statement>,
}

/// A digest that nobody has proposed: of what somebody has.
pub(crate) fn something_else(digest: &Digest) -> Digest {
    Digest::of("something else", digest.as_bytes())
}

/// The header of a rival: signed by the view's primary only if that is a colluder.
pub(crate) fn rival_header(forge: &Forge, header: &Header, statement: Statement) -> Header {
    let primary = forge.primary(header.epoch, statement.view);
    if forge.cabal.holds(primary) {
        let Statement { view, seq, digest } = statement;
        return forge.header(header.epoch, view, seq, digest);
    }
    Header {
        statement,
        signature: NO_SIGNATURE,
        ..*header
    }
}

impl Doubled {
    fn rival(&self, said: Statement) -> Option<Statement> {
        let view = match self.way {
            Doubling::OtherView => View(said.view.0.checked_sub(1)?),
            _ => said.view,
        };
        let known = self.last.filter(|last| last.digest != said.digest);
        let digest = known.map_or_else(|| something_else(&said.digest), |last| last.digest);
        Some(Statement {
            view,
            digest,
            ..said
        })
    }
}

impl Attack for Doubled {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let said = match &sent.wire {
            Wire::Prepare(vote) => vote.statement,
            Wire::Commit(vote) => vote.statement,
            _ => return leaves.push(sent),
        };
        let rival = self.rival(said);
        if self.last.is_none_or(|last| last.seq != said.seq) {
            self.last = Some(said);
        }
        let Some(rival) = rival.filter(|_| hand.strikes(Some(said.seq))) else {
            return leaves.push(sent);
        };
        hand.did();
        let forge = &hand.scene.forge;
        let wire = match &sent.wire {
            Wire::Prepare(vote) => {
                let header = rival_header(forge, &vote.header(), rival);
                Wire::Prepare(forge.prepare(forge.me, &header))
            }
            Wire::Commit(vote) => Wire::Commit(forge.commit(forge.me, vote.epoch, rival)),
            _ => return leaves.push(sent),
        };
        let receivers = hand.scene.receivers(sent.to);
        let half = receivers.len().div_ceil(2);
        for (at, to) in receivers.into_iter().enumerate() {
            if self.way != Doubling::Halves || at < half {
                leaves.push(sent.copy_for(to));
            }
            if self.way != Doubling::Halves || at >= half {
                leaves.push(Outgoing {
                    wire: wire.clone(),
                    ..sent.copy_for(to)
                });
            }
        }
    }
}
