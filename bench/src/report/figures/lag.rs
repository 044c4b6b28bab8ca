//! How far replicas were behind, and the states that they fetched.

use super::faults;
use super::windows::{greatest, or_dash};
use crate::report::figure::{Axis, Colour, Dash, Drawing, Figure, Grid, Look, Trace};
use crate::report::files::RepeatFiles;
use crate::report::units;

/// Slots of each replica behind the one that was furthest.
pub(super) fn lag(repeat: &RepeatFiles<'_>) -> Figure {
    Figure::new(
        "lag",
        "Lag of each replica",
        "Slots that each replica had executed less than the one that was furthest at the same look (every 0.2 s). A replica that was away comes back down to 0 when it has caught up.",
        lag_drawing(repeat),
    )
}

fn lag_drawing(repeat: &RepeatFiles<'_>) -> Result<Drawing, String> {
    let groups = repeat.replicas()?.grouped("replica", "t_s", "lag")?;
    let mut table = Grid::new(&["replica", "greatest lag", "lag at the end"]);
    for (id, points) in &groups {
        let known: Vec<f64> = points.iter().filter_map(|point| point.1).collect();
        let slots = |lag: f64| units::counted(lag as u64, "slot");
        table.push([
            format!("r{id}"),
            or_dash(greatest(&known), slots),
            or_dash(known.last().copied(), slots),
        ]);
    }
    Ok(Drawing {
        traces: groups
            .into_iter()
            .map(|(id, points)| Trace {
                name: format!("r{id}"),
                points,
                colour: Colour::of(id as usize),
                dash: Dash::of(id as usize),
                unit: "slots",
                ..Trace::default()
            })
            .collect(),
        x: Axis::seconds(repeat.repeat.duration_s),
        y: Axis::from_zero("slots behind"),
        bands: faults::bands(repeat),
        table,
        ..Drawing::default()
    })
}

/// States fetched from other replicas.
pub(super) fn transfers(repeat: &RepeatFiles<'_>) -> Figure {
    Figure::new(
        "transfers",
        "State transfers",
        "When a replica had fetched a state, since nobody's log held what it lacked, and the bytes that it had fetched so far. Looked at every 0.2 s.",
        transfer_drawing(repeat),
    )
}

fn transfer_drawing(repeat: &RepeatFiles<'_>) -> Result<Drawing, String> {
    let happenings = repeat.happenings()?;
    let mut table = Grid::new(&["replica", "at", "fetched so far"]);
    let mut points = Vec::new();
    let mut notes = Vec::new();
    for one in happenings
        .iter()
        .filter(|one| one.event == "state-transfer")
    {
        let (Some(id), Some(bytes)) = (one.replica(), one.number("bytes")) else {
            continue;
        };
        let fetched = units::bytes(bytes as f64);
        points.push((one.t_s, Some(bytes as f64 / f64::from(1 << 20))));
        notes.push(format!("r{id} at {:.1} s: {fetched}", one.t_s));
        table.push([format!("r{id}"), format!("{:.1} s", one.t_s), fetched]);
    }
    if points.is_empty() {
        return Err(
            "No replica fetched a state: the others' logs held whatever one lacked.".to_owned(),
        );
    }
    Ok(Drawing {
        traces: vec![Trace {
            name: "state fetched".to_owned(),
            look: Look::Diamonds,
            points,
            notes,
            colour: Colour::Violet,
            unit: "MiB",
            ..Trace::default()
        }],
        x: Axis::seconds(repeat.repeat.duration_s),
        y: Axis::from_zero("MiB fetched"),
        bands: faults::bands(repeat),
        table,
        ..Drawing::default()
    })
}
