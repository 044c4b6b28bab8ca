//! All links of a cluster as the run sees them: what the scenario gives them, and what faults lay over that for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::settings::{LinkSettings, Spread};
use super::shaper::LinkId;

/// What is to change about a link; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    /// See [`LinkSettings`], also for all others.
    pub delay: Option<Duration>,
    /// Spread of the delay.
    pub jitter: Option<Duration>,
    /// Shape of the spread.
    pub distribution: Option<Spread>,
    /// Share lost.
    pub loss: Option<f64>,
    /// Share doubled.
    pub duplicate: Option<f64>,
    /// Share overtaken.
    pub reorder: Option<f64>,
    /// By how much.
    pub reorder_within: Option<Duration>,
    /// Bits a second.
    pub bandwidth: Option<u64>,
    /// Bytes in front of the bandwidth; absent: what it carries in [`QUEUE_TIME`].
    pub queue: Option<u64>,
    /// Largest UDP payload.
    pub mtu: Option<u16>,
    /// Share damaged.
    pub corrupt: Option<f64>,
    /// Whether nothing gets through.
    pub cut: Option<bool>,
}

/// The queue in front of a bandwidth holds what it carries in this time, if nothing else was asked for.
pub(super) const QUEUE_TIME: Duration = Duration::from_millis(100);
/// But this much at least: some full-sized datagrams.
pub(super) const QUEUE_BYTES_MIN: u64 = 32 << 10;
/// How far datagrams are overtaken if nothing else was asked for.
pub(super) const REORDER_WITHIN: Duration = Duration::from_millis(10);

impl Change {
    /// A cut.
    pub fn cut() -> Self {
        Change {
            cut: Some(true),
            ..Change::default()
        }
    }

    /// The link as it is after the change.
    pub fn apply(&self, link: &LinkSettings) -> LinkSettings {
        let bandwidth = self.bandwidth.or(link.bandwidth);
        let usual =
            |bits: u64| (bits / 8 * QUEUE_TIME.as_millis() as u64 / 1_000).max(QUEUE_BYTES_MIN);
        let queue = match (self.queue, self.bandwidth) {
            (Some(queue), _) => queue,
            (None, Some(bits)) => usual(bits),
            (None, None) => link.queue,
        };
        let reorder = self.reorder.unwrap_or(link.reorder);
        let within = self.reorder_within.unwrap_or(link.reorder_within);
        LinkSettings {
            delay: self.delay.unwrap_or(link.delay),
            jitter: self.jitter.unwrap_or(link.jitter),
            distribution: self.distribution.unwrap_or(link.distribution),
            loss: self.loss.unwrap_or(link.loss),
            duplicate: self.duplicate.unwrap_or(link.duplicate),
            reorder,
            reorder_within: match reorder > 0.0 && within.is_zero() {
                true => REORDER_WITHIN,
                false => within,
            },
            bandwidth,
            queue,
            mtu: self.mtu.or(link.mtu),
            corrupt: self.corrupt.unwrap_or(link.corrupt),
            cut: self.cut.unwrap_or(link.cut),
        }
    }
}

/// What a fault lays over the network while it lasts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlay {
    /// The directed links, from and to.
    pub links: BTreeSet<(usize, usize)>,
    /// What is different about them.
    pub change: Change,
}

/// The links of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Mesh {
    n: usize,
    /// Row by row: from, to.
    base: Vec<LinkSettings>,
    /// Between each replica and the clients, both ways.
    clients: Vec<LinkSettings>,
    /// In the order in which they were laid.
    overlays: BTreeMap<u64, Overlay>,
    laid: u64,
}

impl Mesh {
    /// A network in which no link does anything.
    pub fn new(n: usize) -> Self {
        Mesh {
            n,
            base: vec![LinkSettings::default(); n * n],
            clients: vec![LinkSettings::default(); n],
            overlays: BTreeMap::new(),
            laid: 0,
        }
    }

    /// Replicas.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Changes a link for good.
    pub fn set(&mut self, from: usize, to: usize, change: &Change) {
        if let Some(link) = self.base.get_mut(from * self.n + to) {
            *link = change.apply(link);
        }
    }

    /// Changes the way between a replica and the clients for good.
    pub fn set_clients(&mut self, replica: usize, change: &Change) {
        if let Some(link) = self.clients.get_mut(replica) {
            *link = change.apply(link);
        }
    }

    /// Lays something over the network; the key takes it away again.
    pub fn lay(&mut self, overlay: Overlay) -> u64 {
        self.laid += 1;
        self.overlays.insert(self.laid, overlay);
        self.laid
    }

