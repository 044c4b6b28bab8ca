//! The facts of `[expect]`.

use super::Met;
use super::objective::met;
use crate::check::{CheckResult, Verdict};
use crate::outsider::OutsiderReport;
use crate::record::{ClientAttackFact, FaultFact, Repeat, RunVerdict};
use crate::scenario::schema::{Condition, Expectation, Fact};

/// The number that a check may put beside its verdict: acknowledged operations that it knows to be gone.
pub(super) const LOST: &str = "lost_operations";

/// The number that the check of liveness puts beside its verdict.
const STALL: &str = "longest_stall_ms";

/// The condition as the scenario writes it.
pub(super) fn wanted(condition: &Condition) -> String {
    match condition {
        Condition::Number(wanted) => wanted.to_string(),
        Condition::Share(wanted) => wanted.to_string(),
        Condition::Replicas(ids) => replicas(ids),
        Condition::Word(word) => word.clone(),
    }
}

/// Looks at one expectation in one repeat.
pub(super) fn look(expectation: &Expectation, repeat: &Repeat) -> Met {
    let counts = &repeat.operations;
    let facts = &repeat.consensus;
    let condition = &expectation.condition;
    let number = |count: u64| met(condition.admits_number(count as f64), || count.to_string());
    // Without a report of the replicas every count of theirs is 0, which says nothing.
    let reported = || {
        if facts.slots == 0 && counts.ok > 0 {
            Err("nothing: no replica reported what it decided".to_owned())
        } else {
            Ok(())
        }
    };
    let report = |count: u64| reported().and_then(|()| number(count));
    match expectation.fact {
        Fact::Verdict => {
            let word = verdict_word(repeat.verdict());
            met(condition.admits_word(word), || word.to_owned())
        }
        Fact::OkOperations => number(counts.ok),
        Fact::FailedOperations => number(counts.failed),
        Fact::UnknownOperations => number(counts.unknown),
        Fact::DroppedOperations => number(counts.dropped),
        Fact::BusyReplies => number(counts.busy_replies),
        Fact::TurnedAway => number(counts.busy_replies + counts.dropped),
        Fact::LostOperations => match lost(repeat) {
            Lost::None { .. } => number(0),
            Lost::Some { count, why } => {
                // A failed check proves a loss of at least one, which only a lower bound can welcome.
                met(condition.admits_number(count as f64), || {
                    format!("at least {count}: {why}")
                })
            }
            Lost::NotJudged(why) => Err(format!("no judgement: {why}")),
        },
        Fact::Slots => report(facts.slots),
        Fact::FastPathSlots => report(facts.fast_path_slots),
        Fact::SlowPathSlots => report(facts.slow_path_slots),
        Fact::ViewChanges => report(facts.view_changes),
        Fact::FinalView => report(facts.final_view),
        Fact::Checkpoints => report(facts.checkpoints),
        Fact::StateTransfers => report(facts.state_transfers),
        Fact::OtherProtocol => report(facts.other_protocol),
        Fact::Faults => {
            // A fault of several links has no single target, but says which ones.
            let struck = repeat.faults.iter().filter(|fault| {
                fault.target.is_some() || fault.what.is_some() || fault.clients.is_some()
            });
            number(struck.count() as u64)
        }
        Fact::FirstCommitMs => longest(
            condition,
            repeat,
            "no answer after",
            |_| true,
            |fault| fault.first_commit_ms,
        ),
        Fact::Recovered95Ms => longest(
            condition,
            repeat,
            "no recovery from",
            |_| true,
            |fault| fault.recovered_95_ms,
        ),
        Fact::CaughtUpMs => longest(
            condition,
            repeat,
            "no catching up after",
            |fault| fault.end_s.is_some(),
            |fault| fault.caught_up_ms,
        ),
        Fact::VotingMs => longest(
            condition,
            repeat,
            "no vote after",
            |fault| fault.end_s.is_some(),
            |fault| fault.voting_ms,
        ),
        Fact::ThroughputKept => {
            let kept = |fault: &FaultFact| fault.throughput_kept;
            match repeat.faults.iter().filter_map(kept).reduce(f64::min) {
                Some(least) => met(condition.admits_number(least), || {
                    format!("{:.2}%", least * 100.0)
                }),
                None => Err("nothing: there was no fault with anything to compare with".to_owned()),
            }
        }
        Fact::Stopped => hit(condition, repeat, |fault| fault.stopped.is_some()),
        Fact::Refused => hit(condition, repeat, |fault| fault.refused.is_some()),
        Fact::Learners => hit(condition, repeat, |fault| fault.learner),
        Fact::ShareKept => {
            under_attack(repeat, |fact| fact.share_kept, f64::min).and_then(|least| {
                met(condition.admits_number(least), || {
                    format!("{:.1}%", least * 100.0)
                })
            })
        }
        Fact::ServiceKept => {
            under_attack(repeat, |fact| fact.service_kept, f64::min).and_then(|least| {
                met(condition.admits_number(least), || {
                    format!("{:.1}%", least * 100.0)
                })
            })
        }
        Fact::P99Ratio => under_attack(repeat, |fact| fact.p99_ratio, f64::max)
            .and_then(|most| met(condition.admits_number(most), || format!("{most:.2}"))),
        Fact::LongestWaitMs => under_attack(repeat, |fact| Some(fact.longest_wait_ms), f64::max)
            .and_then(|most| met(condition.admits_number(most), || format!("{most:.1}"))),
        Fact::FinalEpoch => report(facts.final_epoch),
        Fact::RssMaxMib => {
            let held = repeat.resources.replicas.iter();
            match held.map(|replica| replica.rss_max_bytes).max() {
                Some(most) if most > 0 => {
                    let most = most as f64 / f64::from(1 << 20);
                    met(condition.admits_number(most), || format!("{most:.1}"))
                }
                _ => Err("nothing: no replica reported its memory".to_owned()),
            }
        }
        Fact::OutsiderAttempts => outsiders(condition, repeat, |all| {
            all.iter().map(|one| one.attempts as f64).sum()
        }),
        Fact::OutsiderAccepted => outsiders(condition, repeat, |all| {
            all.iter().map(|one| one.accepted as f64).sum()
        }),
        Fact::OutsiderAmplification => outsiders(condition, repeat, |all| {
            all.iter().map(|one| one.amplification).fold(0.0, f64::max)
        }),
        Fact::LongestStallMs => match repeat
            .checks
            .liveness
            .facts
            .get(STALL)
            .and_then(serde_json::Value::as_u64)
        {
            Some(stall) => number(stall),
            None => Err("nothing: the run was not watched".to_owned()),
        },
        Fact::FastPathShare => decided(repeat).and_then(|()| {
            met(condition.admits_number(facts.fast_path_share), || {
                let (fast, slow) = (facts.fast_path_slots, facts.slow_path_slots);
                format!(
                    "{:.2}%: {fast} slots fast, {slow} slow",
                    facts.fast_path_share * 100.0
                )
            })
        }),
        Fact::BatchOpsMean => decided(repeat).and_then(|()| {
            met(condition.admits_number(facts.batch_ops_mean), || {
                format!("{:.2}", facts.batch_ops_mean)
            })
        }),
        Fact::EvidenceFiles => number(repeat.evidence.len() as u64),
        Fact::Culprits => {
            let mut culprits: Vec<u32> = repeat.evidence.iter().map(|fact| fact.culprit).collect();
            culprits.sort_unstable();
            culprits.dedup();
            met(condition.admits_replicas(&culprits), || replicas(&culprits))
        }
    }
}

