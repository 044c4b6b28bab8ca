//! The operating-system process, as every exporter shows it.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{level, none};
use crate::admin::exposition::{Metrics, Unit};
use crate::observer::status::ProcessStatus;

/// By the names that all exporters use. What the system does not say is left out: it speaks of both or of neither, and a
/// young process has not yet used a whole tick of processor time, which is a figure all the same.
pub(super) fn write(metrics: &mut Metrics<'_>, process: &ProcessStatus) -> fmt::Result {
    if process.rss_bytes > 0 {
        metrics.counter(
            ("process_cpu", "Processor time used, user and system"),
            Some(Unit::Seconds),
            [(none(), process.cpu_s)],
        )?;
        metrics.gauge(
            ("process_resident_memory", "Memory held now"),
            Some(Unit::Bytes),
            [(none(), process.rss_bytes as f64)],
        )?;
        level(
            metrics,
            ("process_open_fds", "Files and sockets open"),
            process.open_files,
        )?;
        level(metrics, ("process_threads", "Threads"), process.threads)?;
    }
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_s = since_epoch.map_or(0.0, |time| time.as_secs_f64());
    metrics.gauge(
        (
            "process_start_time",
            "When the process started, since the epoch",
        ),
        Some(Unit::Seconds),
        [(none(), now_s - process.uptime_s)],
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::admin::exposition::{self, Page};

    /// Only the lines about the process.
    #[derive(Clone)]
    struct Process(ProcessStatus);

    impl Page for Process {
        fn write(&self, metrics: &mut Metrics<'_>) -> fmt::Result {
            write(metrics, &self.0)
        }
    }

    #[test]
    fn a_process_younger_than_a_tick_shows_its_processor_time_and_an_unknown_one_shows_none() {
        let mut process = ProcessStatus::default();
        let unknown = exposition::text(&Process(process.clone())).unwrap();
        assert!(!unknown.contains("process_cpu"), "{unknown}");
        process.rss_bytes = 4096;
        let young = exposition::text(&Process(process)).unwrap();
        assert!(young.contains("process_cpu_seconds_total 0.0\n"), "{young}");
    }
}
