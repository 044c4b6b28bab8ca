//! The protocol and the state machine are pure: no clock, file, socket, thread or chance can be
//! reached from them (ARCHITECTURE.md 2). `clippy.toml` says it to whoever writes the code; these
//! tests say it of the dependencies and of the source text.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this test reads source files and asks cargo; the crate itself may not"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crates by which the outside world could come in.
const IMPURE: [&str; 28] = [
    "async-std",
    "chrono",
    "crossbeam-channel",
    "fastrand",
    "getrandom",
    "jiff",
    "log",
    "mio",
    "network",
    "parking_lot",
    "quinn",
    "quinn-proto",
    "rand",
    "rcgen",
    "redb",
    "replica",
    "ring",
    "rusqlite",
    "rustix",
    "rustls",
    "smol",
    "socket2",
    "tempfile",
    "time",
    "tokio",
    "tracing",
    "uuid",
    "walkdir",
];

/// What the source may not name, beside what is in `clippy.toml`.
const FORBIDDEN: [&str; 19] = [
    "std::{",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "std::process",
    "std::io",
    "std::os",
    "SystemTime",
    "Instant::now",
    "std::time::Instant",
    "std::time::{",
    "HashMap",
    "HashSet",
    "RandomState",
    "async fn",
    ".await",
    // Features of `crypto` that another crate of the workspace may have switched on.
    "crypto::files",
    "crypto::tls",
];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is a member of a workspace")
}

/// Names of the crates below `package`, without build and test dependencies.
fn dependencies(package: &str) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--package", package, "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}"])
        .args(["--locked", "--offline"])
        .current_dir(workspace())
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree: {errors}");
    let text = String::from_utf8(output.stdout).expect("names are ASCII");
    let names = text.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn no_crate_below_the_pure_ones_can_reach_the_outside_world() {
    for package in ["consensus", "kv"] {
        let below = dependencies(package);
        assert!(
            below.iter().any(|name| name == "sha2"),
            "the tree was read: {below:?}"
        );
        for impure in IMPURE {
            let found = below.iter().any(|name| name == impure);
            assert!(!found, "{package} depends on {impure}");
        }
    }
}

#[test]
fn the_check_of_dependencies_finds_what_is_there() {
    let below = dependencies("network");
    for impure in ["tokio", "quinn", "rustls"] {
        assert!(below.iter().any(|name| name == impure), "{below:?}");
    }
}

#[test]
fn the_pure_crates_name_their_dependencies_and_no_others() {
    for (package, allowed) in [
        (
            "consensus",
            &["bincode", "bytes", "crypto", "thiserror"][..],
        ),
        (
            "kv",
            &["bincode", "bytes", "consensus", "crypto", "thiserror"],
        ),
    ] {
        let manifest = workspace().join(package).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).expect("the manifest is there");
        let (_, section) = text
            .split_once("[dependencies]\n")
            .expect("there is a section of dependencies");
        let (section, _) = section.split_once("\n[").unwrap_or((section, ""));
        let named: Vec<&str> = section
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|name| !name.is_empty())
            .collect();
        assert_eq!(named, allowed, "{}", manifest.display());
    }
}

/// The source files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("the source folder is there");
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Lines of code that name something impure, with their numbers.
fn impurities(source: &str) -> Vec<(usize, &str)> {
    let code = |line: &str| !line.trim_start().starts_with("//");
    let impure = |line: &str| FORBIDDEN.iter().any(|name| line.contains(name));
    source
        .lines()
        .zip(1..)
        .filter(|(line, _)| code(line) && impure(line))
        .map(|(line, number)| (number, line.trim()))
        .collect()
}

#[test]
fn the_source_names_no_clock_file_socket_thread_or_unordered_map() {
    for package in ["consensus", "kv"] {
        let mut files = Vec::new();
        sources(&workspace().join(package).join("src"), &mut files);
        assert!(files.len() > 5, "the sources of {package} were read");
        for file in files {
            let source = fs::read_to_string(&file).expect("the source is UTF-8");
            assert_eq!(impurities(&source), [], "{}", file.display());
        }
    }
}

#[test]
fn the_scan_finds_planted_impurities_and_leaves_comments_alone() {
    let planted = "// std::fs in a comment\nuse std::{fs, net};\nlet t = std::time::Instant::now();\n\
                   use std::time::Duration;\nuse std::collections::BTreeMap;\n  /// HashMap\n";
    let found: Vec<usize> = impurities(planted).iter().map(|(line, _)| *line).collect();
    assert_eq!(found, [2, 3]);
}

#[test]
fn clippy_bans_are_there_with_their_reasons() {
    for package in ["consensus", "kv"] {
        let path = workspace().join(package).join("clippy.toml");
        let text = fs::read_to_string(&path).expect("the crate has its own clippy.toml");
        for name in [
            "std::time::Instant::now",
            "std::time::SystemTime",
            "std::collections::HashMap",
            "std::collections::HashSet",
            "std::fs::File",
            "std::net::UdpSocket",
            "std::thread::spawn",
        ] {
            let ban = text
                .lines()
                .find(|line| line.contains(&format!("\"{name}\"")));
            let reason = ban.and_then(|ban| ban.split_once("reason = \""));
            assert!(reason.is_some(), "{name} in {}", path.display());
        }
        // A file of its own replaces the workspace's: its settings must be repeated.
        let root = fs::read_to_string(workspace().join("clippy.toml")).expect("the root has one");
        for setting in root.lines().filter(|line| line.contains(" = ")) {
            assert!(text.contains(setting), "{setting} in {}", path.display());
        }
    }
}
