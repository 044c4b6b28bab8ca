//! After the load: a bounded sample of the keys that were written is read again by ordinary clients, in the order of the
//! cluster. The reads belong to the history (`"phase":"after"`), and `check::read_back` judges what they found.

use super::repeat::{Running, STAGE_WAIT};
use crate::load::Stage as LoadStage;
use crate::options::RunError;
use crate::record::{Phases, Recording};

impl Running<'_> {
    /// Reads the sample and adds what was found to the recording.
    pub(super) fn read_back(&mut self, recording: &mut Recording) -> Result<(), RunError> {
        let keys: Vec<_> = recording
            .acknowledged
            .keys()
            .map(|(key, _)| key.clone())
            .collect();
        let Some(thread) = self.threads.first() else {
            return Ok(());
        };
        if keys.is_empty() || self.stopped() {
            return Ok(());
        }
        // All of it lies behind the measured phase.
        let phases = Phases::new(0, 0, 0);
        thread.begin(LoadStage::ReadBack { keys }, self.recorder(phases));
        loop {
            if let Some(recorder) = thread.finished(STAGE_WAIT)? {
                recording.merge(recorder.into_recording());
                return Ok(());
            }
        }
    }
}
