//! What can happen in a turn, and making it happen.

use consensus::pbft::message::{Header, Mode, Wire};

use super::lies::Lie;
use super::summary::votes;
use super::{Rounds, Scene, Turn};
use crate::schedules::progress;

/// What happens in a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Nothing arrives.
    Nothing,
    /// This many requests.
    Requests(u64),
    /// All that the correct primary has proposed.
    Proposals,
    /// Proposals of a Byzantine primary: slot and which of its batches.
    Told(Vec<(u64, u32)>),
    /// All votes, and the Byzantine member's own: for the digest with the most votes in each slot, or
    /// for the one after it.
    Votes(usize),
    /// This replica crashes and restarts.
    Crash(u16),
    /// All leave.
    Leave,
    /// These correct replicas' reports arrive, with a lie perhaps; then the others'.
    Reports(Vec<u16>, Option<Lie>),
    /// The NEW-VIEW; of a Byzantine primary the one with this number. With bodies or without.
    Opening(usize, bool),
    /// All that was lost comes through.
    Settle,
}

/// One in this many ends is asked for progress.
const SETTLED_OF: u64 = 256;

impl Rounds {
    pub(super) fn menu(&self, scene: &Scene, turn: Turn) -> Vec<Choice> {
        let mut menu = vec![Choice::Nothing];
        match turn {
            Turn::Propose(view) => {
                let primary = scene.stage.cast.primary(view);
                if primary != self.traitor && scene.votes(primary, view) {
                    menu.extend((1..=self.slots).map(Choice::Requests));
                }
            }
            Turn::Hear(view, id) => {
                if !scene.votes(id, view) {
                    return menu;
                }
                if scene.stage.cast.primary(view) == self.traitor {
                    menu.extend(self.told());
                } else {
                    menu.push(Choice::Proposals);
                }
            }
            Turn::Count(view, id) => {
                let ranks = (1..=self.slots)
                    .map(|slot| votes(&scene.stage, "prepare", view, slot).len())
                    .max();
                if scene.votes(id, view) {
                    menu.extend((0..ranks.unwrap_or(0)).map(Choice::Votes));
                }
            }
            Turn::Crash(_) => {
                if scene.crashes > 0 {
                    menu.extend(scene.stage.correct().into_iter().map(Choice::Crash));
                }
            }
            Turn::Leave(_) => return vec![Choice::Leave],
            // It costs as much as a thousand other turns.
            Turn::Settle if scene.number().is_multiple_of(SETTLED_OF) => {
                return vec![Choice::Settle];
            }
            Turn::Settle => return Vec::new(),
            Turn::Collect(view) => menu.extend(self.reports(scene, view)),
            Turn::Enter(view, id) => {
                let core = scene.stage.core(id);
                let waits = core.view().0 < view
                    || core.view().0 == view && core.mode() == Mode::ViewChange;
                let openings = if scene.stage.cast.primary(view) == self.traitor {
                    scene.openings.len()
                } else {
                    usize::from(scene.votes(scene.stage.cast.primary(view), view))
                };
                if waits {
                    for opening in 0..openings {
                        menu.push(Choice::Opening(opening, true));
                        menu.push(Choice::Opening(opening, false));
                    }
                }
            }
        }
        menu
    }

    /// A or B in the first slot, A or nothing in the second; or A and then B.
    fn told(&self) -> Vec<Choice> {
        let mut told = vec![Choice::Told(vec![(1, 0), (1, 1)])];
        for first in [None, Some(0), Some(1)] {
            for second in [None, Some(0)] {
                let slots: Vec<(u64, u32)> = [(1, first), (2, second)]
                    .into_iter()
                    .filter_map(|(slot, batch)| Some((slot, batch?)))
                    .filter(|(slot, _)| *slot <= self.slots)
                    .collect();
                if !slots.is_empty() && !told.contains(&Choice::Told(slots.clone())) {
                    told.push(Choice::Told(slots));
                }
            }
        }
        told
    }

    /// Every S that a correct primary can come by.
    fn reports(&self, scene: &Scene, view: u64) -> Vec<Choice> {
        let primary = scene.stage.cast.primary(view);
        let core = scene.stage.core_if_up(primary);
        let waits =
            core.is_some_and(|core| core.view().0 == view && core.mode() == Mode::ViewChange);
        if !waits {
            return Vec::new();
        }
        let others: Vec<u16> = scene
            .stage
            .correct()
            .into_iter()
            .filter(|id| *id != primary && scene.stage.report_of(*id, view).is_some())
            .collect();
        let mut all = vec![Choice::Reports(others.clone(), None)];
        // One correct replica is late, and a lie takes its place.
        for late in &others {
            let heard: Vec<u16> = others.iter().copied().filter(|id| id != late).collect();
            for lie in self.lies(&scene.stage, view) {
                all.push(Choice::Reports(heard.clone(), Some(lie)));
            }
        }
        all
    }

