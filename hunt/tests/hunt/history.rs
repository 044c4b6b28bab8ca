//! All histories of one slot that a correct protocol could have produced, against the real
//! SELECT (docs/protocol.md R10.5, R11).
//!
//! A history is who of the correct replicas voted for what in which view, and who of them held a
//! prepared certificate. It is written down view by view: whatever happens late in an old view,
//! at replicas that a new view did not hear of, might as well have happened in time. In every view
//! the histories that exist decide, through `select` itself and through every set S, every number
//! of excluded replicas and every lie that signatures permit, what a correct replica may vote
//! for next. Demanded are the lemmas of R11:
//!
//! * L1: one committed digest per view, and no two prepared certificates that contradict each other;
//! * L2: a committed digest is the only one that later views let correct replicas vote for;
//! * L3: SELECT gives Conflict only when the reports in S prove who equivocated, hence never with a
//!   replica excluded;
//! * the order of S does not matter.
//!
//! Correct replicas are alike, so a history is a multiset; digests are A, B and NULL.

use std::collections::BTreeSet;

use consensus::batch::null_digest;
use consensus::pbft::certificate::{Certificate, Phase, Signers};
use consensus::pbft::message::{SlotRecord, VoteReport};
use consensus::pbft::new_view::{Selected, select};
use consensus::{Epoch, Quorums, SeqNo, View};
use crypto::{Digest, Signature};

use crate::cast::{Size, statement};
use crate::chance::Chance;

/// Views of the longest history; a last view is only opened.
const VIEWS: usize = 4;
/// A, B and NULL.
const DIGESTS: usize = 3;
const NULL: usize = 2;

/// A view and a digest: `None` is "nothing".
type Place = Option<(u8, u8)>;

/// What one correct replica remembers of the slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Local {
    vote: Place,
    prepared: Place,
}

/// One history.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct History {
    /// The correct replicas, in ascending order.
    locals: Vec<Local>,
    /// Votes of correct replicas by view and digest.
    votes: [[u8; DIGESTS]; VIEWS],
    /// Prepared certificates (each followed by a COMMIT: worse cannot be) by view and digest.
    prepared: [[u8; DIGESTS]; VIEWS],
    /// What a correct primary proposed in its view.
    proposed: [Option<u8>; VIEWS],
}

/// Digests that a correct replica may vote for.
type Allowed = [bool; DIGESTS];

/// A configuration in which exactly f replicas are Byzantine, and the records they can report.
pub(crate) struct Setting {
    f: usize,
    correct: usize,
    quorums: Quorums,
    /// Is the primary of the view Byzantine?
    byzantine: [bool; VIEWS + 1],
    digests: [Digest; DIGESTS],
    records: Vec<SlotRecord>,
}

impl Setting {
    /// The primaries of the views in `byzantine` are.
    pub(crate) fn new((n, f, fast): Size, byzantine: &[usize]) -> Self {
        let quorums = Quorums::new(n, f, fast).expect("a possible configuration");
        let digests = [
            Digest::of("history", b"A"),
            Digest::of("history", b"B"),
            null_digest(),
        ];
        let mut primaries = [false; VIEWS + 1];
        for view in byzantine {
            primaries[*view] = true;
        }
        let places = 1 + VIEWS * DIGESTS;
        let records = (0..places * places)
            .map(|index| record(place(index / places), place(index % places), &digests))
            .collect();
        Setting {
            f: f.into(),
            correct: usize::from(n - f),
            quorums,
            byzantine: primaries,
            digests,
            records,
        }
    }

    /// Before anything happened.
    pub(crate) fn beginning(&self) -> History {
        History {
            locals: vec![Local::default(); self.correct],
            ..History::default()
        }
    }

    fn record(&self, local: &Local) -> &SlotRecord {
        let places = 1 + VIEWS * DIGESTS;
        &self.records[index(local.vote) * places + index(local.prepared)]
    }

    fn digest_of(&self, digest: &Digest) -> usize {
        let found = self.digests.iter().position(|known| known == digest);
        found.expect("SELECT makes no digests up")
    }

    /// May q PREPAREs for it exist? Byzantine replicas sign everything.
    fn preparable(&self, history: &History, view: usize, digest: usize) -> bool {
        let votes = usize::from(history.votes[view][digest]);
        votes > 0 && votes + self.f >= self.quorums.slow()
    }

