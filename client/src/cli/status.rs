//! `client status`: what each replica says of itself.

use std::io::Write as _;
use std::time::Duration;

use client::{Hub, LinkState};
use consensus::SeqNo;
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::Format;

/// How long replicas that are not connected yet are waited for once enough are.
const STRAGGLER_PATIENCE: Duration = Duration::from_millis(500);

/// Prints a line, or an element of the JSON document, for every replica.
///
/// # Errors
/// If fewer than n − f replicas are connected, after printing.
pub(crate) async fn status(hub: &Hub, patience: Duration, format: Format) -> Result<(), Failure> {
    let ready = hub.ready(patience).await;
    let n = hub.links().len();
    // Whether they come or not is printed below.
    let _ = hub
        .wait_connected(n, STRAGGLER_PATIENCE.min(patience))
        .await;
    let mut rows = Vec::with_capacity(n);
    for link in hub.links() {
        // A sequence number beyond every log: only the status is wanted.
        let seen = hub.observe(link.replica, SeqNo(u64::MAX), patience).await;
        let page = seen.map_err(|error| error.to_string()).and_then(|seen| {
            serde_json::from_slice::<Value>(&seen.status_json)
                .map_err(|error| format!("its status page is not JSON: {error}"))
        });
        rows.push(Row { link, page });
    }
    let text = if format.json {
        document(&rows)
    } else {
        table(&rows)
    };
    writeln!(std::io::stdout(), "{}", text.trim_end())
        .map_err(|error| Failure::Local(format!("cannot write to stdout: {error}")))?;
    Ok(ready?)
}

struct Row {
    link: LinkState,
    page: Result<Value, String>,
}

impl Row {
    fn number(&self, field: &str) -> Option<u64> {
        self.page.as_ref().ok()?.get(field)?.as_u64()
    }

    /// Learner, primary or backup of its own view, by its own word.
    fn role(&self) -> Option<&'static str> {
        let role = self.page.as_ref().ok()?.get("role").and_then(Value::as_str);
        if role == Some("learner") {
            return Some("learner");
        }
        let primary = self.number("primary")?;
        Some(if primary == u64::from(self.link.replica.0) {
            "primary"
        } else {
            "backup"
        })
    }

    fn problem(&self) -> Option<String> {
        if !self.link.connected {
            let error = self.link.last_error.as_deref().unwrap_or("no answer yet");
            return Some(format!("not connected: {error}"));
        }
        self.page.as_ref().err().cloned()
    }
}

fn document(rows: &[Row]) -> String {
    let replicas: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "replica": row.link.replica.0,
                "address": row.link.address.to_string(),
                "connected": row.link.connected,
                "role": row.role(),
                "epoch": row.number("epoch"),
                "view": row.number("view"),
                "last_executed": row.number("last_executed"),
                "h": row.number("stable"),
                "problem": row.problem(),
                "status": row.page.as_ref().ok(),
            })
        })
        .collect();
    json!({ "replicas": replicas }).to_string()
}

fn table(rows: &[Row]) -> String {
    let mut lines = vec![format!(
        "{:<8} {:<21} {:<9} {:<8} {:>6} {:>6} {:>12} {:>12}",
        "replica", "address", "connected", "role", "epoch", "view", "executed", "h"
    )];
    for row in rows {
        let number = |field| {
            row.number(field)
                .map_or("-".into(), |number| number.to_string())
        };
        let mut line = format!(
            "{:<8} {:<21} {:<9} {:<8} {:>6} {:>6} {:>12} {:>12}",
            row.link.replica.0,
            row.link.address.to_string(),
            if row.link.connected { "yes" } else { "no" },
            row.role().unwrap_or("-"),
            number("epoch"),
            number("view"),
            number("last_executed"),
            number("stable"),
        );
        if let Some(problem) = row.problem() {
            line.push_str("  ");
            line.push_str(&problem);
        }
        lines.push(line);
    }
    lines.join("\n")
}
