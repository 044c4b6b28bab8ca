//! Agreement: no two correct replicas commit different batches at one sequence number, nor reach different states at one checkpoint.
//!
//! The caller passes the logs of the correct replicas only: what a Byzantine one writes about itself proves nothing. A replica that contradicts itself
//! (before and after a restart) counts as a violation, too. A pass says how much it rests on: a sequence number that only one replica reported
//! could not be compared.

use std::collections::BTreeMap;

use super::{CheckResult, CommittedLog};

/// Violations spelled out in the detail; the rest is only counted.
const VIOLATIONS_SHOWN_MAX: usize = 3;

/// What the checker found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreementReport {
    /// Sequence numbers that some replica committed.
    pub slots: u64,
    /// Of these, reported by two replicas or more.
    pub slots_compared: u64,
    /// Checkpoints that some replica took.
    pub checkpoints: u64,
    /// Of these, reported by two replicas or more.
    pub checkpoints_compared: u64,
    /// One sentence for each violation: the sequence number, the digests, and who has which.
    pub violations: Vec<String>,
}

/// Compares the logs of the correct replicas.
#[must_use]
pub fn check_agreement(logs: &[CommittedLog]) -> AgreementReport {
    let slots = logs.iter().flat_map(|log| {
        log.entries
            .iter()
            .map(|entry| (entry.seq, entry.digest.as_str(), log.replica))
    });
    let checkpoints = logs.iter().flat_map(|log| {
        log.checkpoints
            .iter()
            .map(|each| (each.checkpoint, each.state_digest.as_str(), log.replica))
    });
    let slots = Reports::collect(slots);
    let checkpoints = Reports::collect(checkpoints);
    let mut violations = slots.violations("sequence number", "batches");
    violations.extend(checkpoints.violations("checkpoint", "states"));
    AgreementReport {
        slots: slots.count(),
        slots_compared: slots.compared(),
        checkpoints: checkpoints.count(),
        checkpoints_compared: checkpoints.compared(),
        violations,
    }
}

impl AgreementReport {
    /// As it stands in run.json. Nothing to compare is no pass.
    #[must_use]
    pub fn result(&self) -> CheckResult {
        let Self {
            slots,
            slots_compared,
            checkpoints,
            checkpoints_compared,
            violations,
        } = self;
        let result = if !violations.is_empty() {
            let shown = violations
                .iter()
                .take(VIOLATIONS_SHOWN_MAX)
                .cloned()
                .collect::<Vec<_>>()
                .join("; ");
            let more = violations.len().saturating_sub(VIOLATIONS_SHOWN_MAX);
            CheckResult::fail(if more > 0 {
                format!("{shown}; and {more} more")
            } else {
                shown
            })
        } else if *slots_compared + *checkpoints_compared == 0 {
            CheckResult::skipped(format!(
                "none of {slots} sequence numbers was reported by two replicas, so there was nothing to compare"
            ))
        } else {
            CheckResult::pass(format!(
                "{slots_compared} of {slots} sequence numbers and {checkpoints_compared} of {checkpoints} checkpoints compared between replicas, all equal"
            ))
        };
        result
            .with("slots", *slots)
            .with("slots_compared", *slots_compared)
            .with("checkpoints", *checkpoints)
            .with("checkpoints_compared", *checkpoints_compared)
            .with("violations", violations.len())
    }
}

/// For each number, each digest reported for it and by whom.
struct Reports<'a>(BTreeMap<u64, BTreeMap<&'a str, Vec<u32>>>);

