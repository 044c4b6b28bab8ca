//! Transactions as JSON.

use kv::{Compare, Expect, SimpleOp, Txn, Version};
use serde::Deserialize;

use super::failure::Failure;
use super::output::from_hex;

/// See `client txn --help`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    compare: Vec<Condition>,
    #[serde(default)]
    then: Vec<Step>,
    #[serde(default, rename = "else")]
    otherwise: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    key: String,
    value: Option<String>,
    version: Option<String>,
    #[serde(default)]
    absent: bool,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
enum Step {
    Create {
        key: String,
        value: String,
    },
    Read {
        key: String,
    },
    Update {
        key: String,
        value: String,
    },
    Put {
        key: String,
        value: String,
    },
    Delete {
        key: String,
    },
    Cas {
        key: String,
        value: String,
        expect: Option<String>,
        expect_version: Option<String>,
        #[serde(default)]
        expect_absent: bool,
    },
}

/// Reads a transaction. `hex`: values are hexadecimal digits.
///
/// # Errors
/// Says where the text is wrong: the caller is to blame.
pub(crate) fn parse(text: &str, hex: bool) -> Result<Txn, Failure> {
    let document: Document = serde_json::from_str(text)
        .map_err(|error| Failure::Usage(format!("the transaction is not valid: {error}")))?;
    let compare = document.compare.into_iter().map(|condition| {
        let Condition {
            key,
            value,
            version,
            absent,
        } = condition;
        let expect = expectation(&key, value, version, absent, hex)?;
        Ok(Compare {
            key: key.into_bytes().into(),
            expect,
        })
    });
    let steps = |steps: Vec<Step>| {
        steps
            .into_iter()
            .map(|step| step.into_op(hex))
            .collect::<Result<Vec<_>, Failure>>()
    };
    Ok(Txn {
        compare: compare.collect::<Result<_, Failure>>()?,
        then: steps(document.then)?,
        otherwise: steps(document.otherwise)?,
    })
}

impl Step {
    fn into_op(self, hex: bool) -> Result<SimpleOp, Failure> {
        let bytes = |text: String| bytes(text, hex).map(Into::into);
        Ok(match self {
            Step::Create { key, value } => SimpleOp::Create {
                key: key.into_bytes().into(),
                value: bytes(value)?,
            },
            Step::Read { key } => SimpleOp::Read {
                key: key.into_bytes().into(),
            },
            Step::Update { key, value } => SimpleOp::Update {
                key: key.into_bytes().into(),
                value: bytes(value)?,
            },
            Step::Put { key, value } => SimpleOp::Put {
                key: key.into_bytes().into(),
                value: bytes(value)?,
            },
            Step::Delete { key } => SimpleOp::Delete {
                key: key.into_bytes().into(),
            },
            Step::Cas {
                key,
                value,
                expect,
                expect_version,
                expect_absent,
            } => {
                let expect = expectation(&key, expect, expect_version, expect_absent, hex)?;
                SimpleOp::Cas {
                    key: key.into_bytes().into(),
                    expect,
                    value: bytes(value)?,
                }
            }
        })
    }
}

fn expectation(
    key: &str,
    value: Option<String>,
    version: Option<String>,
    absent: bool,
    hex: bool,
) -> Result<Expect, Failure> {
    match (value, version, absent) {
        (Some(value), None, false) => Ok(Expect::Value(bytes(value, hex)?.into())),
        (None, Some(version), false) => {
            let version: Version = version
                .parse()
                .map_err(|error| Failure::Usage(format!("key {key:?}: {version:?}: {error}")))?;
            Ok(Expect::Version(version))
        }
        (None, None, true) => Ok(Expect::Absent),
        _ => Err(Failure::Usage(format!(
            "key {key:?}: a condition is exactly one of a value, a version, or absence"
        ))),
    }
}

fn bytes(text: String, hex: bool) -> Result<Vec<u8>, Failure> {
    if !hex {
        return Ok(text.into_bytes());
    }
    from_hex(&text).ok_or_else(|| Failure::Usage(format!("{text:?} is not hexadecimal digits")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_transaction_is_read_with_all_its_parts() {
        let text = r#"{"compare": [{"key": "a", "value": "1"}, {"key": "b", "version": "4.2"}, {"key": "c", "absent": true}],
            "then": [{"op": "put", "key": "a", "value": "2"}], "else": [{"op": "read", "key": "a"}]}"#;
        let txn = parse(text, false).unwrap();
        let expects: Vec<_> = txn
            .compare
            .into_iter()
            .map(|compare| compare.expect)
            .collect();
        let version = Expect::Version("4.2".parse().unwrap());
        assert_eq!(
            expects,
            [Expect::Value(b"1".to_vec().into()), version, Expect::Absent]
        );
        assert_eq!((txn.then.len(), txn.otherwise.len()), (1, 1));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("{", "line 1"),
            (r#"{"them": []}"#, "`them`"),
            (r#"{"then": [{"op": "get", "key": "a"}]}"#, "`get`"),
            (r#"{"compare": [{"key": "a"}]}"#, "exactly one"),
            (
                r#"{"compare": [{"key": "a", "version": "x"}]}"#,
                "slot.rank",
            ),
        ] {
            let error = parse(text, false).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(
            parse(
                r#"{"then": [{"op": "put", "key": "a", "value": "zz"}]}"#,
                true
            )
            .is_err()
        );
    }
}
