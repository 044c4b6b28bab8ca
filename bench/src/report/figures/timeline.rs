//! Views of each replica over time, and when it was away.

use std::collections::BTreeMap;

use crate::report::figure::{Axis, Colour, Drawing, Figure, Grid, Look, Trace};
use crate::report::files::{Happening, RepeatFiles};
use crate::report::units;

/// Spans that are drawn: more cannot be told apart.
const SPANS_MAX: usize = 2_000;
/// Rows of the table.
const ROWS_MAX: usize = 200;
/// Pixels for each replica, and for the rest of the plot.
const ROW_HEIGHT: u32 = 30;
const FRAME_HEIGHT: u32 = 110;

/// A replica in a view.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stay {
    replica: u32,
    epoch: u64,
    view: u64,
    from: f64,
    to: f64,
}

/// Which view each replica was in.
pub(super) fn views(repeat: &RepeatFiles<'_>) -> Figure {
    Figure::new(
        "views",
        "Views of each replica",
        "One row for each replica, one colour for each view; the primary of a view is named in its row. Grey: killed, paused or stopped by a fault. \
         Diamonds: a state fetched from others. Replicas are looked at every 0.2 s. Look for replicas that enter a view later than the others.",
        drawing(repeat),
    )
}

fn drawing(repeat: &RepeatFiles<'_>) -> Result<Drawing, String> {
    let happenings = repeat.happenings()?;
    let members = repeat.members();
    if members == 0 {
        return Err(
            "The scenario in run.json does not say how many replicas there are.".to_owned(),
        );
    }
    let duration = repeat.repeat.duration_s;
    if duration <= 0.0 {
        return Err("The measured phase did not begin.".to_owned());
    }
    // The views before the first look are known where the cluster was started by the run: it begins with 0.
    if repeat.run().run.attached.is_some()
        && happenings.iter().all(|one| one.event != "view-change")
    {
        return Err(
            "The cluster was not started by this run, and no replica changed its view in it."
                .to_owned(),
        );
    }
    let stays = stays(&happenings, members, duration);
    let mut traces = vec![spans(&stays, members), away(repeat, duration)];
    traces.push(transfers(&happenings, duration));
    traces.retain(|trace| !trace.points.is_empty());
    Ok(Drawing {
        traces,
        x: Axis::seconds(duration),
        y: Axis::list((0..members).map(|id| format!("r{id} "))),
        height: FRAME_HEIGHT + ROW_HEIGHT * members.min(40),
        wide: true,
        table: table(&stays),
        ..Drawing::default()
    })
}

/// Each replica's views in the measured phase.
fn stays(happenings: &[Happening], members: u32, duration: f64) -> Vec<Stay> {
    let mut now: BTreeMap<u32, Stay> = (0..members)
        .map(|replica| {
            let (epoch, view, from, to) = (0, 0, 0.0, duration);
            (
                replica,
                Stay {
                    replica,
                    epoch,
                    view,
                    from,
                    to,
                },
            )
        })
        .collect();
    let mut ended = Vec::new();
    for one in happenings.iter().filter(|one| one.t_s < duration) {
        let Some(stay) = one.replica().and_then(|replica| now.get_mut(&replica)) else {
            continue;
        };
        let (epoch, view) = match one.event.as_str() {
            "view-change" => (stay.epoch, one.number("view")),
            "epoch" => (one.number("epoch").unwrap_or(stay.epoch), Some(stay.view)),
            _ => continue,
        };
        let at = one.t_s.max(0.0);
        if at > stay.from {
            ended.push(Stay { to: at, ..*stay });
        }
        (stay.epoch, stay.view, stay.from) = (epoch, view.unwrap_or(stay.view), at);
    }
    ended.extend(now.into_values());
    ended.sort_by(|a, b| a.from.total_cmp(&b.from).then(a.replica.cmp(&b.replica)));
    ended
}

fn spans(stays: &[Stay], members: u32) -> Trace {
    let shown = &stays[..stays.len().min(SPANS_MAX)];
    // docs/protocol.md R1: primaries take turns.
    let primary = |stay: &Stay| {
        let turn = u128::from(stay.epoch) + u128::from(stay.view);
        turn % u128::from(members) == u128::from(stay.replica)
    };
    let words = |stay: &Stay| {
        let role = if primary(stay) { ", primary" } else { "" };
        format!("{}{role}", named(stay))
    };
    Trace {
        name: "in a view".to_owned(),
        look: Look::Spans,
        points: shown
            .iter()
            .map(|stay| (stay.to - stay.from, Some(f64::from(stay.replica))))
            .collect(),
        bases: shown.iter().map(|stay| stay.from).collect(),
        words: shown.iter().map(words).collect(),
        notes: shown
            .iter()
            .map(|stay| {
                format!(
                    "r{}: {} from {:.1} to {:.1} s",
                    stay.replica,
                    words(stay),
                    stay.from,
                    stay.to
                )
            })
            .collect(),
        colours: shown
            .iter()
            .map(|stay| Colour::of((stay.epoch.wrapping_add(stay.view) % 1_024) as usize))
            .collect(),
        ..Trace::default()
    }
}

