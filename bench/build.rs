//! Records from what and with which compiler the program was built (a benchmark's result names both), and gathers the scenarios and the plotting script that it carries.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

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
    println!("cargo::rustc-env=QUINTET_FLAGS={}", flags());
    println!("cargo::rerun-if-changed=build.rs");
    record_commit();
    embed_scenarios();
    embed_plots();
}

/// What the compiler is told beyond the sources: two builds of one commit differ by it.
fn flags() -> String {
    let said = |name: &str| std::env::var(name).unwrap_or_default();
    let level = format!("opt-level {}", said("OPT_LEVEL"));
    // Cargo puts this character between flags, so that they may have spaces.
    let flags = said("CARGO_ENCODED_RUSTFLAGS").replace('\x1f', " ");
    match flags.is_empty() {
        true => level,
        false => format!("{level}, {flags}"),
    }
}

/// The commit of the sources that are being compiled. A program that asked when it runs would name what the tree has become since.
fn record_commit() {
    let commit = git(&["rev-parse", "HEAD"]);
    let changes = git(&["status", "--porcelain", "--untracked-files=no"]);
    println!(
        "cargo::rustc-env=QUINTET_COMMIT={}",
        commit.as_deref().unwrap_or("unknown")
    );
    let dirty = changes.is_some_and(|changes| !changes.is_empty());
    println!("cargo::rustc-env=QUINTET_DIRTY={dirty}");
    // Commits, and whatever a commit may lack.
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", path]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    println!("cargo::rerun-if-changed=../Cargo.toml");
    println!("cargo::rerun-if-changed=../Cargo.lock");
    let packages = std::fs::read_dir("..").expect("the workspace can be read");
    for package in packages.flatten().map(|entry| entry.path()) {
        if package.join("Cargo.toml").is_file() {
            for part in ["src", "Cargo.toml"] {
                println!("cargo::rerun-if-changed={}", package.join(part).display());
            }
        }
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// Where the script begins and ends among the scripts of the crate `plotly`; what follows sets formulas, which no report has.
const SCRIPT_BEGINS: &str = "<script type=\"text/javascript\">";
const SCRIPT_ENDS: &str = "</script>";

/// The page's own script: draws what the report holds.
const PAGE_SCRIPT: &str = "src/report/html/page.js";

/// Writes what pages carry (docs/adr/0006): plotly.js, compressed to a third, as text, and the hashes by which browsers
/// know the two scripts of a page from anything else.
fn embed_plots() {
    let scripts = plotly::Plot::offline_js_sources();
    let plots = scripts
        .split_once(SCRIPT_BEGINS)
        .and_then(|(_, rest)| rest.split_once(SCRIPT_ENDS))
        .map(|(script, _)| script)
        .expect("the crate plotly gives its script between tags");
    let out = std::env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .expect("cargo names it");
    let hash = |script: &str| {
        let hash = Sha256::digest(script.as_bytes());
        format!("sha256-{}", BASE64_STANDARD.encode(hash))
    };
    let write = |name: &str, text: String| {
        std::fs::write(out.join(name), text).expect("OUT_DIR can be written")
    };
    println!("cargo::rerun-if-changed={PAGE_SCRIPT}");
    let page =
        std::fs::read_to_string(PAGE_SCRIPT).expect("the page's script is part of the repository");
    write("page.js.hash", hash(&page));
    // Compressing takes seconds, and this runs whenever any source has changed.
    let known = std::fs::read_to_string(out.join("plotly.js.hash")).unwrap_or_default();
    if known == hash(plots) {
        return;
    }
    let mut compressed = GzEncoder::new(Vec::new(), Compression::best());
    let compressed = compressed
        .write_all(plots.as_bytes())
        .and_then(|()| compressed.finish())
        .expect("memory takes it all");
    write("plotly.js.gz.base64", BASE64_STANDARD.encode(compressed));
    // Last: what it says is there.
    write("plotly.js.hash", hash(plots));
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
