//! What a replica promises, and keeps: one vote, one proposal, across restarts.

use super::{FIVE, Verdict, proposal};
use crate::stage::Stage;

/// The primary signs two proposals for one slot; each backup gets both.
pub(crate) fn a_primary_proposes_two_ways() -> Verdict {
    let mut stage = Stage::new(FIVE, &[0]);
    let (_, a) = proposal(&stage.cast, 0, 1, 0);
    let (_, b) = proposal(&stage.cast, 0, 1, 1);
    for backup in 1..5 {
        stage.tell(0, backup, &a);
        stage.tell(0, backup, &b);
    }
    assert!(stage.has_sent("prepare"));
    stage.ledger.verdict()
}

/// The same, with a restart in between: the vote is in the backup's records only.
pub(crate) fn a_primary_proposes_another_way_after_a_restart() -> Verdict {
    let mut stage = Stage::new(FIVE, &[0]);
    let (_, a) = proposal(&stage.cast, 0, 1, 0);
    let (_, b) = proposal(&stage.cast, 0, 1, 1);
    stage.tell(0, 1, &a);
    assert!(stage.has_sent("prepare"));
    stage.restart(1);
    stage.tell(0, 1, &b);
    stage.ledger.verdict()
}

/// A correct primary loses power when its proposal is on the wire and its vote is not on disk. It
/// comes back knowing nothing of it, and clients have other requests.
pub(crate) fn a_primary_forgets_what_it_proposed() -> Verdict {
    let mut stage = Stage::new(FIVE, &[]);
    let (first, second) = (stage.cast.request(0, 1), stage.cast.request(1, 1));
    stage.hold_disk(0);
    stage.request(0, first);
    assert!(stage.has_sent("pre-prepare"));
    stage.restart(0);
    stage.request(0, second);
    stage.deliver_kinds(&["pre-prepare", "prepare", "evidence"]);
    stage.ledger.verdict()
}
