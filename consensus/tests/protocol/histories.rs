//! R10.5 and R11 over made-up histories: views in which f replicas lie as they like, the network
//! delivers what it likes, and the reports for the next view are those of any n − f replicas.
//!
//! What was committed must be in every later opening, and there must always be an opening.

use std::collections::{BTreeMap, BTreeSet};

use consensus::pbft::certificate::{Certificate, Phase, Signers};
use consensus::pbft::message::{SlotRecord, ViewChange, VoteReport};
use consensus::pbft::new_view::{Opening, Unopened, compute_o};
use consensus::{Epoch, FastQuorum, Quorums, ReplicaId, SeqNo, View};
use crypto::{Digest, Signature};
use proptest::prelude::*;

use crate::fixture::statement;

const SLOTS: u64 = 3;
const VIEWS: u64 = 7;

/// How an opening is computed from reports; the right way, and ways with a bug.
type Compute = fn(&Quorums, &[ViewChange], usize) -> Result<Opening, Unopened>;

fn right(quorums: &Quorums, set: &[ViewChange], excluded: usize) -> Result<Opening, Unopened> {
    let set: Vec<&ViewChange> = set.iter().collect();
    compute_o(quorums, SeqNo(0), &set, excluded)
}

/// A source of choices that is the same for the same seed (splitmix64).
struct Choices(u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn shuffled<T>(&mut self, mut all: Vec<T>) -> Vec<T> {
        for at in (1..all.len()).rev() {
            let other = usize::try_from(self.below(at as u64 + 1)).unwrap();
            all.swap(at, other);
        }
        all
    }
}

/// A replica's latest vote and highest prepared certificate for a slot.
#[derive(Clone, Copy, Default)]
struct Promise {
    vote: Option<(u64, Digest)>,
    prepared: Option<(u64, Digest)>,
}

struct History {
    quorums: Quorums,
    choices: Choices,
    liars: BTreeSet<u16>,
    promises: BTreeMap<(u16, u64), Promise>,
    /// What primary(view) signed for a slot: one digest if it is correct.
    signed: BTreeMap<(u64, u64), BTreeSet<Digest>>,
    /// What q replicas may have voted for: only for these a certificate can be shown.
    certified: BTreeMap<u64, Vec<(u64, Digest)>>,
    committed: BTreeMap<u64, Digest>,
    proven: BTreeSet<u16>,
}

impl History {
    fn new(quorums: Quorums, seed: u64) -> Self {
        let mut choices = Choices(seed);
        let n = u16::try_from(quorums.n()).unwrap();
        let mut all = choices.shuffled((0..n).collect());
        // Liars that lead early do more harm.
        if choices.chance(70) {
            all.retain(|replica| *replica != 0);
            all.insert(0, 0);
        }
        History {
            liars: all.into_iter().take(quorums.f()).collect(),
            quorums,
            choices,
            promises: BTreeMap::new(),
            signed: BTreeMap::new(),
            certified: BTreeMap::new(),
            committed: BTreeMap::new(),
            proven: BTreeSet::new(),
        }
    }

    fn replicas(&self) -> Vec<u16> {
        (0..u16::try_from(self.quorums.n()).unwrap()).collect()
    }

    fn leads(&self, view: u64) -> u16 {
        u16::try_from(view % self.quorums.n() as u64).unwrap()
    }

    /// What the primary of `view` signs for `slot`, given what the view began with.
    fn propose(&mut self, view: u64, slot: u64, assigned: Option<Digest>) -> Vec<Digest> {
        let lies = self.liars.contains(&self.leads(view));
        let digests: Vec<Digest> = match assigned {
            Some(digest) => vec![digest],
            None if lies => (0..2).map(|one| value(view, slot, one)).collect(),
            None => vec![value(view, slot, 0)],
        };
        let signed = self.signed.entry((view, slot)).or_default();
        signed.extend(digests.iter().copied());
        if lies && assigned.is_some() {
            // No vote of a correct replica, but a report can hold it.
            signed.insert(value(view, slot, 9));
        }
        digests
    }

