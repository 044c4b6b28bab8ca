//! What a new view must propose: a pure function of the VIEW-CHANGEs that open it, which the
//! primary evaluates once and every backup evaluates again, bit for bit (docs/protocol.md R10.5).
//!
//! Two kinds of reports speak for a digest. A prepared certificate may stand behind q COMMITs; the
//! latest votes of T_e replicas may stand behind q_F PREPAREs. Whichever is from the newer view
//! wins, and a certificate wins a tie. Why this never loses a decision is R11, L2.

use std::collections::BTreeMap;

use crypto::Digest;

use super::certificate::StableCertificate;
use super::message::{SlotRecord, ViewChange};
use crate::batch::null_digest;
use crate::cluster::Quorums;
use crate::ids::{SeqNo, View};
use crate::mutation::{Mutation, active};

/// What the reports say of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    /// This digest may have been decided and has to be proposed again.
    Value(Digest),
    /// Nothing was decided.
    Free,
    /// Two digests reach the vote threshold in the same view: then the primary of that view has
    /// signed both, which the reports prove.
    Conflict,
    /// Two prepared certificates of one view and different digests, which cannot both be valid
    /// while at most f replicas are faulty (F1).
    Contradiction,
}

/// O: what a new view begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The highest stable checkpoint among the reports: slots up to it are settled.
    pub min: SeqNo,
    /// Its certificate; `None`: the start of the epoch.
    pub base: Option<StableCertificate>,
    /// The highest slot that is assigned; at least `min`. Slots above it are free.
    pub max: SeqNo,
    /// The digest of every slot in `min + 1 ..= max`, in order.
    pub digests: Vec<Digest>,
}

impl Opening {
    /// The assigned slots, ascending.
    pub fn slots(&self) -> impl Iterator<Item = (SeqNo, Digest)> {
        let first = self.min.next();
        self.digests
            .iter()
            .zip(0u64..)
            .map(move |(digest, offset)| (first.plus(offset), *digest))
            .filter(|(_, digest)| !active(Mutation::LeaveGaps) || *digest != null_digest())
    }

    /// What is assigned to `seq`.
    pub fn digest(&self, seq: SeqNo) -> Option<Digest> {
        let offset = seq.0.checked_sub(self.min.0)?.checked_sub(1)?;
        self.digests.get(usize::try_from(offset).ok()?).copied()
    }
}

/// Why no new view can be opened with a set of VIEW-CHANGEs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// [`Selected::Conflict`] at this slot.
    Conflict(SeqNo),
    /// [`Selected::Contradiction`] at this slot.
    Contradiction(SeqNo),
}

/// COMPUTE_O (R10.5). `set` are valid VIEW-CHANGEs of distinct replicas for one view, `excluded` is
/// the number of replicas that are proven Byzantine and not in the set, `start` the slot at which
/// the epoch began.
///
/// # Errors
/// If some slot cannot be settled by these reports.
pub fn compute_o(
    quorums: &Quorums,
    start: SeqNo,
    set: &[&ViewChange],
    excluded: usize,
) -> Result<Opening, Unopened> {
    let stable = |report: &&ViewChange| report.stable.as_ref().map_or(start, |base| base.seq);
    let min = if active(Mutation::SmallestCheckpoint) {
        set.iter().map(stable).min().unwrap_or(start)
    } else {
        set.iter().map(stable).max().unwrap_or(start)
    };
    let base = set
        .iter()
        .filter_map(|report| report.stable.as_ref())
        .find(|base| base.seq == min)
        .cloned();
    let mut slots: BTreeMap<SeqNo, Vec<&SlotRecord>> = BTreeMap::new();
    for record in set.iter().flat_map(|report| &report.records) {
        if record.seq > min {
            slots.entry(record.seq).or_default().push(record);
        }
    }
    let mut values = BTreeMap::new();
    for (seq, records) in &slots {
        match select(quorums, records, excluded) {
            Selected::Value(digest) => {
                values.insert(*seq, digest);
            }
            Selected::Free => {}
            Selected::Conflict => return Err(Unopened::Conflict(*seq)),
            Selected::Contradiction => return Err(Unopened::Contradiction(*seq)),
        }
    }
    let max = values.last_key_value().map_or(min, |(seq, _)| *seq);
    let digests = (min.0..max.0)
        // A gap below something that may have been decided: nothing was decided there, and
        // execution has to get past it.
        .map(|before| values.get(&SeqNo(before).next()).copied())
        .map(|value| value.unwrap_or(null_digest()))
        .collect();
    Ok(Opening {
        min,
        base,
        max,
        digests,
    })
}

