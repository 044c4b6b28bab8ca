//! The emulated network as one replica process carries it: around its port for peers, and around that for clients.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use network::{Class, Path, SocketWrap};
use quinn::{Runtime as _, TokioRuntime};
use serde::{Deserialize, Serialize};

use super::pump::Lane;
use super::settings::LinkSettings;
use super::shaper::{LinkCounts, LinkId, Shaper};
use super::socket::{Direction, Socket};
use super::source::Source;

/// Links and what they do: all of a replica, or those that change.
pub type Links = Vec<(LinkId, LinkSettings)>;

/// What a replica process is told of the network when it starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Decides what happens to which datagram.
    pub seed: u64,
    /// The replica.
    pub me: u16,
    /// Whether QUIC between replicas is to behave as over a network, and not as over loopback.
    pub far: bool,
    /// Its links.
    pub links: Links,
}

/// The emulated network of this process.
#[derive(Debug)]
pub struct Emulated {
    me: u16,
    far: bool,
    /// Where this replica listens for peers, once it does.
    address: Mutex<Option<SocketAddr>>,
    source: Arc<Source>,
    peers: Arc<Lane>,
    to_clients: Arc<Lane>,
    from_clients: Arc<Lane>,
}

impl Emulated {
    /// As planned; nothing is shaped before [`Emulated::socket`] is in use.
    pub fn new(plan: &Plan) -> Self {
        // Two directions of one link are two links.
        let lane = |salt: u64| Lane::new(Shaper::new(plan.seed ^ salt, plan.me));
        let emulated = Emulated {
            me: plan.me,
            far: plan.far,
            address: Mutex::default(),
            source: Arc::default(),
            peers: lane(0),
            to_clients: lane(0),
            from_clients: lane(1 << 63),
        };
        emulated.change(&plan.links);
        emulated
    }

    /// From now on these links do this.
    pub fn change(&self, links: &[(LinkId, LinkSettings)]) {
        for (to, settings) in links {
            match to {
                LinkId::Replica(_) => self.peers.change(*to, *settings),
                LinkId::Clients => {
                    self.to_clients.change(*to, *settings);
                    self.from_clients.change(*to, *settings);
                }
            }
        }
    }

    /// Puts itself around the socket of an endpoint. `peers`: where each replica listens, in order.
    pub fn socket(&self, class: Class, peers: &[SocketAddr]) -> SocketWrap {
        let (direction, outgoing, incoming) = match class {
            Class::Peer => {
                let others = (0..).zip(peers).filter(|(id, _)| *id != self.me);
                let links: BTreeMap<SocketAddr, LinkId> = others
                    .map(|(id, address)| (*address, LinkId::Replica(id)))
                    .collect();
                // The higher id dials (replica::transport::peers).
                let dialled = peers.iter().copied().take(usize::from(self.me)).collect();
                *self.address() = peers.get(usize::from(self.me)).copied();
                let lane = Arc::clone(&self.peers);
                (Direction::ToReplicas { links, dialled }, lane, None)
            }
            Class::Client => (
                Direction::BothWays,
                Arc::clone(&self.to_clients),
                Some(Arc::clone(&self.from_clients)),
            ),
        };
        let source = match class {
            Class::Peer => Arc::clone(&self.source),
            Class::Client => Arc::default(),
        };
        let wrap = SocketWrap::new(move |socket| {
            let real = TokioRuntime.wrap_udp_socket(socket)?;
            let socket = Socket::new(real, direction, source, outgoing, incoming)?;
            Ok(Arc::new(socket))
        });
        match class {
            Class::Peer if self.far => wrap.over(Path::Network),
            _ => wrap,
        }
    }

    /// Sees to it that the port from which this replica dials others has changed this often.
    pub fn move_port(&self, moves: u64) {
        let address = *self.address();
        let moved = match address {
            Some(address) => self.source.move_to(moves, address),
            None => Ok(()),
        };
        if let Err(error) = moved {
            tracing::error!("no other port: {error}");
        }
    }

    fn address(&self) -> MutexGuard<'_, Option<SocketAddr>> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened on the links to the other replicas.
    pub fn counts(&self) -> BTreeMap<LinkId, LinkCounts> {
        self.peers.shaper().counts()
    }
}
