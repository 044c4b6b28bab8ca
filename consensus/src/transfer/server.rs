//! The side that serves: frozen states to those who fetch them, at a bounded rate (docs/protocol.md
//! R9, R13).
//!
//! The two newest stable states can always be served. Under load a checkpoint follows the other
//! faster than a large state can be fetched, so a state that somebody is fetching stays a while
//! longer: it is *pinned*. Pins cost memory (what was changed since), so they have bounds: one for
//! each requester, in time, and in bytes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crypto::codec::Blob;

use super::Effect;
use super::message::{ANSWER_BYTES, PartRequest, SERVABLE_MAX, StateMessage};
use crate::executor::Executor;
use crate::ids::{ReplicaId, SeqNo};
use crate::state_machine::Transferable;
use crate::time::Instant;

/// What a requester is given is counted over these.
pub(super) const INTERVAL: Duration = Duration::from_millis(25);

/// 7.5 MiB a second, for as long as [`GENTLE`]: at n = 5 a state of 100 MB takes four seconds, in which
/// the cluster hardly notices that it is asked. Nobody waits for the one that fetches.
pub(super) const GENTLE_BYTES: usize = 192 << 10;

/// 40 MiB a second for whoever still fetches then: a large state must arrive before the log ends that
/// comes after it.
pub(super) const INTERVAL_BYTES: usize = 1 << 20;

/// How long a requester is served gently.
pub(super) const GENTLE: Duration = Duration::from_secs(8);

/// What a part is charged with beside its bytes: looking it up is work, too.
const PART_COST: usize = 512;

/// Requests of one requester that wait; what is more is dropped, and asked for again.
pub(super) const WAITING_MAX: usize = 8;

/// Stable states that can be served without a pin.
pub(super) const STABLE_KEPT: usize = 2;

/// A pin ends when its requester has been silent for so long,
pub(super) const PIN_SILENCE_MAX: Duration = Duration::from_secs(5);
/// or after so long: a state that takes longer is begun anew from a newer checkpoint.
pub(super) const PIN_AGE_MAX: Duration = Duration::from_secs(120);

/// Memory for frozen states beyond which pins end early.
pub(super) const FROZEN_BYTES_MAX: usize = 128 << 20;

/// Frozen states, with those that are not stable yet. More than a window of checkpoints is never
/// executed above the stable one; with a very small K the oldest are given up.
pub(super) const FROZEN_MAX: usize = 64;

/// What somebody asked for.
#[derive(Debug)]
enum Ask {
    Manifest(SeqNo),
    Parts(SeqNo, u64, Vec<PartRequest>),
}

/// One replica that fetches.
#[derive(Debug, Default)]
struct Requester {
    waiting: VecDeque<Ask>,
    /// Bytes given in the interval that began then.
    interval: Option<(Instant, usize)>,
    /// Since when it fetches, without a pause of [`PIN_SILENCE_MAX`].
    fetches_since: Instant,
    pin: Option<Pin>,
}

#[derive(Clone, Copy, Debug)]
struct Pin {
    seq: SeqNo,
    since: Instant,
    used: Instant,
}

/// Serves all requesters; at most one record for each member.
#[derive(Debug, Default)]
pub(super) struct Server {
    requesters: BTreeMap<ReplicaId, Requester>,
    stable: SeqNo,
}

impl Server {
    /// A member asks for a manifest.
    pub(super) fn on_fetch_manifest(&mut self, from: ReplicaId, seq: SeqNo) {
        self.enqueue(from, Ask::Manifest(seq));
    }

    /// A member asks for parts.
    pub(super) fn on_fetch_parts(
        &mut self,
        from: ReplicaId,
        seq: SeqNo,
        request: u64,
        parts: Vec<PartRequest>,
    ) {
        self.enqueue(from, Ask::Parts(seq, request, parts));
    }

    fn enqueue(&mut self, from: ReplicaId, ask: Ask) {
        let requester = self.requesters.entry(from).or_default();
        if requester.waiting.len() < WAITING_MAX {
            requester.waiting.push_back(ask);
        }
    }

    /// Answers what the rate allows now.
    pub(super) fn serve<S: Transferable>(
        &mut self,
        now: Instant,
        executor: &mut Executor<S>,
        out: &mut Vec<Effect>,
    ) {
        for (to, requester) in &mut self.requesters {
            while requester.may_take(now)
                && let Some(ask) = requester.waiting.pop_front()
            {
                let seq = match &ask {
                    Ask::Manifest(seq) | Ask::Parts(seq, ..) => *seq,
                };
                let message = answer(ask, executor);
                if !matches!(message, StateMessage::Unavailable { .. }) {
                    requester.pin(now, seq);
                }
                requester.charge(now, cost(&message));
                out.push(Effect::Send { to: *to, message });
            }
        }
    }