/// The longest of a time that faults are given, over all faults that it applies to; without it for one there is none.
fn longest(
    condition: &Condition,
    repeat: &Repeat,
    without: &str,
    applies: fn(&FaultFact) -> bool,
    time_ms: fn(&FaultFact) -> Option<f64>,
) -> Met {
    let mut longest = None;
    for fault in repeat.faults.iter().filter(|fault| applies(fault)) {
        let Some(ms) = time_ms(fault) else {
            return Err(format!("{without} {}", fault.named()));
        };
        longest = Some(f64::max(ms, longest.unwrap_or(0.0)));
    }
    let Some(ms) = longest else {
        return Err("nothing: there was no such fault".to_owned());
    };
    met(condition.admits_number(ms), || format!("{ms:.1}"))
}

/// The replicas to which something happened because of a fault.
fn hit(condition: &Condition, repeat: &Repeat, happened: fn(&FaultFact) -> bool) -> Met {
    let mut hit: Vec<u32> = repeat
        .faults
        .iter()
        .filter(|fault| happened(fault))
        .filter_map(|fault| fault.target)
        .collect();
    hit.sort_unstable();
    hit.dedup();
    met(condition.admits_replicas(&hit), || replicas(&hit))
}

/// The worst of a figure that attacks by clients are given.
fn under_attack(
    repeat: &Repeat,
    figure: fn(&ClientAttackFact) -> Option<f64>,
    worst: fn(f64, f64) -> f64,
) -> Result<f64, String> {
    let mut seen = None;
    for fact in repeat
        .faults
        .iter()
        .filter_map(|fault| fault.clients.as_ref())
    {
        let Some(one) = figure(fact) else {
            return Err(format!(
                "nothing: there was no service before {} to compare with",
                fact.attack
            ));
        };
        seen = Some(seen.map_or(one, |other| worst(one, other)));
    }
    seen.ok_or_else(|| "nothing: no clients attacked".to_owned())
}

