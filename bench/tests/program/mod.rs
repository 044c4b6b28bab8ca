//! Runs `bench` to its end as a shell would.

use std::path::Path;

use assert_cmd::Command;

/// How the program ended and what it said.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `bench` in a directory.
pub(crate) fn bench_in(directory: &Path, arguments: &[&str]) -> Ended {
    let path = std::env::var("PATH").unwrap_or_default();
    bench_with(directory, arguments, &path)
}

/// The same with another `PATH`.
pub(crate) fn bench_with(directory: &Path, arguments: &[&str], path: &str) -> Ended {
    let output = Command::cargo_bin("bench")
        .unwrap()
        .current_dir(directory)
        .env("PATH", path)
        .args(arguments)
        .output()
        .unwrap();
    Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
