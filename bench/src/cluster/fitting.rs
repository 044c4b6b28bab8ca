//! What stands around a replica that `bench` starts (`replica::Fitting`), as its member file says.
//!
//! ```text
//!   member file ─┬─► socket, storage, …      made when the replica starts
//!                └─► told ───────────────┐
//!   standard input ─► ControlLine ───────┴─► every part that listens
//! ```

use std::sync::Arc;

use consensus::pbft::Pbft;
use network::{Class, SocketWrap, Version};
use replica::config::Membership;
use replica::driver::core_loop::Clock;
use replica::fitting::{Control, Fitting, QuicNetwork};
use replica::storage::Storage;

use super::control::ControlLine;
use super::member_file::MemberFile;
use crate::disk::Disk;
use crate::emulation::Emulated;

/// A part that wants to know what the run says.
pub(super) type Listener = Box<dyn FnMut(&ControlLine) + Send>;

/// What all replicas of a run have around them, honest or not.
pub(super) struct Surroundings {
    member: MemberFile,
    listeners: Vec<Listener>,
    network: Option<Arc<Emulated>>,
    disk: Disk,
}

impl Surroundings {
    pub(super) fn new(member: MemberFile) -> Self {
        let mut around = Surroundings {
            network: member.network.as_ref().map(Emulated::new).map(Arc::new),
            member,
            listeners: Vec::new(),
            disk: Disk::default(),
        };
        around.listen(Box::new(|line| tracing::info!(?line, "the run says")));
        if let Some(network) = around.network.clone() {
            around.listen(Box::new(move |line| match line {
                ControlLine::Links(links) => network.change(links),
                ControlLine::Moved { times } => network.move_port(*times),
                _ => {}
            }));
        }
        let disk = around.disk.clone();
        around.listen(Box::new(move |line| {
            if let ControlLine::Disk(condition) = line {
                disk.set(*condition);
            }
        }));
        around
    }

    /// The socket under an endpoint.
    pub(super) fn socket(&self, who: &Membership, class: Class) -> SocketWrap {
        let socket = match &self.network {
            Some(network) => network.socket(class, &who.peer_addresses),
            None => SocketWrap::default(),
        };
        match self.member.speaks {
            Some(version) => socket.speaking(Version(version)),
            None => socket,
        }
    }

    /// Whether this replica was started before.
    pub(super) fn was_restarted(&self) -> bool {
        self.member.restarted
    }

    /// Lets a part hear what was said before this replica was started, and from now on.
    pub(super) fn listen(&mut self, mut listener: Listener) {
        self.member.told.iter().for_each(&mut listener);
        self.listeners.push(listener);
    }

    /// The stores, on a disk that fails when the run says so.
    pub(super) fn storage(&self, opened: Storage) -> Storage {
        self.disk.under(opened)
    }

    pub(super) fn control(&mut self) -> Control {
        let mut listeners = std::mem::take(&mut self.listeners);
        Box::new(move |line| match ControlLine::parse(line) {
            Ok(line) => listeners.iter_mut().for_each(|listener| listener(&line)),
            Err(error) => tracing::error!("unknown control line is ignored: {error}: {line}"),
        })
    }
}

/// An honest replica.
pub(super) struct Correct(pub(super) Surroundings);

impl Fitting for Correct {
    type Protocol = Pbft;
    type Network = QuicNetwork;

    fn socket(&mut self, who: &Membership, class: Class) -> SocketWrap {
        self.0.socket(who, class)
    }

    fn storage(&mut self, _who: &Membership, opened: Storage) -> Storage {
        self.0.storage(opened)
    }

    fn protocol(&mut self, _who: &Membership, honest: Pbft) -> Pbft {
        honest
    }

    fn network(&mut self, _who: &Membership, _clock: Clock, honest: QuicNetwork) -> QuicNetwork {
        honest
    }

    fn control(&mut self) -> Control {
        self.0.control()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_part_hears_what_was_said_before_and_what_is_said_and_nothing_unknown() {
        let begin = |ago_ms| ControlLine::Begin { ago_ms };
        let mut around = Surroundings::new(MemberFile {
            told: vec![begin(1)],
            ..MemberFile::default()
        });
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        around.listen(Box::new(move |line| {
            hears.lock().unwrap().push(line.clone());
        }));
        let mut control = around.control();
        control(r#"{"sing":{}}"#);
        control(&begin(2).to_json());
        assert_eq!(*heard.lock().unwrap(), [begin(1), begin(2)]);
    }
}