/// SELECT (R10.5): the reports of distinct replicas on one slot.
pub fn select(quorums: &Quorums, reports: &[&SlotRecord], excluded: usize) -> Selected {
    let mut prepared: Option<(View, Digest)> = None;
    for report in reports {
        let Some(certificate) = &report.prepared else {
            continue;
        };
        if active(Mutation::DropPrepared) {
            continue;
        }
        let (view, digest) = (certificate.statement.view, certificate.statement.digest);
        match prepared {
            Some((held, other)) if held == view && other != digest => {
                return Selected::Contradiction;
            }
            Some((held, _)) if held >= view => {}
            _ => prepared = Some((view, digest)),
        }
    }
    let voted = quorums
        .vote_threshold(excluded)
        .map_or(Voted::Nothing, |threshold| newest_votes(reports, threshold));
    match (prepared, voted) {
        (Some((view, digest)), Voted::One(newest, _) | Voted::Several(newest))
            if prepared_wins(view, newest) =>
        {
            Selected::Value(digest)
        }
        (Some((_, digest)), Voted::Nothing) => Selected::Value(digest),
        (None, Voted::Nothing) => Selected::Free,
        (_, Voted::One(_, digest)) => Selected::Value(digest),
        (_, Voted::Several(_)) => Selected::Conflict,
    }
}

/// A certificate wins a tie: votes of one view cannot contradict it.
fn prepared_wins(prepared: View, voted: View) -> bool {
    if active(Mutation::PreferPrepared) {
        return true;
    }
    if active(Mutation::PreferVotes) {
        return false;
    }
    if active(Mutation::PreparedStrictlyNewer) {
        return prepared > voted;
    }
    prepared >= voted
}

/// W*: the newest view in or after which some digest has `threshold` latest votes, and how many
/// digests have them in that view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voted {
    Nothing,
    One(View, Digest),
    Several(View),
}

/// Votes add up over views: W(d) is the threshold-th newest view among the latest votes for d,
/// whatever the views of the others.
fn newest_votes(reports: &[&SlotRecord], threshold: usize) -> Voted {
    // NULL is a digest like any other.
    let mut views: BTreeMap<Digest, Vec<View>> = BTreeMap::new();
    for vote in reports.iter().filter_map(|report| report.vote) {
        views.entry(vote.digest).or_default().push(vote.view);
    }
    let mut newest = Voted::Nothing;
    for (digest, mut views) in views {
        views.sort_unstable_by(|a, b| b.cmp(a));
        if active(Mutation::VotesPerExactView) {
            let newest_alone = views
                .windows(threshold)
                .find(|run| run.first() == run.last());
            views = newest_alone.map(<[View]>::to_vec).unwrap_or_default();
        }
        let Some(reached) = views.get(threshold.saturating_sub(1)).copied() else {
            continue;
        };
        newest = match newest {
            Voted::One(view, _) | Voted::Several(view) if view > reached => newest,
            Voted::One(view, _) if view == reached && active(Mutation::BreakTies) => newest,
            Voted::One(view, _) | Voted::Several(view) if view == reached => Voted::Several(view),
            _ => Voted::One(reached, digest),
        };
    }
    newest
}
