//! Faults: their bands in other figures, and what each of them cost.

use crate::record::{FaultFact, Run};
use crate::report::figure::{Axis, Band, Colour, Drawing, Figure, Grid, Look, Mark, Trace};
use crate::report::files::{Happening, RepeatFiles, RunFiles};
use crate::report::units;

/// Up to so many faults each have bars of their own; more of them are points.
const BARS_MAX: usize = 12;
/// Faults that the table lists.
const ROWS_MAX: usize = 200;
/// Moments that are marked in one figure.
const MARKS_MAX: usize = 60;
const MS_PER_S: f64 = 1e3;

/// The spans of a repeat's faults.
pub(super) fn bands(repeat: &RepeatFiles<'_>) -> Vec<Band> {
    let duration = repeat.repeat.duration_s;
    let faults = repeat.repeat.faults.iter();
    faults
        .filter(|fault| fault.failed.is_none() || fault.end_s.is_some())
        .map(|fault| Band {
            from: fault.start_s,
            to: fault
                .end_s
                .unwrap_or(duration)
                .min(duration.max(fault.start_s)),
            label: short(fault),
        })
        .collect()
}

/// `kill r0`: as the label of a band.
pub(super) fn short(fault: &FaultFact) -> String {
    let kind = match &fault.clients {
        Some(clients) => clients.attack.clone(),
        None => fault.kind_in_full(),
    };
    match fault.target {
        Some(id) => format!("{kind} r{id}"),
        None => kind,
    }
}

/// Moments at which the cluster came to a new view: those of the first replica.
pub(super) fn new_views(happenings: &[Happening]) -> Vec<Mark> {
    let mut epoch = 0;
    let mut highest = 0;
    let mut marks = Vec::new();
    for one in happenings {
        match one.event.as_str() {
            "epoch" => {
                let entered = one.number("epoch").unwrap_or(epoch);
                // Views begin again with every epoch.
                if entered > epoch {
                    (epoch, highest) = (entered, 0);
                }
            }
            "view-change" => {
                let view = one.number("view").unwrap_or_default();
                if view > highest {
                    highest = view;
                    if one.t_s >= 0.0 && marks.len() < MARKS_MAX {
                        marks.push(Mark {
                            at: one.t_s,
                            level: false,
                            label: format!("view {view}"),
                        });
                    }
                }
            }
            _ => {}
        }
    }
    marks
}

/// A time that a fault took: its name, how to find it (milliseconds), its colour.
type Took = (&'static str, fn(&FaultFact) -> Option<f64>, Colour);

/// What a fault took, one trace each.
const TIMES: [Took; 4] = [
    ("first answer", |fault| fault.first_commit_ms, Colour::Blue),
    (
        "95 % of the throughput again",
        |fault| fault.recovered_95_ms,
        Colour::Orange,
    ),
    (
        "caught up (from its end)",
        |fault| fault.caught_up_ms,
        Colour::Green,
    ),
    (
        "voting again (from its end)",
        |fault| fault.voting_ms,
        Colour::Violet,
    ),
];

/// The times from each fault to service, throughput and health.
pub(super) fn recovery(run: &RunFiles) -> Figure {
    Figure::new(
        "recovery",
        "Recovery after each fault",
        "From the beginning of each fault to the first answer to an operation that was sent after it, and to 95 % of the throughput before it; from its end \
         until the replica had caught up and voted. What is not there did not happen: the table says never.",
        drawing(&run.run),
    )
}

fn drawing(run: &Run) -> Result<Drawing, String> {
    let several = run.repeats.len() > 1;
    let faults: Vec<(usize, &FaultFact)> = (1..)
        .zip(&run.repeats)
        .flat_map(|(number, repeat)| repeat.faults.iter().map(move |fault| (number, fault)))
        .collect();
    if faults.is_empty() {
        return Err("No fault struck in this run: its scenario has none.".to_owned());
    }
    let named = |(number, fault): &(usize, &FaultFact)| {
        let place = if several {
            format!(" #{number}")
        } else {
            String::new()
        };
        format!("{} at {:.1} s{place}", short(fault), fault.start_s)
    };
    let bars = faults.len() <= BARS_MAX;
    let trace = |(name, time, colour): &Took| Trace {
        name: (*name).to_owned(),
        look: if bars { Look::Bars } else { Look::Points },
        points: faults
            .iter()
            .zip(0_u32..)
            .map(|((_, fault), place)| {
                let x = if bars {
                    f64::from(place)
                } else {
                    fault.start_s
                };
                (x, time(fault).map(|ms| ms / MS_PER_S))
            })
            .collect(),
        notes: faults
            .iter()
            .map(|one| {
                let took = time(one.1).map_or_else(|| "never".to_owned(), ms);
                format!("{}: {name}: {took}", named(one))
            })
            .collect(),
        colour: *colour,
        unit: "s",
        ..Trace::default()
    };
    let traces = TIMES
        .iter()
        // A time of 0 is no bar: such a replica never lost its vote.
        .filter(|(_, time, _)| {
            faults
                .iter()
                .any(|(_, fault)| time(fault).is_some_and(|ms| ms > 0.0))
        })
        .map(trace);
    let traces: Vec<Trace> = traces.collect();
    if traces.is_empty() {
        return Err(
            "No fault has a time that could be drawn: nothing was answered after any of them."
                .to_owned(),
        );
    }
    Ok(Drawing {
        traces,
        x: match bars {
            true => Axis::names("", faults.iter().map(named)),
            false => Axis::new("seconds into the measured phase"),
        },
        y: Axis::from_zero("seconds"),
        table: table(&faults, &named),
        wide: faults.len() > 4,
        ..Drawing::default()
    })
}

fn table(faults: &[(usize, &FaultFact)], named: &dyn Fn(&(usize, &FaultFact)) -> String) -> Grid {
    let mut grid = Grid::new(&[
        "fault",
        "ended",
        "first answer",
        "longest stall",
        "95 % again",
        "caught up",
        "votes",
        "throughput kept",
    ]);
    let never = |time: Option<f64>| time.map_or_else(|| "never".to_owned(), ms);
    for one in faults.iter().take(ROWS_MAX) {
        let fault = one.1;
        let whose = |time: Option<f64>| match (time, fault.end_s, fault.target) {
            (Some(time), ..) => ms(time),
            (None, Some(_), Some(_)) => "never".to_owned(),
            (None, ..) => "-".to_owned(),
        };
        grid.push([
            named(one),
            fault
                .end_s
                .map_or_else(|| "never".to_owned(), |end| format!("{end:.1} s")),
            never(fault.first_commit_ms),
            match fault.longest_stall_ms {
                0.0 => "< 100 ms".to_owned(),
                stall => ms(stall),
            },
            never(fault.recovered_95_ms),
            whose(fault.caught_up_ms),
            match fault.voting_ms {
                Some(0.0) => "all along".to_owned(),
                voting => whose(voting),
            },
            fault
                .throughput_kept
                .map_or_else(|| "-".to_owned(), units::share),
        ]);
    }
    grid
}

fn ms(ms: f64) -> String {
    units::time(ms * MS_PER_S)
}
