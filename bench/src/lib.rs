//! The benchmark suite of Quintet: scenarios, load, measurement, checks and reports.
pub mod check;
pub mod record;
pub mod scenario;
pub mod workload;
pub mod exit;
pub mod judge;
pub mod options;
pub mod report;
pub mod cli;
pub mod cluster;
pub mod load;
pub mod run;
