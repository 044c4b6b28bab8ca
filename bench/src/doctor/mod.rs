//! `bench doctor`: whether figures of this machine can be believed, and what to change if not.
//!
//! ```text
//!   machine (measures) ─► examine ─► findings, each ok or a warning with its remedy ─┐
//!   runs of one thing, A B A B ─► noise floor, for each metric ──────────────────────┴─► table, bench.doctor/v1
//! ```
//!
//! The noise floor is kept beside the results, where `bench compare` looks for it.

mod costs;
mod examine;
mod finding;
mod noise;
mod render;
mod spread;

pub use examine::examine;
pub use finding::{DOCTOR_SCHEMA, Diagnosis, Finding, State};
pub use noise::{NOISE_FILE, NOISE_SCHEMA, Noise, NoiseOptions, measure_noise, read_noise};
pub use render::diagnosis_text;
pub use spread::{MetricNoise, floor};
