//! What a new view begins with, and who has to be believed for it.

use consensus::pbft::message::Wire;
use crypto::Digest;

use super::{FIVE, Verdict, progress, proposal};
use crate::stage::Stage;

/// A is committed in view 0. The primary of view 1 shows honest reports and proposes B.
pub(crate) fn a_new_view_proposes_what_its_reports_do_not_lead_to() -> Verdict {
    let mut stage = Stage::new(FIVE, &[1]);
    let request = stage.cast.request(0, 1);
    stage.request(0, request);
    stage.deliver_kinds(&["pre-prepare"]);
    stage.deliver(|letter| letter.is(&["prepare"]) && letter.to == 4);
    assert!(stage.ledger.decision(4, 1).is_some(), "A is committed");
    stage.lose_all();
    for id in [2, 3, 4] {
        stage.leave(id);
    }
    stage.deliver(|letter| letter.is(&["view-change"]) && letter.to == 0);
    let reports = [0, 2, 3, 4].map(|id| stage.report_of(id, 1).unwrap());
    let (b, wire) = proposal(&stage.cast, 1, 1, 1);
    let opening = stage
        .cast
        .new_view(1, reports.to_vec(), Vec::new(), vec![b]);
    for backup in [0, 2, 3] {
        stage.tell(1, backup, &opening);
        stage.tell(1, backup, &wire);
    }
    stage.deliver(|letter| letter.is(&["prepare"]) && letter.to != 4);
    let vote = Wire::Prepare(stage.cast.prepare(1, &b));
    stage.tell_all(1, &[0, 2, 3], &vote);
    stage.ledger.verdict()
}

/// Everybody has executed slot 4, and nobody has heard anybody say so. r4 has a certificate for
/// another state, of signatures that it made up.
pub(crate) fn a_report_with_a_made_up_checkpoint() -> Verdict {
    let mut stage = Stage::new(FIVE, &[4]);
    for number in 1..=4 {
        let request = stage.cast.request(0, number);
        stage.request(0, request);
        stage.deliver_kinds(&["pre-prepare", "prepare"]);
    }
    assert!(stage.ledger.decision(1, 4).is_some(), "slot 4 is decided");
    stage.lose_all();
    let state = Digest::of("no state", b"");
    let mut stable = stage.cast.stable(&[4], 4, state);
    let (_, signature) = stable.signers.0[0];
    stable.signers.0 = (0..4)
        .map(|id| (consensus::ReplicaId(id), signature))
        .collect();
    let report = stage.cast.view_change(4, 1, Some(stable), Vec::new());
    stage.tell(4, 1, &Wire::ViewChange(report));
    stage.ledger.verdict()
}

/// The primary of view 0 gives A to two replicas and B to two, and is not heard of again.
pub(crate) fn an_equivocating_primary_leaves_a_tie_behind() -> Verdict {
    let mut stage = Stage::new(FIVE, &[0]);
    let (_, a) = proposal(&stage.cast, 0, 1, 0);
    let (_, b) = proposal(&stage.cast, 0, 1, 1);
    stage.tell_all(0, &[1, 2], &a);
    stage.tell_all(0, &[3, 4], &b);
    stage.lose_all();
    progress(&mut stage)
}

/// View 0 leaves A in slot 2 and nothing in slot 1.
pub(crate) fn a_primary_leaves_a_gap_behind() -> Verdict {
    let mut stage = Stage::new(FIVE, &[0]);
    let (_, a) = proposal(&stage.cast, 0, 2, 0);
    stage.tell_all(0, &[1, 2, 3], &a);
    stage.lose_all();
    progress(&mut stage)
}
