//! The fault plan of a scenario: what is accepted, what it means, and how a wrong one is refused.

use std::time::Duration;

use bench::scenario::schema::{
    Again, Choice, DataFile, DiskAttack, Extent, Fault, FaultKind, FaultTarget, Size, Store,
};
use bench::scenario::{Loaded, Problem, ScenarioError, Source, json_schema, load};

/// A load of 30 s; the fault begins at line 5.
const HEAD: &str = "schema = 1\nname = \"case\"\n[load]\nduration = \"30s\"\n";

fn read(body: &str) -> Result<Loaded, ScenarioError> {
    let source = Source::Text {
        name: "case.toml".to_owned(),
        text: format!("{HEAD}{body}"),
    };
    load(&[source], &[])
}

/// One fault with these lines, which begin at line 6.
fn fault(lines: &str) -> Result<Loaded, ScenarioError> {
    read(&format!("[[fault]]\n{lines}"))
}

fn only(lines: &str) -> Fault {
    let loaded = fault(lines).unwrap_or_else(|error| panic!("{error}"));
    let [one] = loaded.scenario.faults.as_slice() else {
        panic!("{:?}", loaded.scenario.faults)
    };
    one.clone()
}

/// `line:column offending: message (remedy)` of the only problem.
fn said(problem: &Problem) -> String {
    let (line, column) = problem.position().unwrap();
    format!(
        "{line}:{column} {}: {} ({})",
        problem.offending().unwrap(),
        problem.message(),
        problem.remedy().unwrap_or_default()
    )
}

