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
//! **What a wrapper cannot express**, and where it is instead:
//!
//! * lies about its own disk, such as a vote that leaves before it is durable or is forgotten (D1 to D10): records
//!   pass as they are, and the disk's faults take them away;
//! * a crash in the middle of a behaviour (the end of BP2): it falls silent instead, and a `[[fault]]` kills;
//! * several bad primaries behind a crash (BP15): each is a member of its own with `stall-view` in its plan;
//! * two instances that both execute and keep a disk (C1): the second instance of `twins` has neither, so it signs
//!   no CHECKPOINT; the simulator's own twins have both;
//! * what happens below a message, in QUIC, TLS and memory (Q1 to Q15, M1 to M7): a hostile program beside the
//!   cluster. A bend makes malformed *frames* within an authenticated channel, no more;
//! * requests of clients (BC1 to BC10): a hostile client, whose requests are made in [`client`]. A member makes requests up,
//!   but signs them with no client's key;
//! * work that it does not do: it verifies what it receives like an honest replica, and its honest half votes in good
//!   faith unless a behaviour bends the vote.
//!
//! It cannot break a signature or a digest, and speaks on its own channels only, colluders' keys or not.

pub mod attack;
pub mod backup;
pub mod behaviour;
pub mod bend;
pub mod cabal;
pub mod chance;
pub mod client;
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
