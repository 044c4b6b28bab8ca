//! Every attack of the catalogue of hostile clients against real replicas, one after the other, while correct clients are served.

use serde_json::Value;

use super::command::replicas_in;
use super::{local, results};
use bench::scenario::schema::CLIENT_ATTACKS;

/// How long each attack lasts, and the time from one to the next. A machine that stands still for that long sees nothing of an
/// attack: it gets more time before anything is said of it.
const EACH_MS: [usize; 3] = [800, 3_200, 12_800];

/// What a run with all of them left.
struct Attacked {
    faults: Vec<Value>,
    /// Lines of signatures.csv that tell of a client's bad signatures.
    bad_signatures: usize,
}

#[test]
fn clients_try_everything_and_the_others_are_served() {
    let mut attacked = attack_for(EACH_MS[0]);
    for each_ms in &EACH_MS[1..] {
        let mut faults = attacked.faults.iter().zip(&CLIENT_ATTACKS);
        let all = faults.all(|(fault, attack)| did_its_part(fault, attack.name));
        if !all || attacked.bad_signatures == 0 {
            attacked = attack_for(*each_ms);
        }
    }
    for (fault, attack) in attacked.faults.iter().zip(&CLIENT_ATTACKS) {
        assert!(did_its_part(fault, attack.name), "{fault}");
    }
    // Some of them sign badly, and each replica says who had the most of that.
    assert!(attacked.bad_signatures > 0);
}

/// Whether it sent something; and whether it read beside the log and was answered there, which only one of them does.
fn did_its_part(fault: &Value, attack: &str) -> bool {
    let reads = attack == "hot-reads";
    let some = |what| count(fault, what) > 0;
    some("sent") && some("reads_sent") == reads && some("read_answers") == reads
}

/// A run with every attack for so long. It passes whatever they do. That they end no view is for the scenarios of the scorecard to
/// say: a primary that does not get a processor for seconds is slow, and may be replaced.
fn attack_for(each_ms: usize) -> Attacked {
    let names = CLIENT_ATTACKS.each_ref().map(|attack| attack.name);
    let [fault, duration] = local::in_turns("client", &names, each_ms, "");
    let directory = local::directory();
    let ended = local::run(
        directory.path(),
        &local::set(&[
            &fault,
            &duration,
            "workload.read_mode=quorum",
            "expect.lost_operations=0",
            "expect.unknown_operations=0",
            "expect.rss_max_mib=<= 256",
        ]),
    );
    let run = local::latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    assert_eq!(replicas_in(directory.path()), []);
    let repeat = &json["repeats"][0];
    for check in ["linearizable", "exactly_once", "state", "integrity"] {
        let verdict = &repeat["checks"][check];
        assert_eq!(verdict["verdict"], "pass", "{check}: {verdict}");
    }
    let faults = repeat["faults"].as_array().unwrap();
    assert_eq!(faults.len(), CLIENT_ATTACKS.len());
    for (fault, attack) in faults.iter().zip(&CLIENT_ATTACKS) {
        assert_eq!(fault["attack"], attack.name, "{fault}");
        assert_eq!(fault.get("failed"), None, "{fault}");
        assert_eq!(fault["clients"]["id"], attack.id, "{fault}");
    }
    for id in 0..5 {
        let log = std::fs::read_to_string(run.join(format!("repeat-1/logs/replica-{id}.log")));
        assert!(!log.unwrap().contains("panicked"), "replica {id}");
    }
    let counted = std::fs::read_to_string(run.join("repeat-1/signatures.csv")).unwrap();
    let bad = |line: &&str| line.contains(",client,") && !line.ends_with(",,0");
    Attacked {
        faults: faults.clone(),
        bad_signatures: counted.lines().filter(bad).count(),
    }
}

fn count(fault: &Value, what: &str) -> u64 {
    let count = fault["clients"][what].as_u64();
    count.unwrap_or_else(|| panic!("no {what} in {fault}"))
}