impl<'a> Reports<'a> {
    fn collect(reports: impl Iterator<Item = (u64, &'a str, u32)>) -> Self {
        let mut numbers = BTreeMap::<u64, BTreeMap<&'a str, Vec<u32>>>::new();
        for (number, digest, replica) in reports {
            let replicas = numbers
                .entry(number)
                .or_default()
                .entry(digest)
                .or_default();
            if !replicas.contains(&replica) {
                replicas.push(replica);
            }
        }
        Self(numbers)
    }

    fn count(&self) -> u64 {
        self.0.len() as u64
    }

    fn compared(&self) -> u64 {
        let witnesses =
            |digests: &BTreeMap<&str, Vec<u32>>| digests.values().map(Vec::len).sum::<usize>();
        self.0
            .values()
            .filter(|digests| witnesses(digests) >= 2)
            .count() as u64
    }

    fn violations(&self, number_name: &str, what: &str) -> Vec<String> {
        let who = |(digest, replicas): (&&str, &Vec<u32>)| {
            let replicas = replicas
                .iter()
                .map(u32::to_string)
                .collect::<Vec<_>>()
                .join(", ");
            format!("{digest} at replica {replicas}")
        };
        let forked = self.0.iter().filter(|(_, digests)| digests.len() > 1);
        forked
            .map(|(number, digests)| {
                format!(
                    "{number_name} {number} has different {what}: {}",
                    digests.iter().map(who).collect::<Vec<_>>().join(", ")
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Checkpoint, CommitPath, CommittedEntry, Verdict};
    use super::*;

    fn log(replica: u32, digests: &[(u64, &str)], checkpoints: &[(u64, &str)]) -> CommittedLog {
        let entry = |(seq, digest): &(u64, &str)| {
            let path = if replica.is_multiple_of(2) {
                CommitPath::Fast
            } else {
                CommitPath::Slow
            };
            CommittedEntry {
                seq: *seq,
                view: u64::from(replica),
                digest: (*digest).into(),
                path,
                ops: 1,
            }
        };
        let checkpoint = |(number, digest): &(u64, &str)| Checkpoint {
            checkpoint: *number,
            state_digest: (*digest).into(),
        };
        CommittedLog {
            replica,
            entries: digests.iter().map(entry).collect(),
            checkpoints: checkpoints.iter().map(checkpoint).collect(),
            cut: false,
        }
    }

    #[test]
    fn equal_logs_pass_and_say_what_was_compared() {
        let logs = [
            log(0, &[(1, "a"), (2, "b"), (3, "c")], &[(2, "s")]),
            log(1, &[(1, "a"), (2, "b")], &[(2, "s")]),
            log(2, &[(2, "b")], &[]),
        ];
        let result = check_agreement(&logs).result();
        assert_eq!(result.verdict, Verdict::Pass);
        assert_eq!(
            result.detail,
            "2 of 3 sequence numbers and 1 of 1 checkpoints compared between replicas, all equal"
        );
        assert_eq!(result.facts["slots_compared"], 2);
    }

    #[test]
    fn a_planted_fork_is_caught_and_named() {
        let logs = [
            log(0, &[(1, "a"), (2, "b")], &[]),
            log(1, &[(1, "a"), (2, "X")], &[]),
            log(3, &[(1, "a"), (2, "b")], &[]),
        ];
        let result = check_agreement(&logs).result();
        assert_eq!(result.verdict, Verdict::Fail);
        assert_eq!(
            result.detail,
            "sequence number 2 has different batches: X at replica 1, b at replica 0, 3"
        );
    }

    #[test]
    fn different_states_at_a_checkpoint_are_caught() {
        let logs = [
            log(0, &[(1, "a")], &[(1, "s")]),
            log(1, &[(1, "a")], &[(1, "t")]),
        ];
        let report = check_agreement(&logs);
        assert_eq!(
            report.violations,
            ["checkpoint 1 has different states: s at replica 0, t at replica 1"]
        );
    }

    #[test]
    fn a_replica_that_contradicts_itself_is_caught() {
        let report = check_agreement(&[log(0, &[(1, "a"), (1, "b")], &[])]);
        assert_eq!(report.violations.len(), 1);
    }

    #[test]
    fn a_lone_log_is_no_pass() {
        assert_eq!(
            check_agreement(&[log(0, &[(1, "a"), (1, "a")], &[])])
                .result()
                .verdict,
            Verdict::Skipped
        );
        assert_eq!(check_agreement(&[]).result().verdict, Verdict::Skipped);
    }

    #[test]
    fn many_violations_are_counted_and_a_few_are_shown() {
        let forked = |digest| (1..=9).map(|seq| (seq, digest)).collect::<Vec<_>>();
        let result =
            check_agreement(&[log(0, &forked("a"), &[]), log(1, &forked("b"), &[])]).result();
        assert!(result.detail.ends_with("; and 6 more"), "{}", result.detail);
        assert_eq!(result.facts["violations"], 9);
    }
}
