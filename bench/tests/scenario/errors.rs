//! A wrong scenario is a diagnosis: file, line, column, the offending text, the nearest right name and the remedy.

use bench::scenario::{Problem, ScenarioError, Source, Style, load};

/// Two lines that every file needs; the lines of a case follow as line 3 and on.
const HEAD: &str = "schema = 1\nname = \"case\"\n";

fn refused(body: &str) -> ScenarioError {
    let text = format!("{HEAD}{body}");
    let source = Source::Text {
        name: "case.toml".to_owned(),
        text,
    };
    load(&[source], &[]).expect_err(body)
}

/// The only problem of a file.
fn problem(body: &str) -> Problem {
    let error = refused(body);
    assert_eq!(error.problems().len(), 1, "{error}");
    error.problems()[0].clone()
}

#[test]
fn every_mistake_is_named_with_its_place_and_remedy() {
    // (lines, "line:column offending", message, label, remedy)
    let cases = [
        (
            "recrods = 5\n",
            "3:1 recrods",
            "unknown key `recrods` at the top level",
            "did you mean `records` of [workload]?",
            "move it to [workload]",
        ),
        (
            "[workload]\nrecrods = 5\n",
            "4:1 recrods",
            "unknown key `recrods` in [workload]",
            "did you mean `records`?",
            "write `records`",
        ),
        (
            "[workload]\nrate = \"5/s\"\n",
            "4:1 rate",
            "unknown key `rate` in [workload]",
            "did you mean `rate` of [load]?",
            "move it to [load]",
        ),
        (
            "[clustr]\nf = 1\n",
            "3:2 clustr",
            "unknown key `clustr` at the top level",
            "did you mean `cluster`?",
            "write `cluster`",
        ),
        (
            "[load]\nwarmup = 5\n",
            "4:10 5",
            "`load.warmup`: the time \"5\" has no unit: write \"5ms\", or another of ns, us, ms, s, m or h",
            "",
            "write it in quotes, for example warmup = \"5s\"",
        ),
        (
            "[load]\nwarmup = \"5sec\"\n",
            "4:10 \"5sec\"",
            "`load.warmup`: \"sec\" is no unit of time: use ns, us, ms, s, m or h",
            "",
            "for example warmup = \"5s\"",
        ),
        (
            "[load]\nrate = 2000\n",
            "4:8 2000",
            "`load.rate`: the rate \"2000\" has no unit: write \"2000/s\"",
            "",
            "write it in quotes, for example rate = \"2000/s\"",
        ),
        (
            "[load]\nduration = \"1ms\"\n",
            "4:12 \"1ms\"",
            "`load.duration`: 1ms is out of bounds",
            "",
            "duration is 100ms to 24h",
        ),
        (
            "[load]\nclients = 0\n",
            "4:11 0",
            "`load.clients`: 0 is out of bounds",
            "",
            "it is 1 to 10000",
        ),
        (
            "[load]\nclients = \"many\"\n",
            "4:11 \"many\"",
            "`load.clients`: must be an integer, not a string",
            "",
            "for example 16",
        ),
        (
            "[load]\nclients = 2\nconnections = 3\n",
            "5:15 3",
            "`load.connections` = 3 is more than the 2 clients that share them",
            "",
            "write connections = 2 at most",
        ),
        (
            "[load]\noutstanding = 4\n",
            "4:1 outstanding",
            "`load.outstanding` does not apply: only a closed loop has it: an open loop sends by the clock",
            "does not apply",
            "remove it, or write model = \"closed\"",
        ),
        (
            "[load]\nmodel = \"closed\"\nrate = \"5/s\"\n",
            "5:1 rate",
            "`load.rate` does not apply: only an open loop has it: the clients of a closed loop send when they are answered",
            "does not apply",
            "remove it, or write model = \"open\"",
        ),
        (
            "[load]\nmodel = \"opne\"\noutstanding = 4\n",
            "4:9 \"opne\"",
            "`load.model`: \"opne\" is unknown",
            "did you mean \"open\"?",
            "it is one of open, closed",
        ),
        (
            "[cluster]\nf = 2\nn = 6\n",
            "5:5 6",
            "n = 6 replicas cannot tolerate f = 2 faulty ones: n must be at least 3f+1 = 7",
            "at least 7",
            "write n = \"3f+1\" or more (n = \"4f+1\" keeps the fast path with a faulty replica), or f = 1 at most",
        ),
        (
            "[cluster]\nf = 0\n",
            "4:5 0",
            "`cluster.f`: 0 is out of bounds",
            "",
            "it is 1 to 85",
        ),
        (
            "[cluster]\nn = \"4g+1\"\n",
            "4:5 \"4g+1\"",
            "`cluster.n`: \"4g+1\" is no expression of f",
            "",
            "write an integer or a f + b, for example n = \"4f+1\"",
        ),
        (
            "[cluster]\nn = \"400f\"\n",
            "4:5 \"400f\"",
            "`cluster.n`: that is 400 replicas with f = 1",
            "",
            "n is 4 to 256 with f = 1",
        ),
        (
            "[cluster]\nfast_quorum = 3\n",
            "4:15 3",
            "a fast quorum of 3 is impossible with n = 5 and f = 1: it must be 4 to 5",
            "4 to 5",
            "write fast_quorum = \"strong\" (4 here) or a number from 4 to 5",
        ),
        (
            "[cluster]\nfast_quorum = 6\n",
            "4:15 6",
            "a fast quorum of 6 is impossible with n = 5 and f = 1: it must be 4 to 5",
            "4 to 5",
            "write fast_quorum = \"strong\" (4 here) or a number from 4 to 5",
        ),
        (
            "[cluster]\nprotocol = \"pbft\"\nfast_quorum = \"strong\"\n",
            "5:1 fast_quorum",
            "`cluster.fast_quorum` does not apply: protocol = \"pbft\" has no fast path",
            "does not apply",
            "remove it, or write protocol = \"pbft-fast\"",
        ),
        (
            "[cluster]\nprotocol = \"raft\"\n",
            "4:12 \"raft\"",
            "`cluster.protocol`: \"raft\" is not available yet in this version",
            "not available yet",
            "it is one of pbft-fast, pbft",
        ),
        (
            "[cluster.storage]\nlog_window = 100\n",
            "4:14 100",
            "`cluster.storage.log_window` = 100 is less than two checkpoint intervals of 128",
            "at least 256",
            "write log_window = 256 or more, or a smaller checkpoint_interval",
        ),
        (
            "[cluster.storage]\nengine = \"memory\"\ndurability = \"full\"\n",
            "5:1 durability",
            "`cluster.storage.durability` does not apply: the memory engine keeps nothing",
            "does not apply",
            "write durability = \"off\", or engine = \"sqlite\"",
        ),
        (
            "[cluster.batch]\nmax_bytes = \"1Mb\"\n",
            "4:13 \"1Mb\"",
            "`cluster.batch.max_bytes`: \"Mb\" is no unit of size: use B, KiB, MiB, GiB, kB, MB or GB",
            "",
            "for example max_bytes = \"1MiB\"",
        ),
        (
            "[workload]\nkind = \"bank\"\n",
            "4:8 \"bank\"",
            "`workload.kind`: \"bank\" is not available yet in this version",
            "not available yet",
            "it is one of ycsb, crud",
        ),
        (
            "[workload]\nread_mode = \"stale\"\n",
            "4:13 \"stale\"",
            "`workload.read_mode`: \"stale\" is not available yet in this version",
            "not available yet",
            "it is one of ordered, quorum",
        ),
        (
            "[workload]\npreset = \"a\"\n",
            "4:10 \"a\"",
            "`workload.preset`: \"a\" is unknown",
            "did you mean \"A\"?",
            "it is one of A, B, C, D, E, F",
        ),
        (
            "[workload]\nkind = \"crud\"\nmix = { read = 0.5, update = 0.4 }\n",
            "5:7 { read = 0.5, update = 0.4 }",
            "the shares of `workload.mix` sum to 0.9, not 1 (read 0.5 + update 0.4)",
            "sums to 0.9",
            "for example read = 0.6",
        ),
        (
            "[workload]\nkind = \"crud\"\npreset = \"B\"\n",
            "5:1 preset",
            "`workload.preset` does not apply: only kind = \"ycsb\" has presets",
            "does not apply",
            "remove it, or write kind = \"ycsb\"",
        ),
        (
            "[workload]\nmix = { read = 1.0 }\n",
            "4:1 mix",
            "`workload.mix` does not apply: preset = \"A\" of kind = \"ycsb\" fixes the mix",
            "does not apply",
            "write kind = \"crud\" for a mix of your own, or remove `mix`",
        ),
        (
            "[workload]\nkey = { dist = \"uniform\", theta = 0.9 }\n",
            "4:27 theta",
            "`workload.key.theta` does not apply: it belongs to another distribution",
            "does not apply",
            "theta belongs to \"zipfian\", hot_fraction and hot_share to \"hotspot\"",
        ),
        (
            "[workload]\nkey = { dist = \"zipfian\", theta = -1 }\n",
            "4:35 -1",
            "`workload.key.theta`: -1 is out of bounds",
            "",
            "theta is more than 0 and at most 5",
        ),
        (
            "[workload]\nvalue = { dist = \"uniform\", min = \"2KiB\", max = \"1KiB\" }\n",
            "4:35 \"2KiB\"",
            "`workload.value.min` is more than `workload.value.max`",
            "",
            "make max at least as large",
        ),
        (
            "[workload]\nvalue = { bytes = 100_000 }\n",
            "4:19 100_000",
            "`workload.value.bytes`: 100000 is out of bounds",
            "",
            "a value has 1 to 61440 bytes",
        ),
        (
            "[workload]\nvalue = 100\n",
            "4:9 100",
            "`workload.value`: must be a table, not an integer",
            "",
            "for example [workload.value]",
        ),
        (
            "[workload]\nrecords = 0\n",
            "4:11 0",
            "`workload.records` = 0 leaves nothing to read, update or delete",
            "at least 1",
            "write records = 1 or more, or a mix of creates alone",
        ),
        (
            "[load]\nops_per_request = 600\n",
            "4:19 600",
            "`load.ops_per_request` = 600 is more than `cluster.batch.max_ops` = 512",
            "",
            "write max_ops = 600 or more",
        ),
        (
            "[check]\nagreement = \"yes\"\n",
            "4:13 \"yes\"",
            "`check.agreement`: must be true or false, not a string",
            "",
            "for example agreement = true",
        ),
        (
            "[slo]\np99 = \"400ms\"\n",
            "4:7 \"400ms\"",
            "`slo.p99`: a comparison begins with one of < <= > >= = !=, for example \"< 500ms\"",
            "",
            "for example p99 = \"< 500ms\"",
        ),
        (
            "[slo]\nerrors = \"<= 5\"\n",
            "4:10 \"<= 5\"",
            "`slo.errors`: the share 5 is beyond 1: a share is 0 to 1, or a percentage such as \"5%\"",
            "",
            "for example errors = \"< 0.1%\"",
        ),
        (
            "[slo]\nread.errors = \"< 1%\"\n",
            "4:6 errors",
            "`slo.read.errors` is not available in this version: it does not know failures of one kind of operation yet",
            "not available yet",
            "remove it, or use a later version",
        ),
        (
            "[slo]\nraed.p99 = \"< 5ms\"\n",
            "4:1 raed",
            "unknown key `raed` in [slo]",
            "did you mean `read`?",
            "write `read`",
        ),
        (
            "[expect]\nview_change = 2\n",
            "4:1 view_change",
            "unknown key `view_change` in [expect]",
            "did you mean `view_changes`?",
            "write `view_changes`",
        ),
        (
            "[expect]\nculprits = [7]\n",
            "4:12 [7]",
            "`expect.culprits`: there is no replica 7 among 5",
            "",
            "replicas are 0 to 4",
        ),
        (
            "[expect]\nverdict = \"passed\"\n",
            "4:11 \"passed\"",
            "`expect.verdict`: \"passed\" is unknown",
            "did you mean \"pass\"?",
            "it is one of pass, safety-violation, liveness-violation",
        ),
        (
            "[network]\nregions = []\n",
            "4:11 []",
            "`network.regions`: the list is empty",
            "",
            "for example regions = [\"virginia\", \"ireland\"]",
        ),
        (
            "seed = 99999999999999999999\n",
            "3:8 99999999999999999999",
            "this integer is out of range: -9223372036854775808 to 9223372036854775807",
            "here",
            "",
        ),
        (
            "extends = \"quickstrat.toml\"\n",
            "3:11 \"quickstrat.toml\"",
            "cannot extend \"quickstrat.toml\": there is no such file or scenario",
            "",
            "did you mean \"quickstart.toml\"? A path is relative to this file",
        ),
    ];
    for (body, place, message, label, remedy) in cases {
        let problem = problem(body);
        let (line, column) = problem.position().unwrap();
        assert_eq!(problem.source_name(), Some("case.toml"), "{body}");
        assert_eq!(problem.message(), message, "{body}");
        assert_eq!(
            format!("{line}:{column} {}", problem.offending().unwrap()),
            place,
            "{body}"
        );
        assert_eq!(problem.label().unwrap_or_default(), label, "{body}");
        assert_eq!(problem.remedy().unwrap_or_default(), remedy, "{body}");
    }
}

