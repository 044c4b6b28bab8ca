#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::check::CheckResult;
use crate::judge::Miss;
use crate::record::{
    BatchSizes, Bounds, Checks, ConsensusFacts, Counters, Environment, LatencySummary,
    ProcessResources, ReplicaResources, Resources, Summary,
};
use crate::report::text::COLUMNS;
use crate::scenario::load;

/// The quickstart, run once on a machine with two cores.
fn run() -> Run {
    let latency = |count, scale: f64| LatencySummary {
        count,
        min: 300.0,
        mean: 1_300.0 * scale,
        p50: 1_200.0 * scale,
        p90: 2_400.0 * scale,
        p99: 5_100.0 * scale,
        p999: 12_340.0 * scale,
        p9999: 20_000.0 * scale,
        max: 31_000.0 * scale,
    };
    let repeat = Repeat {
        seed: 7,
        duration_s: 10.0,
        operations: Counters {
            offered: 51_240,
            sent: 51_240,
            ok: 51_230,
            failed: 10,
            ..Counters::default()
        },
        throughput_ops_s: 5_123.0,
        latency_us: BTreeMap::from([
            ("all".to_owned(), latency(51_230, 1.0)),
            ("read".to_owned(), latency(25_615, 0.9)),
            ("update".to_owned(), latency(25_615, 1.1)),
        ]),
        service_latency_us: BTreeMap::from([("all".to_owned(), latency(51_230, 0.5))]),
        consensus: ConsensusFacts {
            slots: 5_000,
            fast_path_slots: 4_990,
            slow_path_slots: 10,
            checkpoints: 39,
            ..ConsensusFacts::default()
        }
        .with_batches(BatchSizes {
            mean: 10.25,
            p50: 9,
            p99: 31,
            max: 64,
        }),
        checks: Checks {
            agreement: CheckResult::pass(
                "5,000 of 5,000 sequence numbers compared over 5 replicas",
            ),
            linearizable: CheckResult::pass("6,404 operations on 1,250 keys"),
            exactly_once: CheckResult::pass("51,240 requests"),
            state: CheckResult::pass("5 equal states"),
            liveness: CheckResult::pass("longest stall 31 ms of 6 s allowed"),
            read_back: CheckResult::pass("1,024 keys"),
            integrity: CheckResult::pass("4,096 signatures"),
            evidence: CheckResult::pass("nothing"),
            resources: CheckResult::pass("40 MiB"),
        },
        bounds: Bounds {
            signature_bound_ops_s: 20_492.0,
            signature_bound_share: 0.25,
            hop_bound_ms: Some(0.42),
            hop_bound_share: Some(0.35),
            pace_change: None,
            costs: None,
        },
        resources: Resources {
            replicas: (0..5)
                .map(|id| ReplicaResources {
                    id,
                    cpu_s: if id == 0 { 3.5 } else { 2.0 },
                    rss_max_bytes: 40 << 20,
                    bytes_sent: 10_246_000,
                    bytes_received: 10_246_000,
                    fsyncs: 5_123,
                })
                .collect(),
            load_generator: ProcessResources {
                cpu_s: 4.0,
                rss_max_bytes: 50 << 20,
            },
            cpu_us_per_op: 224.5,
        },
        ..Repeat::default()
    };
    let repeats = vec![repeat];
    Run {
        id: "20250102T030405Z_quickstart_1a2b".to_owned(),
        name: "quickstart".to_owned(),
        scenario: serde_json::to_value(load(&[], &[]).unwrap().scenario).unwrap(),
        environment: Environment {
            cpu: "Some CPU".to_owned(),
            cores: 2,
            memory_bytes: 8 << 30,
            platform: "linux x86_64".to_owned(),
            kernel: "6.1".to_owned(),
            commit: "0123456789abcdef".to_owned(),
            rustc: "rustc 1.95.0".to_owned(),
            build: "release".to_owned(),
            durability: "full".to_owned(),
            authentication: "Ed25519, mutual TLS 1.3".to_owned(),
            ..Environment::default()
        },
        summary: Summary::of(&repeats),
        repeats,
        ..Run::default()
    }
}

