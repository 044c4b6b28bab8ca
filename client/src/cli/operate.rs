//! Performs one operation: from the words of the command line to its printed result.

use std::io::{IsTerminal as _, Read as _};

use client::Client;
use kv::{Branch, Expect, KEY_BYTES_MAX, SCAN_LIMIT_MAX, SimpleResult, VALUE_BYTES_MAX};

use super::args::{Expected, KeyValue, Operation, Scan};
use super::failure::Failure;
use super::output::{Format, Outcome, from_hex};
use super::txn;

/// Bytes of a transaction's text: its limits in hexadecimal digits, and words around them.
const TXN_TEXT_MAX: u64 = 64 << 20;

/// Where values named `-` come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdin {
    /// From the process's stdin.
    Values,
    /// The commands themselves come from there.
    Commands,
}

/// Performs `operation` and prints its result.
///
/// # Errors
/// If it fails, has no result, or makes no sense.
pub(crate) async fn operate(
    client: &Client,
    operation: Operation,
    format: Format,
    stdin: Stdin,
) -> Result<(), Failure> {
    let value = |given: &str| value_of(given, format.hex, stdin);
    let (name, key, outcome) = match operation {
        Operation::Create(KeyValue { key, value: given }) => {
            let version = client.create(key.as_bytes(), &value(&given)?).await?;
            ("create", Some(key), Outcome::Written(version))
        }
        Operation::Put(KeyValue { key, value: given }) => {
            let version = client.put(key.as_bytes(), &value(&given)?).await?;
            ("put", Some(key), Outcome::Written(version))
        }
        Operation::Update(KeyValue { key, value: given }) => {
            let version = client.update(key.as_bytes(), &value(&given)?).await?;
            ("update", Some(key), Outcome::Written(version))
        }
        Operation::Delete(target) => {
            client.delete(target.key.as_bytes()).await?;
            ("delete", Some(target.key), Outcome::Deleted)
        }
        Operation::Get(target) => {
            let Some(read) = client.read(target.key.as_bytes()).await? else {
                return Err(Failure::Negative(format!("no key {:?}", target.key)));
            };
            let value = read.value.to_vec();
            (
                "get",
                Some(target.key),
                Outcome::Value {
                    value,
                    version: read.version,
                },
            )
        }
        Operation::Cas(cas) => {
            let expect = expectation(cas.expect, format.hex, stdin)?;
            let KeyValue { key, value: given } = cas.target;
            let version = client.cas(key.as_bytes(), expect, &value(&given)?).await?;
            ("cas", Some(key), Outcome::Written(version))
        }
        Operation::Scan(scan) => ("scan", None, all_pages(client, scan).await?),
        Operation::Txn(source) => {
            let text = txn_text(&source.file, stdin)?;
            let done = client.txn(txn::parse(&text, format.hex)?).await?;
            let then = done.branch == Branch::Then;
            let seq = done.seq.0;
            let outcome = Outcome::Txn {
                then,
                committed: done.committed,
                seq,
                results: done.results,
            };
            ("txn", None, outcome)
        }
    };
    format
        .print(name, key.as_deref(), &outcome)
        .map_err(|error| Failure::Local(format!("cannot write to stdout: {error}")))?;
    remark(&outcome)
}

/// What has to be said beside the data.
fn remark(outcome: &Outcome) -> Result<(), Failure> {
    match outcome {
        Outcome::Entries {
            more: Some(next), ..
        } => {
            let next = String::from_utf8_lossy(next);
            tracing::info!("there are more entries: go on at {next:?}");
            Ok(())
        }
        Outcome::Txn {
            committed: false,
            results,
            ..
        } => {
            let failed = results.iter().position(|result| {
                !result.succeeded() && !matches!(result, SimpleResult::RolledBack)
            });
            let which = failed.map_or_else(String::new, |at| format!(": operation {at} failed"));
            Err(Failure::Negative(format!(
                "rolled back{which}; nothing was changed"
            )))
        }
        _ => Ok(()),
    }
}

