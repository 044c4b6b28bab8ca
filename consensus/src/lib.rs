//! The replication protocol of Quintet as a pure function of its inputs.
//!
//! Time, disk, network and chance come in as [`Event`]s and go out as [`Action`]s. The same code
//! is driven by a replica process, by the simulator and by a model checker. Nothing here reads a
//! clock, a file, a socket or a random source; `clippy.toml` and a test keep it so.
//!
//! ```text
//!   requests, messages, timers ──► Protocol::step ──► persist, send, execute, timers, reports
//!                                        ▲                              │
//!                                        └──── Persisted, Executed ◄────┘
//! ```

pub mod batch;
pub mod byte_list;
pub mod client;
pub mod cluster;
pub mod configuration;
pub mod executor;
pub mod ids;
pub mod keyring;
pub mod mutation;
pub mod pbft;
pub mod pool;
pub mod protocol;
pub mod raw_batch;
pub mod read;
pub mod reply;
pub mod report;
pub mod request;
pub mod session;
pub mod settings;
pub mod state_machine;
pub mod time;
pub mod transfer;

pub use batch::Batch;
pub use byte_list::ByteList;
pub use cluster::{Cluster, ConfigError, FastQuorum, Quorums};
pub use configuration::{Configuration, Nonce, Renew};
pub use executor::{Executed, Executor, Lookup};
pub use ids::{ClientId, Epoch, ReplicaId, RequestId, SeqNo, Term, View};
pub use keyring::Keyring;
pub use protocol::{Action, Destination, Event, Misbehaviour, Outbox, Protocol, Ticket, Timer};
pub use raw_batch::RawBatch;
pub use read::{Grade, Read, ReadGate, ReadVersion};
pub use reply::{Outcome, Reply, ResultBody};
pub use report::Report;
pub use request::{Request, RequestError};
pub use settings::{CommitMode, Limits, Policy};
pub use state_machine::{StateMachine, Transferable};
pub use time::Instant;
pub use transfer::Transfer;