fn text_of(run: Run, paint: Paint) -> String {
    let directory = PathBuf::from("results").join(&run.id);
    summary_text(&Finished { run, directory }, paint)
}

fn plain(run: Run) -> String {
    text_of(run, Paint::PLAIN)
}

const QUICKSTART: &str = "\
quickstart: PASS
Does it work, and what does it feel like? Five replicas on this machine, a mix of operations, 12
seconds.

  cluster         n = 5, f = 1; pbft-fast, q = 4, q_F = 4, commits adaptive
  durability      full: a record is on disk (fsync) before its vote leaves; sqlite
  authentication  Ed25519, mutual TLS 1.3
  load            closed loop, 16 clients, 4 outstanding each, 1 operation a request
  workload        crud, 10,000 records, zipfian keys, 128-byte values; 5 % create, 50 % read, 40 %
                  update, 5 % delete
  measured        10.0 s after 2s of warm-up; 1 repeat, seed 7
  machine         Some CPU, 2 cores, 8.00 GiB, linux x86_64 6.1; release build of 0123456789ab,
                  rustc 1.95.0

Throughput  operations answered, durability full
  ok              5,123/s (one run: no interval)
  operations      51,230 ok of 51,240 sent, 10 failed (their condition was false)
  bound           25 % of the 20,492/s that signatures alone would allow on this machine

Latency  from the intended start
  bound           35 % of p50: the 420 us that delays, fsyncs and signatures alone would take
  operation    count       p50       p90       p99     p99.9       max
 ----------------------------------------------------------------------
  all         51,230   1.20 ms   2.40 ms   5.10 ms   12.3 ms   31.0 ms
  read        25,615   1.08 ms   2.16 ms   4.59 ms   11.1 ms   27.9 ms
  update      25,615   1.32 ms   2.64 ms   5.61 ms   13.6 ms   34.1 ms

Consensus
  slots           5,000: 99.8 % on the fast path (4,990 fast, 10 by COMMITs)
  batch           10.2 operations a slot on average, p50 9, p99 31, max 64
  views           0 view changes, in view 0 at the end
  checkpoints     39 stable, 0 state transfers

Cost
  CPU             224 us an operation over all replicas
  CPU a replica   23 % of a core on average, 35 % at most
  memory          40.0 MiB in the largest replica
  network         1000 B sent an operation by all replicas together
  disk            0.50 fsyncs an operation over all replicas
  load generator  0.40 cores of 2, 78.1 us an operation

Checks
  agreement       pass: 5,000 of 5,000 sequence numbers compared over 5 replicas
  linearizable    pass: 6,404 operations on 1,250 keys
  exactly once    pass: 51,240 requests
  state           pass: 5 equal states
  integrity       pass: 4,096 signatures
  evidence        pass: nothing
  liveness        pass: longest stall 31 ms of 6 s allowed
  read back       pass: 1,024 keys
  resources       pass: 40 MiB

Results  results/20250102T030405Z_quickstart_1a2b; the same run again:
  bench run results/20250102T030405Z_quickstart_1a2b/effective.toml
";

#[test]
fn a_run_reads_from_the_verdict_to_the_command_that_repeats_it() {
    let text = plain(run());
    assert_eq!(text, QUICKSTART, "\n{text}");
}

#[test]
fn lines_stay_within_the_width() {
    let mut wide = run();
    wide.repeats[0].checks.agreement =
        CheckResult::fail("replicas differ at sequence number ".repeat(12));
    wide.misses = vec![Miss {
        repeat: 1,
        objective: "expect.lost_operations".to_owned(),
        wanted: "= 0".to_owned(),
        got: "at least 1: check.agreement failed ".repeat(5),
    }];
    for paint in [
        Paint::PLAIN,
        Paint {
            colour: false,
            unicode: true,
        },
    ] {
        let text = text_of(wide.clone(), paint);
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
        assert_eq!(text.is_ascii(), !paint.unicode);
    }
}

