//! The README is executed: every `sh` block in it runs as it stands, and every file that it links to is there.
//!
//! Blocks of cargo commands are not run again from within cargo. They must be the two that CI runs (`.ci/run`). All other blocks run in order in one
//! empty directory, with the built binaries in the search path, as a reader would type them.

use std::fs::{self, File};
use std::net::UdpSocket;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const README: &str = include_str!("../../README.md");

/// What a reader needs to know of cargo; CI runs the same two.
const CARGO_COMMANDS: [&str; 2] = [
    "cargo run --release --bin bench -- run",
    "cargo test --workspace",
];

/// No block takes as long on any machine that could be called working.
const BLOCK_DEADLINE: Duration = Duration::from_secs(180);

/// The line that founds the cluster which is then started. Its ports are moved out of the way of whatever runs on this machine.
const GENESIS: &str = "replica genesis -f 1 -o cluster";

/// UDP ports of five replicas.
const PORTS: u16 = 10;

#[test]
fn cargo_commands_are_the_two_that_ci_runs() {
    let blocks = blocks();
    let commands: Vec<&str> = blocks
        .iter()
        .filter(|block| is_cargo(block))
        .flat_map(|block| block.lines())
        .collect();
    assert_eq!(commands, CARGO_COMMANDS);
    let gate =
        fs::read_to_string(root().join(".ci/run")).expect("the gate is part of the repository");
    for command in CARGO_COMMANDS {
        assert!(
            gate.lines()
                .any(|line| line.trim_start().starts_with(command)),
            "`.ci/run` does not run `{command}`"
        );
    }
}

#[test]
fn every_other_command_works_as_it_stands() {
    let binaries = Path::new(env!("CARGO_BIN_EXE_bench"))
        .parent()
        .expect("a binary lies in a directory");
    for needed in ["replica", "client"] {
        if !binaries.join(needed).exists() {
            // `cargo test --workspace` builds all binaries, `cargo test -p bench` only one.
            assert!(
                std::env::var_os("CI").is_none(),
                "{needed} was not built; test with `cargo test --workspace`"
            );
            eprintln!("skipped: {needed} was not built; test with `cargo test --workspace`");
            return;
        }
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut ran = 0;
    for block in blocks().iter().filter(|block| !is_cargo(block)) {
        run(&with_free_ports(block), directory.path(), binaries);
        ran += 1;
    }
    assert!(
        ran >= 3,
        "the README shows a scenario, a cluster here and one elsewhere"
    );
    assert!(
        directory.path().join("results/latest/run.json").exists(),
        "the run left its results"
    );
}

#[test]
fn every_link_leads_somewhere() {
    let links: Vec<&str> = README
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .collect();
    assert!(links.len() >= 5, "the links were found: {links:?}");
    for link in links {
        assert!(
            root().join(link).exists(),
            "README.md links to {link}, which does not exist"
        );
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The fenced `sh` blocks, without their fences.
fn blocks() -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in README.lines() {
        open = match (open, line) {
            (None, "```sh") => Some(String::new()),
            (Some(block), "```") => {
                blocks.push(block);
                None
            }
            (Some(block), line) => Some(format!("{block}{line}\n")),
            (None, _) => None,
        };
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

fn is_cargo(block: &str) -> bool {
    block.lines().any(|line| line.starts_with("cargo "))
}

fn with_free_ports(block: &str) -> String {
    if !block.lines().any(|line| line == GENESIS) {
        return block.to_owned();
    }
    let base = (20_000..30_000)
        .step_by(usize::from(PORTS))
        .skip(std::process::id() as usize % 500)
        .find(|base| (*base..base + PORTS).all(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok()))
        .expect("some ten ports in a row are free");
    block.replace(GENESIS, &format!("{GENESIS} --base-port {base}"))
}

/// An objective that a run misses (exit code 3) says how fast this machine is just now, and nothing about the command:
/// a view may change on one that is busy with something else.
const MISSED_IS_NO_FAILURE: &str = r#"bench() {
    status=0
    command bench "$@" || status=$?
    if [ "$1" = run ] && [ "$status" = 3 ]; then return 0; fi
    return "$status"
}
"#;

/// Runs a block with `sh -e` in a process group of its own, which is gone afterwards in any case.
fn run(block: &str, directory: &Path, binaries: &Path) {
    let output = directory.join("output");
    let file = File::create(&output).expect("the directory is ours");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh")
        .args(["-e", "-c", &format!("{MISSED_IS_NO_FAILURE}{block}")])
        .current_dir(directory)
        .env("PATH", format!("{}:{path}", binaries.display()))
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("a handle can be copied"))
        .stderr(file)
        .process_group(0)
        .spawn()
        .expect("there is a shell");
    let group = shell.id();
    let started = Instant::now();
    let status = loop {
        match shell.try_wait().expect("the shell is our child") {
            Some(status) => break Some(status),
            None if started.elapsed() > BLOCK_DEADLINE => break None,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    // What the block left running; mostly nothing, and then this says so and fails.
    let _ = Command::new("kill")
        .args(["-KILL", "--", &format!("-{group}")])
        .stderr(Stdio::null())
        .status();
    let _ = shell.wait();
    let text = fs::read(&output).unwrap_or_default();
    assert!(
        status.is_some_and(|status| status.success()),
        "this block of README.md {}:\n{block}\nIt printed:\n{}",
        status.map_or_else(
            || format!("did not end within {BLOCK_DEADLINE:?}"),
            |status| format!("failed ({status})")
        ),
        String::from_utf8_lossy(&text)
    );
}