/// Pages until the range or the limit is exhausted.
async fn all_pages(client: &Client, scan: Scan) -> Result<Outcome, Failure> {
    let (mut start, end) = match scan.prefix {
        Some(prefix) => {
            let end = after_prefix(prefix.as_bytes());
            (prefix.into_bytes(), end)
        }
        None => (
            scan.start.unwrap_or_default().into_bytes(),
            scan.end.map(String::into_bytes),
        ),
    };
    let (mut entries, mut left) = (Vec::new(), scan.limit);
    loop {
        let page = client
            .scan(&start, end.as_deref(), left.min(SCAN_LIMIT_MAX))
            .await?;
        left = left.saturating_sub(u32::try_from(page.entries.len()).unwrap_or(u32::MAX));
        let progress = !page.entries.is_empty();
        entries.extend(page.entries);
        match page.next {
            Some(next) if left > 0 && progress => start = next.to_vec(),
            next => {
                let more = next.map(|next| next.to_vec());
                return Ok(Outcome::Entries { entries, more });
            }
        }
    }
}

/// The first key that does not begin with `prefix`, after all that do; none if there is none.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut after = prefix.get(..=last)?.to_vec();
    *after.last_mut()? += 1;
    Some(after)
}

fn expectation(expected: Expected, hex: bool, stdin: Stdin) -> Result<Expect, Failure> {
    match (expected.expect, expected.expect_version) {
        (Some(given), _) => Ok(Expect::Value(value_of(&given, hex, stdin)?.into())),
        (None, Some(version)) => Ok(Expect::Version(version)),
        (None, None) => Ok(Expect::Absent),
    }
}

fn value_of(given: &str, hex: bool, stdin: Stdin) -> Result<Vec<u8>, Failure> {
    if given != "-" {
        return decode(given.as_bytes().to_vec(), hex);
    }
    if stdin == Stdin::Commands {
        return Err(Failure::Usage(
            "a value cannot be read from stdin here: give it".into(),
        ));
    }
    // Twice, for hexadecimal digits; whether the value itself is too long the store decides.
    let most = 2 * (VALUE_BYTES_MAX + KEY_BYTES_MAX) as u64;
    decode(read_stdin(most)?, hex)
}

fn decode(bytes: Vec<u8>, hex: bool) -> Result<Vec<u8>, Failure> {
    if !hex {
        return Ok(bytes);
    }
    std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| from_hex(text.trim()))
        .ok_or_else(|| Failure::Usage("the value is not pairs of hexadecimal digits".into()))
}

fn txn_text(file: &std::path::Path, stdin: Stdin) -> Result<String, Failure> {
    let bytes = if file.as_os_str() == "-" {
        if stdin == Stdin::Commands {
            return Err(Failure::Usage("give the transaction's file here".into()));
        }
        if std::io::stdin().is_terminal() {
            tracing::info!("reading the transaction from the terminal; end with Ctrl-D");
        }
        read_stdin(TXN_TEXT_MAX)?
    } else {
        let cannot = |error| Failure::Local(format!("cannot read {}: {error}", file.display()));
        let opened = std::fs::File::open(file).map_err(cannot)?;
        read_bounded(opened, TXN_TEXT_MAX).map_err(cannot)?
    };
    String::from_utf8(bytes).map_err(|_| Failure::Usage("the transaction is not text".into()))
}

fn read_stdin(most: u64) -> Result<Vec<u8>, Failure> {
    read_bounded(std::io::stdin().lock(), most)
        .map_err(|error| Failure::Local(format!("cannot read stdin: {error}")))
}

fn read_bounded(source: impl std::io::Read, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(std::io::Error::other(format!("more than {most} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_first_key_after_it() {
        assert_eq!(after_prefix(b"user/"), Some(b"user0".to_vec()));
        assert_eq!(after_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(after_prefix(b"\xff"), None);
        assert_eq!(after_prefix(b""), None);
    }
}
