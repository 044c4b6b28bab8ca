//! A run's directory, made by hand: every file that a report reads, with figures that can be found again.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Words of a scenario that would be markup if somebody forgot to escape them.
pub(crate) const HOSTILE: &str =
    "<script>document.title = 'taken'</script> & \"quotes\" <img src=x onerror=alert(1)>";

/// Seconds that a repeat measures.
const SECONDS: u32 = 20;
/// Replicas.
const N: u32 = 5;

/// A run that has everything; changed before it is written.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub(crate) run: Value,
    /// Whether replica 4 committed something else at sequence number 7.
    pub(crate) forked: bool,
}

impl Fixture {
    /// Two repeats, a killed primary, one view change, a network.
    pub(crate) fn new(id: &str) -> Self {
        let run = json!({
            "schema": "bench.run/v1", "id": id, "name": "kill-primary", "status": "completed", "verdict": "pass",
            "scenario": {
                "description": HOSTILE, "seed": 7,
                "cluster": {"n": N, "f": 1, "protocol": "pbft-fast", "fast_quorum": "strong", "commit_mode": "adaptive",
                    "storage": {"engine": "sqlite"}},
                "load": {"model": "closed", "clients": 4, "outstanding": 2, "ops_per_request": 1, "warmup": "1s"},
                "workload": {"kind": "crud", "records": 100},
            },
            "environment": {"durability": "full", "authentication": "ed25519", "build": "release", "cores": 2,
                "commit": "0123456789abcdef0123", "cpu": "a <b>fast</b> one"},
            "repeats": [repeat(1), repeat(2)],
            "summary": {
                "throughput_ops_s": {"median": 1234.0, "ci95": [1200.0, 1250.0], "repeats": 2, "method": "percentile-bootstrap"},
                "p50_us": {"median": 2000.0, "ci95": [2000.0, 2000.0], "repeats": 2, "method": "percentile-bootstrap"},
                "p99_us": {"median": 9000.0, "ci95": [9000.0, 9000.0], "repeats": 2, "method": "percentile-bootstrap"},
                "cpu_us_per_op": {"median": 300.0, "ci95": [300.0, 300.0], "repeats": 2, "method": "percentile-bootstrap"},
            },
            "misses": [], "warnings": [],
        });
        Self { run, forked: false }
    }

    /// The same with a fork of the log and a counterexample.
    pub(crate) fn violated(id: &str) -> Self {
        let mut fixture = Self::new(id);
        fixture.forked = true;
        fixture.run["verdict"] = "safety-violation".into();
        let step = |client: u32, op: &str, value: Value, call: u64| json!({"client": client, "op": op, "key": "k3", "value": value, "call": call, "ret": call + 900_000, "status": "ok", "seq": 7});
        let mut read = step(2, "read", Value::Null, 3_000_000);
        read.as_object_mut().unwrap().remove("value");
        read["result"] = "v1".into();
        let checks = &mut fixture.run["repeats"][0]["checks"];
        checks["agreement"] = json!({"verdict": "fail", "detail": "sequence number 7: replicas committed different batches."});
        checks["linearizable"] = json!({"verdict": "fail", "detail": "key k3 has no order.",
            "counterexample": [step(1, "put", "v1".into(), 1_000_000), step(1, "put", "v2".into(), 2_000_000), read]});
        fixture
    }

