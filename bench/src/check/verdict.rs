//! What a checker says: pass, fail or skipped, with a sentence and perhaps numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The judgement of one checker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Looked at everything it should, and found nothing wrong.
    Pass,
    /// Found a violation.
    Fail,
    /// Did not look, or could not decide; the detail says why.
    #[default]
    Skipped,
}

/// A verdict with its reason, as it stands in run.json.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CheckResult {
    /// The judgement; a document without one says that nobody looked.
    #[serde(default)]
    pub verdict: Verdict,
    /// One sentence: what was looked at, or what is wrong and where.
    #[serde(default)]
    pub detail: String,
    /// Numbers of the checker, for example `operations` or `longest_stall_ms`; they stand beside `verdict` in the document.
    #[serde(flatten)]
    pub facts: BTreeMap<String, Value>,
}

impl CheckResult {
    /// Nothing wrong.
    pub fn pass(detail: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Pass,
            detail: detail.into(),
            facts: BTreeMap::new(),
        }
    }

    /// A violation.
    pub fn fail(detail: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fail,
            ..Self::pass(detail)
        }
    }

    /// Not looked at, or not decided.
    pub fn skipped(detail: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Skipped,
            ..Self::pass(detail)
        }
    }

    /// With a number beside the verdict.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn facts_stand_beside_the_verdict() {
        let result = CheckResult::pass("all").with("operations", 5);
        let json = serde_json::to_value(&result).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"verdict": "pass", "detail": "all", "operations": 5})
        );
        assert_eq!(serde_json::from_value::<CheckResult>(json).unwrap(), result);
    }
}
