//! What two states have to agree in to be one: what was promised, and what may still be done.

use std::collections::{BTreeMap, BTreeSet};

use consensus::pbft::message::Mode;
use crypto::Digest;

use super::Scene;
use crate::stage::Stage;

/// A view and a digest.
type Place = (u64, Digest);

/// One replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Standing {
    view: u64,
    normal: bool,
    /// Slot, latest vote, prepared certificate.
    promises: Vec<(u64, Option<Place>, Option<Place>)>,
    /// Signed in the view of this turn: kind, slot, content. Reports and openings are in the promises.
    signed: Vec<(&'static str, u64, Digest)>,
    accused: Vec<u16>,
}

/// Of older views: a header exists, one vote is missing for a certificate, a quorum may exist.
type Fact = (&'static str, u64, u64, Digest);

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Summary {
    at: usize,
    crashes: u8,
    holds: bool,
    standings: Vec<Standing>,
    facts: BTreeSet<Fact>,
    openings: Vec<Vec<Digest>>,
}

impl Summary {
    /// `now` is the view of the turn. At the beginning of a round those who are never primaries
    /// are all alike, and in ascending order.
    pub(super) fn of(scene: &Scene, now: u64, alike: Option<u16>) -> Self {
        let stage = &scene.stage;
        let mut standings: Vec<Standing> = stage
            .correct()
            .into_iter()
            .map(|id| standing(stage, id, now))
            .collect();
        if let Some(first) = alike {
            let primaries = stage.correct().iter().filter(|id| **id < first).count();
            standings[primaries..].sort_unstable();
        }
        Summary {
            at: scene.at,
            crashes: scene.crashes,
            holds: stage.ledger.holds(),
            standings,
            facts: facts(stage, now),
            openings: scene
                .openings
                .iter()
                .map(|(_, digests)| digests.clone())
                .collect(),
        }
    }
}

fn facts(stage: &Stage, now: u64) -> BTreeSet<Fact> {
    let mut facts = BTreeSet::new();
    for found in decidable(stage) {
        facts.insert(("decided", 0, found.seq, found.digest));
    }
    let quorum = stage.cast.cluster.quorums().slow();
    let mut counts: BTreeMap<Fact, usize> = BTreeMap::new();
    for (promise, content) in stage.ledger.promises() {
        if promise.view.0 < now {
            let key = (promise.kind, promise.view.0, promise.seq.0, *content);
            *counts.entry(key).or_default() += 1;
        }
    }
    for (fact, count) in counts {
        if fact.0 == "pre-prepare" || fact.0 == "prepare" && count + 1 >= quorum {
            facts.insert(fact);
        }
    }
    facts
}

fn standing(stage: &Stage, id: u16, now: u64) -> Standing {
    let core = stage.core(id);
    Standing {
        view: core.view().0,
        normal: core.mode() == Mode::Normal,
        promises: core
            .promises()
            .into_iter()
            .map(|record| {
                let vote = record.vote.map(|vote| (vote.view.0, vote.digest));
                let prepared = record.prepared.map(|held| held.statement);
                let prepared = prepared.map(|statement| (statement.view.0, statement.digest));
                (record.seq.0, vote, prepared)
            })
            .collect(),
        signed: stage
            .ledger
            .promises()
            .filter(|(promise, _)| promise.by == id && promise.view.0 == now)
            .filter(|(promise, _)| !["view-change", "new-view"].contains(&promise.kind))
            .map(|(promise, content)| (promise.kind, promise.seq.0, *content))
            .collect(),
        accused: core.evidence().map(|(culprit, _)| culprit.0).collect(),
    }
}

/// Who of the correct replicas has signed what, in a message of this kind: most signers first.
pub(super) fn votes(stage: &Stage, kind: &str, view: u64, slot: u64) -> Vec<(Digest, Vec<u16>)> {
    let mut votes: BTreeMap<Digest, Vec<u16>> = BTreeMap::new();
    for (promise, content) in stage.ledger.promises() {
        if promise.kind == kind && promise.view.0 == view && promise.seq.0 == slot {
            votes.entry(*content).or_default().push(promise.by);
        }
    }
    let mut votes: Vec<(Digest, Vec<u16>)> = votes.into_iter().collect();
    votes.sort_by_key(|(_, voters)| std::cmp::Reverse(voters.len()));
    votes
}

/// A digest for which a quorum may exist, if the Byzantine members sign, too.
pub(super) struct Decidable {
    pub(super) view: u64,
    pub(super) seq: u64,
    pub(super) digest: Digest,
    /// By PREPAREs, or by COMMITs.
    pub(super) fast: bool,
}

/// All of them.
pub(super) fn decidable(stage: &Stage) -> Vec<Decidable> {
    let quorums = stage.cast.cluster.quorums();
    let mut counts: BTreeMap<(&str, u64, u64, Digest), usize> = BTreeMap::new();
    for (promise, content) in stage.ledger.promises() {
        let key = (promise.kind, promise.view.0, promise.seq.0, *content);
        *counts.entry(key).or_default() += 1;
    }
    counts
        .into_iter()
        .filter_map(|((kind, view, seq, digest), count)| {
            let count = count + quorums.f();
            let fast = match kind {
                "prepare" if quorums.fast().is_some_and(|fast| count >= fast) => true,
                "commit" if count >= quorums.slow() => false,
                _ => return None,
            };
            Some(Decidable {
                view,
                seq,
                digest,
                fast,
            })
        })
        .collect()
}
