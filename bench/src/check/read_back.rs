//! Read-back: what a client was told is stored must be found at the end, whatever happened to the replicas in between.
//!
//! For each key of the sample the last acknowledged write is known by its sequence number. A final read must find what it
//! left, or what a write of unknown outcome may have left; anything else means that an acknowledged write is gone. Beside
//! that, no client can have been told of a sequence number that no replica committed.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{CheckResult, CommittedLog};
use crate::record::{Acknowledged, Written};

/// Lost writes spelled out in the detail; the rest is only counted.
const LOST_SHOWN_MAX: usize = 3;
/// Bytes of a value that are shown.
const VALUE_SHOWN_MAX: usize = 24;

/// Compares what was acknowledged with what final reads found and, if their logs are complete, with what the replicas
/// committed.
#[must_use]
pub fn check_read_back(
    acknowledged: &Acknowledged,
    found: &BTreeMap<Bytes, Option<Bytes>>,
    logs: Option<&[CommittedLog]>,
) -> CheckResult {
    let mut lost = Vec::new();
    let mut compared = 0_u64;
    for (key, written) in acknowledged.keys() {
        let Some(found) = found.get(key) else {
            continue;
        };
        compared += 1;
        if !written.explains(found) {
            lost.push(sentence(key, written, found));
        }
    }
    let committed = logs
        .into_iter()
        .flatten()
        .flat_map(|log| {
            let transferred = log.checkpoints.iter().map(|each| each.checkpoint);
            log.entries.iter().map(|entry| entry.seq).chain(transferred)
        })
        .max();
    let told = acknowledged.highest_seq();
    if let Some(committed) = committed.filter(|committed| *committed < told) {
        lost.push(format!(
            "a client was told of sequence number {told}, and no replica committed anything beyond {committed}"
        ));
    }
    let count = lost.len();
    let result = if count > 0 {
        let more = count.saturating_sub(LOST_SHOWN_MAX);
        lost.truncate(LOST_SHOWN_MAX);
        let mut detail = lost.join("; ");
        if more > 0 {
            detail.push_str(&format!("; and {more} more"));
        }
        CheckResult::fail(detail)
    } else if compared == 0 {
        CheckResult::skipped("nothing was read at the end: there were no writes, or no answers")
    } else {
        CheckResult::pass(format!(
            "the last acknowledged write of {compared} keys was found at the end"
        ))
    };
    result.with("keys", compared).with("lost_operations", count)
}

fn sentence(key: &Bytes, written: &Written, found: &Option<Bytes>) -> String {
    let wanted = written.last.first().cloned().flatten();
    format!(
        "key {} was {} at sequence number {}, and the final read found {}",
        String::from_utf8_lossy(key),
        match wanted {
            Some(value) => format!("set to {}", shown(&value)),
            None => "deleted".to_owned(),
        },
        written.seq,
        match found {
            Some(value) => shown(value),
            None => "nothing".to_owned(),
        }
    )
}

fn shown(value: &Bytes) -> String {
    let head = &value[..value.len().min(VALUE_SHOWN_MAX)];
    let dots = if head.len() < value.len() { "..." } else { "" };
    format!("\"{}{dots}\"", String::from_utf8_lossy(head))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{CommitPath, CommittedEntry, Verdict};
    use crate::record::{Answer, Live, Outcome, Phases, Recorder, Times};
    use crate::workload::Operation;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    /// What a recorder makes of puts: key, value, and the sequence number, or none without an answer.
    fn written(puts: &[(&'static str, &'static str, Option<u64>)]) -> Acknowledged {
        let phases = Phases::new(0, 0, u64::MAX);
        let mut recorder = Recorder::new(phases, std::sync::Arc::new(Live::default()), None);
        for (key, value, seq) in puts {
            let put = Operation::Put {
                key: bytes(key),
                value: bytes(value),
            };
            let answer = match seq {
                Some(_) => Answer::Executed {
                    outcome: Outcome::Written,
                    seq: *seq,
                },
                None => Answer::Unknown,
            };
            let times = Times {
                intended_ns: 1,
                sent_ns: 1,
                end_ns: 2,
            };
            recorder.finished(0, &put, times, &answer);
        }
        recorder.into_recording().acknowledged
    }

    fn found(reads: &[(&'static str, Option<&'static str>)]) -> BTreeMap<Bytes, Option<Bytes>> {
        let read =
            |(key, value): &(&'static str, Option<&'static str>)| (bytes(key), value.map(bytes));
        reads.iter().map(read).collect()
    }

    fn log(upto: u64) -> CommittedLog {
        CommittedLog {
            entries: vec![CommittedEntry {
                seq: upto,
                view: 0,
                digest: "aa".to_owned(),
                path: CommitPath::Fast,
                ops: 1,
            }],
            ..CommittedLog::default()
        }
    }

    #[test]
    fn a_planted_lost_write_is_found_and_named() {
        let all = written(&[
            ("a", "1", Some(5)),
            ("a", "2", Some(6)),
            ("b", "3", Some(7)),
        ]);
        let read = |a, b| check_read_back(&all, &found(&[("a", a), ("b", b)]), Some(&[log(7)]));
        assert_eq!(read(Some("2"), Some("3")).verdict, Verdict::Pass);
        let stale = read(Some("1"), Some("3"));
        assert_eq!(stale.verdict, Verdict::Fail);
        assert_eq!(
            stale.detail,
            "key a was set to \"2\" at sequence number 6, and the final read found \"1\""
        );
        let gone = read(Some("2"), None);
        assert_eq!(gone.facts["lost_operations"], 1);
        assert!(gone.detail.ends_with("found nothing"), "{}", gone.detail);
    }

    #[test]
    fn a_write_of_unknown_outcome_is_no_loss_either_way() {
        let all = written(&[("a", "1", Some(5)), ("a", "2", None)]);
        for value in ["1", "2"] {
            let result = check_read_back(&all, &found(&[("a", Some(value))]), None);
            assert_eq!(result.verdict, Verdict::Pass, "{value}");
        }
    }

    #[test]
    fn an_answer_from_beyond_every_log_is_a_loss() {
        let all = written(&[("a", "1", Some(9))]);
        let result = check_read_back(&all, &found(&[("a", Some("1"))]), Some(&[log(8), log(7)]));
        assert_eq!(result.verdict, Verdict::Fail);
        assert!(
            result.detail.contains("sequence number 9"),
            "{}",
            result.detail
        );
    }

    #[test]
    fn without_reads_nothing_is_claimed() {
        let all = written(&[("a", "1", Some(9))]);
        let result = check_read_back(&all, &BTreeMap::new(), Some(&[log(9)]));
        assert_eq!(result.verdict, Verdict::Skipped);
    }
}