    /// When somebody who waits may be answered.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waiting = self.requesters.values();
        let waiting = waiting.filter(|requester| !requester.waiting.is_empty());
        waiting.map(Requester::free_at).min()
    }

    /// A checkpoint is stable.
    pub(super) fn on_stable(&mut self, seq: SeqNo) {
        self.stable = self.stable.max(seq);
    }

    /// Forgets the frozen states that need not be served any more.
    pub(super) fn forget<S: Transferable>(&mut self, now: Instant, executor: &mut Executor<S>) {
        for requester in self.requesters.values_mut() {
            let ended = |pin: &mut Pin| {
                now.since(pin.used) > PIN_SILENCE_MAX || now.since(pin.since) > PIN_AGE_MAX
            };
            requester.pin.take_if(ended);
        }
        self.thaw_unneeded(executor);
        while executor.machine().frozen_bytes() > FROZEN_BYTES_MAX && self.unpin_oldest() {
            self.thaw_unneeded(executor);
        }
        let surplus = executor.frozen().len().saturating_sub(FROZEN_MAX);
        let oldest: Vec<SeqNo> = executor.frozen().take(surplus).collect();
        for seq in oldest {
            executor.thaw(seq);
        }
    }

    fn thaw_unneeded<S: Transferable>(&self, executor: &mut Executor<S>) {
        let pinned = self.requesters.values();
        let pinned: Vec<SeqNo> = pinned
            .filter_map(|requester| requester.pin.map(|pin| pin.seq))
            .collect();
        let stable = executor.frozen().filter(|seq| *seq <= self.stable);
        let unneeded: Vec<SeqNo> = stable
            .rev()
            .skip(STABLE_KEPT)
            .filter(|seq| !pinned.contains(seq))
            .collect();
        for seq in unneeded {
            executor.thaw(seq);
        }
    }

    /// Ends the pins of the oldest pinned state. False if there is none.
    fn unpin_oldest(&mut self) -> bool {
        let pins = self
            .requesters
            .values()
            .filter_map(|requester| requester.pin);
        let Some(oldest) = pins.map(|pin| pin.seq).min() else {
            return false;
        };
        for requester in self.requesters.values_mut() {
            requester.pin.take_if(|pin| pin.seq == oldest);
        }
        true
    }
}

impl Requester {
    fn may_take(&self, now: Instant) -> bool {
        self.interval
            .is_none_or(|(_, given)| given < self.allowance() || now >= self.free_at())
    }

    fn charge(&mut self, now: Instant, cost: usize) {
        match self.interval {
            None => self.fetches_since = now,
            Some((began, _)) if now.since(began) > PIN_SILENCE_MAX => self.fetches_since = now,
            Some(_) => {}
        }
        let free_at = self.free_at();
        let (began, given) = self.interval.filter(|_| now < free_at).unwrap_or((now, 0));
        self.interval = Some((began, given.saturating_add(cost)));
    }

    /// Bytes in an interval.
    fn allowance(&self) -> usize {
        let gentle = |(began, _): (Instant, usize)| began.since(self.fetches_since) < GENTLE;
        if self.interval.is_none_or(gentle) {
            GENTLE_BYTES
        } else {
            INTERVAL_BYTES
        }
    }

    /// When everything that was given is paid for: one answer may be worth several intervals.
    fn free_at(&self) -> Instant {
        let (began, given) = self.interval.unwrap_or_default();
        let paid = INTERVAL.as_nanos() * given as u128 / self.allowance() as u128;
        let paid = Duration::from_nanos(u64::try_from(paid).unwrap_or(u64::MAX));
        began + paid.max(INTERVAL)
    }

    fn pin(&mut self, now: Instant, seq: SeqNo) {
        let since = match self.pin {
            Some(pin) if pin.seq == seq => pin.since,
            _ => now,
        };
        self.pin = Some(Pin {
            seq,
            since,
            used: now,
        });
    }
}

fn answer<S: Transferable>(ask: Ask, executor: &mut Executor<S>) -> StateMessage {
    let (seq, found) = match ask {
        Ask::Manifest(seq) => {
            let manifest = executor.manifest(seq);
            (
                seq,
                manifest.map(|manifest| StateMessage::Manifest { seq, manifest }),
            )
        }
        Ask::Parts(seq, request, asked) => {
            let parts = parts(seq, &asked, executor);
            let found = (!parts.is_empty()).then_some(StateMessage::Parts {
                seq,
                request,
                parts,
            });
            (seq, found)
        }
    };
    found.unwrap_or_else(|| StateMessage::Unavailable {
        seq,
        servable: executor.frozen().rev().take(SERVABLE_MAX).collect(),
    })
}

/// The first of the parts that are asked for, as many as fit, and the first one in any case.
fn parts<S: Transferable>(
    seq: SeqNo,
    asked: &[PartRequest],
    executor: &mut Executor<S>,
) -> Vec<Blob> {
    let mut parts: Vec<Blob> = Vec::new();
    let mut room = ANSWER_BYTES;
    for request in asked {
        let Some(part) = executor.part(seq, request, ANSWER_BYTES) else {
            break;
        };
        if part.len() > room && !parts.is_empty() {
            break;
        }
        room = room.saturating_sub(part.len());
        parts.push(Blob::from(part));
    }
    parts
}

fn cost(message: &StateMessage) -> usize {
    match message {
        StateMessage::Manifest { manifest, .. } => {
            let session = std::mem::size_of_val(manifest.sessions.as_slice());
            manifest.machine.len() + session + manifest.configuration.len()
        }
        StateMessage::Parts { parts, .. } => parts.iter().map(|part| part.len() + PART_COST).sum(),
        _ => PART_COST,
    }
}

#[cfg(test)]
mod tests;
