//! BB7: NEW-VIEWs that open nothing.

use std::collections::BTreeMap;

use consensus::pbft::admission::Message;
use consensus::pbft::message::{NewView, SignedNewView, SignedViewChange, ViewChange, Wire};
use consensus::pbft::new_view::compute_o;
use consensus::{Epoch, ReplicaId, SeqNo, View};
use crypto::Kind;
use crypto::codec::Blob;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::beat::Beat;
use super::double_vote::something_else;
use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::span::Span;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Forged {
    /// The right primary assigns something else to a slot.
    #[default]
    WrongSlot,
    /// The right primary leaves out a slot, or assigns one too many.
    OtherSlots,
    /// The right primary brings too few reports.
    TooFew,
    /// The right primary brings one report twice.
    Twice,
    /// The right primary brings a report that its author did not sign.
    FalseReport,
    /// The right primary opens the view twice, each time as it must be: half of the replicas get what
    /// follows from other reports than the rest.
    TwoOpenings,
    /// Somebody who is not the primary opens the next view, again and again.
    Impostor,
}

/// See [`crate::Behaviour::ForgedNewView`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ForgedNewView {
    /// What is wrong with it.
    pub lie: Forged,
    /// How often an impostor tries.
    pub every: Span,
}

impl Default for ForgedNewView {
    fn default() -> Self {
        ForgedNewView {
            lie: Forged::WrongSlot,
            every: Span::millis(20),
        }
    }
}

impl Recipe for ForgedNewView {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Opening {
            lie: self.lie,
            beat: Beat::new(self.every),
            reports: BTreeMap::new(),
        })
    }
}

struct Opening {
    lie: Forged,
    beat: Beat,
    /// The last report of each replica.
    reports: BTreeMap<ReplicaId, (View, SignedViewChange)>,
}

impl Opening {
    fn falsify(&self, hand: &Hand<'_>, opening: &mut NewView) {
        let forge = &hand.scene.forge;
        let NewView { epoch, view, .. } = *opening;
        match self.lie {
            Forged::WrongSlot | Forged::OtherSlots if opening.headers.is_empty() => {
                let digest = crypto::Digest::of("invented", &view.0.to_le_bytes());
                let seq = hand.scene.standing.last_executed.next();
                opening.headers.push(forge.header(epoch, view, seq, digest));
            }
            Forged::WrongSlot => {
                if let Some(last) = opening.headers.last_mut() {
                    let said = last.statement;
                    let digest = something_else(&said.digest);
                    *last = forge.header(epoch, view, said.seq, digest);
                }
            }
            Forged::OtherSlots => {
                opening.headers.pop();
            }
            Forged::TooFew => {
                opening.view_changes.pop();
            }
            Forged::Twice => {
                if let [first, .., last] = &mut opening.view_changes[..] {
                    *last = first.clone();
                }
            }
            Forged::FalseReport => {
                if let Some(last) = opening.view_changes.last_mut() {
                    let mut bytes = last.bytes.to_vec();
                    if let Some(end) = bytes.last_mut() {
                        *end ^= 1;
                    }
                    last.bytes = Blob::from(bytes);
                }
            }
            Forged::TwoOpenings | Forged::Impostor => {}
        }
    }
}

