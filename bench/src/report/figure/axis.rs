//! An axis: what is on it, in which unit, and how it is divided.

/// One axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Axis {
    /// What, and the unit.
    pub(crate) title: String,
    /// How values become places.
    pub(crate) kind: AxisKind,
    /// Places with words, instead of round numbers.
    pub(crate) ticks: Vec<(f64, String)>,
    /// The ends; chosen by the values if there are none.
    pub(crate) range: Option<(f64, f64)>,
    /// Whether it begins at the top, as a list does.
    pub(crate) downwards: bool,
}

/// How values become places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AxisKind {
    /// By their distance.
    #[default]
    Linear,
    /// By their distance, from 0 on.
    FromZero,
    /// By their ratio.
    Log,
}

/// Percentiles that name a place on the axis of nines: 0, 90, 99, ... equally far apart.
const NINES: [&str; 7] = ["0", "90", "99", "99.9", "99.99", "99.999", "99.9999"];

impl Axis {
    /// A linear axis.
    pub(crate) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            ..Self::default()
        }
    }

    /// An axis from 0 on.
    pub(crate) fn from_zero(title: &str) -> Self {
        Self {
            kind: AxisKind::FromZero,
            ..Self::new(title)
        }
    }

    /// A logarithmic axis.
    pub(crate) fn log(title: &str) -> Self {
        Self {
            kind: AxisKind::Log,
            ..Self::new(title)
        }
    }

    /// An axis of names, the first at 0, the next at 1.
    pub(crate) fn names(title: &str, names: impl IntoIterator<Item = String>) -> Self {
        let ticks: Vec<(f64, String)> = (0..)
            .zip(names)
            .map(|(index, name)| (f64::from(index), name))
            .collect();
        Self {
            range: Some((-0.6, ticks.len() as f64 - 0.4)),
            ticks,
            ..Self::new(title)
        }
    }

    /// The same, the first at the top.
    pub(crate) fn list(names: impl IntoIterator<Item = String>) -> Self {
        Self {
            downwards: true,
            ..Self::names("", names)
        }
    }

    /// Seconds of the measured phase.
    pub(crate) fn seconds(duration_s: f64) -> Self {
        Self {
            range: (duration_s > 0.0).then_some((0.0, duration_s)),
            ..Self::new("seconds into the measured phase")
        }
    }

    /// The axis of nines up to a percentile's place.
    pub(crate) fn nines(place_max: f64) -> Self {
        let ticks = (0..)
            .zip(NINES)
            .map(|(place, name)| (f64::from(place), format!("{name} %")));
        Self {
            ticks: ticks
                .filter(|(place, _)| *place <= place_max + 0.5)
                .collect(),
            range: Some((0.0, place_max + 0.1)),
            ..Self::new("share of the operations that took no longer")
        }
    }
}

/// The place of a share (0 to 1, below 1) on the axis of nines.
pub(crate) fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nine_is_as_far_from_the_one_before() {
        for (place, share) in [
            (0.0, 0.0),
            (1.0, 0.9),
            (2.0, 0.99),
            (3.0, 0.999),
            (4.0, 0.9999),
        ] {
            assert!((nines(share) - place).abs() < 1e-9, "{share}");
        }
        let axis = Axis::nines(3.2);
        let names: Vec<&str> = axis.ticks.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["0 %", "90 %", "99 %", "99.9 %"]);
    }
}