    /// Takes something away again.
    pub fn lift(&mut self, key: u64) -> Option<Overlay> {
        self.overlays.remove(&key)
    }

    /// The link as the scenario gives it, without faults.
    pub fn base(&self, from: usize, to: usize) -> LinkSettings {
        self.base
            .get(from * self.n + to)
            .copied()
            .unwrap_or_default()
    }

    /// The link between a replica and the clients, in each direction.
    pub fn clients(&self, replica: usize) -> LinkSettings {
        self.clients.get(replica).copied().unwrap_or_default()
    }

    /// The link now. Of several faults on one link the later one decides, but a cut is a cut.
    pub fn now(&self, from: usize, to: usize) -> LinkSettings {
        let over = self.overlays.values();
        let mut link = self.base(from, to);
        for overlay in over.filter(|overlay| overlay.links.contains(&(from, to))) {
            let cut = link.cut;
            link = overlay.change.apply(&link);
            link.cut |= cut;
        }
        link
    }

    /// Everything that a replica shapes: the links from it to the others, and both ways to the clients.
    pub fn of(&self, replica: usize) -> Vec<(LinkId, LinkSettings)> {
        let id = |index: usize| LinkId::Replica(u16::try_from(index).unwrap_or(u16::MAX));
        let peers = (0..self.n).filter(|to| *to != replica);
        let mut links: Vec<_> = peers.map(|to| (id(to), self.now(replica, to))).collect();
        links.push((LinkId::Clients, self.clients(replica)));
        links
    }

    /// Whether replicas and clients are on one machine, without any distance.
    pub fn clients_are_near(&self) -> bool {
        self.clients.iter().all(LinkSettings::is_clear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay(ms: u64) -> Change {
        Change {
            delay: Some(Duration::from_millis(ms)),
            ..Change::default()
        }
    }

    #[test]
    fn faults_lie_over_the_network_in_order_and_leave_it_as_it_was() {
        let mut mesh = Mesh::new(3);
        mesh.set(0, 1, &delay(10));
        let before = mesh.now(0, 1);
        let on = |from, to, change| Overlay {
            links: [(from, to)].into(),
            change,
        };
        let lossy = Change {
            loss: Some(0.5),
            ..Change::default()
        };
        let one = mesh.lay(on(0, 1, lossy));
        let two = mesh.lay(on(0, 1, delay(99)));
        let both = mesh.now(0, 1);
        assert_eq!((both.loss, both.delay), (0.5, Duration::from_millis(99)));
        assert!(mesh.now(1, 0).is_clear(), "links are directed");
        mesh.lift(one);
        assert_eq!(mesh.now(0, 1).loss, 0.0);
        mesh.lift(two);
        assert_eq!(mesh.now(0, 1), before);
    }

    #[test]
    fn a_cut_is_not_mended_by_a_later_fault() {
        let mut mesh = Mesh::new(2);
        let links: BTreeSet<_> = [(0, 1)].into();
        let cut = mesh.lay(Overlay {
            links: links.clone(),
            change: Change::cut(),
        });
        mesh.lay(Overlay {
            links,
            change: Change {
                cut: Some(false),
                ..delay(5)
            },
        });
        assert!(mesh.now(0, 1).cut);
        mesh.lift(cut);
        assert!(!mesh.now(0, 1).cut);
    }

    #[test]
    fn a_queue_holds_a_tenth_of_a_second_unless_it_was_given() {
        let link = |bandwidth, queue| {
            let change = Change {
                bandwidth: Some(bandwidth),
                queue,
                ..Change::default()
            };
            change.apply(&LinkSettings::default()).queue
        };
        assert_eq!(link(80_000_000, None), 1_000_000);
        assert_eq!(link(1_000_000, None), QUEUE_BYTES_MIN);
        assert_eq!(link(1_000_000, Some(5_000)), 5_000);
    }

    #[test]
    fn a_replica_shapes_what_it_sends_and_both_ways_to_the_clients() {
        let mut mesh = Mesh::new(3);
        mesh.set(1, 0, &delay(7));
        mesh.set_clients(1, &delay(3));
        let links = mesh.of(1);
        let delays: Vec<_> = links
            .iter()
            .map(|(to, link)| (*to, link.delay.as_millis()))
            .collect();
        let expected = [
            (LinkId::Replica(0), 7),
            (LinkId::Replica(2), 0),
            (LinkId::Clients, 3),
        ];
        assert_eq!(delays, expected);
        assert!(!mesh.clients_are_near());
    }
}
