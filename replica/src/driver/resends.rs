//! How many stored replies a client gets again (docs/protocol.md R6, R15).
//!
//! A reply may be a few hundred bytes' question and 256 KiB of answer, as often as one asks. A
//! correct client asks again for what is outstanding, at most a window of requests, when its
//! connection is new and then ever more rarely; more than that in a moment is answered "busy".

use std::collections::BTreeMap;
use std::time::Duration;

use consensus::{ClientId, Instant, Outcome, ResultBody};

/// The time over which replies are counted.
const MOMENT: Duration = Duration::from_millis(500);
/// Stored replies that one client gets again in a moment: two default windows.
pub(super) const RESENDS_MAX: u32 = 512;
/// Bytes of them.
pub(super) const RESEND_BYTES_MAX: usize = 4 << 20;

/// What each client has had in its current moment. Clients of the configuration only.
#[derive(Debug, Default)]
pub(super) struct Resends {
    moments: BTreeMap<ClientId, Moment>,
}

#[derive(Debug)]
struct Moment {
    since: Instant,
    replies: u32,
    bytes: usize,
}

impl Resends {
    /// May the client have this outcome again?
    pub(super) fn allow(&mut self, client: ClientId, outcome: &Outcome, now: Instant) -> bool {
        let fresh = Moment {
            since: now,
            replies: 0,
            bytes: 0,
        };
        let moment = self.moments.entry(client).or_insert(fresh);
        if now.since(moment.since) >= MOMENT {
            (moment.since, moment.replies, moment.bytes) = (now, 0, 0);
        }
        if moment.replies >= RESENDS_MAX || moment.bytes >= RESEND_BYTES_MAX {
            return false;
        }
        moment.replies += 1;
        if let Outcome::Executed(ResultBody::Full(results)) = outcome {
            moment.bytes += results.as_bytes().len();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(bytes: usize) -> Outcome {
        Outcome::Executed(ResultBody::Full([vec![0u8; bytes]].into_iter().collect()))
    }

    fn allowed(resends: &mut Resends, client: u32, bytes: usize, now: Instant) -> usize {
        let outcome = outcome(bytes);
        let mut ask = || resends.allow(ClientId(client), &outcome, now);
        (0..2000).take_while(|_| ask()).count()
    }

    #[test]
    fn a_client_gets_a_window_again_and_not_everything_for_ever() {
        let mut resends = Resends::default();
        let now = Instant(1_000_000_000);
        assert_eq!(allowed(&mut resends, 1, 10, now), RESENDS_MAX as usize);
        assert_eq!(allowed(&mut resends, 1, 10, now + MOMENT / 2), 0);
        assert_eq!(allowed(&mut resends, 2, 256 << 10, now), 16, "4 MiB");
        assert_eq!(
            allowed(&mut resends, 1, 10, now + MOMENT),
            RESENDS_MAX as usize
        );
    }
}