    /// One slot of one view: who votes, who is prepared, what is committed.
    fn vote(&mut self, view: u64, slot: u64, digests: &[Digest]) {
        let eager = 40 + self.choices.below(60);
        let mut voters: BTreeMap<Digest, usize> = BTreeMap::new();
        for replica in self.replicas() {
            if self.liars.contains(&replica) || !self.choices.chance(eager) {
                continue;
            }
            let at = usize::try_from(self.choices.below(digests.len() as u64)).unwrap();
            let promise = self.promises.entry((replica, slot)).or_default();
            promise.vote = Some((view, digests[at]));
            *voters.entry(digests[at]).or_default() += 1;
        }
        for (digest, count) in voters {
            // Liars vote for everything.
            let count = count + self.quorums.f();
            if self.quorums.fast().is_some_and(|fast| count >= fast) {
                self.commit(slot, digest);
            }
            if count < self.quorums.slow() {
                continue;
            }
            let certified = self.certified.entry(slot).or_default();
            certified.push((view, digest));
            let mut commits = self.quorums.f();
            for replica in self.replicas() {
                if !self.liars.contains(&replica) && self.choices.chance(eager) {
                    let promise = self.promises.entry((replica, slot)).or_default();
                    promise.prepared = Some((view, digest));
                    commits += 1;
                }
            }
            if commits >= self.quorums.slow() {
                self.commit(slot, digest);
            }
        }
    }

    fn commit(&mut self, slot: u64, digest: Digest) {
        let first = *self.committed.entry(slot).or_insert(digest);
        assert_eq!(first, digest, "slot {slot} is committed twice");
    }

    /// The report of a replica; a liar says whatever somebody has signed.
    fn report(&mut self, replica: u16, view: u64) -> ViewChange {
        let lies = self.liars.contains(&replica);
        let mut records = Vec::new();
        for slot in 1..=SLOTS {
            let promise = if lies {
                self.lie(view, slot)
            } else {
                let kept = self.promises.get(&(replica, slot));
                kept.copied().unwrap_or_default()
            };
            let vote = promise.vote.map(|(view, digest)| VoteReport {
                view: View(view),
                digest,
                header_signature: Signature([0; 64]),
            });
            let prepared = promise.prepared.map(|(view, digest)| Certificate {
                epoch: Epoch(0),
                phase: Phase::Prepare,
                statement: statement(view, slot, digest),
                signers: Signers(Vec::new()),
            });
            let seq = SeqNo(slot);
            records.push(SlotRecord {
                seq,
                vote,
                prepared,
            });
        }
        records.retain(|record| record.vote.is_some() || record.prepared.is_some());
        ViewChange {
            epoch: Epoch(0),
            new_view: View(view),
            replica: ReplicaId(replica),
            stable: None,
            records,
        }
    }

    fn lie(&mut self, view: u64, slot: u64) -> Promise {
        let signed: Vec<(u64, Digest)> = self
            .signed
            .iter()
            .filter(|((in_view, at), _)| *in_view < view && *at == slot)
            .flat_map(|((in_view, _), digests)| digests.iter().map(|one| (*in_view, *one)))
            .collect();
        let certified = self.certified.get(&slot).cloned().unwrap_or_default();
        Promise {
            vote: self.any_of(&signed),
            prepared: self.any_of(&certified),
        }
    }

    fn any_of(&mut self, all: &[(u64, Digest)]) -> Option<(u64, Digest)> {
        let at = usize::try_from(self.choices.below(all.len() as u64 + 1)).unwrap();
        all.get(at).copied()
    }

    /// R10.4: the primary takes reports as they come, excludes whom they convict, and waits until
    /// n − f of others are there.
    fn open(&mut self, view: u64, compute: Compute) -> Result<Opening, String> {
        let all = self.replicas();
        let mut held: Vec<ViewChange> = Vec::new();
        for replica in self.choices.shuffled(all) {
            held.push(self.report(replica, view));
            self.convict(&held);
            let set: Vec<ViewChange> = held
                .iter()
                .filter(|report| !self.proven.contains(&report.replica.0))
                .take(self.quorums.view_change())
                .cloned()
                .collect();
            if set.len() == self.quorums.view_change() {
                return compute(&self.quorums, &set, self.proven.len())
                    .map_err(|why| format!("view {view} stays shut: {why:?}"));
            }
        }
        Err(format!("view {view} gets too few reports"))
    }

    fn convict(&mut self, held: &[ViewChange]) {
        let mut seen: BTreeMap<(View, SeqNo), Digest> = BTreeMap::new();
        for record in held.iter().flat_map(|report| &report.records) {
            let Some(vote) = record.vote else { continue };
            let first = *seen.entry((vote.view, record.seq)).or_insert(vote.digest);
            if first != vote.digest {
                self.proven.insert(self.leads(vote.view.0));
            }
        }
    }

