//! BB4: lies about the state.

use consensus::SeqNo;
use consensus::pbft::message::Wire;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::double_vote::something_else;
use crate::attack::{Attack, Hand, Outgoing, Recipe};

/// What is claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Claimed {
    /// Another digest than that of the state.
    #[default]
    WrongDigest,
    /// The true one to half of the replicas, another to the others.
    TwoDigests,
    /// Beside the true claim, one for a checkpoint that nobody has reached.
    NeverExecuted,
    /// Beside the true claim, ever more that are far beyond every window.
    FarFuture,
}

/// See [`crate::Behaviour::LyingCheckpoints`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LyingCheckpoints {
    /// What is claimed.
    pub claim: Claimed,
}

impl Recipe for LyingCheckpoints {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Lying {
            claim: self.claim,
            far: 0,
        })
    }
}

/// Claims of the far future for each true one.
const FAR_CLAIMS: u64 = 8;

struct Lying {
    claim: Claimed,
    /// Claims of the far future made so far.
    far: u64,
}

impl Attack for Lying {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let Wire::Checkpoint(honest) = sent.wire else {
            return leaves.push(sent);
        };
        if !hand.strikes(Some(honest.seq)) {
            return leaves.push(sent);
        }
        hand.did();
        let forge = &hand.scene.forge;
        let interval = forge.keyring.cluster().limits().checkpoint_interval;
        let other = something_else(&honest.digest);
        let claim = |seq: SeqNo, digest| {
            Wire::Checkpoint(forge.checkpoint(forge.me, honest.epoch, seq, digest))
        };
        let with = |wire: Wire| Outgoing {
            wire,
            ..sent.clone()
        };
        match self.claim {
            Claimed::WrongDigest => leaves.push(with(claim(honest.seq, other))),
            Claimed::TwoDigests => {
                for (at, to) in hand.scene.receivers(sent.to).into_iter().enumerate() {
                    let wire = match at % 2 {
                        0 => sent.wire.clone(),
                        _ => claim(honest.seq, other),
                    };
                    leaves.push(Outgoing {
                        wire,
                        ..sent.copy_for(to)
                    });
                }
            }
            Claimed::NeverExecuted => {
                leaves.push(sent.clone());
                let next = honest.seq.plus(interval);
                leaves.push(with(claim(next, other)));
            }
            Claimed::FarFuture => {
                leaves.push(sent.clone());
                let multiples = u64::MAX / interval;
                for _ in 0..FAR_CLAIMS {
                    self.far += 1;
                    let seq = SeqNo((multiples - self.far % 1_000_000) * interval);
                    leaves.push(with(claim(seq, other)));
                }
            }
        }
    }
}
