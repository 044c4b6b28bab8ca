//! Durability from the history alone: the reads behind the measured phase find what clients were told is stored.

use std::collections::BTreeMap;

use crate::check::CheckResult;
use crate::record::{HistoryLine, HistoryResult, LineStatus, Phase};
use crate::workload::OperationKind;

/// Lost writes spelled out in the detail; the rest is only counted.
const SHOWN_MAX: usize = 3;

/// What is known of one key.
#[derive(Default)]
struct Key<'a> {
    /// Sequence number of the last write that a client was told of.
    seq: u64,
    /// What that write left; several if one slot held several.
    last: Vec<Option<&'a str>>,
    /// What writes of unknown outcome would have left.
    unknown: Vec<Option<&'a str>>,
    found: Option<Option<&'a str>>,
}

/// Judges every key that was read at the end.
pub(super) fn check(lines: &[HistoryLine]) -> CheckResult {
    let mut keys = BTreeMap::<&str, Key<'_>>::new();
    for line in lines {
        let key = keys.entry(&line.key).or_default();
        if line.phase == Some(Phase::After) && line.op == OperationKind::Read {
            if let Some(HistoryResult::Value(value)) = &line.result {
                key.found = Some(value.as_deref());
            }
            continue;
        }
        let left = match line.op {
            OperationKind::Delete => None,
            OperationKind::Create
            | OperationKind::Update
            | OperationKind::Put
            | OperationKind::Cas => line.value.as_deref(),
            OperationKind::Read | OperationKind::Scan | OperationKind::Txn => continue,
        };
        match (line.status, line.seq.unwrap_or_default()) {
            (LineStatus::Fail, _) => {}
            (LineStatus::Unknown, _) => key.unknown.push(left),
            (LineStatus::Ok, seq) if seq > key.seq => (key.seq, key.last) = (seq, vec![left]),
            (LineStatus::Ok, seq) if seq == key.seq => key.last.push(left),
            (LineStatus::Ok, _) => {}
        }
    }
    let mut compared = 0_u64;
    let mut lost = Vec::new();
    for (name, key) in &keys {
        let Some(found) = key.found.filter(|_| key.seq > 0) else {
            continue;
        };
        compared += 1;
        if !key.last.contains(&found) && !key.unknown.contains(&found) {
            lost.push(format!(
                "key {name} was {} at sequence number {}, and the final read found {}",
                match key.last.first().copied().flatten() {
                    Some(value) => format!("set to {value}"),
                    None => "deleted".to_owned(),
                },
                key.seq,
                found.unwrap_or("nothing")
            ));
        }
    }
    let count = lost.len();
    let result = if count > 0 {
        let more = count.saturating_sub(SHOWN_MAX);
        let mut detail = lost[..count.min(SHOWN_MAX)].join("; ");
        if more > 0 {
            detail.push_str(&format!("; and {more} more"));
        }
        CheckResult::fail(detail)
    } else if compared == 0 {
        CheckResult::skipped(
            "no key that was written was read at the end, as far as the history goes",
        )
    } else {
        CheckResult::pass(format!(
            "the last acknowledged write of {compared} keys was found at the end"
        ))
    };
    result.with("keys", compared).with("lost_operations", count)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::check::Verdict;

    fn history(text: &str) -> Vec<HistoryLine> {
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    const WRITTEN: &str = r#"{"client":0,"op":"put","key":"a","value":"1","call":1,"ret":2,"status":"ok","seq":5}
{"client":0,"op":"put","key":"a","value":"2","call":3,"ret":4,"status":"ok","seq":6}
{"client":1,"op":"put","key":"b","value":"3","call":3,"ret":null,"status":"unknown"}
{"client":1,"op":"delete","key":"b","call":3,"ret":4,"status":"ok","seq":6}"#;

    fn read(key: &str, value: &str) -> String {
        format!(
            r#"{{"client":0,"op":"read","key":"{key}","result":{value},"call":9,"ret":10,"status":"ok","seq":9,"phase":"after"}}"#
        )
    }

    fn verdict(a: &str, b: &str) -> (Verdict, String) {
        let result = check(&history(&format!(
            "{WRITTEN}\n{}\n{}",
            read("a", a),
            read("b", b)
        )));
        (result.verdict, result.detail)
    }

    #[test]
    fn a_lost_write_is_found_and_one_of_unknown_outcome_excuses() {
        assert_eq!(verdict("\"2\"", "null").0, Verdict::Pass);
        assert_eq!(verdict("\"2\"", "\"3\"").0, Verdict::Pass);
        let (lost, detail) = verdict("\"1\"", "null");
        assert_eq!(lost, Verdict::Fail);
        assert_eq!(
            detail,
            "key a was set to 2 at sequence number 6, and the final read found 1"
        );
        assert_eq!(check(&history(WRITTEN)).verdict, Verdict::Skipped);
    }
}
