//! What a caller of this library may put around a replica, and where.
//!
//! ```text
//!            ┌─ socket ── QUIC ── verify ─┐
//!   network  │                            ▼
//!            └─ socket ── QUIC ◄─ network ◄─ protocol(Pbft) ─► executor
//!                                               │
//!                     control ─► (the caller)   └─► storage
//! ```
//!
//! An experiment needs replicas that lie, links that lose packets and disks that fail. None of that is here: a replica
//! knows only that there are places at which something may stand, and [`Honest`], which puts nothing there, is what the
//! binary `replica` runs. Everything is asked for once, when the replica starts, in the order of the methods.
//!
//! What this cannot express: what a replica *receives* is verified before anything of the caller's sees it, as it is on
//! an honest one, and its state is executed by the honest executor.

use consensus::Protocol;
use consensus::pbft::Pbft;
use consensus::pbft::admission::Message;
use consensus::pbft::message::Wire;
use consensus::pbft::record::Record;
use network::{Class, SocketWrap};

use crate::config::Membership;
use crate::driver::core_loop::Clock;
use crate::driver::ports::{Describe, Network};
pub use crate::pbft_ports::QuicNetwork;
use crate::storage::Storage;

/// What takes the lines that come in on standard input. Runs on a thread of its own, which waits for it.
pub type Control = Box<dyn FnMut(&str) + Send>;

/// What stands around one replica.
pub trait Fitting {
    /// What the driver steps instead of the honest protocol.
    type Protocol: Protocol<Wire = Wire, Message = Message, Record = Record> + Send + 'static;
    /// What the driver sends through.
    type Network: Network + Describe<Wire> + Send + 'static;

    /// The UDP socket under the endpoint for peers or for clients.
    fn socket(&mut self, _who: &Membership, _class: Class) -> SocketWrap {
        SocketWrap::default()
    }

    /// The record log and the state store, opened, read and found whole.
    fn storage(&mut self, _who: &Membership, opened: Storage) -> Storage {
        opened
    }

    /// The protocol, which has been given its durable records.
    fn protocol(&mut self, who: &Membership, honest: Pbft) -> Self::Protocol;

    /// What leaves: encoded messages to peers, and replies. The protocol's time is that of `clock`.
    fn network(&mut self, who: &Membership, clock: Clock, honest: QuicNetwork) -> Self::Network;

    /// Who takes what the process that started this one says on standard input, line by line. Asked for with
    /// [`Options::exit_with_stdin`](crate::Options::exit_with_stdin) only.
    fn control(&mut self) -> Control {
        Box::new(|_| {})
    }
}

/// Nothing at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Honest;

impl Fitting for Honest {
    type Protocol = Pbft;
    type Network = QuicNetwork;

    fn protocol(&mut self, _who: &Membership, honest: Pbft) -> Pbft {
        honest
    }

    fn network(&mut self, _who: &Membership, _clock: Clock, honest: QuicNetwork) -> QuicNetwork {
        honest
    }
}
