//! Telling that a connection is dead long before QUIC gives it up.
//!
//! What is not acknowledged QUIC sends again after twice as long each time. Whoever was cut off, or stood still, for ten
//! seconds may therefore hear the next packet ten seconds after it is back, and in between nothing travels although the
//! path is there: keep-alives wait for the same timer. A fresh connection begins with a short one. So whoever dials watches for the other end to
//! acknowledge something, and when nothing comes dials again *beside* the old connection, which stays in use until the
//! fresh one stands: if the other end only was slow, nothing is lost.
//!
//! A connection on which nothing waits for an acknowledgement is not judged. And silence is counted in looks of this
//! process, not in time: after it has stood still itself, the others get their chance first.

use std::time::Duration;

use quinn::{Connection, ConnectionStats};
use tokio::time::{MissedTickBehavior, interval};

/// Between two looks at a connection.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// So many looks in a row without an acknowledgement of what was sent are silence: two seconds. Twice the keep-alive of
/// a peer, and less than half of its idle time-out.
pub const LOOKS_MAX: u32 = 8;

/// What was seen of one connection.
#[derive(Debug, Default)]
struct Watch {
    acknowledgements: u64,
    /// Frames that ask for an acknowledgement and were sent when one last came.
    sent: u64,
    silent: u32,
}

impl Watch {
    /// Takes in the counts of one look: is this silence?
    fn look(&mut self, acknowledgements: u64, sent: u64) -> bool {
        if acknowledgements != self.acknowledgements {
            *self = Watch {
                acknowledgements,
                sent,
                silent: 0,
            };
        } else if sent > self.sent {
            self.silent += 1;
        }
        self.silent >= LOOKS_MAX
    }
}

/// Waits for a connection that takes the place of `connection`: once the other end of that has been silent for
/// [`LOOKS_MAX`] looks, `dial` is tried, and again after each failure while the silence lasts. One attempt runs at a
/// time, and how long it may take is `dial`'s business.
pub async fn successor<D, T, E>(connection: &Connection, mut dial: impl FnMut() -> D) -> T
where
    D: Future<Output = Result<T, E>>,
{
    let mut watch = Watch::default();
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let stats = connection.stats();
        if watch.look(stats.frame_rx.acks, eliciting(&stats))
            && let Ok(fresh) = dial().await
        {
            return fresh;
        }
    }
}

/// Frames sent that ask for an acknowledgement: data, keep-alives, and those by which quinn asks again when there is no
/// data left to repeat.
fn eliciting(stats: &ConnectionStats) -> u64 {
    stats.frame_tx.stream + stats.frame_tx.ping + stats.frame_tx.immediate_ack
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The looks at which silence is found.
    fn silences(counts: &[(u64, u64)]) -> Vec<usize> {
        let mut watch = Watch::default();
        let look =
            |(at, (acks, sent)): (usize, &(u64, u64))| watch.look(*acks, *sent).then_some(at);
        counts.iter().enumerate().filter_map(look).collect()
    }

    #[test]
    fn only_what_was_sent_and_not_acknowledged_for_many_looks_is_silence() {
        assert_eq!(
            silences(&[(7, 9); 100]),
            [0usize; 0],
            "nothing is waited for"
        );
        let answered: Vec<_> = (0..100).map(|at| (at / 7, 10 * at)).collect();
        assert_eq!(silences(&answered), [0usize; 0], "each time in time");
        let waiting: Vec<_> = [(7, 9)].into_iter().chain([(7, 10); 10]).collect();
        assert_eq!(silences(&waiting), [8, 9, 10], "until an answer comes");
        let revived: Vec<_> = waiting.into_iter().chain([(8, 10); 20]).collect();
        assert_eq!(silences(&revived), [8, 9, 10]);
    }
}
