//! A model for stateright: whole replicas, that is the very code that runs in a cluster, through up
//! to three views of up to two slots, next to one Byzantine member that may do anything its key
//! permits.
//!
//! The network may delay and lose what it likes. Going through all orders of single messages is
//! hopeless and pointless: what a replica promises depends on what it has heard by the time it acts,
//! not on the order. So time is cut into rounds (as in Twins, arXiv 2004.10617): in each round every
//! correct replica in turn hears all that it could, or nothing, or (if a Byzantine member has a say)
//! one of several things. Since those who act later hear those who acted earlier, every replica can
//! have heard any prefix.
//!
//! ```text
//!   view v:  propose → hear proposals → count votes → (one crash) → leave ─┐
//!   view v+1:  collect reports: any S ← reports, lies  ←───────────────────┘
//!              enter: any valid NEW-VIEW, with or without the bodies → propose → …
//! ```
//!
//! What a Byzantine member can do: as a primary, propose A to one and B to another, or nothing; vote
//! for anything at any time; report, in its VIEW-CHANGE, any header that exists or that it can sign
//! and any certificate for which there are votes; as the primary of a new view, take any S with any
//! of its lies in it, exclude itself or not, and show different valid NEW-VIEWs to different replicas.
//!
//! Two states are one if they agree in what replicas have promised and may still do (`summary`). What
//! has been decided is judged by what has been signed: a digest for which a quorum may exist is
//! decided, whether anybody has seen that quorum or not. Not in here: windows and checkpoints, two
//! crashes, message loss in the last steps to a decision (the simulator has those).

mod lies;
mod menu;
mod summary;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use consensus::mutation::{Mutation, plant};
use consensus::pbft::message::{Mode, Wire};
use crypto::Digest;
use stateright::{Model, Property};

use crate::cast::Size;
use crate::stage::Stage;
use menu::Choice;
use summary::Summary;

/// What is modelled.
#[derive(Clone)]
pub(crate) struct Rounds {
    size: Size,
    traitor: u16,
    views: u64,
    slots: u64,
    mutation: Option<Mutation>,
    witnesses: Vec<Witness>,
    turns: Arc<Vec<Turn>>,
}

/// Whose turn it is, and in which view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// A correct primary gets requests, or none.
    Propose(u64),
    /// A backup hears proposals.
    Hear(u64, u16),
    /// A replica hears votes.
    Count(u64, u16),
    /// Somebody loses power and comes back from its disk.
    Crash(u64),
    /// Everybody leaves for this view.
    Leave(u64),
    /// A correct primary hears reports.
    Collect(u64),
    /// A replica hears of the new view.
    Enter(u64, u16),
    /// The network is good and the Byzantine member silent: is there progress?
    Settle,
}

/// A situation that a run must reach, or it has proven nothing about it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Witness {
    /// q_F PREPAREs exist.
    Fast,
    /// q COMMITs exist.
    Slow,
    /// What was decided in an older view is voted for in a newer one.
    Again,
    /// A view is opened without a proven equivocator.
    Excluded,
    /// NULL is voted for.
    Gap,
    /// A replica that has voted crashes and comes back.
    Crashed,
}

impl Witness {
    fn property(&self) -> Property<Rounds> {
        match self {
            Witness::Fast => Property::sometimes("a fast decision", |_, s: &Scene| s.seen.fast),
            Witness::Slow => Property::sometimes("a slow decision", |_, s: &Scene| s.seen.slow),
            Witness::Again => {
                Property::sometimes("a decision is proposed again", |_, s: &Scene| s.seen.again)
            }
            Witness::Excluded => {
                Property::sometimes("an exclusion", |_, s: &Scene| s.seen.excluded)
            }
            Witness::Gap => Property::sometimes("a filled gap", |_, s: &Scene| s.seen.gap),
            Witness::Crashed => {
                Property::sometimes("a crash after a vote", |_, s: &Scene| s.seen.crashed)
            }
        }
    }
}

/// The situations that a course of things has been through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) fast: bool,
    pub(crate) slow: bool,
    pub(crate) again: bool,
    pub(crate) excluded: bool,
    pub(crate) gap: bool,
    pub(crate) crashed: bool,
}

/// A state of the model.
#[derive(Clone)]
pub(crate) struct Scene {
    at: usize,
    turns: Arc<Vec<Turn>>,
    /// From here on nobody is a primary in any of the views.
    never_primary: u16,
    pub(crate) stage: Stage,
    /// The NEW-VIEWs that a Byzantine primary can show, with what they assign.
    openings: Arc<Vec<(Wire, Vec<Digest>)>>,
    crashes: u8,
    pub(crate) seen: Seen,
}

impl Turn {
    fn view(self) -> u64 {
        match self {
            Turn::Propose(view)
            | Turn::Hear(view, _)
            | Turn::Count(view, _)
            | Turn::Crash(view)
            | Turn::Leave(view)
            | Turn::Collect(view)
            | Turn::Enter(view, _) => view,
            Turn::Settle => u64::MAX,
        }
    }
}