/// A number over the reports of all outsiders; one without a report could hide anything.
fn outsiders(
    condition: &Condition,
    repeat: &Repeat,
    number: impl Fn(&[&OutsiderReport]) -> f64,
) -> Met {
    let attacks: Vec<&FaultFact> = repeat
        .faults
        .iter()
        .filter(|fault| fault.kind == "outsider")
        .collect();
    if let Some(silent) = attacks.iter().find(|fault| fault.outsider.is_none()) {
        return Err(format!("no report {}", silent.named()));
    }
    let reports: Vec<&OutsiderReport> = attacks
        .iter()
        .filter_map(|fault| fault.outsider.as_ref())
        .collect();
    if reports.is_empty() {
        return Err("nothing: there was no outsider".to_owned());
    }
    let measured = number(&reports);
    met(condition.admits_number(measured), || format!("{measured}"))
}

/// What a reader must know about how a fact was judged.
pub(super) fn note(fact: Fact, repeat: &Repeat) -> Option<String> {
    match (fact, lost(repeat)) {
        (Fact::LostOperations, Lost::None { note }) => note,
        _ => None,
    }
}

/// A share or mean over no slots is no number.
fn decided(repeat: &Repeat) -> Met {
    let facts = &repeat.consensus;
    if facts.fast_path_slots + facts.slow_path_slots > 0 {
        Ok(())
    } else {
        Err("nothing: no replica reported a decided slot".to_owned())
    }
}

const fn verdict_word(verdict: RunVerdict) -> &'static str {
    match verdict {
        RunVerdict::Pass | RunVerdict::SloMissed => "pass",
        RunVerdict::LivenessViolation => "liveness-violation",
        RunVerdict::SafetyViolation => "safety-violation",
    }
}

fn replicas(ids: &[u32]) -> String {
    format!("{ids:?}")
}

/// Acknowledged operations that are gone.
enum Lost {
    /// None, perhaps with a word about what that rests on.
    None { note: Option<String> },
    /// This many at least.
    Some { count: u64, why: String },
    /// Nobody looked.
    NotJudged(String),
}

/// Judged by four checks: an acknowledged write that is gone shows as a stale read in the history (`linearizable`), as a
/// request without its one execution (`exactly_once`), as replicas with different final states (`state`), or at the end in
/// the sample that is read again (`read_back`). The history says so by itself; without one the other two must both have passed, since all replicas may have lost the same write.
fn lost(repeat: &Repeat) -> Lost {
    let checks = &repeat.checks;
    let all = [
        ("exactly_once", &checks.exactly_once),
        ("state", &checks.state),
        ("linearizable", &checks.linearizable),
    ];
    let with_sample = || all.into_iter().chain([("read_back", &checks.read_back)]);
    if let Some((name, check)) = with_sample().find(|(_, check)| check.verdict == Verdict::Fail) {
        let count = with_sample()
            .filter_map(|(_, check)| known_lost(check))
            .max();
        return Lost::Some {
            count: count.unwrap_or(1).max(1),
            why: format!("check.{name} failed: {}", check.detail),
        };
    }
    let skipped: Vec<String> = all
        .iter()
        .filter(|(_, check)| check.verdict == Verdict::Skipped)
        .map(|(name, check)| format!("check.{name} was skipped ({})", reason(check)))
        .collect();
    if checks.linearizable.verdict == Verdict::Pass {
        return Lost::None { note: None };
    }
    let skipped = skipped.join("; ");
    if checks.exactly_once.verdict == Verdict::Pass && checks.state.verdict == Verdict::Pass {
        let note =
            format!("expect.lost_operations was judged by exactly_once and state alone: {skipped}");
        return Lost::None { note: Some(note) };
    }
    Lost::NotJudged(format!("{skipped}; keep a history (--history sampled)"))
}

fn known_lost(check: &CheckResult) -> Option<u64> {
    check.facts.get(LOST).and_then(serde_json::Value::as_u64)
}

fn reason(check: &CheckResult) -> &str {
    if check.detail.is_empty() {
        "no reason given"
    } else {
        &check.detail
    }
}
