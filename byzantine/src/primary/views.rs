//! BP10: proposals and votes of views that are long over or far away, and of the last one there is.

use consensus::pbft::message::Wire;
use consensus::{Batch, SeqNo, View};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Outgoing, Recipe};

/// Views ahead that count as far away.
const FAR: u64 = 1_000;

/// See [`crate::Behaviour::AbsurdViews`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AbsurdViews {
    /// Of each STATUS that it sends, how many rounds of absurdities go with it.
    pub rounds: u16,
}

impl Default for AbsurdViews {
    fn default() -> Self {
        AbsurdViews { rounds: 1 }
    }
}

impl Recipe for AbsurdViews {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Absurd {
            rounds: self.rounds,
            count: 0,
            batch: None,
        })
    }
}

struct Absurd {
    rounds: u16,
    count: u64,
    /// Always the same: two in one view and slot would be proof against it.
    batch: Option<Batch>,
}

/// The first view at or below, or else above, this one of which the member is the primary.
fn own_view(hand: &Hand<'_>, view: u64) -> Option<View> {
    let epoch = hand.scene.standing.epoch;
    let is_own = |view: &u64| hand.scene.forge.primary(epoch, View(*view)) == hand.scene.me();
    let n = hand.scene.n() as u64;
    let below = (view.saturating_sub(n - 1)..=view).rev().find(is_own);
    below.map(View)
}

impl Attack for Absurd {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let heartbeat = matches!(sent.wire, Wire::Status(_));
        leaves.push(sent);
        if !heartbeat || !hand.strikes(None) {
            return;
        }
        if self.batch.is_none() {
            let known = hand.scene.memory.requests().next().cloned();
            self.batch = known.map(|known| Batch::new(vec![known]));
        }
        let Some(batch) = &self.batch else { return };
        hand.did();
        let standing = hand.scene.standing;
        let now = standing.view.0;
        for _ in 0..self.rounds {
            self.count += 1;
            let views = [
                now.checked_sub(1),
                now.checked_add(FAR + self.count),
                Some(u64::MAX),
            ];
            let slots = [standing.stable.0 + 1, 0, u64::MAX];
            let forge = &hand.scene.forge;
            for view in views.into_iter().flatten() {
                let Some(own) = own_view(hand, view) else {
                    continue;
                };
                for seq in slots.map(SeqNo) {
                    let header = forge.header(standing.epoch, own, seq, batch.digest());
                    let proposal = Wire::PrePrepare(header, Some(batch.to_raw()));
                    leaves.push(Outgoing::forged_for_all(proposal));
                    // Votes need no view of one's own.
                    let far = forge.header(standing.epoch, View(view), seq, batch.digest());
                    let vote = Wire::Prepare(forge.prepare(forge.me, &far));
                    leaves.push(Outgoing::forged_for_all(vote));
                    let vote = forge.commit(forge.me, far.epoch, far.statement);
                    leaves.push(Outgoing::forged_for_all(Wire::Commit(vote)));
                }
            }
        }
    }
}
