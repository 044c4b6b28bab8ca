//! The replicas that a state is fetched from: who may be asked, who was asked what, and who is out
//! (docs/protocol.md R13).
//!
//! Nobody is believed, so anybody may be asked. A source that sends what is not certified, or lets
//! requests wait too long, is asked nothing more in this transfer, and what it was asked for is
//! asked of others. When nobody is left everybody gets another, more patient, chance: with a slow
//! network they may all have been correct. Everybody is asked for the manifest first: whoever does
//! not answer that delays nothing, and whoever does keeps the state for as long as it is fetched.

use std::collections::BTreeMap;
use std::time::Duration;

use crypto::Digest;

use super::message::{FETCH_PARTS_MAX, PartRef};
use crate::cluster::Cluster;
use crate::ids::ReplicaId;
use crate::time::Instant;

/// Replicas that are asked at a time. Among so many some are correct and quick, and more would
/// only make more of them answer for one slow requester.
pub(super) const SOURCES_MAX: usize = 8;

/// Requests that one source has to answer at a time, so that it need not wait for the next.
pub(super) const OUTSTANDING_MAX: usize = 3;

/// How long a source may take at first, and at most after several new starts.
pub(super) const PATIENCE_MIN: Duration = Duration::from_millis(400);
/// See [`PATIENCE_MIN`].
pub(super) const PATIENCE_MAX: Duration = Duration::from_secs(6);

/// Requests that a source may leave unanswered one after the other: messages can get lost.
const STRIKES_MAX: u32 = 2;

/// A source is passed over while it takes this many times as long as the quickest one, and longer
/// by [`SLOWER_BY`]: the last parts would be waiting for it.
const SLOWER_TIMES: u32 = 8;
/// See [`SLOWER_TIMES`].
const SLOWER_BY: Duration = Duration::from_millis(50);

/// Parts of the first request to a source; it adapts to how many fit into an answer.
const FIRST_PARTS: usize = 64;
/// Parts asked for at least.
const PARTS_MIN: usize = 8;

/// A request on its way.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) parts: Vec<(PartRef, Digest)>,
    since: Instant,
}

/// Where a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It may be asked.
    Good,
    /// It said that it cannot serve the state.
    Lacking,
    /// It lied or was too slow.
    Out,
}

#[derive(Debug)]
struct Source {
    id: ReplicaId,
    standing: Standing,
    /// It has the state: it sent the manifest.
    ready: bool,
    /// The manifest was asked for and has not come.
    manifest_since: Option<Instant>,
    /// Requests in a row that were not answered in time.
    strikes: u32,
    asked: BTreeMap<u64, Asked>,
    /// When the last answer came, or the first request was sent to an idle source.
    heard: Instant,
    /// How long answers take.
    latency: Duration,
    /// Parts to ask for.
    parts: usize,
    /// Parts that it has delivered.
    delivered: u64,
}

/// All possible sources of one transfer.
#[derive(Debug)]
pub(super) struct Sources {
    all: Vec<Source>,
    patience: Duration,
    requests: u64,
}

impl Sources {
    /// Everybody but `me`, beginning with the next replica: those who fetch at the same time begin
    /// with different ones.
    pub(super) fn new(me: ReplicaId, cluster: &Cluster) -> Self {
        let members: Vec<ReplicaId> = cluster.members().collect();
        let after = members.iter().copied().filter(|id| *id > me);
        let before = members.iter().copied().filter(|id| *id < me);
        let source = |id| Source {
            id,
            standing: Standing::Good,
            ready: false,
            manifest_since: None,
            strikes: 0,
            asked: BTreeMap::new(),
            heard: Instant::default(),
            latency: Duration::ZERO,
            parts: FIRST_PARTS,
            delivered: 0,
        };
        Sources {
            all: after.chain(before).map(source).collect(),
            patience: PATIENCE_MIN,
            requests: 0,
        }
    }

    /// Those to be asked for the manifest now.
    pub(super) fn ask_manifest(&mut self, now: Instant) -> Vec<ReplicaId> {
        let mut asked = Vec::new();
        for source in good(&mut self.all) {
            if !source.ready && source.manifest_since.is_none() {
                source.manifest_since = Some(now);
                asked.push(source.id);
            }
        }
        asked
    }

    /// A source sent the manifest that it was asked for. False if it was not.
    pub(super) fn manifest_came(&mut self, from: ReplicaId) -> bool {
        let Some(source) = self.get(from) else {
            return false;
        };
        let asked = source.manifest_since.take().is_some();
        source.ready |= asked;
        asked
    }

    /// The next source to ask for parts, and how many; the quickest first. `waiting` parts are
    /// shared by all who can be asked.
    pub(super) fn next_idle(&mut self, waiting: usize) -> Option<(ReplicaId, usize)> {
        let mut ready: Vec<&mut Source> =
            good(&mut self.all).filter(|source| source.ready).collect();
        // Whoever has let requests wait is asked again only if nobody else can be.
        let strikes = ready.iter().map(|source| source.strikes).min()?;
        ready.retain(|source| source.strikes == strikes);
        let known = ready.iter().map(|source| source.latency);
        let quickest = known.filter(|took| !took.is_zero()).min();
        let bearable = quickest.unwrap_or_default() * SLOWER_TIMES + SLOWER_BY;
        let share = waiting.div_ceil(ready.len().max(1)).max(PARTS_MIN);
        let idle = ready
            .iter()
            .filter(|source| source.asked.len() < OUTSTANDING_MAX && source.latency <= bearable);
        let next = idle.min_by_key(|source| (source.asked.len(), source.latency))?;
        Some((next.id, next.parts.min(share)))
    }

