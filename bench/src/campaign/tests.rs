#![allow(clippy::unwrap_used)]

use super::*;
use crate::record::{Environment, write_json};
use crate::scenario::{Loaded, Source, load};

fn base() -> Loaded {
    load(&[Source::Embedded("quickstart")], &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn built(commit: &str, dirty: bool) -> Environment {
    Environment {
        commit: commit.to_owned(),
        dirty,
        cores: 2,
        rustc: "rustc 1".to_owned(),
        build: "release".to_owned(),
        ..Environment::default()
    }
}

fn program(digest: &str) -> Program {
    Program {
        digest: digest.to_owned(),
        flags: "opt-level 3".to_owned(),
    }
}

/// Opens a sweep, and leaves it unfinished if it is a new one.
fn opened(out: &Path, environment: &Environment, program: &Program) -> Result<Campaign, String> {
    let base = base();
    let wanted = Wanted {
        kind: SWEEP,
        base: &base,
        settings: Vec::new(),
        environment,
        program,
    };
    let campaign = open(out, &wanted, false).map_err(|error| error.message)?;
    let document = serde_json::json!({"name": base.scenario.name, "status": "interrupted", "environment": environment});
    write_json(&campaign.path.join(SWEEP.document), &document).unwrap();
    Ok(campaign)
}

#[test]
fn a_program_built_once_more_from_one_clean_commit_goes_on() {
    let out = tempfile::tempdir().unwrap();
    let clean = built("c0ffee", false);
    drop(opened(out.path(), &clean, &program("p1")).unwrap());
    assert!(opened(out.path(), &clean, &program("p1")).unwrap().resumed);
    assert!(opened(out.path(), &clean, &program("p2")).unwrap().resumed);
    let with = |change: fn(&mut Environment)| {
        let mut environment = clean.clone();
        change(&mut environment);
        environment
    };
    let others = [
        with(|of| of.commit = "decaf".to_owned()),
        with(|of| of.dirty = true),
        with(|of| of.rustc = "rustc 2".to_owned()),
        with(|of| of.build = "debug".to_owned()),
    ];
    for other in others {
        let message = opened(out.path(), &other, &program("p2")).unwrap_err();
        assert!(
            message.contains("the program is another one now (it was built from c0ffee"),
            "{message}"
        );
        assert!(message.contains("a new sweep with --fresh"), "{message}");
    }
    let native = Program {
        flags: "opt-level 3, -C target-cpu=native".to_owned(),
        ..program("p2")
    };
    let message = opened(out.path(), &clean, &native).unwrap_err();
    assert!(message.contains("-C target-cpu=native"), "{message}");
}

#[test]
fn a_program_that_no_commit_holds_is_known_by_its_bytes_alone() {
    for environment in [
        built("c0ffee", true),
        built("unknown", false),
        built("", false),
    ] {
        let out = tempfile::tempdir().unwrap();
        drop(opened(out.path(), &environment, &program("p1")).unwrap());
        assert!(
            opened(out.path(), &environment, &program("p1"))
                .unwrap()
                .resumed
        );
        let message = opened(out.path(), &environment, &program("p2")).unwrap_err();
        assert!(message.contains("another one now"), "{message}");
    }
}

#[test]
fn a_campaign_of_another_machine_or_one_that_goes_on_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let here = built("c0ffee", false);
    let going_on = opened(out.path(), &here, &program("p1")).unwrap();
    let message = opened(out.path(), &here, &program("p1")).unwrap_err();
    assert!(message.contains("goes on in another process"), "{message}");
    drop(going_on);
    for (change, words) in [
        (
            (|of| of.cores = 4) as fn(&mut Environment),
            "the number of cores was 2 and is 4 now",
        ),
        (
            |of| of.cpu = "Z80".to_owned(),
            "the CPU was  and is Z80 now",
        ),
        (|of| of.memory_bytes = 64, "the memory was 0 and is 64 now"),
    ] {
        let mut there = here.clone();
        change(&mut there);
        let message = opened(out.path(), &there, &program("p1")).unwrap_err();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_page_that_cannot_be_written_is_named_with_the_command_that_writes_it() {
    let out = tempfile::tempdir().unwrap();
    let document = serde_json::json!({"schema": SWEEP.schema, "name": "s", "status": "completed"});
    write_json(&out.path().join(SWEEP.document), &document).unwrap();
    let page = leave_page(out.path()).unwrap();
    assert!(std::fs::read_to_string(&page).unwrap().contains("<html"));
    std::fs::remove_file(&page).unwrap();
    std::fs::create_dir(&page).unwrap();
    let message = leave_page(out.path()).unwrap_err();
    let remedy = format!("bench report {}", out.path().display());
    assert!(
        message.contains("report.html") && message.contains(&remedy),
        "{message}"
    );
}
