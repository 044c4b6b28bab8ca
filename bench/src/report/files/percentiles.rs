//! The percentile files of HdrHistogram, `.hgrm`.

use std::path::Path;

use super::{named, unused};

/// Percentiles that tables show, as shares.
pub(crate) const WANTED: [(f64, &str); 6] = [
    (0.0, "min"),
    (0.5, "p50"),
    (0.9, "p90"),
    (0.99, "p99"),
    (0.999, "p99.9"),
    (0.9999, "p99.99"),
];

/// A step of the distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percentile {
    /// Share of the operations, 0 to 1, that took no longer.
    pub(crate) share: f64,
    /// Milliseconds.
    pub(crate) ms: f64,
    /// Operations up to here.
    pub(crate) count: u64,
}

/// Reads the steps in ascending order.
///
/// # Errors
/// A sentence that names the file: it is not there, or has no steps.
pub(crate) fn read(path: &Path) -> Result<Vec<Percentile>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| unused(path, &error))?;
    let step = |line: &str| {
        let mut fields = line.split_whitespace();
        Some(Percentile {
            ms: fields.next()?.parse().ok()?,
            share: fields.next()?.parse().ok()?,
            count: fields.next()?.parse().ok()?,
        })
    };
    let steps: Vec<Percentile> = text.lines().filter_map(step).collect();
    match steps.is_empty() {
        true => Err(format!("{} has no steps: nothing succeeded.", named(path))),
        false => Ok(steps),
    }
}

/// The first step at or above a share; `None` if there are too few operations for it to differ from the maximum.
pub(crate) fn at(steps: &[Percentile], share: f64) -> Option<f64> {
    let count = steps.last()?.count as f64;
    let known = share < 1.0 && (1.0 - share) * count >= 1.0;
    let step = steps.iter().find(|step| step.share >= share - 1e-12);
    step.filter(|_| known).map(|step| step.ms)
}
