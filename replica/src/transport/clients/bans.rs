//! Clients that may not come in for a while (docs/protocol.md R15).
//!
//! A correct client sends no bad request, ever. One that has sent several is kept out, and for
//! twice as long each time, because otherwise it would come back at once and have as many bad
//! signatures verified again. Whose request was bad is known: the connection has proved that it
//! holds that client's key.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use consensus::ClientId;

/// Bad requests after which a client is kept out. No correct client sends a single one.
pub const BAD_REQUESTS_MAX: u32 = 8;
/// How long a client is kept out for the first time.
pub const BAN_MIN: Duration = Duration::from_secs(1);
/// The longest time for which a client is kept out.
pub const BAN_MAX: Duration = Duration::from_secs(256);
/// After so many times its last ban without another offence a client has a clean record.
const FORGIVEN_AFTER: u32 = 8;

/// The record of every client that ever sent a bad request: clients of the configuration only.
#[derive(Debug, Default)]
pub(super) struct Bans {
    records: Mutex<BTreeMap<ClientId, Record>>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    bad: u32,
    length: Duration,
    until: Instant,
}

impl Bans {
    /// Notes a bad request; for how long its client is kept out now, if this was one too many.
    pub(super) fn charge(&self, client: ClientId, now: Instant) -> Option<Duration> {
        let mut records = self.lock();
        let record = records.entry(client).or_insert(Record {
            bad: 0,
            length: Duration::ZERO,
            until: now,
        });
        if now >= record.until + record.length * FORGIVEN_AFTER {
            record.length = Duration::ZERO;
        }
        record.bad = record.bad.saturating_add(1);
        // What it had sent before it was kept out.
        if now < record.until || record.bad < BAD_REQUESTS_MAX {
            return None;
        }
        record.bad = 0;
        record.length = (record.length * 2).clamp(BAN_MIN, BAN_MAX);
        record.until = now + record.length;
        Some(record.length)
    }

    /// Is the client kept out?
    pub(super) fn holds(&self, client: ClientId, now: Instant) -> bool {
        let records = self.lock();
        records
            .get(&client)
            .is_some_and(|record| now < record.until)
    }

    /// A record is whole at every moment, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClientId, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: ClientId = ClientId(3);

    fn offend(bans: &Bans, now: Instant) -> Option<Duration> {
        (0..BAD_REQUESTS_MAX).find_map(|_| bans.charge(BAD, now))
    }

    #[test]
    fn bans_grow_and_end_and_hit_nobody_else() {
        let bans = Bans::default();
        let mut now = Instant::now();
        let mut lengths = Vec::new();
        for _ in 0..10 {
            let length = offend(&bans, now).unwrap_or_default();
            assert!(bans.holds(BAD, now) && !bans.holds(ClientId(4), now));
            assert_eq!(bans.charge(BAD, now), None, "what was under way");
            now += length;
            assert!(!bans.holds(BAD, now));
            lengths.push(length.as_secs());
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 64, 128, 256, 256]);
        now += BAN_MAX * FORGIVEN_AFTER;
        assert_eq!(offend(&bans, now), Some(BAN_MIN), "a long time ago");
    }

    #[test]
    fn a_few_bad_requests_keep_nobody_out() {
        let bans = Bans::default();
        let now = Instant::now();
        for _ in 1..BAD_REQUESTS_MAX {
            assert_eq!(bans.charge(BAD, now), None);
        }
        assert!(!bans.holds(BAD, now));
        assert_eq!(bans.charge(BAD, now), Some(BAN_MIN));
    }
}
