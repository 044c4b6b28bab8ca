//! Malicious replicas, as a wrapper around the unmodified honest protocol.
//!
//! ```text
//!            ┌──────────────── a Byzantine member ────────────────┐
//!  events ──▶│ Byzantine ( attacks ─▶ honest Pbft ─▶ attacks )     │──▶ actions ──▶ driver
//!            │                                                    │                  │
//!            └── Plan · Trigger · Cabal's keys · Chance · Pulse ──┘     Bend ◀───────┘──▶ network
//! ```
//!
//! * [`Behaviour`] is the catalogue: names, arguments, what must hold. Scenario files, their schema,
//!   the command line and the tests are made from it.
//! * [`Trigger`] says when a behaviour strikes; a [`Plan`] is what one member does.
//! * [`Byzantine`] is a [`consensus::Protocol`] with the wire, messages and records of `Pbft`.
//! * [`Bend`] is the other half at the way out: replies, state transfer, bytes that are no message.
//! * [`Pulse`] is what both and the process around them share.
//!
//! Nothing here reads a clock, a file or a random source: what a member does follows from its plan's
//! seed and from what reaches it. It signs with its own key and those of its [`Cabal`]; whatever bears
//! another name has a signature that does not hold.
//!
//! **What a wrapper cannot express**: lies about its own disk (a fault of the disk), what happens below
//! a message (QUIC, TLS and memory: a hostile program beside the cluster), and requests of clients (a
//! hostile client). It cannot break a signature or a digest. It sees what comes in only once that was
//! verified, and speaks on its own channels only, colluders' keys or not. And it has one life at a
//! time: honest code that runs twice with one key (C1) is a whole second replica, the simulator's twin.

pub mod attack;
pub mod backup;
pub mod behaviour;
pub mod bend;
pub mod cabal;
pub mod chance;
pub mod collusion;
pub mod forge;
pub mod held;
pub mod memory;
pub mod plan;
pub mod primary;
pub mod pulse;
pub mod retold;
pub mod span;
pub mod trigger;
pub mod wrapper;

pub use behaviour::{Behaviour, Plays};
pub use bend::{Bend, Due};
pub use cabal::Cabal;
pub use forge::Forge;
pub use plan::Plan;
pub use pulse::Pulse;
pub use span::Span;
pub use trigger::{Part, Trigger};
pub use wrapper::Byzantine;
