//! The replicated key-value state machine of Quintet: what an operation means, what it answers,
//! and a digest of everything held.
//!
//! ```text
//!   bytes ──► Op ──► execute ──► Table: records by key ──► OpResult ──► bytes
//!                                  │ keys touched
//!                                  ▼ at root(), or many      ┌► parts, to other replicas
//!                               Buckets: 1024 hash tries ──► kv_root
//!                               Snapshots: what changed since earlier checkpoints
//! ```
//!
//! Everything follows from the operations alone: no clock, no chance, and no iteration over a
//! container whose order could differ between replicas (docs/protocol.md R1, R9, R17).

mod ahead;
mod buckets;
mod change;
mod execute;
mod held;
mod limits;
mod op;
mod parts;
mod record;
mod result;
mod row;
mod snapshots;
mod store;
mod table;
mod trie;
mod version;

pub use buckets::{BUCKETS, DigestWork};
pub use change::Change;
pub use limits::{
    Bound, KEY_BYTES_MAX, RESULT_BYTES_MAX, SCAN_LIMIT_MAX, TXN_COMPARES_MAX, TXN_OPS_MAX,
    VALUE_BYTES_MAX,
};
pub use op::{Compare, Expect, Op, OpError, SimpleOp, Txn};
pub use parts::Content;
pub use record::Record;
pub use result::{Branch, Entry, OpResult, SimpleResult};
pub use store::Store;
pub use version::{ParseVersionError, Version};