    /// Is it committed, now or ever?
    fn committed(&self, history: &History, view: usize, digest: usize) -> bool {
        let votes = usize::from(history.votes[view][digest]);
        let commits = usize::from(history.prepared[view][digest]);
        let fast = self.quorums.fast();
        fast.is_some_and(|fast| votes + self.f >= fast) || commits + self.f >= self.quorums.slow()
    }

    /// Every report on the slot that a Byzantine replica can sign when `view` is being opened.
    fn lies(&self, history: &History, view: usize) -> Vec<Local> {
        let mut votes: Vec<Place> = vec![None];
        let mut prepared: Vec<Place> = vec![None];
        for earlier in 0..view.min(VIEWS) {
            for digest in 0..DIGESTS {
                let here = Some((earlier as u8, digest as u8));
                if self.byzantine[earlier] || history.proposed[earlier] == Some(digest as u8) {
                    votes.push(here);
                }
                if self.preparable(history, earlier, digest) {
                    prepared.push(here);
                }
            }
        }
        votes
            .iter()
            .flat_map(|vote| {
                prepared.iter().map(|prepared| Local {
                    vote: *vote,
                    prepared: *prepared,
                })
            })
            .collect()
    }

    /// SELECT over one S, in two orders; L3.
    fn select(&self, set: &[Local], excluded: usize) -> Result<Selected, String> {
        let mut reports: Vec<&SlotRecord> = set
            .iter()
            .filter(|local| **local != Local::default())
            .map(|local| self.record(local))
            .collect();
        let selected = select(&self.quorums, &reports, excluded);
        reports.reverse();
        let other = select(&self.quorums, &reports, excluded);
        if selected != other {
            return Err(format!(
                "order matters: {selected:?} or {other:?} of {set:?}"
            ));
        }
        match selected {
            Selected::Contradiction => Err(format!("two prepared certificates: {set:?}")),
            Selected::Conflict if excluded > 0 => Err(format!(
                "no new view: a tie with {excluded} excluded: {set:?}"
            )),
            Selected::Conflict if !proves_equivocation(set) => {
                Err(format!("no new view: a tie without a proof: {set:?}"))
            }
            selected => Ok(selected),
        }
    }

    /// What correct replicas may vote for in `view`, by every S that its primary could choose.
    /// `lies` are sets of f reports; the first k of a set take part.
    fn allowed(
        &self,
        history: &History,
        view: usize,
        lies: &[Vec<Local>],
    ) -> Result<(Allowed, bool), String> {
        let mut allowed = [false; DIGESTS];
        let mut free = false;
        for lies in lies {
            for excluded in 0..=self.f {
                for liars in 0..=self.f - excluded {
                    let heard = self.quorums.view_change() - liars;
                    for mut set in subsets(&history.locals, heard) {
                        set.extend_from_slice(&lies[..liars]);
                        match self.select(&set, excluded)? {
                            Selected::Value(digest) => allowed[self.digest_of(&digest)] = true,
                            Selected::Free => free = true,
                            Selected::Conflict | Selected::Contradiction => {}
                        }
                    }
                }
            }
        }
        let _ = view;
        Ok((allowed, free))
    }

    /// L1 and L2 for what `view` allows after this history.
    fn check(&self, history: &History, view: usize, allowed: &Allowed) -> Result<(), String> {
        let committed: BTreeSet<usize> = (0..view.min(VIEWS))
            .flat_map(|view| (0..DIGESTS).map(move |digest| (view, digest)))
            .filter(|(view, digest)| self.committed(history, *view, *digest))
            .map(|(_, digest)| digest)
            .collect();
        if committed.len() > 1 {
            return Err(format!("two digests committed: {history:?}"));
        }
        let Some(committed) = committed.first() else {
            return Ok(());
        };
        for (digest, may) in allowed.iter().enumerate() {
            if *may && digest != *committed {
                return Err(format!(
                    "view {view} may give digest {digest}, but {committed} is committed: {history:?}"
                ));
            }
        }
        Ok(())
    }

    /// The sets of proposals that can reach correct replicas in `view`: one digest of a correct
    /// primary, any of the allowed ones of a Byzantine one.
    fn proposals(&self, view: usize, allowed: Allowed, free: bool) -> Vec<Vec<u8>> {
        let open = |digest: usize| free && (view > 0 || digest != NULL);
        let all: Vec<u8> = (0..DIGESTS)
            .filter(|digest| allowed[*digest] || open(*digest))
            .map(|digest| digest as u8)
            .collect();
        if self.byzantine[view] {
            vec![all]
        } else {
            all.into_iter().map(|digest| vec![digest]).collect()
        }
    }

