//! The phases of a slot, as one replica sees them: how long each took.
//!
//! ```text
//!   request in ─ queue ─► proposed                                            (the primary)
//!                         proposal in ─ pre-prepare ─► vote cast              (the others)
//!                                                      ├─ fsync ─► durable
//!                                                      └─ prepare ─► decided, or COMMIT cast ─ commit ─► decided
//!                                      decided ─ execute ─► executed ─ reply ─► written to the client
//! ```
//!
//! The protocol tells nobody the time. The driver and the transports note moments here as they see requests, messages and
//! reports go by; the two that other threads note (a request's and a proposal's arrival) stand in tables of fixed size, in
//! which a newer moment may overwrite an older one. Then a sample is missing, and none is wrong.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use consensus::{RequestId, SeqNo};

use super::histogram::Durations;

/// A part of a slot's or a request's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Of a request, at the primary: from its arrival until it stands in a proposal.
    Queue,
    /// Of a slot, at the others: from the proposal's arrival until the own vote is cast.
    PrePrepare,
    /// Of a slot: from the own vote until it is decided fast, or the own COMMIT is cast.
    Prepare,
    /// Of a slot that COMMITs decide: from the own COMMIT until then.
    Commit,
    /// Of a slot: from its decision until it is executed and its replies are handed to the transport.
    Execute,
    /// Of a group of records: from when the disk has it until the core knows that it is durable.
    Fsync,
    /// Of a reply: from the transport's taking it over until it is written to the connection.
    Reply,
}

impl Phase {
    /// In the order of a request's way.
    pub const ALL: [Phase; 7] = [
        Phase::Queue,
        Phase::PrePrepare,
        Phase::Prepare,
        Phase::Commit,
        Phase::Execute,
        Phase::Fsync,
        Phase::Reply,
    ];

    /// As result files and metrics write it.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Queue => "queue",
            Phase::PrePrepare => "pre_prepare",
            Phase::Prepare => "prepare",
            Phase::Commit => "commit",
            Phase::Execute => "execute",
            Phase::Fsync => "fsync",
            Phase::Reply => "reply",
        }
    }
}

/// Requests whose arrival is remembered. More than a replica has room for, so that few are overwritten.
const REQUESTS_REMEMBERED: usize = 1 << 15;
/// Slots whose proposal's arrival is remembered: several windows.
const PROPOSALS_REMEMBERED: usize = 1 << 12;

/// The phases of one replica.
#[derive(Debug)]
pub struct Phases {
    durations: [Durations; Phase::ALL.len()],
    started: Instant,
    requests: Arrivals,
    proposals: Arrivals,
}

impl Phases {
    pub(super) fn new(started: Instant) -> Self {
        Phases {
            durations: std::array::from_fn(|_| Durations::default()),
            started,
            requests: Arrivals::new(REQUESTS_REMEMBERED),
            proposals: Arrivals::new(PROPOSALS_REMEMBERED),
        }
    }

    /// Now, in microseconds of this clock; never 0.
    pub fn now(&self) -> u64 {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        micros.max(1)
    }

    /// How long a phase took.
    pub fn of(&self, phase: Phase) -> &Durations {
        &self.durations[phase as usize]
    }

    /// A request has come in from a client.
    pub fn request_arrived(&self, id: RequestId, now: u64) {
        self.requests.note(key_of(id), now);
    }

    /// A request stands in a proposal of this replica.
    pub fn request_proposed(&self, id: RequestId, now: u64) {
        if let Some(arrived) = self.requests.take(key_of(id)) {
            self.of(Phase::Queue).record(now.saturating_sub(arrived));
        }
    }

    /// A request was turned away: when it comes again, it begins anew.
    pub fn request_refused(&self, id: RequestId) {
        self.requests.take(key_of(id));
    }

    /// A proposal for this slot has come in.
    pub fn proposal_arrived(&self, seq: SeqNo) {
        self.proposals.note(seq.0, self.now());
    }

    /// This replica casts its vote for a slot.
    pub(crate) fn vote_cast(&self, seq: SeqNo, now: u64) {
        if let Some(arrived) = self.proposals.take(seq.0) {
            self.of(Phase::PrePrepare)
                .record(now.saturating_sub(arrived));
        }
    }
}

