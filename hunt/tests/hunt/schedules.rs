//! Scripts: short schedules, each with one thing in it that a broken rule would not survive. All of
//! them are fine for the protocol as it is.
//!
//! `r0` is the primary of view 0, `r1` of view 1, and so on. n = 5 and q = q_F = 4 unless a script
//! says otherwise, so the vote threshold of a view change is 2.

mod leaving;
mod opening;
mod promises;
mod reading;

pub(crate) use leaving::*;
pub(crate) use opening::*;
pub(crate) use promises::*;
pub(crate) use reading::*;

use std::time::Duration;

use consensus::FastQuorum;
use consensus::pbft::message::{Header, Wire};

use crate::cast::{Cast, Size};
use crate::stage::Stage;

/// What a script comes to: nothing, or what the ledger holds against the replicas.
pub(crate) type Verdict = Result<(), String>;

/// n = 5, f = 1, q = q_F = 4.
const FIVE: Size = (5, 1, FastQuorum::Strong);

/// Long enough for a few views to come and go.
const LONG: Duration = Duration::from_secs(30);

/// The proposal of `client`'s request, with its body.
fn proposal(cast: &Cast, view: u64, seq: u64, client: u32) -> (Header, Wire) {
    let batch = cast.batch(client, seq);
    let header = cast.header(view, seq, batch.digest());
    (header, Wire::PrePrepare(header, Some(batch.to_raw())))
}

/// A puppet that primary `to` hears of and that says nothing of any slot.
fn empty_report(stage: &mut Stage, puppet: u16, to: u16, view: u64) {
    let report = stage.cast.view_change(puppet, view, None, Vec::new());
    stage.tell(puppet, to, &Wire::ViewChange(report));
}

/// The network is good, the puppets are silent, and every correct replica has a request: all of
/// them have to execute something.
pub(crate) fn progress(stage: &mut Stage) -> Verdict {
    let correct = stage.correct();
    let before: Vec<_> = correct
        .iter()
        .map(|id| stage.core(*id).last_executed())
        .collect();
    for id in &correct {
        let request = stage.cast.request(3, 1);
        stage.request(*id, request);
    }
    stage.heal(LONG);
    stage.ledger.verdict()?;
    for (id, before) in correct.iter().zip(before) {
        if stage.core(*id).last_executed() <= before {
            return Err(format!(
                "no progress: r{id} is in {:?} ({:?}) and has executed nothing for {LONG:?}",
                stage.core(*id).view(),
                stage.core(*id).mode()
            ));
        }
    }
    Ok(())
}
