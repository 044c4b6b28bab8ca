//! What one Byzantine member is going to do: written by a scenario, drawn by the simulator, handed
//! to a process as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::behaviour::Behaviour;
use crate::trigger::Trigger;

/// Most behaviours on one replica.
pub const BEHAVIOURS_MAX: usize = 16;

/// The behaviours of one member, in the order in which they bend what leaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// What it does, and when. What one behaviour lets out is what the next one sees.
    pub behaviours: Vec<(Behaviour, Trigger)>,
    /// Decides everything that is left to chance. Colluders have the same.
    pub seed: u64,
    /// The other members whose keys it has.
    pub colluders: Vec<u16>,
}

impl Plan {
    /// One behaviour that always strikes.
    pub fn of(behaviour: Behaviour) -> Plan {
        Plan {
            behaviours: vec![(behaviour, Trigger::default())],
            ..Plan::default()
        }
    }

    /// The same with another behaviour behind the others.
    #[must_use]
    pub fn and(mut self, behaviour: Behaviour, trigger: Trigger) -> Plan {
        self.behaviours.push((behaviour, trigger));
        self
    }

    /// Is there anything that a plan cannot mean?
    ///
    /// # Errors
    /// A sentence with the remedy.
    pub fn check(&self) -> Result<(), String> {
        if self.behaviours.len() > BEHAVIOURS_MAX {
            return Err(format!(
                "{} behaviours on one replica: at most {BEHAVIOURS_MAX} are possible",
                self.behaviours.len()
            ));
        }
        for (behaviour, trigger) in &self.behaviours {
            trigger
                .check()
                .map_err(|what| format!("{}: {what}", behaviour.name()))?;
        }
        Ok(())
    }
}
