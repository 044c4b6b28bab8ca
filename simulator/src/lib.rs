//! A whole cluster in one process and virtual time: the protocol's own code, a seeded network and
//! disk, crashing replicas, clients, and checkers over everything that happened.
//!
//! One seed decides a run completely; the same seed gives the same trace hash in debug and
//! release. A failing seed is printed and can be run again:
//!
//! ```
//! let outcome = simulator::run(&simulator::Config { seed: 7, ..simulator::Config::default() });
//! assert_eq!(outcome.violations, Vec::<String>::new());
//! ```
//!
//! What this version cannot express: Byzantine members, partitions, and replicas that fall behind
//! the log of all others (they need state transfer).

mod check;
mod client;
mod config;
mod disk;
mod driving;
mod node;
mod scheme;
mod world;

pub use config::{Config, Faults, Signatures};
pub use scheme::{FakeScheme, FakeSigner};
pub use world::{Outcome, Stats, run};
