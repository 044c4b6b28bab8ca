//! BB9: a source of state that lies, stalls or floods whoever fetches from it.

use std::time::Duration;

use consensus::SeqNo;
use consensus::pbft::message::Wire;
use consensus::transfer::message::{Manifest, StateMessage};
use crypto::codec::Blob;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Hand, Leaving, Parcel, Recipe};
use crate::span::Span;

/// How it serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Serving {
    /// Parts with a flipped bit.
    #[default]
    WrongParts,
    /// A manifest that names other digests.
    WrongManifest,
    /// Each answer many times, with ever new numbers.
    Endless,
    /// Each answer after a while.
    Slow,
    /// Parts of eight times the size that an answer may have.
    Huge,
    /// The manifest of an earlier state for the newest.
    Old,
    /// Nothing is there, it says, but states that never were.
    Unavailable,
}

/// See [`crate::Behaviour::LyingTransfer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LyingTransfer {
    /// How it serves.
    pub way: Serving,
    /// How long each answer of a slow source takes.
    pub by: Span,
}

impl Default for LyingTransfer {
    fn default() -> Self {
        LyingTransfer {
            way: Serving::WrongParts,
            by: Span::millis(390),
        }
    }
}

impl Recipe for LyingTransfer {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Source::new(self))
    }
}

/// Times that an endless source repeats itself.
const REPEATS: u64 = 16;
/// Bytes of a part that is too large for every bound.
const HUGE: usize = 9 << 20;

/// A source of state in its own way.
pub(crate) struct Source {
    plan: LyingTransfer,
    /// The first manifest that was served.
    oldest: Option<Manifest>,
}

impl Source {
    pub(crate) fn new(plan: &LyingTransfer) -> Self {
        Source {
            plan: plan.clone(),
            oldest: None,
        }
    }

    /// What is sent in place of an honest answer.
    pub(crate) fn falsify(&mut self, answer: StateMessage) -> Vec<StateMessage> {
        match (self.plan.way, answer) {
            (
                Serving::WrongParts,
                StateMessage::Parts {
                    seq,
                    request,
                    parts,
                },
            ) => {
                let parts = parts.into_iter().map(flipped).collect();
                vec![StateMessage::Parts {
                    seq,
                    request,
                    parts,
                }]
            }
            (Serving::WrongManifest, StateMessage::Manifest { seq, mut manifest }) => {
                manifest.machine = flipped(manifest.machine);
                vec![StateMessage::Manifest { seq, manifest }]
            }
            (Serving::Old, StateMessage::Manifest { seq, manifest }) => {
                let oldest = self.oldest.get_or_insert(manifest).clone();
                let manifest = oldest;
                vec![StateMessage::Manifest { seq, manifest }]
            }
            (Serving::Huge, StateMessage::Parts { seq, request, .. }) => {
                let parts = vec![Blob::from(vec![0; HUGE])];
                vec![StateMessage::Parts {
                    seq,
                    request,
                    parts,
                }]
            }
            (
                Serving::Endless,
                StateMessage::Parts {
                    seq,
                    request,
                    parts,
                },
            ) => (0..REPEATS)
                .map(|more| StateMessage::Parts {
                    seq,
                    request: request.wrapping_add(more),
                    parts: parts.clone(),
                })
                .collect(),
            (Serving::Endless, StateMessage::Manifest { seq, manifest }) => (0..REPEATS)
                .map(|more| StateMessage::Manifest {
                    seq: SeqNo(seq.0.wrapping_add(more)),
                    manifest: manifest.clone(),
                })
                .collect(),
            (Serving::Unavailable, answer) => {
                let (StateMessage::Manifest { seq, .. } | StateMessage::Parts { seq, .. }) = answer
                else {
                    return vec![answer];
                };
                let servable = (1..=4).map(|more| seq.plus(1 << (8 * more))).collect();
                vec![StateMessage::Unavailable { seq, servable }]
            }
            (_, answer) => vec![answer],
        }
    }
}

fn flipped(part: Blob) -> Blob {
    let mut bytes = part.to_vec();
    match bytes.last_mut() {
        Some(last) => *last ^= 1,
        None => bytes.push(1),
    }
    Blob::from(bytes)
}

/// The answer of a source that this is, rather than a question of somebody who fetches.
pub(crate) fn answer_in(parcel: &Parcel) -> Option<&StateMessage> {
    let Parcel::Wire(wire) = parcel else {
        return None;
    };
    match &**wire {
        Wire::State(StateMessage::FetchManifest { .. } | StateMessage::FetchParts { .. }) => None,
        Wire::State(answer) => Some(answer),
        _ => None,
    }
}

impl Attack for Source {
    fn parting(
        &mut self,
        hand: &mut Hand<'_>,
        parcel: Leaving<Parcel>,
        leaves: &mut Vec<Leaving<Parcel>>,
    ) {
        let Some(answer) = answer_in(&parcel.what).cloned() else {
            return leaves.push(parcel);
        };
        if !hand.strikes(None) {
            return leaves.push(parcel);
        }
        let after = match self.plan.way {
            Serving::Slow => self.plan.by.0,
            _ => Duration::ZERO,
        };
        let false_answers = self.falsify(answer.clone());
        if !after.is_zero() || false_answers != [answer] {
            hand.did();
        }
        leaves.extend(false_answers.into_iter().map(|answer| Leaving {
            to: parcel.to,
            what: Parcel::Wire(Box::new(Wire::State(answer))),
            after: parcel.after + after,
        }));
    }
}
