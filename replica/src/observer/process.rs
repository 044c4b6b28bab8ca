//! What the operating system says of this process. Linux only; elsewhere the figures are 0.

use std::time::Instant;

use super::status::ProcessStatus;

/// Ticks of processor time in a second: fixed by the Linux interface (`man 5 proc`, USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn status(started: Instant) -> ProcessStatus {
    ProcessStatus {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: started.elapsed().as_secs_f64(),
        cpu_s: cpu_seconds().unwrap_or_default(),
        rss_bytes: memory("VmRSS:").unwrap_or_default(),
        rss_max_bytes: memory("VmHWM:").unwrap_or_default(),
    }
}

/// Fields 14 and 15 of `/proc/self/stat`; the name in field 2 may hold spaces, so counting starts
/// behind its closing parenthesis.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