#[test]
fn nothing_is_never_shown_without_its_diagnosis() {
    let mut idle = run();
    idle.repeats[0].operations = Counters {
        offered: 64,
        sent: 64,
        unknown: 64,
        ..Counters::default()
    };
    idle.repeats[0].throughput_ops_s = 0.0;
    idle.repeats[0].latency_us.clear();
    idle.repeats[0].consensus = ConsensusFacts::default();
    idle.summary = Summary::of(&idle.repeats);
    let text = plain(idle);
    assert!(
        text.contains("0/s: 64 operations were sent and no slot was decided"),
        "{text}"
    );
    assert!(text.contains("0: nothing was decided"), "{text}");
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");

    let empty = Run {
        repeats: Vec::new(),
        summary: Summary::default(),
        status: RunStatus::Interrupted,
        ..run()
    };
    let text = plain(empty);
    assert!(
        text.starts_with("quickstart: INTERRUPTED, results are partial\n"),
        "{text}"
    );
    assert!(
        text.contains("0/s: no repeat came to its measured phase"),
        "{text}"
    );
}

#[test]
fn several_repeats_have_an_interval_and_a_line_each() {
    let mut several = run();
    for (seed, throughput) in [(8, 5_000.0), (9, 5_500.0)] {
        several.repeats.push(Repeat {
            seed,
            throughput_ops_s: throughput,
            ..several.repeats[0].clone()
        });
    }
    several.summary = Summary::of(&several.repeats);
    several.repeats[1].checks.liveness = CheckResult::fail("stood still for 7.2 s");
    let text = plain(several);
    assert!(
        text.contains("5,123/s (median of 3 repeats, 95 % interval 5,000/s to 5,500/s)"),
        "{text}"
    );
    assert!(
        text.contains("LIVENESS") && text.contains("FAIL in repeat 2: stood still for 7.2 s"),
        "{text}"
    );
}

#[test]
fn violations_misses_and_warnings_are_named() {
    let mut bad = run();
    bad.verdict = RunVerdict::SafetyViolation;
    bad.repeats[0].checks.state = CheckResult::fail("replica 3 has another state");
    bad.misses = vec![Miss {
        repeat: 1,
        objective: "slo.p99".to_owned(),
        wanted: "< 4ms".to_owned(),
        got: "5100.0 us".to_owned(),
    }];
    bad.warnings = vec!["the disk was slow".to_owned()];
    let text = plain(bad);
    for part in [
        "quickstart: SAFETY VIOLATION\n",
        "FAIL: replica 3 has another state",
        "slo.p99: wanted < 4ms, got 5100.0 us (repeat 1)",
        "the disk was slow",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn a_busy_machine_makes_numbers_doubtful() {
    let mut busy = run();
    busy.repeats[0].resources.load_generator.cpu_s = 17.0;
    assert!(plain(busy.clone()).contains("the load generator used 85 % of all cores"));
    busy.repeats[0].resources.load_generator.cpu_s = 9.0;
    assert!(plain(busy.clone()).contains("the machine was saturated"));
    busy.environment.build = "debug".to_owned();
    assert!(plain(busy).contains("debug build"));
}

#[test]
fn colour_appears_only_where_it_is_allowed() {
    assert!(!plain(run()).contains('\u{1b}'));
    let text = text_of(
        run(),
        Paint {
            colour: true,
            unicode: true,
        },
    );
    assert!(text.contains("\u{1b}[1;32mPASS\u{1b}[0m"));
}

#[test]
fn markdown_has_the_same_content_in_tables() {
    let text = summary_markdown(&run());
    assert!(text.starts_with("# quickstart: PASS\n"), "{text}");
    for part in [
        "## Latency",
        "| operation | count | p50 | p90 | p99 | p99.9 | max |\n| --- | ---: |",
        "| all | 51,230 | 1.20 ms |",
        "    bench run effective.toml\n",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}