impl Rounds {
    /// `views` views of `slots` slots with one crash, if any is allowed.
    pub(crate) fn new(size: Size, traitor: u16, views: u64, slots: u64) -> Self {
        let (n, _, _) = size;
        let correct: Vec<u16> = (0..n).filter(|id| *id != traitor).collect();
        let mut turns = Vec::new();
        for view in 0..views {
            let primary = (view % u64::from(n)) as u16;
            let others = || correct.iter().copied().filter(move |id| *id != primary);
            if view > 0 {
                turns.extend([Turn::Leave(view), Turn::Collect(view)]);
                turns.extend(others().map(|id| Turn::Enter(view, id)));
            }
            turns.push(Turn::Propose(view));
            turns.extend(others().map(|id| Turn::Hear(view, id)));
            turns.extend(correct.iter().map(|id| Turn::Count(view, *id)));
            turns.push(Turn::Crash(view));
        }
        turns.push(Turn::Settle);
        Rounds {
            size,
            traitor,
            views,
            slots,
            mutation: None,
            witnesses: Vec::new(),
            turns: Arc::new(turns),
        }
    }

    /// The same, which must reach these situations.
    pub(crate) fn seeing(mut self, witnesses: &[Witness]) -> Self {
        self.witnesses = witnesses.to_vec();
        self
    }

    /// The same with a rule broken.
    pub(crate) fn broken(mut self, mutation: Mutation) -> Self {
        self.mutation = Some(mutation);
        self
    }

    fn turn(&self, scene: &Scene) -> Option<Turn> {
        self.turns.get(scene.at).copied()
    }
}

impl Model for Rounds {
    type State = Scene;
    type Action = Choice;

    fn init_states(&self) -> Vec<Scene> {
        let _planted = plant(self.mutation);
        let mut stage = Stage::new(self.size, &[self.traitor]);
        stage.lose_all();
        vec![Scene {
            at: 0,
            turns: Arc::clone(&self.turns),
            never_primary: self.views as u16,
            stage,
            openings: Arc::default(),
            crashes: 1,
            seen: Seen::default(),
        }]
    }

    fn actions(&self, scene: &Scene, actions: &mut Vec<Choice>) {
        if scene.stage.ledger.holds()
            && let Some(turn) = self.turn(scene)
        {
            let _planted = plant(self.mutation);
            *actions = self.menu(scene, turn);
        }
    }

    fn next_state(&self, scene: &Scene, choice: Choice) -> Option<Scene> {
        let turn = self.turn(scene)?;
        let _planted = plant(self.mutation);
        let mut next = scene.clone();
        self.play(&mut next, turn, choice);
        next.at += 1;
        self.prepare(&mut next);
        self.judge(&mut next);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(
            "agreement, no halt, no two promises",
            |_, scene: &Scene| scene.stage.ledger.holds(),
        )]
        .into_iter()
        .chain(self.witnesses.iter().map(Witness::property))
        .collect()
    }
}

impl Rounds {
    /// What has to be there before the next turn.
    fn prepare(&self, scene: &mut Scene) {
        match self.turn(scene) {
            Some(Turn::Enter(view, _)) if scene.stage.cast.primary(view) == self.traitor => {
                if scene.openings.is_empty() {
                    scene.openings = Arc::new(self.openings(&scene.stage, view));
                }
            }
            _ => scene.openings = Arc::default(),
        }
    }

    /// Agreement by what has been signed, and the witnesses.
    fn judge(&self, scene: &mut Scene) {
        let decided = summary::decidable(&scene.stage);
        for slot in 1..=self.slots {
            let digests: std::collections::BTreeSet<Digest> = decided
                .iter()
                .filter(|found| found.seq == slot)
                .map(|found| found.digest)
                .collect();
            if digests.len() > 1 {
                scene
                    .stage
                    .ledger
                    .violation(format!("S1: quorums for two digests of slot {slot} exist"));
            }
        }
        for found in &decided {
            scene.seen.fast |= found.fast;
            scene.seen.slow |= !found.fast;
            let again = |id: u16| {
                let promises = scene.stage.core(id).promises();
                promises.iter().any(|record| {
                    let vote = record.vote.filter(|vote| vote.view.0 > found.view);
                    record.seq.0 == found.seq
                        && vote.is_some_and(|vote| vote.digest == found.digest)
                })
            };
            scene.seen.again |= scene.stage.correct().into_iter().any(again);
        }
        let voted_null = |id: u16| {
            let promises = scene.stage.core(id).promises();
            let null = consensus::batch::null_digest();
            promises
                .iter()
                .any(|record| record.vote.is_some_and(|vote| vote.digest == null))
        };
        scene.seen.gap |= scene.stage.correct().into_iter().any(voted_null);
        scene.seen.excluded |= scene.stage.opened_with_exclusion;
    }
}

impl Scene {
    fn summary(&self) -> Summary {
        let turn = self.turns.get(self.at).copied();
        let before = self.at.checked_sub(1).and_then(|at| self.turns.get(at));
        let view = turn.or(before.copied()).map_or(0, Turn::view);
        // A round begins where the kind of turn changes.
        let begins = match (before, turn) {
            (Some(before), Some(turn)) => {
                std::mem::discriminant(before) != std::mem::discriminant(&turn)
            }
            _ => true,
        };
        Summary::of(self, view, begins.then_some(self.never_primary))
    }

    /// A number that depends on the state only.
    fn number(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.summary().hash(&mut hasher);
        hasher.finish()
    }

    pub(crate) fn votes(&self, id: u16, view: u64) -> bool {
        let core = self.stage.core(id);
        core.view().0 == view && core.mode() == Mode::Normal
    }
}

impl Hash for Scene {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.summary().hash(state);
    }
}

impl PartialEq for Scene {
    fn eq(&self, other: &Self) -> bool {
        self.summary() == other.summary()
    }
}

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.summary(), self.stage.ledger.verdict())
    }
}
