//! What a replica says on leaving a view, and that it is done with it.

use consensus::pbft::message::Wire;

use super::{FIVE, Verdict, empty_report, proposal};
use crate::cast::voted;
use crate::stage::Stage;

/// A is committed in view 0 and known as such to r3 alone. View 1 never opens. View 2 hears of the
/// others, who only voted.
pub(crate) fn a_decision_outlives_a_view_that_never_opens() -> Verdict {
    let mut stage = Stage::new(FIVE, &[0]);
    let (a, wire) = proposal(&stage.cast, 0, 1, 0);
    stage.tell_all(0, &[1, 2, 3], &wire);
    stage.deliver(|letter| letter.is(&["prepare"]) && letter.to == 3);
    let vote = Wire::Prepare(stage.cast.prepare(0, &a));
    stage.tell(0, 3, &vote);
    assert!(stage.ledger.decision(3, 1).is_some(), "A is committed");
    stage.lose_all();
    for id in [2, 3, 4] {
        stage.leave(id);
    }
    // r1 hears of it, and what it opens is lost.
    stage.deliver_kinds(&["view-change"]);
    assert!(stage.in_view(1, 1));
    stage.lose_all();
    for id in [3, 4, 2] {
        stage.leave(id);
    }
    stage.leave_for(1, 2);
    stage.deliver(|letter| letter.is(&["view-change"]) && letter.to == 2 && letter.from != 3);
    empty_report(&mut stage, 0, 2, 2);
    assert!(stage.in_view(2, 2), "view 2 is open");
    stage.deliver_kinds(&["new-view"]);
    stage.ledger.verdict()
}

/// r1 and r2 voted for B in view 0, and view 1 did not hear of r2. There A was free to be
/// committed, with their votes. View 2 hears of r1, r2 and r3.
pub(crate) fn a_replica_votes_differently_in_two_views() -> Verdict {
    let mut stage = Stage::new(FIVE, &[0]);
    let (_, b) = proposal(&stage.cast, 0, 1, 1);
    stage.tell_all(0, &[1, 2], &b);
    stage.lose_all();
    for id in [3, 4] {
        stage.leave(id);
    }
    stage.deliver(|letter| letter.is(&["view-change"]) && letter.to == 1);
    empty_report(&mut stage, 0, 1, 1);
    assert!(stage.in_view(1, 1), "view 1 is open");
    stage.lose(|letter| letter.is(&["view-change"]));
    stage.deliver_kinds(&["new-view"]);
    let request = stage.cast.request(0, 1);
    stage.request(1, request);
    // What r1 had voted for may be proposed first: whatever it is, it is committed here.
    stage.deliver(|letter| letter.is(&["pre-prepare"]));
    stage.deliver(|letter| letter.is(&["prepare"]) && letter.to == 4);
    assert!(stage.ledger.decision(4, 1).is_some(), "view 1 commits");
    stage.lose_all();
    for id in [3, 2] {
        stage.leave(id);
    }
    stage.leave_for(1, 2);
    stage.deliver(|letter| letter.is(&["view-change"]) && letter.to == 2);
    empty_report(&mut stage, 0, 2, 2);
    assert!(stage.in_view(2, 2), "view 2 is open");
    stage.deliver_kinds(&["new-view"]);
    stage.ledger.verdict()
}

/// Slot 1 is NULL in view 1, below A in slot 2. NULL is committed, which r1 alone knows; A is not,
/// and gets lost.
pub(crate) fn a_filled_gap_is_a_decision() -> Verdict {
    let mut stage = Stage::new(FIVE, &[0]);
    let (_, a) = proposal(&stage.cast, 0, 2, 0);
    stage.tell_all(0, &[1, 2], &a);
    stage.lose_all();
    for id in [2, 3, 4] {
        stage.leave(id);
    }
    stage.deliver_kinds(&["view-change"]);
    assert!(stage.in_view(1, 1));
    stage.deliver_kinds(&["new-view"]);
    stage.deliver(|letter| letter.is(&["prepare"]) && letter.to == 1);
    assert!(stage.ledger.decision(1, 1).is_some(), "NULL is committed");
    assert!(stage.ledger.decision(1, 2).is_none(), "A is not");
    stage.lose_all();
    for id in [3, 4, 2] {
        stage.leave(id);
    }
    stage.deliver(|letter| letter.is(&["view-change"]) && letter.to == 2 && letter.from != 1);
    empty_report(&mut stage, 0, 2, 2);
    assert!(stage.in_view(2, 2), "view 2 is open");
    stage.deliver_kinds(&["new-view"]);
    stage.ledger.verdict()
}

/// r3 has left view 0 when the proposal of view 0 reaches it. View 1, which has r3's word that it
/// voted for nothing, commits B.
pub(crate) fn a_proposal_reaches_a_replica_that_has_left() -> Verdict {
    let mut stage = Stage::new(FIVE, &[0]);
    let (a, wire) = proposal(&stage.cast, 0, 1, 0);
    stage.tell_all(0, &[1, 2], &wire);
    for id in [3, 4] {
        stage.leave(id);
    }
    stage.deliver(|letter| letter.is(&["view-change"]) && letter.to == 1);
    stage.tell(0, 3, &wire);
    empty_report(&mut stage, 0, 1, 1);
    assert!(stage.in_view(1, 1), "view 1 is open");
    // In view 0, r2 hears of the votes of r1, r3 and r0.
    stage.deliver(|letter| letter.is(&["prepare"]) && letter.to == 2);
    let vote = Wire::Prepare(stage.cast.prepare(0, &a));
    stage.tell(0, 2, &vote);
    stage.lose(|letter| letter.to == 2);
    stage.deliver(|letter| letter.is(&["new-view"]));
    let request = stage.cast.request(1, 1);
    stage.request(1, request);
    let (b, _) = proposal(&stage.cast, 1, 1, 1);
    let vote = Wire::Prepare(stage.cast.prepare(0, &b));
    stage.deliver_kinds(&["pre-prepare", "prepare"]);
    stage.tell_all(0, &[1, 3, 4], &vote);
    stage.ledger.verdict()
}

/// r4 claims to have voted for something that r0 never proposed.
pub(crate) fn a_report_of_a_vote_that_nobody_proposed() -> Verdict {
    let mut stage = Stage::new(FIVE, &[4]);
    let request = stage.cast.request(0, 1);
    stage.request(0, request);
    stage.deliver_kinds(&["pre-prepare"]);
    stage.lose_all();
    for id in [2, 3] {
        stage.leave(id);
    }
    let other = stage.cast.batch(1, 1).digest();
    let mut forged = stage.cast.header(0, 1, other);
    forged.signature = stage
        .cast
        .sign(4, crypto::Kind::PrePrepare, &forged.statement.body());
    let report = stage.cast.view_change(4, 1, None, vec![voted(&forged)]);
    stage.tell(4, 1, &Wire::ViewChange(report));
    stage.deliver_kinds(&["view-change", "new-view"]);
    stage.ledger.verdict()
}
