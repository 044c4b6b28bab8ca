//! Every attack of the catalogue of outsiders against real replicas, one after the other, while clients are served.

use super::command::replicas_in;
use super::{local, results};
use bench::outsider::OutsiderAttack;

/// How long each attack lasts, and the time from one to the next.
const EACH_MS: usize = 1_000;
/// What one replica may hold.
const RSS_MAX: u64 = 256 << 20;

#[test]
fn outsiders_try_everything_and_get_nothing() {
    let attacks = OutsiderAttack::ALL;
    let names: Vec<&str> = attacks.iter().map(|attack| attack.name()).collect();
    let [fault, duration] = local::in_turns("outsider", &names, EACH_MS, r#", target = "all""#);
    let directory = local::directory();
    let ended = local::run(
        directory.path(),
        &local::set(&[
            &fault,
            &duration,
            "expect.lost_operations=0",
            "expect.outsider_attempts=>= 100",
            "expect.rss_max_mib=<= 256",
            "expect.outsider_accepted=0",
            "expect.outsider_amplification=<= 3",
        ]),
    );
    let run = local::latest(directory.path());
    let json = results::assert_passed(&run, &ended);
    assert_eq!(replicas_in(directory.path()), []);
    assert!(!results::replica_ended(&json), "{}", json["warnings"]);
    let repeat = &json["repeats"][0];
    let faults = repeat["faults"].as_array().unwrap();
    assert_eq!(faults.len(), attacks.len());
    for (fault, attack) in faults.iter().zip(attacks) {
        let what = fault["what"].as_str().unwrap_or_default();
        assert!(what.starts_with(attack.name()), "{fault}");
        assert_eq!(fault.get("failed"), None, "{fault}");
        assert_eq!(fault["outsider"]["accepted"], 0, "{fault}");
    }
    for replica in repeat["resources"]["replicas"].as_array().unwrap() {
        let held = replica["rss_max_bytes"].as_u64();
        assert!(held.is_some_and(|held| held < RSS_MAX), "{replica}");
    }
    assert!(repeat["operations"]["ok"].as_u64() > Some(10));
    for id in 0..5 {
        let log = std::fs::read_to_string(run.join(format!("repeat-1/logs/replica-{id}.log")));
        assert!(!log.unwrap().contains("panicked"), "replica {id}");
    }
}