fn refused(lines: &str) -> String {
    let error = fault(lines).expect_err(lines);
    assert_eq!(error.problems().len(), 1, "{error}");
    said(&error.problems()[0])
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn every_kind_and_target_is_read_as_it_is_written() {
    assert_eq!(
        only("at = \"5s\"\nkind = \"kill\"\ntarget = 3\nrestart_at = \"8s\"\nwipe = true\n"),
        Fault {
            at: s(5),
            kind: FaultKind::Kill {
                restart_at: Some(s(8)),
                wipe: true
            },
            target: FaultTarget::Replicas(vec![3]),
            again: None
        }
    );
    let upgrade = only("at = \"5s\"\nkind = \"upgrade\"\ntarget = 1\nrestart_at = \"8s\"\n");
    let restart_at = Some(s(8));
    assert_eq!(upgrade.kind, FaultKind::Upgrade { restart_at });
    assert_eq!(upgrade.back_at(), restart_at);
    let pause = only("at = \"5s\"\nkind = \"pause\"\ntarget = [2, 1]\n");
    assert_eq!(pause.kind, FaultKind::Pause { resume_at: None });
    assert_eq!(pause.target, FaultTarget::Replicas(vec![1, 2]));
    let restart =
        only("at = \"5s\"\nkind = \"restart\"\ntarget = \"random-correct\"\nevery = \"2s\"\n");
    assert_eq!(restart.target, FaultTarget::Chosen(Choice::RandomCorrect));
    let (every, until) = (s(2), s(30));
    assert_eq!(restart.again, Some(Again { every, until }));
    assert_eq!(restart.strikes().count(), 13, "at 5, 7, ... 29 s");
    for (word, choice) in [
        ("primary", Choice::Primary),
        ("random", Choice::Random),
        ("all", Choice::All),
    ] {
        let read = only(&format!(
            "at = \"5s\"\nkind = \"pause\"\ntarget = \"{word}\"\n"
        ));
        assert_eq!(read.target, FaultTarget::Chosen(choice));
    }
}

#[test]
fn a_wrong_fault_is_named_with_its_place_and_remedy() {
    let cases = [
        (
            "kind = \"kill\"\ntarget = 0\n",
            "5:1 [[fault]]: a fault has no `at` (add a line such as at = \"5s\")",
        ),
        (
            "at = \"5s\"\ntarget = 0\n",
            "5:1 [[fault]]: a fault has no `kind` (add a line such as kind = \"kill\")",
        ),
        (
            "at = \"5s\"\nkind = \"kill\"\n",
            "5:1 [[fault]]: a fault has no `target` (add a line such as target = \"primary\")",
        ),
        (
            "at = \"5s\"\nkind = \"kil\"\ntarget = 0\n",
            "7:8 \"kil\": `fault.0.kind`: \"kil\" is unknown (it is one of kill, pause, restart, upgrade, partition, link, memory, disk, rebind, client, outsider)",
        ),
        (
            "at = \"5s\"\nkind = \"kill\"\ntarget = 0\nrestat_at = \"6s\"\n",
            "9:1 restat_at: unknown key `restat_at` in [[fault]] (write `restart_at`)",
        ),
        (
            "at = \"5s\"\nkind = \"kill\"\ntarget = \"primry\"\n",
            "8:10 \"primry\": `fault.0.target`: \"primry\" is unknown (it is one of primary, random-correct, random, all, the number of a replica, or a list)",
        ),
        (
            "at = \"5s\"\nkind = \"kill\"\ntarget = [1, 1]\n",
            "8:10 [1, 1]: `fault.0.target`: a replica is named twice (for example target = [0, 1])",
        ),
        (
            "at = \"5s\"\nkind = \"kill\"\ntarget = 5\n",
            "8:10 5: `fault.0.target`: there is no replica 5 among 5 (replicas are 0 to 4)",
        ),
        (
            "at = \"30s\"\nkind = \"kill\"\ntarget = 0\n",
            "6:6 \"30s\": `fault.0.at`: 30s is not before the end of the load (30s) (times count from the beginning of the measured phase: write less than 30s, or a longer load.duration)",
        ),
        (
            "at = \"5s\"\nkind = \"kill\"\ntarget = 0\nrestart_at = \"3s\"\n",
            "9:14 \"3s\": `fault.0.restart_at`: 3s is not after `at` (5s) (it is a time like `at`, not a distance from it)",
        ),
        (
            "at = \"5s\"\nkind = \"pause\"\ntarget = 0\nresume_at = \"31s\"\n",
            "9:13 \"31s\": `fault.0.resume_at`: 31s is after the end of the load (30s) (write 30s at most, a longer load.duration, or leave it out: then it stays away)",
        ),
        (
            "at = \"5s\"\nkind = \"pause\"\ntarget = 0\nrestart_at = \"6s\"\n",
            "9:1 restart_at: `fault.0.restart_at` does not apply: a paused process is not started again (write resume_at, or kind = \"kill\")",
        ),
        (
            "at = \"5s\"\nkind = \"kill\"\ntarget = 0\nresume_at = \"6s\"\n",
            "9:1 resume_at: `fault.0.resume_at` does not apply: only a pause has it (write restart_at, or kind = \"pause\")",
        ),
        (
            "at = \"5s\"\nkind = \"kill\"\ntarget = 0\nwipe = true\n",
            "9:8 true: `fault.0.wipe`: a disk is lost before a restart, and this replica is never started again (add restart_at, or remove wipe)",
        ),
        (
            "at = \"5s\"\nkind = \"kill\"\ntarget = 0\nuntil = \"6s\"\n",
            "9:1 until: `fault.0.until` does not apply: only a fault that strikes again has it (remove it, or add every = \"2s\")",
        ),
        (
            "at = \"5s\"\nkind = \"kill\"\ntarget = 0\nevery = \"1s\"\nrestart_at = \"7s\"\n",
            "9:9 \"1s\": `fault.0.every`: it strikes the same replicas again before they are back (strike less often, let them be back sooner, or write target = \"random-correct\")",
        ),
        (
            "at = \"5s\"\nkind = \"kill\"\ntarget = 0\nevery = \"1s\"\nuntil = \"5s\"\n",
            "10:9 \"5s\": `fault.0.until`: 5s is not between `at` (5s) and the end of the load (30s) (leave it out to go on until the load ends)",
        ),
    ];
    for (lines, diagnosis) in cases {
        assert_eq!(refused(lines), diagnosis, "{lines}");
    }
    let error = read("fault = 3\n").unwrap_err();
    assert!(
        error.to_string().contains("unknown key `fault` in [load]"),
        "{error}"
    );
    let error = fault(
        "at = \"1ms\"\nkind = \"restart\"\ntarget = 0\nevery = \"100ms\"\nuntil = \"29s\"\n[load]\n",
    );
    assert!(error.is_err(), "[load] twice");
}

#[test]
fn a_replica_that_keeps_nothing_cannot_be_restarted_unless_its_loss_is_meant() {
    let restart = |kind: &str, more: &str| {
        read(&format!(
            "[cluster.storage]\nengine = \"memory\"\n[[fault]]\nat = \"5s\"\nkind = \"{kind}\"\ntarget = 0\n{more}"
        ))
    };
    let refused = |result: Result<Loaded, ScenarioError>| {
        let error = result.unwrap_err().to_string();
        assert!(
            error.contains("in memory has none when it is started again"),
            "{error}"
        );
    };
    refused(restart("restart", ""));
    refused(restart("kill", "restart_at = \"6s\"\n"));
    assert!(restart("kill", "").is_ok());
    assert!(restart("pause", "resume_at = \"6s\"\n").is_ok());
    assert!(restart("restart", "wipe = true\n").is_ok());
}

#[test]
fn a_plan_beyond_the_budget_is_accepted_with_a_warning_that_names_the_interval() {
    let plan = "[[fault]]\nat = \"10s\"\nkind = \"kill\"\ntarget = 0\nrestart_at = \"18s\"\n\
                [[fault]]\nat = \"15s\"\nkind = \"pause\"\ntarget = \"primary\"\nresume_at = \"20s\"\n";
    let loaded = read(plan).unwrap();
    let warnings: Vec<String> = loaded.warnings.iter().map(said).collect();
    assert_eq!(
        warnings,
        [
            "11:6 \"15s\": more than f replicas faulty between 15 s and 18 s (2 of n = 5, f = 1): this run promises safety, not liveness \
          (let faults end before others begin, or raise cluster.f, if it is to go on)"
        ]
    );
    let enough = read(&format!("[cluster]\nf = 2\n{plan}")).unwrap();
    assert!(enough.warnings.is_empty());
}

#[test]
fn a_later_layer_replaces_the_plan_as_a_whole() {
    let source = Source::Text {
        name: "case.toml".to_owned(),
        text: format!("{HEAD}[[fault]]\nat = \"5s\"\nkind = \"kill\"\ntarget = 0\n"),
    };
    let without = load(&[source], &["fault=[]".to_owned()]).unwrap();
    assert_eq!(without.scenario.faults, []);
}

#[test]
fn the_effective_file_has_an_entry_for_each_fault_and_says_where_it_comes_from() {
    let loaded = read(
        "[[fault]]\nat = \"5s\"\nkind = \"kill\"\ntarget = [0, 1]\n\
         [[fault]]\nat = \"6s\"\nkind = \"restart\"\ntarget = \"primary\"\nevery = \"3s\"\n",
    )
    .unwrap();
    let text = loaded.effective_toml();
    let expected = "\n[[fault]]\nat = \"5s\"\nkind = \"kill\"\ntarget = [0, 1]\nwipe = false\n\
                    \n[[fault]]\nat = \"6s\"\nkind = \"restart\"\ntarget = \"primary\"\nwipe = false\nevery = \"3s\"\nuntil = \"30s\"\n";
    assert!(text.ends_with(expected), "{text}");
    let explained = loaded.explain();
    let line = |words: &str| {
        let found = explained.lines().find(|line| line.starts_with(words));
        found
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("target = [0, 1]"), "target = [0, 1] # case.toml:8");
    assert_eq!(
        line("until"),
        "until = \"30s\" # default: the end of the load"
    );
}

#[test]
fn the_json_schema_knows_the_keys_of_a_fault_and_no_others() {
    let fault = &json_schema()["$defs"]["Fault"];
    assert_eq!(fault["additionalProperties"], false);
    for key in [
        "at",
        "kind",
        "target",
        "restart_at",
        "resume_at",
        "wipe",
        "cap",
        "attack",
        "heal_at",
        "cut_at",
        "every",
        "until",
    ] {
        assert!(fault["properties"].get(key).is_some(), "{key}");
    }
}

#[test]
fn every_attack_on_a_disk_is_read_with_its_defaults_and_its_keys() {
    let disk = |lines: &str| {
        let fault = only(&format!(
            "at = \"5s\"\nkind = \"disk\"\ntarget = 3\n{lines}\n"
        ));
        let back_at = fault.back_at();
        let FaultKind::Disk { attack, .. } = fault.kind else {
            panic!("{:?}", fault.kind)
        };
        (attack, back_at)
    };
    let log = Store::Log;
    assert_eq!(
        disk("attack = \"fsync-error\""),
        (DiskAttack::FsyncError { store: log }, None)
    );
    let (files, cut_at) = (Extent::Everything, s(9));
    assert_eq!(
        disk("attack = \"fsync-lies\"\nfiles = \"everything\"\ncut_at = \"9s\""),
        (DiskAttack::FsyncLies { files, cut_at }, Some(s(9)))
    );
    let (file, flips) = (DataFile::StateWal, 3);
    assert_eq!(
        disk("attack = \"bit-flip\"\nfile = \"state-wal\"\nflips = 3"),
        (DiskAttack::BitFlip { file, flips }, Some(s(5))),
        "it is started again at once"
    );
    let (key, flips) = (DataFile::Key, 1);
    assert_eq!(
        disk("attack = \"bit-flip\"\nfile = \"key\""),
        (DiskAttack::BitFlip { file: key, flips }, None),
        "nobody puts the key right"
    );
    assert_eq!(
        disk("attack = \"disk-full\"\nheal_at = \"8s\""),
        (DiskAttack::DiskFull, Some(s(8)))
    );
    let delay = Duration::from_millis(500);
    assert_eq!(
        disk("attack = \"slow-disk\""),
        (DiskAttack::SlowDisk { delay }, None)
    );
    assert_eq!(
        disk("attack = \"swapped\"\nfrom = 1\nheal_at = \"8s\""),
        (DiskAttack::Swapped { from: 1 }, Some(s(8)))
    );
    for name in DiskAttack::NAMES {
        let more = match name {
            "fsync-lies" | "stale-restore" => "\ncut_at = \"8s\"",
            _ => "",
        };
        let (attack, _) = disk(&format!("attack = \"{name}\"{more}"));
        assert_eq!(attack.name(), name);
    }
}

#[test]
fn a_wrong_attack_on_a_disk_is_named_with_its_place_and_remedy() {
    let disk = |lines: &str| {
        refused(&format!(
            "at = \"5s\"\nkind = \"disk\"\ntarget = 3\n{lines}\n"
        ))
    };
    for (lines, diagnosis) in [
        (
            "heal_at = \"6s\"",
            "7:8 \"disk\": a disk fault has no `attack` (add a line such as attack = \"bit-flip\")",
        ),
        (
            "attack = \"bitflip\"",
            "9:10 \"bitflip\": `fault.0.attack`: \"bitflip\" is unknown (it is one of fsync-error, fsync-lies, torn-write, bit-flip, disk-full, wiped, stale-restore, slow-disk, swapped, read-only, file-times)",
        ),
        (
            "attack = \"stale-restore\"",
            "9:10 \"stale-restore\": a disk fault has no `cut_at` (add a line such as cut_at = \"8s\")",
        ),
        (
            "attack = \"disk-full\"\nflips = 2",
            "10:1 flips: `fault.0.flips` does not apply: attack = \"disk-full\" does not have it (remove it)",
        ),
        (
            "attack = \"fsync-lies\"\ncut_at = \"8s\"\nheal_at = \"9s\"",
            "11:1 heal_at: `fault.0.heal_at` does not apply: a disk that lied or is old is found out at cut_at, and stays what it is (remove it)",
        ),
        (
            "attack = \"fsync-lies\"\ncut_at = \"4s\"",
            "10:10 \"4s\": `fault.0.cut_at`: 4s is not after `at` (5s) (it is a time like `at`, not a distance from it)",
        ),
        (
            "attack = \"swapped\"\nfrom = 3",
            "10:8 3: `fault.0.from`: replica 3 would get its own data (name another replica)",
        ),
        (
            "attack = \"swapped\"\nfrom = 7",
            "10:8 7: `fault.0.from`: there is no replica 7 among 5 (replicas are 0 to 4)",
        ),
    ] {
        assert_eq!(disk(lines), diagnosis, "{lines}");
    }
    let in_memory = read(
        "[cluster.storage]\nengine = \"memory\"\n[[fault]]\nat = \"5s\"\nkind = \"disk\"\nattack = \"disk-full\"\ntarget = 0\n",
    );
    let error = in_memory.unwrap_err().to_string();
    assert!(error.contains("keep nothing on disk"), "{error}");
}

#[test]
fn a_cap_on_memory_has_a_size() {
    let fault =
        only("at = \"5s\"\nkind = \"memory\"\ncap = \"64MiB\"\ntarget = 3\nrestart_at = \"8s\"\n");
    let (cap, restart_at) = (Size::of(64 << 20), Some(s(8)));
    assert_eq!(fault.kind, FaultKind::Memory { cap, restart_at });
}

#[test]
fn an_attack_on_a_disk_is_written_as_it_was_read() {
    let loaded =
        fault("at = \"5s\"\nkind = \"disk\"\nattack = \"bit-flip\"\nfile = \"log\"\ntarget = 3\n")
            .unwrap();
    let text = loaded.effective_toml();
    let expected = "\n[[fault]]\nat = \"5s\"\nkind = \"disk\"\ntarget = 3\nattack = \"bit-flip\"\nfile = \"log\"\nflips = 1\n";
    assert!(text.ends_with(expected), "{text}");
}
