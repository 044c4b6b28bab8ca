//! Disks that fail, lie, fill up or rot, for the replicas of a local cluster.
//!
//! ```text
//!   [[fault]] kind = "disk"
//!        │
//!        ├─ a running replica ── one line on its standard input ─► Condition ─► FaultyLog, FaultyState (faulty)
//!        │                                                                        around the honest stores
//!        └─ its files ── killed, or stopped for a moment ─► Image (copied, put back)
//!                                                           mangle (cut, flipped, exchanged, dated) ─► started again
//! ```
//!
//! Only `bench` has this; the binary `replica` knows no way to fail on purpose.
//!
//! What it cannot express: a disk that answers reads wrongly while the replica runs (its databases are read at the start only), and
//! a system that loses what it had in memory: a copy is of what the process had *written*, which is what a disk holds at best.

mod faulty;
mod image;
mod mangle;

pub use faulty::{Condition, Disk, Failing};
pub use image::{Image, lose};
pub use mangle::{Mangled, bit_flip, date, torn_write};
