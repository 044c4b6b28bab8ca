//! A replica of Quintet as a process: storage, transport, verification and the driver that puts
//! the pure protocol of `consensus` to work.
//!
//! ```text
//!   net-peers  ─┐                                   ┌─► net-peers
//!               ├─► verify ─► core (Driver) ────────┤
//!   net-clients ┘               ▲        │          └─► net-clients
//!                               └─ log ◄─┴─► state
//! ```
//!
//! Six threads, each woken only when there is something to do (ARCHITECTURE.md 5).

pub mod admin;
pub mod config;
pub mod driver;
pub mod evidence;
pub mod fitting;
pub mod inbox;
pub mod inspect;
pub mod observer;
mod pbft_ports;
mod replica;
pub mod run;
mod startup;
pub mod stdin;
pub mod storage;
pub mod transport;
pub mod verify;

pub use config::{Engine, Options};
pub use fitting::{Fitting, Honest};
pub use replica::Replica;
pub use run::{ExitReason, Ready, exit_code, run, run_fitted};
pub use startup::StartupError;