    /// Notes a request; its number.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        from: ReplicaId,
        parts: Vec<(PartRef, Digest)>,
    ) -> u64 {
        self.requests = self.requests.saturating_add(1);
        let request = self.requests;
        if let Some(source) = self.get(from) {
            if source.asked.is_empty() {
                source.heard = now;
            }
            source.asked.insert(request, Asked { parts, since: now });
        }
        request
    }

    /// An answer of `parts` parts came. What was asked for; `None` if nothing was.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        from: ReplicaId,
        request: u64,
        parts: usize,
    ) -> Option<Asked> {
        let source = self.get(from)?;
        let asked = source.asked.remove(&request)?;
        source.heard = now;
        source.strikes = 0;
        let took = now.since(asked.since);
        source.latency = if source.latency.is_zero() {
            took
        } else {
            (source.latency * 3 + took) / 4
        };
        source.parts = parts.saturating_mul(2).clamp(PARTS_MIN, FETCH_PARTS_MAX);
        Some(asked)
    }

    /// Parts of this source were good.
    pub(super) fn delivered(&mut self, from: ReplicaId, parts: u64) {
        if let Some(source) = self.get(from) {
            source.delivered = source.delivered.saturating_add(parts);
        }
    }

    /// The source lied: what it was asked for is to be asked of others.
    pub(super) fn expel(&mut self, from: ReplicaId) -> Vec<(PartRef, Digest)> {
        self.take_from(from, Standing::Out)
    }

    /// The source cannot serve the state.
    pub(super) fn lacks(&mut self, from: ReplicaId) -> Vec<(PartRef, Digest)> {
        self.take_from(from, Standing::Lacking)
    }

    /// Takes back what sources have let wait for too long, and expels those that do it repeatedly.
    pub(super) fn expel_slow(&mut self, now: Instant) -> Vec<(PartRef, Digest)> {
        let patience = self.patience;
        let mut back = Vec::new();
        for source in &mut self.all {
            if source.due(patience).is_some_and(|due| due <= now) {
                back.extend(source.clear());
                source.strikes = source.strikes.saturating_add(1);
                // Whoever is slow is not asked for parts before it has shown that it is there.
                source.ready = false;
                if source.strikes >= STRIKES_MAX {
                    source.standing = Standing::Out;
                }
            }
        }
        back
    }

    /// When the first source will have been waited for too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let due = self
            .all
            .iter()
            .filter_map(|source| source.due(self.patience));
        due.min()
    }

    /// Replicas that can still be asked.
    pub(super) fn good(&self) -> usize {
        let good = self
            .all
            .iter()
            .filter(|source| source.standing == Standing::Good);
        good.count()
    }

    /// Is anybody out, rather than merely without the state?
    pub(super) fn any_out(&self) -> bool {
        self.all
            .iter()
            .any(|source| source.standing == Standing::Out)
    }

    /// Everybody may be asked again, and may take longer.
    pub(super) fn start_over(&mut self) {
        self.patience = (self.patience * 2).min(PATIENCE_MAX);
        for source in &mut self.all {
            source.clear();
            source.ready = false;
            source.strikes = 0;
            source.standing = Standing::Good;
        }
    }

    /// Another state is wanted: who lacked the last one may have it. Liars stay out.
    pub(super) fn retarget(&mut self) {
        for source in &mut self.all {
            source.clear();
            source.ready = false;
            if source.standing == Standing::Lacking {
                source.standing = Standing::Good;
            }
        }
    }

    /// Time to wait before everybody is asked again.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Sources that delivered something.
    pub(super) fn used(&self) -> usize {
        self.all
            .iter()
            .filter(|source| source.delivered > 0)
            .count()
    }

    /// Is anything on its way?
    pub(super) fn outstanding(&self) -> bool {
        self.all.iter().any(|source| !source.asked.is_empty())
    }

    fn take_from(&mut self, from: ReplicaId, standing: Standing) -> Vec<(PartRef, Digest)> {
        let Some(source) = self.get(from) else {
            return Vec::new();
        };
        source.standing = standing;
        source.clear()
    }

    fn get(&mut self, id: ReplicaId) -> Option<&mut Source> {
        self.all.iter_mut().find(|source| source.id == id)
    }
}

/// The first few that can be asked.
fn good(all: &mut [Source]) -> impl Iterator<Item = &mut Source> {
    let good = all
        .iter_mut()
        .filter(|source| source.standing == Standing::Good);
    good.take(SOURCES_MAX)
}

impl Source {
    /// Forgets what it was asked for, and says what that was.
    fn clear(&mut self) -> Vec<(PartRef, Digest)> {
        self.manifest_since = None;
        let asked = std::mem::take(&mut self.asked).into_values();
        asked.flat_map(|asked| asked.parts).collect()
    }

    fn due(&self, patience: Duration) -> Option<Instant> {
        let parts = (!self.asked.is_empty()).then_some(self.heard);
        let since = [self.manifest_since, parts].into_iter().flatten().min()?;
        Some(since + patience)
    }
}
