//! A new beginning for a replica that has lost what it promised.
//!
//! The order is what makes it safe to be cut short anywhere: the founding mark goes first, then the
//! old data steps aside, then a log is created whose first record says that this is a learner. Whoever
//! starts after a crash in between finds no role, no mark, or damage, and each of them leads here.

use bytes::Bytes;

use super::loss::Loss;
use super::recall::{State, Unusable};
use super::{Memory, Standing, Start, StartupError, learn};
use crate::pbft_ports::stored_change;
use crate::storage::sqlite::{salvage, set_aside};
use crate::storage::{Basis, StateDelta};

/// Sets aside what there is and begins a new log, with the old state if that is whole: a transfer then
/// fetches only what differs.
pub(super) fn rejoin(start: &Start<'_>, loss: Loss) -> Result<(Memory, Standing), StartupError> {
    start.mark.remove()?;
    let state = whole_state(start, &loss);
    let aside = set_aside(start.home)?;
    let (mut memory, standing) = learn(Memory::empty(start.open()?), loss)?;
    if let Some(state) = state {
        memory.storage.state.apply(&whole(&state))?;
        memory.state = Some(state);
    }
    match (aside, &memory.state) {
        (Some(aside), Some(state)) => tracing::warn!(
            "the old data is in {}; its state at checkpoint {} is whole and is used",
            aside.display(),
            state.seq
        ),
        (Some(aside), None) => tracing::warn!("the old data is in {}", aside.display()),
        (None, _) => {}
    }
    Ok((memory, standing))
}

/// All of a state, for a store that holds nothing of it.
fn whole(state: &State) -> StateDelta {
    let machine = state.executor.machine();
    let last_delete = kv::Change::LastDelete(machine.last_delete());
    let entries = machine.records().cloned().map(kv::Change::Set);
    StateDelta {
        seq: state.seq.0,
        digest: state.digest.0,
        basis: Basis::Empty,
        changes: entries.chain([last_delete]).map(stored_change).collect(),
        sessions: Bytes::from(state.executor.sessions().to_bytes()),
        meta: Bytes::from(crypto::encode(&state.meta)),
    }
}

/// The state in the old data, if its digest holds and no certificate speaks against it.
fn whole_state(start: &Start<'_>, loss: &Loss) -> Option<State> {
    if matches!(
        loss,
        Loss::StateDigest { .. } | Loss::StateUncertified { .. }
    ) {
        return None;
    }
    let data = start.home.data();
    let file = data.join("state.db");
    let state = State::verified(&file, &start.who.cluster, |each| {
        salvage(&data, start.identity(), each)
    });
    match state {
        Ok(state) => state,
        Err(Unusable::Lost(error)) => {
            tracing::warn!("nothing of the state can be used: {error}");
            None
        }
        Err(Unusable::Refused(error)) => {
            tracing::warn!("nothing of the state can be used: {error}");
            None
        }
    }
}