/// Spreads clients' numbers, which run on side by side, over the table.
fn key_of(id: RequestId) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = (u64::from(id.client.0) ^ id.session.rotate_left(32)).wrapping_mul(ODD);
    (mixed ^ id.number).wrapping_mul(ODD).rotate_left(32)
}

/// Moments by key, in a table of fixed size.
#[derive(Debug)]
struct Arrivals(Box<[AtomicU64]>);

/// Bits of a moment, microseconds: 203 days; the rest tells keys of one place apart.
const MOMENT_BITS: u32 = 44;
const MOMENT_MASK: u64 = (1 << MOMENT_BITS) - 1;

impl Arrivals {
    fn new(places: usize) -> Self {
        debug_assert!(places.is_power_of_two());
        Arrivals((0..places).map(|_| AtomicU64::new(0)).collect())
    }

    fn place(&self, key: u64) -> (&AtomicU64, u64) {
        let index = key as usize & (self.0.len() - 1);
        let tag = (key >> self.0.len().trailing_zeros()) << MOMENT_BITS;
        (&self.0[index], tag)
    }

    /// Remembers the first moment of a key.
    fn note(&self, key: u64, moment: u64) {
        let (place, tag) = self.place(key);
        let held = place.load(Ordering::Relaxed);
        if held == 0 || held & !MOMENT_MASK != tag {
            place.store(tag | moment & MOMENT_MASK, Ordering::Relaxed);
        }
    }

    /// The moment of a key, and forgets it.
    fn take(&self, key: u64) -> Option<u64> {
        let (place, tag) = self.place(key);
        let held = place.load(Ordering::Relaxed);
        if held == 0 || held & !MOMENT_MASK != tag {
            return None;
        }
        place.store(0, Ordering::Relaxed);
        Some(held & MOMENT_MASK)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use consensus::ClientId;

    use super::*;

    fn id(client: u32, number: u64) -> RequestId {
        RequestId {
            client: ClientId(client),
            session: 1_763_000_000_000_000,
            number,
        }
    }

    #[test]
    fn a_request_waits_from_its_first_arrival_to_its_first_proposal() {
        let phases = Phases::new(Instant::now());
        phases.request_arrived(id(1, 7), 100);
        phases.request_arrived(id(1, 7), 300);
        phases.request_proposed(id(2, 7), 400);
        phases.request_proposed(id(1, 7), 400);
        phases.request_proposed(id(1, 7), 900);
        let queue = phases.of(Phase::Queue).snapshot();
        assert_eq!(
            (queue.len(), queue.max()),
            (1, queue.highest_equivalent(300))
        );
    }

    #[test]
    fn a_request_that_was_refused_begins_anew() {
        let phases = Phases::new(Instant::now());
        phases.request_arrived(id(1, 1), 100);
        phases.request_refused(id(1, 1));
        phases.request_arrived(id(1, 1), 500);
        phases.request_proposed(id(1, 1), 520);
        assert_eq!(phases.of(Phase::Queue).max_micros(), 20);
    }

    #[test]
    fn few_requests_of_many_clients_share_a_place() {
        let table = Arrivals::new(REQUESTS_REMEMBERED);
        let all = || (0..64).flat_map(|client| (1..=128).map(move |number| id(client, number)));
        for (moment, id) in (1..).zip(all()) {
            table.note(key_of(id), moment);
        }
        let kept = all().zip(1..).filter_map(|(id, moment)| {
            let found = table.take(key_of(id))?;
            assert_eq!(found, moment, "a sample may be missing, not wrong");
            Some(())
        });
        let kept = kept.count();
        // 8,192 in 32,768 places: chance lets about an eighth of them meet.
        assert!(kept > 6_500, "{kept}");
    }

    #[test]
    fn a_slot_is_not_taken_for_the_one_a_table_earlier() {
        let table = Arrivals::new(PROPOSALS_REMEMBERED);
        table.note(5, 70);
        assert_eq!(table.take(5 + PROPOSALS_REMEMBERED as u64), None);
        assert_eq!(table.take(5), Some(70));
        assert_eq!(table.take(5), None);
    }
}
