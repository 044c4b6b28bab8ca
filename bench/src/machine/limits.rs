//! What the operating system grants: files, buffers, room on the disk.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use network::socket::{self, Buffers};

/// `f_type` of file systems that live in memory: tmpfs and ramfs (linux/magic.h).
const MEMORY_FILE_SYSTEMS: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// Files that this process may have open; `None` if there is no limit.
#[must_use]
pub fn open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Bytes that whoever asks may still write to the file system of `directory`.
///
/// # Errors
/// If the kernel does not say.
pub fn free_bytes(directory: &Path) -> io::Result<u64> {
    let facts = rustix::fs::statvfs(directory)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// Whether the file system of `directory` lives in memory and forgets all when the machine stops.
///
/// # Errors
/// If the kernel does not say.
pub fn in_memory(directory: &Path) -> io::Result<bool> {
    let kind = rustix::fs::statfs(directory)?.f_type;
    Ok(MEMORY_FILE_SYSTEMS.contains(&kind))
}

/// What the kernel gives a UDP socket of a replica, in bytes that are usable for data.
///
/// # Errors
/// If there can be no socket.
pub fn udp_buffers() -> io::Result<Buffers> {
    let socket = socket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let reported = socket::buffers(&socket)?;
    // Linux reports twice what is usable.
    let usable = |bytes: usize| {
        if cfg!(target_os = "linux") {
            bytes / 2
        } else {
            bytes
        }
    };
    Ok(Buffers {
        receive: usable(reported.receive),
        send: usable(reported.send),
    })
}

/// Processes that ran or wanted to run over the last minute, on average; `None` if the kernel does not say.
#[must_use]
pub fn load_average() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn limits_are_those_of_this_process_and_place() {
        assert!(open_files().is_none_or(|files| files > 2));
        let place = tempfile::tempdir().unwrap();
        assert!(free_bytes(place.path()).unwrap() > 0);
        assert!(!in_memory(Path::new("/proc")).unwrap());
        let buffers = udp_buffers().unwrap();
        assert!(buffers.receive > 0 && buffers.receive <= socket::BUFFER_BYTES);
    }
}