    pub(super) fn play(&self, scene: &mut Scene, turn: Turn, choice: Choice) {
        match (turn, choice) {
            (Turn::Propose(view), Choice::Requests(count)) => {
                let primary = scene.stage.cast.primary(view);
                for number in 1..=count {
                    let request = scene
                        .stage
                        .cast
                        .request(2 + (view % 2) as u32, 10 * view + number);
                    scene.stage.request(primary, request);
                }
            }
            (Turn::Hear(_, id), Choice::Proposals) => {
                let proposal = |letter: &crate::stage::Letter| letter.is(&["pre-prepare"]);
                scene
                    .stage
                    .deliver(|letter| proposal(letter) && letter.to == id);
            }
            (Turn::Hear(view, id), Choice::Told(slots)) => {
                for (slot, client) in slots {
                    let batch = scene.stage.cast.batch(client, slot);
                    let header = scene.stage.cast.header(view, slot, batch.digest());
                    let wire = Wire::PrePrepare(header, Some(batch.to_raw()));
                    scene.stage.tell(self.traitor, id, &wire);
                }
            }
            (Turn::Count(view, id), Choice::Votes(rank)) => self.count(scene, view, id, rank),
            (Turn::Crash(_), Choice::Crash(id)) => {
                let before = scene.summary();
                scene.seen.crashed |= !scene.stage.core(id).promises().is_empty();
                scene.stage.restart(id);
                // If nothing is lost it is as if it had not happened.
                if scene.summary() != before {
                    scene.crashes -= 1;
                }
            }
            (Turn::Leave(view), _) => self.leave(scene, view),
            (Turn::Collect(view), Choice::Reports(heard, lie)) => {
                let primary = scene.stage.cast.primary(view);
                if let Some(lie) = lie {
                    let report = scene
                        .stage
                        .cast
                        .view_change(self.traitor, view, None, lie.0);
                    scene
                        .stage
                        .tell(self.traitor, primary, &Wire::ViewChange(report));
                }
                let report = |letter: &crate::stage::Letter| {
                    letter.is(&["view-change"]) && letter.to == primary
                };
                scene
                    .stage
                    .deliver(|letter| report(letter) && heard.contains(&letter.from));
                // What comes late may be needed after all.
                scene.stage.deliver(report);
                scene.stage.lose(|letter| letter.is(&["view-change"]));
            }
            (Turn::Enter(view, id), Choice::Opening(number, bodies)) => {
                if scene.stage.cast.primary(view) == self.traitor {
                    let (wire, _) = scene.openings[number].clone();
                    scene.stage.tell(self.traitor, id, &wire);
                } else {
                    scene
                        .stage
                        .deliver(|letter| letter.is(&["new-view"]) && letter.to == id);
                }
                if bodies {
                    self.hand_out_bodies(scene, id);
                }
            }
            (Turn::Settle, _) => {
                if let Err(why) = progress(&mut scene.stage)
                    && scene.stage.ledger.holds()
                {
                    scene.stage.ledger.violation(why);
                }
            }
            (_, Choice::Nothing) => {}
            (turn, choice) => unreachable!("{choice:?} in {turn:?}"),
        }
    }

    fn count(&self, scene: &mut Scene, view: u64, id: u16, rank: usize) {
        for header in self.favourites(scene, view, rank) {
            let vote = scene.stage.cast.prepare(self.traitor, &header);
            scene.stage.tell(self.traitor, id, &Wire::Prepare(vote));
            let vote = scene.stage.cast.commit(self.traitor, &header);
            scene.stage.tell(self.traitor, id, &Wire::Commit(vote));
        }
        scene
            .stage
            .deliver(|letter| letter.is(&["prepare", "commit"]) && letter.to == id);
    }

    /// For each slot the header with the most votes of correct replicas in this view; or the next.
    fn favourites(&self, scene: &Scene, view: u64, rank: usize) -> Vec<Header> {
        let mut headers = Vec::new();
        for slot in 1..=self.slots {
            let voted = votes(&scene.stage, "prepare", view, slot);
            if let Some((digest, _)) = voted.get(rank) {
                headers.push(scene.stage.cast.header(view, slot, *digest));
            }
        }
        headers
    }

    /// Backups by their timers, the old primary because f + 1 others have left.
    fn leave(&self, scene: &mut Scene, view: u64) {
        scene.stage.lose_all();
        let primary = scene.stage.cast.primary(view - 1);
        let correct = scene.stage.correct();
        for id in correct.iter().filter(|id| **id != primary) {
            while scene.stage.core(*id).view().0 < view && scene.stage.ledger.holds() {
                scene.stage.leave(*id);
            }
        }
        if correct.contains(&primary) {
            scene
                .stage
                .deliver(|letter| letter.is(&["view-change"]) && letter.to == primary);
        }
    }

    fn hand_out_bodies(&self, scene: &mut Scene, id: u16) {
        for slot in 1..=self.slots {
            for client in [0, 1] {
                let batch = scene.stage.cast.batch(client, slot);
                scene
                    .stage
                    .tell(self.traitor, id, &Wire::Batch(batch.to_raw()));
            }
        }
        for view in 0..3u64 {
            for number in 1..=self.slots {
                let batch = scene
                    .stage
                    .cast
                    .batch(2 + (view % 2) as u32, 10 * view + number);
                scene
                    .stage
                    .tell(self.traitor, id, &Wire::Batch(batch.to_raw()));
            }
        }
    }
}
