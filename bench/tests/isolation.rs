//! What runs on other machines cannot lie: the binaries `replica` and `client` contain no Byzantine replica, no network
//! emulation and no disk that fails on purpose. Cargo is asked what they are built from, and the binaries what is in them.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Crates whose code must not be in a binary that is given to others. The network emulation and the failing disks are modules
/// of `bench`.
const INSTRUMENTS: [&str; 3] = ["byzantine", "bench", "simulator"];

fn manifest(package: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(package)
        .join("Cargo.toml")
}

/// The packages that a package is built from, tests and build scripts aside.
fn tree(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}", "--manifest-path"])
        .arg(manifest(package))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect()
}

#[test]
fn replica_and_client_are_built_without_anything_that_lies() {
    for package in ["replica", "client"] {
        let tree = tree(package);
        assert!(tree.iter().any(|one| one == "consensus"), "{tree:?}");
        for instrument in INSTRUMENTS {
            assert!(
                !tree.iter().any(|one| one == instrument),
                "{package} is built from {instrument}"
            );
        }
    }
    // The witness: the same question finds them where they are.
    let bench = tree("bench");
    assert!(
        INSTRUMENTS
            .iter()
            .all(|one| bench.iter().any(|known| known == one)),
        "{bench:?}"
    );
}

/// Parts of mangled symbols of the instruments: a crate's name with its length before it.
const SYMBOLS: [&str; 4] = ["9byzantine", "5bench", "9emulation", "9simulator"];

/// A binary with everything replaced that is no text: the standard library searches that quickly.
fn text(path: &Path) -> std::io::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

#[test]
fn the_binaries_hold_no_symbol_of_an_instrument() {
    let bench = PathBuf::from(env!("CARGO_BIN_EXE_bench"));
    let own = text(&bench).unwrap();
    for symbol in SYMBOLS {
        assert!(
            own.contains(symbol),
            "{symbol} is no symbol of bench: the test looks for the wrong thing"
        );
    }
    for name in ["replica", "client"] {
        let path = bench.with_file_name(name);
        let Ok(binary) = text(&path) else {
            // Built by a test run of the whole workspace; `cargo tree` above speaks for the others.
            eprintln!("{} is not built", path.display());
            continue;
        };
        assert!(
            binary.contains("9consensus"),
            "{} has no symbols",
            path.display()
        );
        for symbol in SYMBOLS {
            assert!(
                !binary.contains(symbol),
                "{} contains {symbol}",
                path.display()
            );
        }
    }
}