    fn after_votes(&self, history: &History, view: usize, votes: &[Option<u8>]) -> History {
        let mut next = history.clone();
        for (local, vote) in next.locals.iter_mut().zip(votes) {
            if let Some(digest) = vote {
                local.vote = Some((view as u8, *digest));
                next.votes[view][usize::from(*digest)] += 1;
            }
        }
        next
    }

    fn after_prepared(
        &self,
        history: &History,
        (view, digest): (usize, usize),
        who: &[bool],
    ) -> History {
        let mut next = history.clone();
        for (local, prepares) in next.locals.iter_mut().zip(who) {
            if *prepares {
                local.prepared = Some((view as u8, digest as u8));
                next.prepared[view][digest] += 1;
            }
        }
        next.locals.sort_unstable();
        next
    }

    /// Every history that is one view longer.
    fn longer(&self, history: &History, view: usize, proposals: Vec<u8>) -> BTreeSet<History> {
        let mut longer = BTreeSet::new();
        let mut begun = history.clone();
        if !self.byzantine[view] {
            begun.proposed[view] = proposals.first().copied();
        }
        let choices: Vec<Option<u8>> = std::iter::once(None)
            .chain(proposals.into_iter().map(Some))
            .collect();
        for votes in assignments(&begun.locals, &choices) {
            let voted = self.after_votes(&begun, view, &votes);
            let preparable = (0..DIGESTS).find(|digest| self.preparable(&voted, view, *digest));
            match preparable {
                None => {
                    longer.insert(self.after_prepared(&voted, (view, 0), &[]));
                }
                Some(digest) => {
                    for who in assignments(&voted.locals, &[false, true]) {
                        longer.insert(self.after_prepared(&voted, (view, digest), &who));
                    }
                }
            }
        }
        longer
    }

    /// Goes through all histories of `views` views, and opens the view after them. Returns how
    /// many histories there are.
    pub(crate) fn exhaust(&self, views: usize) -> Result<usize, String> {
        let mut histories = BTreeSet::from([self.beginning()]);
        let mut seen = 0;
        for view in 0..=views {
            seen += histories.len();
            let mut longer = BTreeSet::new();
            for history in &histories {
                let (allowed, free) = self.open(history, view)?;
                if view < views {
                    for proposals in self.proposals(view, allowed, free) {
                        longer.extend(self.longer(history, view, proposals));
                    }
                }
            }
            histories = longer;
        }
        Ok(seen)
    }

    /// What a view begins with, checked, by all lies. Only for f = 1: the lies of several
    /// replicas multiply.
    fn open(&self, history: &History, view: usize) -> Result<(Allowed, bool), String> {
        if view == 0 {
            return Ok(([false; DIGESTS], true));
        }
        assert_eq!(
            self.f, 1,
            "the lies of several replicas are drawn, not listed"
        );
        let lies: Vec<Vec<Local>> = self
            .lies(history, view)
            .into_iter()
            .map(|lie| vec![lie])
            .collect();
        let (allowed, free) = self.allowed(history, view, &lies)?;
        self.check(history, view, &or_free(allowed, free))?;
        Ok((allowed, free))
    }

    /// One history of `views` views at random, with some of the lies in each view.
    pub(crate) fn wander(&self, views: usize, chance: &mut Chance) -> Result<(), String> {
        let mut history = self.beginning();
        for view in 0..=views {
            let (allowed, free) = if view == 0 {
                ([false; DIGESTS], true)
            } else {
                let lies = self.lies(&history, view);
                let drawn: Vec<Vec<Local>> = (0..LIES_DRAWN)
                    .map(|_| (0..self.f).map(|_| *chance.one_of(&lies)).collect())
                    .collect();
                let (allowed, free) = self.allowed(&history, view, &drawn)?;
                self.check(&history, view, &or_free(allowed, free))?;
                (allowed, free)
            };
            if view == views {
                break;
            }
            history = self.wander_on(&history, view, (allowed, free), chance);
        }
        Ok(())
    }

