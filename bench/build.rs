//! Records which compiler built the program (a benchmark's result names it), and gathers the scenarios that it carries.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The scenario that is listed first, for it is the one to begin with.
const FIRST: &str = "quickstart";

fn main() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .filter(|output| output.status.success());
    let version = version.map_or_else(
        || "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    );
    println!("cargo::rustc-env=QUINTET_RUSTC={version}");
    println!("cargo::rerun-if-changed=build.rs");
    embed_scenarios();
}

/// Writes the list of all files below scenarios/: name and text, as `scenario::source` includes it.
fn embed_scenarios() {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let (Some(package), Some(out)) = (variable("CARGO_MANIFEST_DIR"), variable("OUT_DIR")) else {
        panic!("cargo names the package and a directory for what build scripts make");
    };
    let folder = package.join("../scenarios");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names = Vec::new();
    collect(&folder, "", &mut names);
    names.sort_by_key(|name| (name != FIRST, name.contains('/'), name.clone()));
    let mut list = String::from("&[\n");
    for name in &names {
        let path = folder.join(format!("{name}.toml"));
        // Writing to a string does not fail.
        let _ = writeln!(list, "    ({name:?}, include_str!({path:?})),");
    }
    list.push_str("]\n");
    std::fs::write(out.join("scenarios.rs"), list).expect("OUT_DIR can be written");
}

fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    let entries = std::fs::read_dir(folder).expect("scenarios/ is part of the repository");
    for path in entries.flatten().map(|entry| entry.path()) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{stem}/"), names);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            names.push(format!("{prefix}{stem}"));
        }
    }
}
