//! What happened during a repeat, by time: events of the load phase wait until it is known when the measured phase begins.

use std::sync::PoisonError;

use super::{NS, Running};

/// Events of the load phase that wait for the origin of their times; later ones count from the
/// start of the run.
const EARLY_EVENTS_MAX: usize = 4096;

/// Time on the run's clock, name and fields.
pub(super) type EarlyEvent = (u64, String, Vec<(String, serde_json::Value)>);

impl Running<'_> {
    pub(in crate::run) fn event(&self, event: &str, fields: &[(&str, serde_json::Value)]) {
        self.event_at(self.clock.now_ns(), event, fields);
    }

    /// The same for what was so `at_ns` on the run's clock.
    pub(super) fn event_at(&self, at_ns: u64, event: &str, fields: &[(&str, serde_json::Value)]) {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        if self.measured_ns == 0 && early.len() < EARLY_EVENTS_MAX {
            let fields = fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()));
            early.push((at_ns, event.to_owned(), fields.collect()));
            return;
        }
        for (early_ns, event, fields) in early.drain(..) {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect();
            self.record_event(early_ns, &event, &fields);
        }
        self.record_event(at_ns, event, fields);
    }

    fn record_event(&self, at_ns: u64, event: &str, fields: &[(&str, serde_json::Value)]) {
        let t_s = (at_ns as f64 - self.measured_ns as f64) / NS;
        if let Err(error) = self.events.record(t_s, event, fields) {
            tracing::warn!("events.jsonl: {error}");
        }
    }
}