    fn wander_on(
        &self,
        history: &History,
        view: usize,
        (allowed, free): (Allowed, bool),
        chance: &mut Chance,
    ) -> History {
        let possible = self.proposals(view, allowed, free);
        if possible.is_empty() {
            return history.clone();
        }
        let proposals = chance.one_of(&possible).clone();
        let mut begun = history.clone();
        if !self.byzantine[view] {
            begun.proposed[view] = proposals.first().copied();
        }
        // One digest is the favourite, so that quorums come about; sometimes almost nobody votes.
        let favourite = proposals
            .is_empty()
            .then_some(0)
            .or(proposals.first().copied());
        let willing = chance.below(4) + 1;
        let votes: Vec<Option<u8>> = begun
            .locals
            .iter()
            .map(|_| match chance.below(6) {
                0 => None,
                dice if dice > willing + 1 => None,
                1 if !proposals.is_empty() => Some(*chance.one_of(&proposals)),
                _ if proposals.is_empty() => None,
                _ => favourite,
            })
            .collect();
        let voted = self.after_votes(&begun, view, &votes);
        let preparable = (0..DIGESTS).find(|digest| self.preparable(&voted, view, *digest));
        let share = chance.below(4);
        let who: Vec<bool> = voted
            .locals
            .iter()
            .map(|_| preparable.is_some() && chance.below(4) < share)
            .collect();
        self.after_prepared(&voted, (view, preparable.unwrap_or(0)), &who)
    }
}

/// Sets of lies drawn for each view of a random history.
const LIES_DRAWN: usize = 24;

/// A free slot is one where a primary may propose whatever it likes.
fn or_free(allowed: Allowed, free: bool) -> Allowed {
    if free { [true; DIGESTS] } else { allowed }
}

/// Two votes of one view for different digests: their headers prove who signed both.
fn proves_equivocation(set: &[Local]) -> bool {
    set.iter().any(|a| {
        set.iter().any(|b| match (a.vote, b.vote) {
            (Some((view, digest)), Some((other, another))) => view == other && digest != another,
            _ => false,
        })
    })
}

fn index(place: Place) -> usize {
    place.map_or(0, |(view, digest)| {
        1 + usize::from(view) * DIGESTS + usize::from(digest)
    })
}

fn place(index: usize) -> Place {
    let at = index.checked_sub(1)?;
    Some(((at / DIGESTS) as u8, (at % DIGESTS) as u8))
}

fn record(vote: Place, prepared: Place, digests: &[Digest; DIGESTS]) -> SlotRecord {
    SlotRecord {
        seq: SeqNo(1),
        vote: vote.map(|(view, digest)| VoteReport {
            view: View(view.into()),
            digest: digests[usize::from(digest)],
            header_signature: Signature([0; 64]),
        }),
        prepared: prepared.map(|(view, digest)| Certificate {
            epoch: Epoch(0),
            phase: Phase::Prepare,
            statement: statement(view.into(), 1, digests[usize::from(digest)]),
            signers: Signers(Vec::new()),
        }),
    }
}

/// The distinct sub-multisets of `size` members of a sorted multiset.
fn subsets(members: &[Local], size: usize) -> Vec<Vec<Local>> {
    fn choose(members: &[Local], size: usize, chosen: &mut Vec<Local>, all: &mut Vec<Vec<Local>>) {
        if size == 0 {
            all.push(chosen.clone());
            return;
        }
        let mut last = None;
        for (at, member) in members.iter().enumerate() {
            if members.len() - at < size {
                break;
            }
            if last == Some(member) {
                continue;
            }
            last = Some(member);
            chosen.push(*member);
            choose(&members[at + 1..], size - 1, chosen, all);
            chosen.pop();
        }
    }
    let mut all = Vec::new();
    choose(members, size.min(members.len()), &mut Vec::new(), &mut all);
    all
}

/// Every way to give each member of a sorted multiset one of the choices; among equal members
/// only their number counts.
fn assignments<C: Copy>(members: &[Local], choices: &[C]) -> Vec<Vec<C>> {
    fn assign<C: Copy>(
        members: &[Local],
        choices: &[C],
        from: usize,
        given: &mut Vec<usize>,
        all: &mut Vec<Vec<C>>,
    ) {
        let at = given.len();
        if at == members.len() {
            all.push(given.iter().map(|choice| choices[*choice]).collect());
            return;
        }
        let first = if at > 0 && members[at] == members[at - 1] {
            from
        } else {
            0
        };
        for choice in first..choices.len() {
            given.push(choice);
            assign(members, choices, choice, given, all);
            given.pop();
        }
    }
    let mut all = Vec::new();
    assign(members, choices, 0, &mut Vec::new(), &mut all);
    all
}