    /// Writes the directory below `results`.
    pub(crate) fn leave(&self, results: &Path) -> PathBuf {
        let directory = results.join(self.run["id"].as_str().unwrap());
        for number in 1..=self.run["repeats"].as_array().unwrap().len() {
            self.leave_repeat(&directory.join(format!("repeat-{number}")));
        }
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("run.json"), self.run.to_string()).unwrap();
        directory
    }

    fn leave_repeat(&self, directory: &Path) {
        fs::create_dir_all(directory.join("latency")).unwrap();
        fs::create_dir_all(directory.join("evidence")).unwrap();
        fs::write(directory.join("timeseries.csv"), timeseries()).unwrap();
        fs::write(directory.join("resources.csv"), resources()).unwrap();
        fs::write(directory.join("replicas.csv"), replicas()).unwrap();
        fs::write(directory.join("latency/all.hgrm"), hgrm(2.0)).unwrap();
        fs::write(directory.join("latency/service.hgrm"), hgrm(1.5)).unwrap();
        fs::write(directory.join("events.jsonl"), events()).unwrap();
        for id in 0..N {
            let folder = directory.join(format!("replicas/{id}"));
            fs::create_dir_all(&folder).unwrap();
            let mut log = String::new();
            for seq in 1..200_u32 {
                let digest = if self.forked && id == 4 && seq == 7 {
                    "bb".repeat(32)
                } else {
                    format!("{seq:064x}")
                };
                let ops = seq % 13 + 1;
                writeln!(
                    log,
                    r#"{{"seq":{seq},"view":0,"digest":"{digest}","path":"fast","ops":{ops}}}"#
                )
                .unwrap();
            }
            fs::write(folder.join("committed.jsonl"), log).unwrap();
        }
    }
}

fn repeat(number: u32) -> Value {
    let latency = json!({"all": {"count": 24_000, "min": 400.0, "mean": 2100.0, "p50": 2000.0, "p90": 4000.0, "p99": 9000.0,
        "p999": 20_000.0, "p9999": 300_000.0, "max": 310_000.0}});
    let pass = json!({"verdict": "pass", "detail": "looked at everything"});
    let replica = |id: u32| {
        json!({"id": id, "cpu_s": 3.0, "rss_max_bytes": 40_000_000, "bytes_sent": 9_000_000 - id * 1_000_000,
        "bytes_received": 5_000_000, "fsyncs": 3000})
    };
    let phase = |p50: f64| json!({"count": 500, "min": 10.0, "mean": p50, "p50": p50, "p90": p50 * 2.0, "p99": p50 * 4.0, "max": p50 * 9.0});
    let kind = |name: &str, sent: u64, theory: f64| {
        json!({"type": name, "sent": sent, "sent_bytes": sent * 200, "received": sent,
        "received_bytes": sent * 200, "in_theory": theory, "theory": "(n - 1) a slot"})
    };
    let windows: Vec<f64> = (0..10).map(|window| 1200.0 + f64::from(window)).collect();
    let link = |from: u32, to: u32| {
        json!({"from": from, "to": to, "delay_ms": 10.0, "configured_ms": 20.0,
        "measured_p50_ms": 20.5, "measured_min_ms": 19.9, "samples": 90, "met": true})
    };
    json!({
        "seed": 6 + number, "duration_s": SECONDS, "throughput_ops_s": 1200.0 + f64::from(number) * 20.0,
        "operations": {"offered": 24_000, "sent": 24_000, "ok": 24_000},
        "latency_us": latency, "service_latency_us": latency,
        "consensus": {"slots": 2000, "fast_path_slots": 1900, "slow_path_slots": 100, "fast_path_share": 0.95, "view_changes": 1,
            "final_view": 1, "batch_ops_mean": 7.0, "batch": {"mean": 7.0, "p50": 7, "p99": 13, "max": 13}},
        "checks": {"agreement": pass, "linearizable": pass, "exactly_once": pass, "state": pass, "integrity": pass, "evidence": pass,
            "resources": pass, "liveness": pass, "read_back": pass},
        "faults": [{"kind": "kill", "target": 0, "start_s": 8.0, "end_s": 11.0, "first_commit_ms": 512.0, "recovered_95_ms": 900.0,
            "longest_stall_ms": 505.0, "throughput_kept": 0.8, "caught_up_ms": 700.0, "voting_ms": 0.0}],
        "network": {"impaired": true, "links": [link(0, 1), link(1, 0), link(0, 2)]},
        "resources": {"replicas": (0..N).map(replica).collect::<Vec<_>>(), "load_generator": {"cpu_s": 4.0, "rss_max_bytes": 1}, "cpu_us_per_op": 300.0},
        "phases": {"all": {"queue": phase(300.0), "pre_prepare": phase(200.0), "prepare": phase(900.0), "execute": phase(100.0),
            "fsync": phase(700.0), "reply": phase(50.0)}},
        "messages": {"slots": 2000, "complete": true, "types": [kind("pre-prepare", 8000, 8000.0), kind("prepare", 40_100, 40_000.0), kind("commit", 900, 800.0)]},
        "fallbacks": {"slots": 100, "missing": [{"replica": 0, "times": 90}, {"replica": 1, "times": 4}]},
        "stationarity": {"verdict": "stationary", "detail": "no trend", "windows": 10, "window_s": 2.0,
            "throughput_ops_s": {"values": windows, "change": 0.001, "p_value": 0.8, "drifts": false}},
    })
}

