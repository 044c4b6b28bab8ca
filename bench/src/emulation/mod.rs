//! A network between the replicas of one machine: distance, loss, narrow links and partitions, without privileges.
//!
//! ```text
//!   QUIC ──► Socket ──► Shaper ──► Link (one for each destination): lost? twice? damaged? when does it arrive?
//!              ▲           │
//!              │           └──► line, ordered by time ──► pump, a thread ──► the real socket ──► loopback
//!        received as it is
//! ```
//!
//! Each directed link is shaped by its sender, who knows from the address of a datagram whom it is for. Clients run in one
//! process, which is not shaped: what they send is held up where it arrives, at the replica's port for clients.
//!
//! [`Link`] and [`Shaper`] are functions of time and seed: the same datagrams at the same times meet the same fate.
//! What this cannot express is listed in docs/network.md.

mod dice;
mod distance;
mod link;
mod matrix;
mod mesh;
mod process;
mod pump;
mod settings;
mod shaper;
mod socket;
mod source;

pub use distance::DELAY_MAX;
pub use link::{Cause, Fate, Link, Passage};
pub use matrix::{Matrix, MatrixError, named as named_matrix, names as matrix_names};
pub use mesh::{Change, Mesh, Overlay};
pub use process::{Emulated, Links, Plan};
pub use settings::{LinkSettings, Spread};
pub use shaper::{Datagram, LinkCounts, LinkId, Shaper};
pub use socket::{Direction, Socket};
