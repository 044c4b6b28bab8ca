//! The benchmark suite of Quintet: scenarios, load, measurement, checks and reports.
//!
//! ```text
//!   cli ──► scenario ──► run ──► cluster   replica processes, or an attached cluster
//!                         ├────► load      clients, by the workload's streams
//!                         ├────► record    histograms, history, files
//!                         └────► check ──► judge ──► report
//!   cli ──► doctor ────► machine, and runs of one thing: what figures of this machine are worth
//!   cli ──► archive ───► the results on disk: which there are, one of them again
//!   cli ──► verify ────► check, over the files of a run
//!   cli ──► experiment ► run, for every combination of what a scenario varies, in turns
//!   cli ──► saturate ──► run, at one rate after the other, until the objective is missed
//!            both of them keep a campaign: a directory of many runs, gone on with after an interruption
//!   cli ──► compare ───► run.json of several runs, statistics, an answer in words
//!   cli ──► simulate ──► the simulator: whole clusters in virtual time, by seeds
//! ```

pub mod archive;
pub mod campaign;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod compare;
pub mod disk;
pub mod doctor;
pub mod emulation;
pub mod exit;
pub mod experiment;
pub mod hostile_clients;
pub mod judge;
pub mod load;
pub mod machine;
pub mod options;
pub mod outsider;
pub mod prom;
pub mod record;
pub mod report;
pub mod run;
pub mod saturate;
pub mod scenario;
pub mod screen;
pub mod simulate;
pub mod statistics;
pub mod sweep;
pub mod verify;
pub mod workload;
