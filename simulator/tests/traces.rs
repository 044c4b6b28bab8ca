//! Same seed, same trace: on every machine, in debug and in release. The hashes are in
//! `traces.txt`; a change of the protocol or of the simulator changes them, on purpose:
//! `UPDATE=1 cargo test -p simulator --test traces` writes them anew.

use std::fmt::Write as _;

use simulator::{Config, run};

/// Drawn configurations with most faults on; seed 100 signs with
/// Ed25519, and clients of seed 104 read beside the log.
const SEEDS: [u64; 5] = [17, 18, 42, 100, 104];

#[test]
fn the_traces_are_those_of_the_file() {
    let mut traces = String::new();
    for seed in SEEDS {
        let outcome = run(&Config::drawn(seed));
        let slots = outcome.stats.slots;
        writeln!(traces, "{seed} {:016x} {slots}", outcome.trace).expect("a String takes it");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &traces).expect("the file can be written");
    }
    let held = std::fs::read_to_string(path).expect("the file is there");
    assert_eq!(
        traces, held,
        "if this is meant: UPDATE=1 cargo test -p simulator --test traces"
    );
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_one_another() {
    let trace = |seed| run(&Config::drawn(seed)).trace;
    assert_eq!(trace(17), trace(17));
    assert_ne!(trace(17), trace(18));
}
