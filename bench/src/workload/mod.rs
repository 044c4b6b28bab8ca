//! Workload: which operation each client sends next, on which key, with which value, and when.
//!
//! ```text
//!   seed ──► one ChaCha8 stream per (client, purpose)
//!              mix ──► kind ┐
//!              keys ──► key ├──► Operation ──► load driver
//!            values ──► value┘                    ▲
//!          arrivals ──► intended start ───────────┘
//! ```
//!
//! Everything derives from the scenario's seed. Each client draws from streams of its own, and each purpose (mix, keys, values, arrivals) from a
//! stream of its own within the client, so a client's draws do not depend on how the clients interleave, and a change of the value size leaves the
//! keys as they were. One thing is shared on purpose: the counter of created keys ([`KeySpace`]), because two clients must not create the same key.
//! In a workload that creates, the numbers of the new keys therefore depend on the interleaving; the draws do not.

mod arrival;
mod from_scenario;
mod generator;
mod keys;
mod mix;
mod operation;
mod permutation;
mod seed;
mod value;

pub use arrival::{Arrival, Arrivals};
pub use generator::{ClientLoad, LoadPlan, Loader};
pub use keys::{
    KeyChooser, KeyDistribution, KeySpace, UNSETTLED_CREATES_MAX, key_name, key_number,
};
pub use mix::{Mix, Preset, YCSB_SCAN_ITEMS_MAX};
pub use operation::{Condition, Guard, Operation, OperationKind, TXN_OPERATIONS};
pub(crate) use seed::spread;
pub use seed::{Purpose, fault_stream, random_stream};
pub use value::{SizeDistribution, ValueFault, ValueSource, record_value, tag_of, verify_padding};

/// A workload parameter which no generator can honour: the configuration's fault, and the message names the field and its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("workload: {field} {problem}")]
pub struct ParameterError {
    /// The field as the scenario file spells it, for example `workload.key.theta`.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl ParameterError {
    pub(crate) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self {
            field,
            problem: problem.into(),
        }
    }
}
