//! A new beginning for a replica that has lost what it promised.
//!
//! The order is what makes it safe to be cut short anywhere: the founding mark goes first, then the
//! old data steps aside, then a log is created whose first record says that this is a learner. Whoever
//! starts after a crash in between finds no role, no mark, or damage, and each of them leads here.

use super::loss::Loss;
use super::recall::{State, Unusable};
use super::{Memory, Standing, Start, StartupError, learn};
use crate::storage::sqlite::{salvage, set_aside};
use crate::storage::{Basis, Change, LoadedState, StateDelta};

/// Sets aside what there is and begins a new log, with the old state if that is whole: a transfer then
/// fetches only what differs.
pub(super) fn rejoin(start: &Start<'_>, loss: Loss) -> Result<(Memory, Standing), StartupError> {
    start.mark.remove()?;
    let state = whole_state(start, &loss);
    let aside = set_aside(start.home)?;
    let (mut memory, standing) = learn(Memory::empty(start.open()?), loss)?;
    if let Some((loaded, state)) = state {
        memory.storage.state.apply(&StateDelta {
            seq: loaded.seq,
            digest: loaded.digest,
            basis: Basis::Empty,
            changes: loaded
                .entries
                .into_iter()
                .map(|(key, entry)| Change::encoded(key, Some(entry)))
                .collect(),
            sessions: loaded.sessions,
            meta: loaded.meta,
        })?;
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

/// The state in the old data, if its digest holds and no certificate speaks against it.
fn whole_state(start: &Start<'_>, loss: &Loss) -> Option<(LoadedState, State)> {
    if matches!(
        loss,
        Loss::StateDigest { .. } | Loss::StateUncertified { .. }
    ) {
        return None;
    }
    let data = start.home.data();
    let loaded = match salvage(&data, start.identity()) {
        Ok(loaded) => loaded?,
        Err(error) => {
            tracing::warn!("nothing of the state can be used: {error}");
            return None;
        }
    };
    match State::verified(&data.join("state.db"), &start.who.cluster, &loaded) {
        Ok(state) => Some((loaded, state)),
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
