//! How many operations share a slot.

use crate::report::figure::{Axis, Colour, Drawing, Figure, Grid, Look, Trace};
use crate::report::files::{RepeatFiles, batch_sizes};
use crate::report::units;
use crate::statistics::{quantile, sorted};

/// Bars that can be told apart.
const BARS_MAX: u64 = 48;

/// How often batches of each size were decided.
pub(super) fn sizes(repeat: &RepeatFiles<'_>) -> Figure {
    let mut caption = "Operations in a slot. Small batches under little load are right: nobody waits for company. Under much load they should be large, for a slot costs the same however many operations it has.".to_owned();
    let sizes = batch_sizes(repeat);
    if let Ok((replica, sizes)) = &sizes {
        caption.push_str(&format!(
            " {} from the log of replica {replica}, load and warm-up included.",
            units::counted(sizes.len() as u64, "slot")
        ));
    }
    Figure::new(
        "batches",
        "Batch sizes",
        caption,
        sizes.map(|(_, sizes)| drawing(&sizes)),
    )
}

fn drawing(sizes: &[u64]) -> Drawing {
    let max = sizes.iter().copied().max().unwrap_or_default();
    let width = (max + 1).div_ceil(BARS_MAX).max(1);
    let mut bars = vec![0_u64; (max / width + 1) as usize];
    for size in sizes {
        bars[(size / width) as usize] += 1;
    }
    let from = |bar: usize| bar as u64 * width;
    let name = |bar: usize| match width {
        1 => units::counted(from(bar), "operation"),
        _ => format!("{} to {} operations", from(bar), from(bar) + width - 1),
    };
    let values: Vec<f64> = sizes.iter().map(|size| *size as f64).collect();
    let values = sorted(&values);
    let mut table = Grid::new(&["of the slots", "operations"]);
    for (share, label) in [
        (0.0, "least"),
        (0.1, "p10"),
        (0.5, "p50"),
        (0.9, "p90"),
        (0.99, "p99"),
        (1.0, "greatest"),
    ] {
        table.push([
            label.to_owned(),
            super::windows::or_dash(quantile(&values, share), |size| {
                units::count(size.round() as u64)
            }),
        ]);
    }
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    table.push(["mean".to_owned(), units::number(mean)]);
    Drawing {
        traces: vec![Trace {
            name: "slots".to_owned(),
            look: Look::Bars,
            points: bars
                .iter()
                .enumerate()
                .map(|(bar, count)| ((from(bar) + (width - 1) / 2) as f64, Some(*count as f64)))
                .collect(),
            notes: bars
                .iter()
                .enumerate()
                .map(|(bar, count)| format!("{}: {}", name(bar), units::counted(*count, "slot")))
                .collect(),
            colour: Colour::Teal,
            unit: "slots",
            ..Trace::default()
        }],
        x: Axis::new("operations in a slot"),
        y: Axis::from_zero("slots"),
        table,
        ..Drawing::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_in_one_bar() {
        for max in [0, 1, 47, 48, 500] {
            let sizes: Vec<u64> = (0..=max).chain([max]).collect();
            let drawn = drawing(&sizes);
            let bars = &drawn.traces[0].points;
            let sum: f64 = bars.iter().filter_map(|bar| bar.1).sum();
            assert!((sum - (max + 2) as f64).abs() < 1e-9, "{max}");
            assert!(bars.len() as u64 <= BARS_MAX);
        }
    }
}