#[test]
fn all_mistakes_are_reported_in_one_go_in_the_order_of_the_text() {
    let error = refused(
        "[workload]\nrecrods = 5\n[load]\nclients = 0\nwarmup = \"5\"\n[slo]\np99 = \"5ms\"\n",
    );
    let lines: Vec<usize> = error
        .problems()
        .iter()
        .map(|problem| problem.position().unwrap().0)
        .collect();
    assert_eq!(lines, [4, 6, 7, 9]);
}

#[test]
fn a_file_must_say_its_schema_and_name() {
    let load_text = |text: &str| {
        let source = Source::Text {
            name: "x.toml".to_owned(),
            text: text.to_owned(),
        };
        load(&[source], &[]).unwrap_err().to_string()
    };
    assert_eq!(
        load_text(""),
        "x.toml:1:1: `schema` is missing (begin the file with schema = 1)\n\
         x.toml:1:1: `name` is missing (add a line such as name = \"my-scenario\")"
    );
    assert_eq!(
        load_text("schema = 2\nname = \"x\"\n"),
        "x.toml:1:10: `schema`: this program reads version 1 of the file format, not 2 (write schema = 1)"
    );
    assert!(
        load_text("schema = 1\nname = \"../x\"\n").contains("cannot name a directory of results")
    );
}

