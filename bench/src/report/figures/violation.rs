//! A violation: what contradicts what.

use serde::Deserialize as _;
use serde_json::Value;

use super::slot;
use crate::check::Verdict;
use crate::record::{HistoryLine, LineStatus};
use crate::report::figure::{Axis, Colour, Drawing, Figure, Grid, Look, Trace};
use crate::report::files::{RepeatFiles, conflict};

/// Operations of a counterexample that are drawn.
const STEPS_MAX: usize = 100;
const NS_PER_MS: f64 = 1e6;

/// The figures of what failed; none if nothing did.
pub(in crate::report) fn violations(repeat: &RepeatFiles<'_>) -> Vec<Figure> {
    let checks = &repeat.repeat.checks;
    let mut figures = Vec::new();
    let failed = |verdict| verdict == Verdict::Fail;
    if [&checks.agreement, &checks.state, &checks.evidence]
        .iter()
        .any(|check| failed(check.verdict))
    {
        figures.push(slot::chart(repeat, conflict(repeat)));
    }
    if failed(checks.linearizable.verdict) {
        figures.push(counterexample(repeat));
    }
    figures
}

/// The fewest operations that no order explains.
fn counterexample(repeat: &RepeatFiles<'_>) -> Figure {
    let check = &repeat.repeat.checks.linearizable;
    Figure::new(
        "counterexample",
        "Operations that no order explains",
        format!(
            "The fewest operations, by client, from sending to answer: one after the other in no order do they give what clients were told. {}",
            check.detail
        ),
        steps(check.facts.get("counterexample")).and_then(|steps| drawing(&steps)),
    )
}

fn steps(found: Option<&Value>) -> Result<Vec<HistoryLine>, String> {
    let found = found
        .ok_or("run.json has no counterexample: the sentence of the check has what there is.")?;
    Vec::deserialize(found)
        .map_err(|error| format!("The counterexample in run.json is not understood: {error}."))
}

fn drawing(steps: &[HistoryLine]) -> Result<Drawing, String> {
    let shown = &steps[..steps.len().min(STEPS_MAX)];
    let begin = shown
        .iter()
        .map(|step| step.call)
        .min()
        .ok_or("The counterexample has no operations.")?;
    let last = shown
        .iter()
        .map(|step| step.ret.unwrap_or(step.call))
        .max()
        .unwrap_or(begin);
    let ms = |at: u64| at.saturating_sub(begin) as f64 / NS_PER_MS;
    // An operation whose outcome nobody knows may take effect at any time after.
    let beyond = ms(last) * 1.1 + 0.001;
    let end = |step: &HistoryLine| step.ret.map_or(beyond, ms);
    let mut clients: Vec<String> = shown
        .iter()
        .map(|step| format!("client {}", step.client))
        .collect();
    clients.sort();
    clients.dedup();
    let row = |step: &HistoryLine| {
        let name = format!("client {}", step.client);
        clients
            .iter()
            .position(|client| *client == name)
            .unwrap_or_default() as f64
    };
    let said: Vec<String> = shown.iter().map(said).collect();
    let mut table = Grid::new(&["client", "operation", "from", "to"]);
    for (step, said) in shown.iter().zip(&said) {
        let to = step.ret.map_or_else(
            || "never answered".to_owned(),
            |ret| format!("{:.3} ms", ms(ret)),
        );
        table.push([
            step.client.to_string(),
            said.clone(),
            format!("{:.3} ms", ms(step.call)),
            to,
        ]);
    }
    Ok(Drawing {
        traces: vec![Trace {
            name: "operation".to_owned(),
            look: Look::Spans,
            points: shown
                .iter()
                .map(|step| ((end(step) - ms(step.call)).max(0.001), Some(row(step))))
                .collect(),
            bases: shown.iter().map(|step| ms(step.call)).collect(),
            words: said.clone(),
            notes: said,
            colours: shown
                .iter()
                .map(|step| match (&step.status, step.result.is_some()) {
                    (LineStatus::Unknown, _) => Colour::Grey,
                    (_, true) => Colour::Blue,
                    (_, false) => Colour::Orange,
                })
                .collect(),
            ..Trace::default()
        }],
        x: Axis::from_zero("ms after the first of them was sent"),
        y: Axis::list(clients.iter().map(|client| format!("{client} "))),
        height: 110 + 34 * clients.len().min(30) as u32,
        wide: true,
        table,
        ..Drawing::default()
    })
}

/// `update k3 = v9: ok`.
fn said(step: &HistoryLine) -> String {
    let value = serde_json::to_value(step).unwrap_or_default();
    let field = |name: &str| match value.get(name) {
        None => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let word = |name: &str| field(name).unwrap_or_default();
    let mut text = format!("{} {}", word("op"), word("key"));
    if let Some(expect) = field("expect") {
        text.push_str(&format!(" if {expect}"));
    }
    if let Some(written) = field("value") {
        text.push_str(&format!(" = {written}"));
    }
    match field("result") {
        Some(result) => text.push_str(&format!(" gave {result}")),
        None => text.push_str(&format!(": {}", word("status"))),
    }
    text
}
