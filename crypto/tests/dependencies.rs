//! The build itself: features of a dependency that would change what a valid signature is.

use std::process::Command;

/// The features of `package` as this workspace builds it, all of its members' features on.
fn features(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--all-features",
            "--depth",
            "0",
            "--prefix",
            "none",
        ])
        .args([
            "--edges",
            "normal,build,dev",
            "--format",
            "{f}",
            "--invert",
            package,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs this test, so it can run again");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "exactly one {package} must be in the tree: {errors}"
    );
    let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    text.split([',', '\n'])
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn no_feature_adds_a_second_rule_for_valid_signatures() {
    let dalek = features("ed25519-dalek");
    assert!(
        dalek.iter().any(|name| name == "fast"),
        "the list was read: {dalek:?}"
    );
    for forbidden in ["batch", "legacy_compatibility", "hazmat"] {
        assert!(
            !dalek.iter().any(|name| name == forbidden),
            "ed25519-dalek has {forbidden}: {dalek:?}"
        );
    }
}

#[test]
fn there_is_one_curve_below_both_signature_crates() {
    let curve = features("curve25519-dalek");
    assert!(
        curve.iter().any(|name| name == "precomputed-tables"),
        "the list was read: {curve:?}"
    );
    assert!(
        !curve.iter().any(|name| name == "legacy_compatibility"),
        "{curve:?}"
    );
}
