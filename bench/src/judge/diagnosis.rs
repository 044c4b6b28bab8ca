//! Why there is no number: a result of 0 is never shown without it.

use crate::record::Repeat;

/// Why no operation succeeded in this repeat, in one sentence; `None` if some did.
#[must_use]
pub fn why_nothing_succeeded(repeat: &Repeat) -> Option<String> {
    let counts = &repeat.operations;
    let slots = repeat.consensus.slots;
    if counts.ok > 0 {
        return None;
    }
    Some(if repeat.duration_s <= 0.0 {
        "the run ended before the measured phase began".to_owned()
    } else if counts.offered == 0 {
        "the load generator offered no operation in the measured phase: it could not reach the replicas, or earlier requests were \
         still unanswered"
            .to_owned()
    } else if counts.sent == 0 {
        format!(
            "all {} operations offered were dropped before they were sent, because the clients' queues were full of unanswered requests",
            counts.dropped
        )
    } else if counts.failed == counts.sent {
        format!(
            "all {} operations sent were answered, but the condition of each was false (create of a present key, update or delete of an absent one)",
            counts.sent
        )
    } else if counts.busy_replies > 0 {
        format!(
            "{} operations were sent and {} replies turned them away as busy",
            counts.sent, counts.busy_replies
        )
    } else if slots == 0 {
        format!(
            "{} operations were sent and no slot was decided: look for the reason in the replicas' logs (logs/)",
            counts.sent
        )
    } else {
        format!(
            "{} operations were sent and {slots} slots decided, but the clients did not get enough matching replies",
            counts.sent
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ConsensusFacts, Counters};

    #[test]
    fn each_way_of_getting_nothing_has_its_own_words() {
        let because = |operations: Counters, slots| {
            why_nothing_succeeded(&Repeat {
                duration_s: 10.0,
                operations,
                consensus: ConsensusFacts {
                    slots,
                    ..ConsensusFacts::default()
                },
                ..Repeat::default()
            })
            .unwrap_or_default()
        };
        let counts = |offered, sent, dropped, failed, busy_replies| Counters {
            offered,
            sent,
            dropped,
            failed,
            unknown: sent - failed,
            busy_replies,
            ..Counters::default()
        };
        for (operations, slots, words) in [
            (counts(0, 0, 0, 0, 0), 0, "offered no operation"),
            (
                counts(9, 0, 9, 0, 0),
                0,
                "all 9 operations offered were dropped",
            ),
            (counts(9, 9, 0, 9, 0), 3, "condition of each was false"),
            (counts(9, 9, 0, 0, 4), 3, "4 replies turned them away"),
            (counts(9, 9, 0, 0, 0), 0, "no slot was decided"),
            (counts(9, 9, 0, 0, 0), 3, "enough matching replies"),
        ] {
            let sentence = because(operations, slots);
            assert!(sentence.contains(words), "{sentence}");
        }
        let some = Counters {
            ok: 1,
            ..Counters::default()
        };
        assert_eq!(because(some, 1), "");
        assert!(
            why_nothing_succeeded(&Repeat::default())
                .is_some_and(|why| why.contains("before the measured phase"))
        );
    }
}
