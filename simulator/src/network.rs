//! The network between replicas: who can reach whom at the moment, and what becomes of a message.

use std::rc::Rc;
use std::time::Duration;

use consensus::pbft::admission::Message;
use consensus::{ReplicaId, Request};
use crypto::Verified;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::check::Said;
use crate::config::Config;
use crate::stats::Stats;

/// A message under way. It was encoded, decoded and admitted once; every receiver gets a copy,
/// because admission depends on nothing that differs between receivers.
pub(crate) struct Packet {
    pub(crate) from: ReplicaId,
    pub(crate) content: Content,
    /// Of the encoded bytes.
    pub(crate) fingerprint: u64,
    /// What its signature says: judged when it leaves.
    pub(crate) said: Option<Said>,
    /// What a chart shows; empty unless one is drawn.
    pub(crate) label: Rc<str>,
}

/// What a receiver's driver gets.
pub(crate) enum Content {
    Message(Box<Verified<Message>>),
    /// Requests that the driver looks up in the session table first.
    Forwarded(Vec<Verified<Request>>),
}

/// An arrangement of the network that a fault has brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Partition {
    /// Two or three groups that do not reach each other.
    Groups,
    /// One replica hears nobody, or is heard by nobody.
    OneWay,
    /// Two groups that share one replica.
    Bridge,
    /// The primary alone.
    Primary,
    /// Each replica reaches only its neighbours in a ring.
    Ring,
    /// Each link in each direction is cut with this many chances in eight.
    Links(u32),
}

/// The links between the nodes (replicas, and second instances of twins).
pub(crate) struct Network {
    nodes: usize,
    blocked: Vec<bool>,
    /// Counts arrangements, so that the end of one does not end its successor.
    pub(crate) arrangement: u64,
    delay: (u64, u64),
    loss: f64,
    duplication: f64,
    spikes: f64,
    spike: u64,
}

/// What becomes of a message on a link.
pub(crate) enum Fate {
    Lost,
    /// It arrives after this long, perhaps twice.
    Arrives(Duration, Option<Duration>),
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("simulated times are below 500 years")
}

impl Network {
    pub(crate) fn new(config: &Config, nodes: usize) -> Self {
        Network {
            nodes,
            blocked: vec![false; nodes * nodes],
            arrangement: 0,
            delay: (nanos(config.delay.start), nanos(config.delay.end)),
            loss: config.faults.loss,
            duplication: config.faults.duplication,
            spikes: config.faults.spikes,
            spike: nanos(config.faults.spike).max(1),
        }
    }

    /// Everything reaches everybody from now on.
    pub(crate) fn heal(&mut self) {
        self.reconnect();
        self.loss = 0.0;
        self.duplication = 0.0;
        self.spikes = 0.0;
    }

    /// From now on this share of messages is lost, and this share held back.
    pub(crate) fn set_weather(&mut self, loss: f64, spikes: f64) {
        self.loss = loss;
        self.spikes = spikes;
    }

    /// Ends the current arrangement.
    pub(crate) fn reconnect(&mut self) {
        self.blocked.fill(false);
        self.arrangement += 1;
    }

    /// Arranges the links anew. `primary` is the node that most replicas take for the primary.
    pub(crate) fn arrange(&mut self, rng: &mut ChaCha8Rng, kind: Partition, primary: usize) {
        self.reconnect();
        let nodes = self.nodes;
        let cut = |network: &mut Network, apart: &dyn Fn(usize, usize) -> bool| {
            for from in 0..nodes {
                for to in 0..nodes {
                    network.blocked[from * nodes + to] = from != to && apart(from, to);
                }
            }
        };
        match kind {
            Partition::Groups => {
                let groups = rng.random_range(2..4);
                let group: Vec<u8> = (0..nodes).map(|_| rng.random_range(0..groups)).collect();
                cut(self, &|from, to| group[from] != group[to]);
            }
            Partition::OneWay => {
                let deaf = rng.random_range(0..nodes);
                let hears = rng.random_bool(0.5);
                cut(self, &|from, to| deaf == if hears { from } else { to });
            }
            Partition::Bridge => {
                let bridge = rng.random_range(0..nodes);
                let left: Vec<bool> = (0..nodes).map(|_| rng.random_bool(0.5)).collect();
                cut(self, &|from, to| {
                    from != bridge && to != bridge && left[from] != left[to]
                });
            }
            Partition::Primary => cut(self, &|from, to| from == primary || to == primary),
            Partition::Ring => cut(self, &|from, to| {
                let ahead = (to + nodes - from) % nodes;
                ahead != 1 && ahead != nodes - 1
            }),
            Partition::Links(eighths) => {
                let dice: Vec<bool> = (0..nodes * nodes)
                    .map(|_| rng.random_ratio(eighths, 8))
                    .collect();
                cut(self, &|from, to| dice[from * nodes + to]);
            }
        }
    }

    /// A delay that is drawn for any message.
    pub(crate) fn delay(&self, rng: &mut ChaCha8Rng) -> Duration {
        Duration::from_nanos(rng.random_range(self.delay.0..self.delay.1))
    }

    /// What becomes of a message from one node to another.
    pub(crate) fn fate(
        &self,
        rng: &mut ChaCha8Rng,
        from: usize,
        to: usize,
        stats: &mut Stats,
    ) -> Fate {
        if self.blocked[from * self.nodes + to] {
            stats.partitioned += 1;
            return Fate::Lost;
        }
        if self.loss > 0.0 && rng.random_bool(self.loss) {
            stats.lost += 1;
            return Fate::Lost;
        }
        let mut delay = self.delay(rng);
        if self.spikes > 0.0 && rng.random_bool(self.spikes) {
            stats.spikes += 1;
            delay += Duration::from_nanos(rng.random_range(0..self.spike));
        }
        let repeated = self.duplication > 0.0 && rng.random_bool(self.duplication);
        let second = repeated.then(|| {
            stats.repeated += 1;
            self.delay(rng) * 3
        });
        Fate::Arrives(delay, second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn reaches(network: &Network) -> Vec<(usize, usize)> {
        let all = (0..5).flat_map(|from| (0..5).map(move |to| (from, to)));
        all.filter(|(from, to)| !network.blocked[from * 5 + to])
            .collect()
    }

    #[test]
    fn arrangements_cut_what_they_say() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut network = Network::new(&Config::default(), 5);
        assert_eq!(reaches(&network).len(), 25);
        network.arrange(&mut rng, Partition::Primary, 2);
        let around_2 = reaches(&network);
        assert!(around_2.iter().all(|(from, to)| (*from == 2) == (*to == 2)));
        network.arrange(&mut rng, Partition::OneWay, 0);
        // Five replicas with themselves, and all pairs but four in one direction.
        assert_eq!(reaches(&network).len(), 25 - 4);
        network.arrange(&mut rng, Partition::Ring, 0);
        assert_eq!(reaches(&network).len(), 5 + 10);
        network.heal();
        assert_eq!(reaches(&network).len(), 25);
    }
}
