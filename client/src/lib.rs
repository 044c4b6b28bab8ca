//! The client of Quintet as an async library.
//!
//! ```text
//!   ClientHandle ─┐                            ┌─► Link 0 ══ QUIC ══ replica 0
//!   ClientHandle ─┼─ bounded queue ─► Actor ───┼─► Link 1 ══ QUIC ══ replica 1
//!   ClientHandle ─┘      one ClientSession     └─► Link n-1 ...
//!                        for each client key
//! ```
//!
//! The protocol's client half is [`consensus::client`], pure; here it gets a clock, sockets and
//! somebody to answer. One [`Hub`] has one connection to each replica, for one or many client
//! keys. [`Client`] is a hub with one key and typed operations: what an application wants.
//!
//! A result is believed because f + 1 replicas gave it over channels that authenticate them;
//! replies carry no signatures.

mod actor;
mod completion;
mod error;
mod hub;
mod joined;
mod lanes;
mod link;
mod operations;
mod outbox;
mod state;

pub use completion::{Completion, CompletionSink};
pub use consensus::client::{Answer, Contradiction, Pace, Standing, SubmitError, TimedOut};
pub use error::{ConnectError, ObserveError, OperationError, RequestError};
pub use hub::{ClientHandle, Hub, HubSettings};
pub use operations::{Client, Read, ScanPage, TxnOutcome};
pub use state::{HubReport, LinkState};