    /// Runs all views. `Err` says which promise was broken.
    fn run(mut self, compute: Compute) -> Result<usize, String> {
        let mut opening: Option<Opening> = None;
        for view in 0..VIEWS {
            if view > 0 {
                let opened = self.open(view, compute)?;
                assert!(
                    self.proven.is_subset(&self.liars),
                    "a correct one is accused"
                );
                for (slot, digest) in &self.committed {
                    if opened.digest(SeqNo(*slot)) != Some(*digest) {
                        return Err(format!("view {view} loses slot {slot}"));
                    }
                }
                opening = Some(opened);
            }
            for slot in 1..=SLOTS {
                let assigned = opening.as_ref().and_then(|o| o.digest(SeqNo(slot)));
                let digests = self.propose(view, slot, assigned);
                // A slot may get no votes at all in a view.
                if self.choices.chance(80) {
                    self.vote(view, slot, &digests);
                }
            }
        }
        Ok(self.committed.len())
    }
}

fn value(view: u64, slot: u64, which: u64) -> Digest {
    Digest::of("test", &crypto::encode(&(view, slot, which)))
}

/// Every kind of quorum: q_F = q, q_F > q, n = 3f + 1, 4f + 1, without a fast path.
const CLUSTERS: [(u16, u16, FastQuorum); 9] = [
    (4, 1, FastQuorum::Strong),
    (5, 1, FastQuorum::Strong),
    (5, 1, FastQuorum::Conservative),
    (5, 1, FastQuorum::Off),
    (6, 1, FastQuorum::Strong),
    (7, 2, FastQuorum::Strong),
    (8, 2, FastQuorum::Strong),
    (9, 2, FastQuorum::Strong),
    (13, 3, FastQuorum::Strong),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_was_committed_is_in_every_later_opening_and_there_is_always_one(
        seed in any::<u64>(),
        (n, f, fast) in prop::sample::select(CLUSTERS.to_vec()),
    ) {
        let quorums = Quorums::new(n, f, fast).unwrap();
        let outcome = History::new(quorums, seed).run(right);
        prop_assert!(outcome.is_ok(), "{:?}", outcome);
    }
}

#[test]
fn histories_commit_something_and_convict_somebody() {
    let quorums = Quorums::new(5, 1, FastQuorum::Strong).unwrap();
    let committed: usize = (0..100)
        .map(|seed| History::new(quorums, seed).run(right).unwrap())
        .sum();
    assert!(committed > 100, "{committed} slots in 100 histories");
}

/// Does some history show the bug?
fn caught((n, f, fast): (u16, u16, FastQuorum), compute: Compute) -> bool {
    let quorums = Quorums::new(n, f, fast).unwrap();
    (0..20_000).any(|seed| {
        let run = || History::new(quorums, seed).run(compute);
        std::panic::catch_unwind(run).map_or(true, |outcome| outcome.is_err())
    })
}

/// R21, each at the cluster that shows it.
#[test]
fn histories_show_what_must_not_be_simplified() {
    let strong = |n, f| (n, f, FastQuorum::Strong);
    let bugs: [(&str, _, Compute); 5] = [
        ("votes are not looked at", strong(5, 1), |q, set, e| {
            let mut set = set.to_vec();
            for record in set.iter_mut().flat_map(|report| &mut report.records) {
                record.vote = None;
            }
            right(q, &set, e)
        }),
        (
            "certificates are not looked at",
            strong(9, 2),
            |q, set, e| {
                let mut set = set.to_vec();
                for record in set.iter_mut().flat_map(|report| &mut report.records) {
                    record.prepared = None;
                }
                right(q, &set, e)
            },
        ),
        (
            "the threshold stays when a replica is excluded",
            strong(5, 1),
            |q, set, _| right(q, set, 0),
        ),
        ("the threshold is one more", strong(5, 1), |q, set, e| {
            right(q, set, e + 1)
        }),
        (
            "only votes of the newest view count",
            strong(9, 2),
            |q, set, e| {
                let mut set = set.to_vec();
                let records = || set.iter().flat_map(|report| &report.records);
                let newest = records().filter_map(|record| Some(record.vote?.view)).max();
                for record in set.iter_mut().flat_map(|report| &mut report.records) {
                    record.vote = record.vote.filter(|vote| Some(vote.view) == newest);
                }
                right(q, &set, e)
            },
        ),
    ];
    for (bug, cluster, compute) in bugs {
        assert!(caught(cluster, compute), "{bug}");
    }
}
