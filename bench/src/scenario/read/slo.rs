//! The `[slo]` table.

use std::time::Duration;

use crate::scenario::compare::Comparison;
use crate::scenario::goals::{Bound, LatencyPoint, Objective, Slo};
use crate::scenario::refusal::Refusal;
use crate::scenario::section::Section;
use crate::scenario::tree::Value;
use crate::scenario::units::{Quantity, Rate, Share};
use crate::scenario::workload::OpKind;

pub(super) fn read(table: &mut Section<'_, '_>) -> Slo {
    let mut objectives = row(table, None);
    for op in OpKind::ALL {
        objectives.extend(table.table(op.name(), |table| row(table, Some(op))));
    }
    Slo { objectives }
}

/// The objectives over all operations, or those of one kind.
fn row(table: &mut Section<'_, '_>, op: Option<OpKind>) -> Vec<Objective> {
    let mut bounds = Vec::new();
    for point in LatencyPoint::ALL {
        let wanted = comparison::<Duration>(table, point.name());
        bounds.extend(wanted.map(|wanted| Bound::Latency(point, wanted)));
    }
    bounds.extend(comparison::<Rate>(table, "throughput").map(Bound::Throughput));
    match op {
        None => bounds.extend(comparison::<Share>(table, "errors").map(Bound::Errors)),
        // Refused rather than never judged: failures are counted over all kinds together.
        Some(_) => table.later(&[("errors", "failures of one kind of operation")]),
    }
    bounds
        .into_iter()
        .map(|bound| Objective { op, bound })
        .collect()
}

fn comparison<Q: Quantity>(
    table: &mut Section<'_, '_>,
    key: &'static str,
) -> Option<Comparison<Q>> {
    table.optional(key, |value| match value {
        Value::Text(text) => Comparison::parse(text).map_err(|message| {
            Refusal::new(message, format!("for example {key} = \"< {}\"", Q::EXAMPLE))
        }),
        other => Err(Refusal::kind(
            "a comparison",
            other,
            &format!("{key} = \"< {}\"", Q::EXAMPLE),
        )),
    })
}