fn named(stay: &Stay) -> String {
    match stay.epoch {
        0 => format!("view {}", stay.view),
        epoch => format!("view {} of epoch {epoch}", stay.view),
    }
}

/// When a fault held a replica.
fn away(repeat: &RepeatFiles<'_>, duration: f64) -> Trace {
    let held: Vec<(u32, f64, f64, String)> = repeat
        .repeat
        .faults
        .iter()
        .filter(|fault| {
            fault.stopped.is_some()
                || matches!(
                    fault.kind.as_str(),
                    "kill" | "pause" | "restart" | "upgrade"
                )
        })
        .filter_map(|fault| {
            let end = fault.end_s.unwrap_or(duration).min(duration);
            Some((fault.target?, fault.start_s, end, fault.kind_in_full()))
        })
        .filter(|(_, from, to, _)| to > from)
        .collect();
    Trace {
        name: "away".to_owned(),
        look: Look::Spans,
        points: held
            .iter()
            .map(|(id, from, to, _)| (to - from, Some(f64::from(*id))))
            .collect(),
        bases: held.iter().map(|(_, from, ..)| *from).collect(),
        words: held.iter().map(|(.., kind)| kind.clone()).collect(),
        notes: held
            .iter()
            .map(|(id, from, to, kind)| format!("r{id}: {kind}, away from {from:.1} to {to:.1} s"))
            .collect(),
        colour: Colour::Grey,
        ..Trace::default()
    }
}

fn transfers(happenings: &[Happening], duration: f64) -> Trace {
    let fetched: Vec<(&Happening, u32)> = happenings
        .iter()
        .filter(|one| one.event == "state-transfer" && (0.0..=duration).contains(&one.t_s))
        .filter_map(|one| Some((one, one.replica()?)))
        .collect();
    Trace {
        name: "state fetched".to_owned(),
        look: Look::Diamonds,
        points: fetched
            .iter()
            .map(|(one, id)| (one.t_s, Some(f64::from(*id))))
            .collect(),
        notes: fetched
            .iter()
            .map(|(one, id)| {
                let bytes = one.number("bytes").map_or(String::new(), |bytes| {
                    format!(", {} in all so far", units::bytes(bytes as f64))
                });
                format!("r{id} fetched a state by {:.1} s{bytes}", one.t_s)
            })
            .collect(),
        colour: Colour::Red,
        ..Trace::default()
    }
}

fn table(stays: &[Stay]) -> Grid {
    let mut grid = Grid::new(&["replica", "view", "from", "to"]);
    for stay in stays.iter().take(ROWS_MAX) {
        grid.push([
            format!("r{}", stay.replica),
            named(stay),
            format!("{:.1} s", stay.from),
            format!("{:.1} s", stay.to),
        ]);
    }
    grid
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn views_follow_each_other_and_begin_with_what_was_before_the_measured_phase() {
        let one = |t_s: f64, event: &str, replica: u32, value: u64| {
            let name = if event == "epoch" { "epoch" } else { "view" };
            let text = format!(
                r#"{{"t_s": {t_s}, "event": "{event}", "replica": {replica}, "{name}": {value}}}"#
            );
            serde_json::from_str::<Happening>(&text).unwrap()
        };
        let happenings = [
            one(-1.0, "view-change", 0, 2),
            one(3.0, "view-change", 0, 3),
            one(4.0, "view-change", 1, 3),
            one(6.0, "epoch", 0, 1),
            one(6.0, "view-change", 0, 0),
            one(99.0, "view-change", 1, 9),
        ];
        let all = stays(&happenings, 2, 10.0);
        let of = |replica: u32| -> Vec<(u64, u64, f64, f64)> {
            let mine = all.iter().filter(|stay| stay.replica == replica);
            mine.map(|stay| (stay.epoch, stay.view, stay.from, stay.to))
                .collect()
        };
        assert_eq!(
            of(0),
            [(0, 2, 0.0, 3.0), (0, 3, 3.0, 6.0), (1, 0, 6.0, 10.0)]
        );
        assert_eq!(of(1), [(0, 0, 0.0, 4.0), (0, 3, 4.0, 10.0)]);
    }
}
