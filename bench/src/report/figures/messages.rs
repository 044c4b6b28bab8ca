//! Messages by type, against what the protocol says.

use serde::Deserialize;

use super::windows::or_dash;
use crate::report::figure::{Axis, Colour, Drawing, Figure, Grid, Look, Trace};
use crate::report::files::RepeatFiles;
use crate::report::units;

/// `messages` of run.json, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Messages {
    slots: u64,
    types: Vec<Type>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Type {
    #[serde(rename = "type")]
    kind: String,
    sent: u64,
    sent_bytes: u64,
    received: u64,
    theory_sent: Option<f64>,
    theory: String,
}

/// Messages sent for each slot.
pub(super) fn counts(repeat: &RepeatFiles<'_>) -> Figure {
    Figure::new(
        "messages",
        "Messages by type",
        "Messages that all replicas sent for each slot, one for each receiver, against what the protocol's rules say. More than the theory: something was sent again. COMMITs belong to slots that left the fast path.",
        repeat
            .fact("messages")
            .and_then(|messages| drawing(&messages)),
    )
}

fn drawing(messages: &Messages) -> Result<Drawing, String> {
    let sent: Vec<&Type> = messages
        .types
        .iter()
        .filter(|one| one.sent > 0 || one.theory_sent.is_some_and(|count| count > 0.0))
        .collect();
    if messages.slots == 0 || sent.is_empty() {
        return Err(
            "No slot was decided in the measured phase, so there is nothing to divide messages by."
                .to_owned(),
        );
    }
    let slots = messages.slots as f64;
    let trace = |name: &str, count: &dyn Fn(&Type) -> Option<f64>, look, colour| Trace {
        name: name.to_owned(),
        look,
        points: (0_u32..)
            .zip(&sent)
            .map(|(place, one)| (f64::from(place), count(one).map(|count| count / slots)))
            .collect(),
        colour,
        unit: "a slot",
        ..Trace::default()
    };
    let mut table = Grid::new(&[
        "type",
        "sent",
        "a slot",
        "theory a slot",
        "rule",
        "bytes sent",
        "received",
    ]);
    for one in &sent {
        table.push([
            one.kind.clone(),
            units::count(one.sent),
            units::number(one.sent as f64 / slots),
            or_dash(one.theory_sent, |count| units::number(count / slots)),
            if one.theory.is_empty() {
                "-".to_owned()
            } else {
                one.theory.clone()
            },
            units::bytes(one.sent_bytes as f64),
            units::count(one.received),
        ]);
    }
    Ok(Drawing {
        traces: vec![
            trace(
                "sent",
                &|one| Some(one.sent as f64),
                Look::Bars,
                Colour::Blue,
            ),
            trace("theory", &|one| one.theory_sent, Look::Bars, Colour::Grey),
        ],
        x: Axis::names("", sent.iter().map(|one| one.kind.clone())),
        y: Axis::from_zero("messages a slot"),
        table,
        wide: true,
        ..Drawing::default()
    })
}
