//! What the run cost: processor time, memory, bytes on the network, syncs to disk.

use std::collections::BTreeMap;

use super::faults;
use super::windows::{greatest, or_dash};
use crate::record::ReplicaResources;
use crate::report::figure::{Axis, Colour, Dash, Drawing, Figure, Grid, Look, Mark, Trace};
use crate::report::files::RepeatFiles;
use crate::report::units;

const MIB: f64 = 1_048_576.0;
/// Something that replicas count: its name, how to find it, its colour.
type Counted = (&'static str, fn(&ReplicaResources) -> u64, Colour);

/// A busy share of the machine from which on its limit is drawn.
const NEAR_LIMIT: f64 = 0.4;

/// Cores in use over time.
pub(super) fn cpu(repeat: &RepeatFiles<'_>) -> Figure {
    Figure::new(
        "cpu",
        "Processor time",
        "Cores in use by the replicas, mean of the second up to each look (0.2 s): all together, and each where it was recorded; the load generator is not in it. Near the machine's cores everything waits for a core, and latencies contain that.",
        cpu_drawing(repeat),
    )
}

fn cpu_drawing(repeat: &RepeatFiles<'_>) -> Result<Drawing, String> {
    let series = repeat.series()?;
    let (times, all) = (series.numbers("t_s")?, series.numbers("cpu")?);
    // Where nobody looked there is no gap in what is known: samples come every 0.2 s.
    let looks: Vec<(f64, f64)> = times
        .iter()
        .zip(all)
        .filter_map(|(t, cores)| Some(((*t)?, (*cores)?)))
        .collect();
    let all = over_seconds(&looks);
    let known: Vec<f64> = all.iter().filter_map(|point| point.1).collect();
    let mut traces = vec![Trace {
        name: "all replicas".to_owned(),
        points: all,
        colour: Colour::Blue,
        unit: "cores",
        ..Trace::default()
    }];
    let each = repeat
        .replicas()
        .and_then(|columns| columns.grouped("replica", "t_s", "cpu_s"));
    for (id, points) in each.unwrap_or_default() {
        traces.push(Trace {
            name: format!("r{id}"),
            look: Look::Faint,
            points: over_seconds_known(&rates(&points)),
            colour: Colour::of(id as usize + 1),
            dash: Dash::of(id as usize + 1),
            unit: "cores",
            ..Trace::default()
        });
    }
    let cores = repeat.run().run.environment.cores as f64;
    let near = greatest(&known).is_some_and(|most| most > cores * NEAR_LIMIT);
    let mut table = Grid::new(&["replica", "CPU time", "of a core"]);
    let resources = &repeat.repeat.resources;
    let seconds = repeat.repeat.duration_s;
    let share = |cpu_s: f64| or_dash((seconds > 0.0).then(|| cpu_s / seconds), units::share);
    for replica in &resources.replicas {
        table.push([
            format!("r{}", replica.id),
            units::time(replica.cpu_s * 1e6),
            share(replica.cpu_s),
        ]);
    }
    let generator = resources.load_generator.cpu_s;
    if generator > 0.0 {
        table.push([
            "load generator".to_owned(),
            units::time(generator * 1e6),
            share(generator),
        ]);
    }
    Ok(Drawing {
        traces,
        x: Axis::seconds(seconds),
        y: Axis::from_zero("cores"),
        bands: faults::bands(repeat),
        marks: match near && cores > 0.0 {
            true => vec![Mark {
                at: cores,
                level: true,
                label: "the machine's cores".to_owned(),
            }],
            false => Vec::new(),
        },
        table,
        ..Drawing::default()
    })
}

/// Each value with those of the second before it, by the time that each stands for: a look that was late, since a replica did not answer,
/// counts what was used over a longer time.
fn over_seconds(looks: &[(f64, f64)]) -> Vec<(f64, Option<f64>)> {
    let elapsed = |index: usize| match index {
        0 => looks[0].0,
        index => looks[index].0 - looks[index - 1].0,
    };
    let mean = |last: usize| {
        let (mut used, mut time) = (0.0, 0.0);
        for index in (0..=last).rev() {
            used += looks[index].1 * elapsed(index);
            time += elapsed(index);
            if time >= 1.0 {
                break;
            }
        }
        (time > 0.0).then(|| used / time)
    };
    (0..looks.len())
        .map(|index| (looks[index].0, mean(index)))
        .collect()
}

/// From totals to rates between looks; a total that goes back is a process that began anew.
fn rates(totals: &[(f64, Option<f64>)]) -> Vec<(f64, Option<f64>)> {
    totals
        .windows(2)
        .map(|pair| {
            let elapsed = pair[1].0 - pair[0].0;
            let rate = match (pair[0].1, pair[1].1) {
                (Some(before), Some(after)) if elapsed > 0.0 && after >= before => {
                    Some((after - before) / elapsed)
                }
                _ => None,
            };
            (pair[1].0, rate)
        })
        .collect()
}

/// The same where some rates are not known.
fn over_seconds_known(rates: &[(f64, Option<f64>)]) -> Vec<(f64, Option<f64>)> {
    let known: Vec<(f64, f64)> = rates
        .iter()
        .filter_map(|(t, rate)| Some((*t, (*rate)?)))
        .collect();
    over_seconds(&known)
}

/// Resident memory of each replica over time.
pub(super) fn memory(repeat: &RepeatFiles<'_>) -> Figure {
    Figure::new(
        "memory",
        "Memory of each replica",
        "Resident memory at each look (0.2 s). A step is a checkpoint or a state transfer; a slope that does not end is a leak, or a store that is being filled.",
        memory_drawing(repeat),
    )
}

fn memory_drawing(repeat: &RepeatFiles<'_>) -> Result<Drawing, String> {
    let groups = repeat.resources()?.grouped("replica", "t_s", "rss")?;
    let mut table = Grid::new(&["replica", "at the beginning", "greatest", "at the end"]);
    let mut traces = Vec::new();
    for (id, points) in groups {
        // 0 is what a system says that does not know.
        let points: Vec<(f64, Option<f64>)> = points
            .into_iter()
            .map(|(t, bytes)| {
                (
                    t,
                    bytes.filter(|bytes| *bytes > 0.0).map(|bytes| bytes / MIB),
                )
            })
            .collect();
        let known: Vec<f64> = points.iter().filter_map(|point| point.1).collect();
        let mib = |value: f64| units::bytes(value * MIB);
        table.push([
            format!("r{id}"),
            or_dash(known.first().copied(), mib),
            or_dash(greatest(&known), mib),
            or_dash(known.last().copied(), mib),
        ]);
        traces.push(Trace {
            name: format!("r{id}"),
            points,
            colour: Colour::of(id as usize),
            dash: Dash::of(id as usize),
            unit: "MiB",
            ..Trace::default()
        });
    }
    if traces
        .iter()
        .all(|trace| trace.points.iter().all(|point| point.1.is_none()))
    {
        return Err("The system does not say how much memory a process holds.".to_owned());
    }
    Ok(Drawing {
        traces,
        x: Axis::seconds(repeat.repeat.duration_s),
        y: Axis::from_zero("MiB"),
        bands: faults::bands(repeat),
        table,
        ..Drawing::default()
    })
}

/// Bytes sent and received by each replica for each operation.
pub(super) fn bytes(repeat: &RepeatFiles<'_>) -> Figure {
    let sent: Counted = ("sent", |one| one.bytes_sent, Colour::Blue);
    let received: Counted = ("received", |one| one.bytes_received, Colour::Teal);
    Figure::new(
        "bytes",
        "Bytes for each operation",
        "What each replica sent to and received from replicas and clients, divided by the operations that succeeded; QUIC's and TLS's own bytes are not in it. The primary sends most: it spreads the batches.",
        per_operation(
            repeat,
            &[sent, received],
            "bytes / operation",
            "B",
            units::bytes,
        ),
    )
}

/// Synchronous writes of each replica for each operation.
pub(super) fn fsyncs(repeat: &RepeatFiles<'_>) -> Figure {
    let synced: Counted = ("fsyncs", |one| one.fsyncs, Colour::Violet);
    let durability = &repeat.run().run.environment.durability;
    Figure::new(
        "fsyncs",
        "fsyncs for each operation",
        format!(
            "Synchronous writes of each replica (durability {durability}), divided by the operations that succeeded: far below 1, group commit lets one fsync serve many operations."
        ),
        per_operation(repeat, &[synced], "fsyncs / operation", "", units::number).and_then(
            |drawn| {
                let none = drawn.traces[0]
                    .points
                    .iter()
                    .all(|point| point.1 == Some(0.0));
                match none {
                    true => Err(format!(
                        "The replicas reported no fsync: durability {durability}."
                    )),
                    false => Ok(drawn),
                }
            },
        ),
    )
}

fn per_operation(
    repeat: &RepeatFiles<'_>,
    of: &[Counted],
    title: &str,
    unit: &'static str,
    show: fn(f64) -> String,
) -> Result<Drawing, String> {
    let replicas: BTreeMap<u32, &ReplicaResources> = repeat
        .repeat
        .resources
        .replicas
        .iter()
        .map(|replica| (replica.id, replica))
        .collect();
    if replicas.is_empty() {
        return Err("No replica said what it used, at the beginning and at the end.".to_owned());
    }
    let ok = repeat.repeat.operations.ok;
    if ok == 0 {
        return Err("No operation succeeded, so there is nothing to divide by.".to_owned());
    }
    let share = |count: u64| count as f64 / ok as f64;
    let mut header = vec!["replica"];
    for (name, ..) in of {
        header.extend([*name, "an operation"]);
    }
    let mut table = Grid::new(&header);
    for (id, replica) in &replicas {
        let mut row = vec![format!("r{id}")];
        for (_, count, _) in of {
            let count = count(replica);
            row.extend([
                if unit == "B" {
                    units::bytes(count as f64)
                } else {
                    units::count(count)
                },
                show(share(count)),
            ]);
        }
        table.push(row);
    }
    let trace = |(name, count, colour): &Counted| Trace {
        name: (*name).to_owned(),
        look: Look::Bars,
        points: (0_u32..)
            .zip(replicas.values())
            .map(|(place, replica)| (f64::from(place), Some(share(count(replica)))))
            .collect(),
        colour: *colour,
        unit,
        ..Trace::default()
    };
    Ok(Drawing {
        traces: of.iter().map(trace).collect(),
        x: Axis::names("replica", replicas.keys().map(|id| format!("r{id}"))),
        y: Axis::from_zero(title),
        table,
        ..Drawing::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_look_is_weighed_by_the_time_that_it_stands_for() {
        let looks = [(0.5, 1.0), (1.5, 0.5), (1.6, 3.0)];
        let means = over_seconds(&looks);
        assert_eq!(means[0], (0.5, Some(1.0)));
        assert_eq!(means[1], (1.5, Some(0.5)));
        assert!(
            means[2]
                .1
                .is_some_and(|mean| (mean - 0.8 / 1.1).abs() < 1e-9)
        );
    }

    #[test]
    fn a_total_that_goes_back_is_no_negative_rate() {
        let totals = [
            (0.0, Some(1.0)),
            (0.5, Some(2.0)),
            (1.0, Some(0.1)),
            (1.5, None),
            (2.0, Some(0.3)),
        ];
        assert_eq!(
            rates(&totals),
            [(0.5, Some(2.0)), (1.0, None), (1.5, None), (2.0, None)]
        );
    }
}
