//! Messages by type, against what the protocol says.

use super::windows::or_dash;
use crate::record::{MessageFacts, MessageType};
use crate::report::figure::{Axis, Colour, Drawing, Figure, Grid, Look, Trace};
use crate::report::files::RepeatFiles;
use crate::report::units;

/// Messages sent for each slot.
pub(super) fn counts(repeat: &RepeatFiles<'_>) -> Figure {
    let facts: Result<MessageFacts, String> = repeat.fact("messages");
    let mut caption = "Messages sent for each slot, one for each receiver, against what the protocol's rules call for (rings). \
        A point above its ring: something was sent again. COMMITs belong to slots that left the fast path."
        .to_owned();
    if facts.as_ref().is_ok_and(|facts| !facts.complete) {
        caption.push_str(
            " Not every replica could be counted all the time (one lies, or was restarted), so points lie below their rings.",
        );
    }
    Figure::new(
        "messages",
        "Messages by type",
        caption,
        facts.and_then(|facts| drawing(&facts)),
    )
}

fn drawing(facts: &MessageFacts) -> Result<Drawing, String> {
    let theory = |one: &MessageType| one.in_theory.filter(|count| *count > 0.0);
    let sent: Vec<&MessageType> = facts
        .types
        .iter()
        // Clients send requests; replicas send everything else.
        .filter(|one| one.counts.sent > 0 || (theory(one).is_some() && one.name != "request"))
        .collect();
    if facts.slots == 0 || sent.is_empty() {
        return Err(
            "No slot was decided in the measured phase, so there is nothing to divide messages by."
                .to_owned(),
        );
    }
    let slots = facts.slots as f64;
    let trace = |name: &str, count: &dyn Fn(&MessageType) -> Option<f64>, look, colour| Trace {
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
    let counted = |one: &MessageType| (one.counts.sent > 0).then_some(one.counts.sent as f64);
    let mut table = Grid::new(&[
        "type",
        "sent",
        "a slot",
        "in theory a slot",
        "rule",
        "bytes sent",
        "received",
    ]);
    for one in &sent {
        let rule = if one.theory.is_empty() {
            "-"
        } else {
            &one.theory
        };
        table.push([
            one.name.clone(),
            units::count(one.counts.sent),
            units::number(one.counts.sent as f64 / slots),
            or_dash(one.in_theory, |count| units::number(count / slots)),
            rule.to_owned(),
            units::bytes(one.counts.sent_bytes as f64),
            units::count(one.counts.received),
        ]);
    }
    Ok(Drawing {
        traces: vec![
            trace("in theory", &theory, Look::Hollow, Colour::Orange),
            trace("sent", &counted, Look::Points, Colour::Blue),
        ],
        x: Axis::names("", sent.iter().map(|one| one.name.clone())),
        y: Axis::log("messages a slot"),
        table,
        wide: true,
        ..Drawing::default()
    })
}
