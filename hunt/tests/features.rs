//! No binary contains a rule that can be broken: cargo's own account of the features.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::path::Path;
use std::process::Command;

/// The features with which a package is built, of itself and of all crates below it.
fn features(package: &str, edges: &str) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--package", package, "--edges", edges])
        .args(["--prefix", "none", "--format", "{p} [{f}]"])
        .args(["--locked", "--offline"])
        .current_dir(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .parent()
                .expect("the crate is a member of a workspace"),
        )
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree: {errors}");
    String::from_utf8(output.stdout).expect("names are ASCII")
}

/// Features of the crate `consensus` in such a listing.
fn of_consensus(listing: &str) -> Vec<&str> {
    listing
        .lines()
        .filter(|line| line.starts_with("consensus v"))
        .filter_map(|line| line.split_once('[')?.1.split_once(']'))
        .map(|(features, _)| features)
        .collect()
}

#[test]
fn no_binary_is_built_with_rules_that_can_be_broken() {
    for package in ["replica", "client", "bench", "simulator"] {
        let listing = features(package, "normal,build");
        let found = of_consensus(&listing);
        assert!(!found.is_empty(), "the tree of {package} was read");
        for features in found {
            assert!(!features.contains("mutations"), "{package}: {features}");
        }
    }
}

#[test]
fn only_dev_dependencies_of_this_crate_switch_them_on() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifests: Vec<_> = std::fs::read_dir(workspace)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("Cargo.toml"))
        .filter(|manifest| manifest.exists())
        .collect();
    assert!(manifests.len() > 5, "the manifests were found");
    for manifest in manifests {
        let text = std::fs::read_to_string(&manifest).unwrap();
        let name = manifest.parent().unwrap().file_name().unwrap();
        let asked: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#') && line.contains("mutations"))
            .collect();
        match name.to_str().unwrap() {
            "consensus" => assert_eq!(asked, ["mutations = []"]),
            "hunt" => {
                assert_eq!(asked.len(), 1);
                assert!(!text.contains("\n[dependencies]"), "only dev-dependencies");
                assert!(text.contains("\n[dev-dependencies]"));
            }
            other => assert!(asked.is_empty(), "{other}: {asked:?}"),
        }
    }
}

#[test]
fn the_check_of_features_finds_them_where_they_are() {
    let listing = features("hunt", "dev");
    let found = of_consensus(&listing);
    assert!(
        found.iter().any(|features| features.contains("mutations")),
        "{found:?}"
    );
}
