//! How far two measurements of one thing are apart by chance on a machine, metric by metric.

use super::metric::Metric;

/// The noise floor of each metric, as a share: 0.05 for 5 %.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NoiseFloor([Option<f64>; Metric::ALL.len()]);

impl NoiseFloor {
    /// What `floor` says of each metric; `None` where it was not measured.
    #[must_use]
    pub fn of(floor: impl Fn(Metric) -> Option<f64>) -> Self {
        Self(Metric::ALL.map(floor))
    }

    /// The floor of one metric.
    #[must_use]
    pub fn get(&self, metric: Metric) -> Option<f64> {
        let at = Metric::ALL.iter().position(|one| *one == metric)?;
        self.0[at]
    }

    /// The largest floor of any metric.
    #[must_use]
    pub fn largest(&self) -> Option<f64> {
        self.0.iter().flatten().copied().max_by(f64::total_cmp)
    }
}
