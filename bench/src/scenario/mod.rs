//! Scenario files: read, merged, checked and explained.

mod cluster;
mod compare;
mod expect;
mod goals;
mod json_schema;
mod load;
pub mod schema;
mod units;
mod workload;
