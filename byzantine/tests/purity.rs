//! Attacks are as pure as what they wrap, and nothing that replicates depends on them.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this test asks cargo; the crate itself may not"
)]

use std::process::Command;

/// Names of the crates below `package`, without build and test dependencies.
fn dependencies(package: &str) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--package", package, "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}"])
        .args(["--locked", "--offline"])
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree: {errors}");
    let text = String::from_utf8(output.stdout).expect("names are ASCII");
    let names = text.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn attacks_reach_no_runtime_socket_clock_or_random_source() {
    let below = dependencies("byzantine");
    for there in ["consensus", "crypto", "serde", "schemars"] {
        assert!(below.iter().any(|name| name == there), "{below:?}");
    }
    for impure in [
        "chrono",
        "getrandom",
        "kv",
        "network",
        "quinn",
        "rand",
        "replica",
        "rusqlite",
        "rustix",
        "rustls",
        "simulator",
        "tokio",
        "tracing",
    ] {
        let found = below.iter().any(|name| name == impure);
        assert!(!found, "byzantine depends on {impure}");
    }
}

#[test]
fn nothing_that_replicates_or_asks_contains_an_attack() {
    for honest in ["replica", "client", "network", "consensus", "kv", "crypto"] {
        let below = dependencies(honest);
        assert!(below.iter().any(|name| name == honest), "{below:?}");
        let found = below.iter().any(|name| name == "byzantine");
        assert!(!found, "{honest} depends on byzantine");
    }
}
