//! A founded cluster, and replicas of it as processes.

use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub(crate) fn replica() -> Command {
    Command::new(env!("CARGO_BIN_EXE_replica"))
}

/// A cluster whose ports nobody else has, and its first replica's directory.
pub(crate) fn found() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    // The kernel's choice of a free port; the ones behind it are free as well, as a rule.
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().min(65_000);
    let path = directory.path().join("cluster");
    let founded = replica()
        .args(["genesis", "-f", "1", "--clients", "1", "--base-port"])
        .arg(port.to_string())
        .arg("-o")
        .arg(&path)
        .output()
        .unwrap();
    assert!(founded.status.success(), "{founded:?}");
    (directory, path.join("replica-0"))
}

/// Starts a replica that stops when its standard input ends, and waits until it is ready.
pub(crate) fn start(directory: &Path, options: &[&str]) -> (Child, replica::Ready) {
    let mut child = replica()
        .args(["--quiet", "run", "--exit-with-stdin", "--dir"])
        .arg(directory)
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let ready = line
        .strip_prefix("ready ")
        .unwrap_or_else(|| panic!("not ready: {line:?}"));
    let ready: replica::Ready = serde_json::from_str(ready).unwrap();
    assert_eq!((ready.replica, ready.pid), (0, child.id()));
    (child, ready)
}
