//! From the scenario's tables to the generators' parameters.

use crate::scenario::schema;

use super::{
    Arrival, KeyDistribution, LoadPlan, Mix, OperationKind, ParameterError, Preset,
    SizeDistribution,
};

/// Skew of `dist = "latest"`, as in YCSB.
const LATEST_THETA: f64 = 0.99;

impl LoadPlan {
    /// The plan of a scenario's workload, for `clients` clients under `seed` (a repeat's own seed).
    ///
    /// # Errors
    /// [`ParameterError`] for a parameter outside its range; a scenario that was accepted has none.
    pub fn of(
        workload: &schema::Workload,
        clients: u64,
        seed: u64,
    ) -> Result<Self, ParameterError> {
        let mix = match workload.preset {
            Some(preset) => Preset::from(preset).mix(),
            None => Mix::new(
                &workload
                    .mix
                    .shares()
                    .map(|(kind, share)| (kind.into(), share)),
            )?,
        };
        Ok(Self {
            mix,
            keys: workload.key.into(),
            sizes: workload.value.into(),
            scan_items_max: workload.scan_length,
            records: workload.records,
            clients,
            seed,
        })
    }
}

impl From<schema::Preset> for Preset {
    fn from(preset: schema::Preset) -> Self {
        match preset {
            schema::Preset::A => Self::A,
            schema::Preset::B => Self::B,
            schema::Preset::C => Self::C,
            schema::Preset::D => Self::D,
            schema::Preset::E => Self::E,
            schema::Preset::F => Self::F,
        }
    }
}

impl From<schema::OpKind> for OperationKind {
    fn from(kind: schema::OpKind) -> Self {
        match kind {
            schema::OpKind::Create => Self::Create,
            schema::OpKind::Read => Self::Read,
            schema::OpKind::Update => Self::Update,
            schema::OpKind::Put => Self::Put,
            schema::OpKind::Delete => Self::Delete,
            schema::OpKind::Cas => Self::Cas,
            schema::OpKind::Scan => Self::Scan,
            schema::OpKind::Txn => Self::Txn,
        }
    }
}

impl From<schema::KeyDistribution> for KeyDistribution {
    fn from(keys: schema::KeyDistribution) -> Self {
        use schema::KeyDistribution as Keys;
        match keys {
            Keys::Uniform => Self::Uniform,
            Keys::Zipfian { theta } => Self::Zipfian { theta },
            Keys::Latest => Self::Latest {
                theta: LATEST_THETA,
            },
            Keys::Hotspot {
                hot_fraction,
                hot_share,
            } => Self::Hotspot {
                hot_fraction,
                hot_share,
            },
            Keys::Sequential => Self::Sequential,
        }
    }
}

impl From<schema::ValueSize> for SizeDistribution {
    fn from(size: schema::ValueSize) -> Self {
        use schema::ValueSize as Value;
        // A value of 4 GiB is beyond every bound of the protocol; the scenario's own bound is far below.
        let bytes = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
        match size {
            Value::Constant { bytes: length } => Self::Constant {
                bytes: bytes(length),
            },
            Value::Uniform { min, max } => Self::Uniform {
                min_bytes: bytes(min.bytes()),
                max_bytes: bytes(max.bytes()),
            },
            Value::Lognormal { median, sigma, max } => Self::Lognormal {
                median_bytes: bytes(median.bytes()),
                sigma,
                max_bytes: bytes(max.bytes()),
            },
        }
    }
}

impl From<schema::Arrival> for Arrival {
    fn from(arrival: schema::Arrival) -> Self {
        match arrival {
            schema::Arrival::Poisson => Self::Poisson,
            schema::Arrival::Constant => Self::Constant,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_preset_of_a_scenario_has_the_shares_that_the_scenario_shows() {
        use schema::Preset::{A, B, C, D, E, F};
        for preset in [A, B, C, D, E, F] {
            let shown = preset.mix();
            let generated = Preset::from(preset).mix();
            for (kind, share) in shown.shares() {
                assert_eq!(
                    generated.includes(kind.into()),
                    share > 0.0,
                    "{preset:?} {kind:?}"
                );
            }
            assert_eq!(
                KeyDistribution::from(preset.key()),
                Preset::from(preset).keys()
            );
        }
    }
}
