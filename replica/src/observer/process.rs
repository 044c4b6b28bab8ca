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
        open_files: open_files().unwrap_or_default(),
        threads: number("Threads:").unwrap_or_default(),
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
    Some(number(name)? * 1024)
}

fn number(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The descriptor with which they are counted does not count.
fn open_files() -> Option<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    Some((entries.count() as u64).saturating_sub(1))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn files_that_are_open_and_threads_that_run_are_counted() {
        // Other tests of this process open files and start threads, too, but hardly as many.
        const MANY: u64 = 200;
        let before = status(Instant::now());
        assert!(before.threads >= 1 && before.open_files >= 1);
        let files: Vec<std::fs::File> = (0..MANY)
            .map(|_| std::fs::File::open("/proc/self/status").unwrap())
            .collect();
        let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
        let threads: Vec<_> = (0..MANY)
            .map(|_| {
                let stopped = stopped.clone();
                std::thread::spawn(move || stopped.recv().is_err())
            })
            .collect();
        let now = status(Instant::now());
        drop(stop);
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        assert!(now.open_files >= before.open_files + MANY / 2);
        assert!(now.threads >= before.threads + MANY / 2);
        drop(files);
    }
}
