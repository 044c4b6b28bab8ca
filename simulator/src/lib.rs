//! A whole cluster in one process and virtual time: the protocol's own code, a seeded network and
//! disk, crashing replicas, clients, and checkers over everything that happened.
//!
//! One seed decides a run completely; the same seed gives the same trace hash in debug and
//! release. A failing seed is printed and can be run again, or drawn as a chart:
//!
//! ```
//! let outcome = simulator::run(&simulator::Config::drawn(7));
//! assert_eq!(outcome.violations, Vec::<String>::new());
//! ```
//!
//! ```text
//!   drawn ──▶ Config ──▶ world: queue of what is due, in virtual time
//!                          ├─ driving: replicas (node, disk, clock)   ── nemesis: what fails
//!                          ├─ asking:  clients                        ── network: what arrives
//!                          └─ check:   oracles, while it goes on      ── stats, trace
//! ```
//!
//! First everything is safe while things fail, then everything is healed and progress is
//! demanded, then all replicas are restarted at once and every acknowledged write must be there.
//!
//! Byzantine members are honest code with attacks around it (the crate `byzantine`), or honest code that
//! runs twice. The oracles believe nothing that they say. Byzantine clients ([`Trick`]) attack beside them.

mod asking;
mod bending;
pub mod campaign;
mod check;
mod client;
mod clock;
mod config;
mod disk;
mod drawn;
mod driving;
mod member;
mod misbehaving;
mod mix;
mod nemesis;
mod network;
mod node;
mod persistence;
mod queue;
mod reading;
mod reporting;
mod rogue;
mod scheme;
mod script;
mod spoiling;
mod stats;
pub mod trace;
mod transferring;
mod world;

pub use config::{Config, Faults, Signatures};
pub use persistence::{CrashAt, Place, Point, Points};
pub use rogue::Trick;
pub use scheme::{FakeScheme, FakeSigner};
pub use script::Scripted;
pub use stats::Stats;
pub use world::{Outcome, run};