impl Opening {
    /// Another opening of the same view, valid as well: from other reports.
    fn rival(&self, hand: &Hand<'_>, opening: &NewView) -> Option<NewView> {
        // Where a later epoch began is nothing that an attack knows.
        if opening.epoch != Epoch(0) {
            return None;
        }
        let mut decoded: Vec<ViewChange> = Vec::new();
        for signed in &opening.view_changes {
            decoded.push(crypto::decode(&signed.bytes).ok()?);
        }
        let is_new = |id: &ReplicaId| decoded.iter().all(|report| report.replica != *id);
        let (other, (_, signed)) = self
            .reports
            .iter()
            .find(|(id, (view, _))| *view == opening.view && is_new(id))?;
        // In place of one that is not its own.
        let me = hand.scene.me();
        let at = decoded
            .iter()
            .position(|report| report.replica != me && report.replica != *other)?;
        let mut rival = opening.clone();
        *rival.view_changes.get_mut(at)? = signed.clone();
        *decoded.get_mut(at)? = crypto::decode(&signed.bytes).ok()?;
        let forge = &hand.scene.forge;
        let set: Vec<&ViewChange> = decoded.iter().collect();
        let quorums = forge.keyring.cluster().quorums();
        let excluded = opening.excluded.len();
        let assigned = compute_o(quorums, SeqNo(0), &set, excluded).ok()?;
        let header = |(seq, digest)| forge.header(opening.epoch, opening.view, seq, digest);
        rival.headers = assigned.slots().map(header).collect();
        Some(rival)
    }
}

impl Attack for Opening {
    fn received(&mut self, _: &mut Hand<'_>, _: ReplicaId, message: &Message) -> bool {
        if let Message::ViewChange(sent) = message {
            let said = &sent.view_change;
            let report = (said.new_view, sent.signed.clone());
            self.reports.insert(said.replica, report);
        }
        true
    }

    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let Wire::NewView(signed) = &sent.wire else {
            return leaves.push(sent);
        };
        let Ok(mut opening) = crypto::decode::<NewView>(&signed.bytes) else {
            return leaves.push(sent);
        };
        let me = hand.scene.me();
        let is_mine = hand.scene.forge.primary(opening.epoch, opening.view) == me;
        if self.lie == Forged::Impostor || !is_mine || !hand.strikes(None) {
            return leaves.push(sent);
        }
        if self.lie == Forged::TwoOpenings {
            let Some(rival) = self.rival(hand, &opening) else {
                return leaves.push(sent);
            };
            hand.did();
            let wire = Wire::NewView(hand.scene.forge.new_view(me, &rival));
            for (at, to) in hand.scene.receivers(sent.to).into_iter().enumerate() {
                let mut copy = sent.copy_for(to);
                if at % 2 == 1 {
                    copy.wire = wire.clone();
                }
                leaves.push(copy);
            }
            return;
        }
        hand.did();
        self.falsify(hand, &mut opening);
        leaves.push(Outgoing {
            wire: Wire::NewView(hand.scene.forge.new_view(me, &opening)),
            ..sent
        });
    }

    fn turn(&mut self, hand: &mut Hand<'_>, leaves: &mut Vec<Outgoing>) {
        if self.lie != Forged::Impostor || !self.beat.is_due(hand.scene.now) || !hand.strikes(None)
        {
            return;
        }
        let epoch = hand.scene.standing.epoch;
        let view = View(hand.scene.standing.view.0.saturating_add(1));
        let forge = &hand.scene.forge;
        let author = forge.primary(epoch, view);
        if author == forge.me {
            return;
        }
        let of_view = self.reports.values().filter(|(at, _)| *at == view);
        let opening = NewView {
            epoch,
            view,
            view_changes: of_view.map(|(_, signed)| signed.clone()).collect(),
            excluded: Vec::new(),
            headers: vec![forge.header(
                epoch,
                view,
                SeqNo(hand.scene.standing.stable.0.saturating_add(1)),
                crypto::Digest::of("invented", &[]),
            )],
        };
        let bytes = crypto::encode(&opening);
        // In the primary's name, with the own key.
        let digest = forge
            .keyring
            .replica_digest(Kind::NewView, epoch, author, &bytes);
        let Some(key) = forge.cabal.key(forge.me) else {
            return;
        };
        let signed = SignedNewView {
            signature: key.sign(&digest),
            bytes: Blob::from(bytes),
        };
        hand.did();
        leaves.push(Outgoing::forged_for_all(Wire::NewView(signed)));
    }

    fn wake(&self) -> Option<consensus::Instant> {
        match self.lie {
            Forged::Impostor => self.beat.wake(),
            _ => None,
        }
    }
}