#[test]
fn broken_toml_is_placed() {
    let error = refused("[load\nclients = 3\n");
    let problem = &error.problems()[0];
    assert_eq!(problem.position().unwrap().0, 3, "{error}");
    assert!(
        problem.message().starts_with("this is no TOML: "),
        "{error}"
    );

    let twice = refused("[load]\nclients = 3\nclients = 4\n");
    assert_eq!(twice.problems()[0].position(), Some((5, 1)), "{twice}");
}

#[test]
fn an_override_is_blamed_by_its_own_text() {
    let blamed = |text: &str| load(&[], &[text.to_owned()]).unwrap_err().to_string();
    assert_eq!(
        blamed("load.cleints=3"),
        "--set:1:6: unknown key `cleints` in [load] (write `clients`)"
    );
    assert_eq!(
        blamed("load.clients"),
        "--set:1:1: the override \"load.clients\" has no \"=\" (write --set key=value, for example --set load.clients=32)"
    );
    assert_eq!(
        blamed("load.clients="),
        "--set:1:1: the override \"load.clients=\" has no value (write --set key=value, for example --set load.clients=32)"
    );
    assert_eq!(
        blamed("cluster.f.x=1"),
        "--set:1:9: `f` is an integer, so nothing can be set inside it (write --set cluster.f=...)"
    );
    assert_eq!(
        blamed("load.clients = 0"),
        "--set:1:16: `load.clients`: 0 is out of bounds (it is 1 to 10000)"
    );
    assert!(blamed("workload.mix={ read = ").starts_with("--set:1:"));
}

#[test]
fn a_name_that_is_no_scenario_gets_the_nearest() {
    let error = Source::find("quickstrat").unwrap_err().problems()[0].clone();
    assert_eq!(
        error.message(),
        "\"quickstrat\" is neither a file nor a scenario of this program"
    );
    assert_eq!(
        error.remedy(),
        Some("did you mean quickstart? `bench scenario list` shows all")
    );
    assert_eq!(
        Source::find("scenarios/scale-21.toml").unwrap(),
        Source::Embedded("scale-21")
    );
    assert!(
        Source::find("/")
            .unwrap_err()
            .to_string()
            .contains("is a directory")
    );
}

#[test]
fn the_drawn_diagnosis_shows_the_line_and_marks_the_text() {
    let drawn = refused("[workload]\nrecrods = 5\n").render(Style::Plain);
    assert_eq!(
        drawn,
        "  error: unknown key `recrods` in [workload]
   ,-[case.toml:4:1]
 3 | [workload]
 4 | recrods = 5
   : ^^^|^^^
   :    `-- did you mean `records`?
   `----
  help: write `records`
"
    );
}
