//! BB16: signatures that do not hold, as many as it can make.

use consensus::pbft::certificate::Statement;
use consensus::pbft::message::{Commit, Prepare, Wire};
use consensus::{SeqNo, View};
use crypto::{Digest, Signature};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::beat::Beat;
use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::span::Span;

/// Time between two bursts.
const BURSTS: Span = Span::millis(1);
/// Bursts in a second.
const BURSTS_PER_SECOND: u32 = 1_000;
/// Most messages in one burst.
const BURST_MAX: u32 = 1_000;

/// See [`crate::Behaviour::SignatureFlood`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignatureFlood {
    /// Messages a second to each of the others, at most a million.
    pub per_second: u32,
}

impl Default for SignatureFlood {
    fn default() -> Self {
        SignatureFlood {
            per_second: 100_000,
        }
    }
}

impl Recipe for SignatureFlood {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Flooding {
            per_second: self.per_second,
            beat: Beat::new(BURSTS),
            owed: 0,
        })
    }
}

struct Flooding {
    per_second: u32,
    beat: Beat,
    /// Thousandths of messages that did not fit into whole bursts.
    owed: u32,
}

/// No two are alike, so that none is known to be bad without a look.
fn junk(hand: &mut Hand<'_>) -> Signature {
    let mut bytes = [0; 64];
    for word in bytes.as_chunks_mut::<8>().0 {
        *word = hand.chance.number().to_le_bytes();
    }
    Signature(bytes)
}

impl Attack for Flooding {
    fn turn(&mut self, hand: &mut Hand<'_>, leaves: &mut Vec<Outgoing>) {
        if !self.beat.is_due(hand.scene.now) || !hand.strikes(None) {
            return;
        }
        hand.did();
        let due = self.owed.saturating_add(self.per_second);
        self.owed = due % BURSTS_PER_SECOND;
        let standing = hand.scene.standing;
        let replica = hand.scene.me();
        for _ in 0..(due / BURSTS_PER_SECOND).min(BURST_MAX) {
            let seq = SeqNo(standing.last_executed.0 + 1 + hand.chance.below(8));
            let statement = Statement {
                view: View(standing.view.0),
                seq,
                digest: Digest::of("junk", &hand.chance.number().to_le_bytes()),
            };
            let (epoch, signature) = (standing.epoch, junk(hand));
            let wire = match hand.chance.is(0.5) {
                true => Wire::Prepare(Prepare {
                    epoch,
                    statement,
                    replica,
                    signature,
                    header_signature: signature,
                }),
                false => Wire::Commit(Commit {
                    epoch,
                    statement,
                    replica,
                    signature,
                }),
            };
            leaves.push(Outgoing::forged_for_all(wire));
        }
    }

    fn wake(&self) -> Option<consensus::Instant> {
        self.beat.wake()
    }
}
