//! Configured against measured round trips.

use super::windows::or_dash;
use crate::record::LinkFact;
use crate::report::figure::{Axis, Colour, Dash, Drawing, Figure, Grid, Look, Trace};
use crate::report::files::RepeatFiles;

/// Links that the table lists; those that were not met come first.
const ROWS_MAX: usize = 200;

/// One point for each directed link.
pub(super) fn round_trips(repeat: &RepeatFiles<'_>) -> Figure {
    Figure::new(
        "round-trips",
        "Configured and measured round trips",
        "Each directed link between two replicas: what the scenario asks for, and the median that QUIC saw. On the line the emulation does what it should; above it something else adds delay.",
        drawing(repeat),
    )
}

fn drawing(repeat: &RepeatFiles<'_>) -> Result<Drawing, String> {
    let facts = repeat
        .repeat
        .network
        .as_ref()
        .filter(|facts| facts.impaired);
    let facts = facts.ok_or(
        "Nothing lay between the replicas: real loopback, without [network] in the scenario.",
    )?;
    let mut links: Vec<&LinkFact> = facts.links.iter().collect();
    links.sort_by_key(|link| link.met != Some(false));
    let seen: Vec<(&LinkFact, f64)> = links
        .iter()
        .filter_map(|link| Some((*link, link.measured_p50_ms?)))
        .collect();
    if seen.is_empty() {
        return Err("No round trip was measured.".to_owned());
    }
    let named = |link: &LinkFact| format!("r{} to r{}", link.from, link.to);
    let most = seen
        .iter()
        .map(|(link, ms)| link.configured_ms.max(*ms))
        .fold(1.0, f64::max);
    let trace = |name: &str, missed: bool, look, colour| {
        let of = || {
            seen.iter()
                .filter(move |(link, _)| (link.met == Some(false)) == missed)
        };
        Trace {
            name: name.to_owned(),
            look,
            points: of()
                .map(|(link, ms)| (link.configured_ms, Some(*ms)))
                .collect(),
            notes: of()
                .map(|(link, ms)| {
                    format!(
                        "{}: configured {:.1} ms, measured {ms:.1} ms",
                        named(link),
                        link.configured_ms
                    )
                })
                .collect(),
            colour,
            unit: "ms",
            ..Trace::default()
        }
    };
    let mut table = Grid::new(&["link", "configured", "measured p50", "least", "loss", "met"]);
    let ms = |time: f64| format!("{time:.1} ms");
    for link in links.iter().take(ROWS_MAX) {
        table.push([
            named(link),
            ms(link.configured_ms),
            or_dash(link.measured_p50_ms, ms),
            or_dash(link.measured_min_ms, ms),
            format!("{:.2} %", link.loss * 100.0),
            match link.met {
                Some(true) => "yes",
                Some(false) => "no",
                None => "-",
            }
            .to_owned(),
        ]);
    }
    let mut traces = vec![
        Trace {
            name: "as configured".to_owned(),
            look: Look::Line,
            points: vec![(0.0, Some(0.0)), (most, Some(most))],
            colour: Colour::Grey,
            dash: Dash::Dashed,
            unit: "ms",
            ..Trace::default()
        },
        trace("link", false, Look::Points, Colour::Blue),
        trace("link that was not met", true, Look::Points, Colour::Red),
    ];
    traces.retain(|trace| !trace.points.is_empty());
    Ok(Drawing {
        traces,
        x: Axis::from_zero("configured round trip, ms"),
        y: Axis::from_zero("measured p50, ms"),
        table,
        ..Drawing::default()
    })
}