fn timeseries() -> String {
    let mut text =
        "t_s,offered,sent,ok,failed,dropped,p50_us,p99_us,view,fast,slow,cpu,rss\n".to_owned();
    for bucket in 0..SECONDS * 10 {
        let stands = (80..85).contains(&bucket);
        let (ok, latency) = if stands {
            (0, ",")
        } else {
            (120, "2000.0,9000.0")
        };
        let look = if bucket % 2 == 0 {
            "0,20,1,1.10,200000000"
        } else {
            ",,,,"
        };
        writeln!(
            text,
            "{}.{},120,120,{ok},0,0,{latency},{look}",
            bucket / 10,
            bucket % 10
        )
        .unwrap();
    }
    text
}

fn resources() -> String {
    let mut text = "t_s,replica,rss,connections,data,log\n".to_owned();
    for look in 0..SECONDS * 5 {
        for id in 0..N {
            writeln!(
                text,
                "{:.3},{id},{},8,,",
                f64::from(look) / 5.0,
                25_000_000 + look * 10_000
            )
            .unwrap();
        }
    }
    text
}

fn replicas() -> String {
    let mut text = "t_s,replica,epoch,view,role,executed,lag,stable,fast,slow,fallbacks,view_changes,transfers,cpu_s,rss,bytes_sent,bytes_received,fsyncs\n".to_owned();
    for look in 0..SECONDS * 5 {
        for id in 0..N {
            let lag = if id == 0 && (55..60).contains(&look) {
                90
            } else {
                0
            };
            let cpu = f64::from(look) * 0.04;
            writeln!(
                text,
                "{:.3},{id},0,0,backup,{},{lag},0,{},{look},0,0,0,{cpu:.3},25000000,1,1,1",
                f64::from(look) / 5.0,
                look * 20,
                look * 19
            )
            .unwrap();
        }
    }
    text
}

fn hgrm(scale: f64) -> String {
    let mut text = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n".to_owned();
    for (percentile, value) in [
        (0.0, 0.4),
        (0.5, 1.0),
        (0.75, 1.4),
        (0.9, 2.0),
        (0.99, 4.5),
        (0.999, 10.0),
        (0.9999, 150.0),
    ] {
        writeln!(
            text,
            "{:.3} {percentile:.12} {} {:.2}",
            value * scale,
            (percentile * 24_000.0) as u64,
            1.0 / (1.0 - percentile)
        )
        .unwrap();
    }
    writeln!(text, "{:.3} 1.000000000000 24000", 155.0 * scale).unwrap();
    text + "#[Mean    =        2.1, StdDeviation   =        1.0]\n"
}

fn events() -> String {
    let mut text = String::new();
    for id in 1..N {
        writeln!(
            text,
            r#"{{"event":"view-change","replica":{id},"view":1,"t_s":8.6}}"#
        )
        .unwrap();
    }
    text + r#"{"event":"state-transfer","replica":0,"bytes":3000000,"t_s":11.8}
{"event":"view-change","replica":0,"view":1,"t_s":11.9}
"#
}
