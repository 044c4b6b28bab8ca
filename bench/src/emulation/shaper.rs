//! All links of one socket, and the line in which datagrams wait for the time of their arrival. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, SocketAddr};

use quinn::udp::EcnCodepoint;
use serde::{Deserialize, Serialize};

use super::link::{Cause, Fate, Link, Passage};
use super::settings::LinkSettings;

/// Bytes of one link that are under way at most: what QUIC leaves unacknowledged on one connection
/// (`network::transport::PEER_SEND_WINDOW`). More is dropped, as a router would.
pub(super) const UNDER_WAY_BYTES_MAX: usize = 8 << 20;
/// What a datagram costs beside its bytes.
const DATAGRAM_COST: usize = 128;

/// The other end of a link: a replica by number, or the clients all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkId {
    /// A replica.
    Replica(u16),
    /// Whoever comes to the port for clients.
    Clients,
}

impl LinkId {
    fn number(self) -> u64 {
        match self {
            LinkId::Replica(id) => u64::from(id),
            LinkId::Clients => u64::from(u16::MAX) + 1,
        }
    }
}

/// A datagram in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Whom it goes to, or came from.
    pub address: SocketAddr,
    /// The address of this machine that it leaves from, or came to.
    pub own_ip: Option<IpAddr>,
    /// Congestion notification.
    pub ecn: Option<EcnCodepoint>,
    /// What it says.
    pub contents: Vec<u8>,
}

/// What happened on a link so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCounts {
    /// Datagrams that were sent.
    pub sent: u64,
    /// Of them: because the link was cut.
    pub cut: u64,
    /// Larger than the MTU.
    pub mtu: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Dropped at a full queue, that of the bandwidth or that of this program.
    pub queue: u64,
    /// Arrived twice.
    pub duplicated: u64,
    /// Damaged.
    pub corrupted: u64,
}

/// The links of one socket.
#[derive(Debug)]
pub struct Shaper {
    seed: u64,
    me: u16,
    links: BTreeMap<LinkId, Way>,
    line: BinaryHeap<Reverse<Waiting>>,
    /// Datagrams put into the line so far: those of one time leave in the order of their coming.
    count: u64,
}

#[derive(Debug)]
struct Way {
    link: Link,
    under_way_bytes: usize,
    counts: LinkCounts,
}

#[derive(Debug)]
struct Waiting {
    at_ns: u64,
    number: u64,
    link: LinkId,
    datagram: Datagram,
}

impl Waiting {
    fn key(&self) -> (u64, u64) {
        (self.at_ns, self.number)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Shaper {
    /// The links of replica `me` in a run with this seed; each does nothing until it is told otherwise.
    pub fn new(seed: u64, me: u16) -> Self {
        Shaper {
            seed,
            me,
            links: BTreeMap::new(),
            line: BinaryHeap::new(),
            count: 0,
        }
    }

    /// From now on the link to `to` does this.
    pub fn change(&mut self, to: LinkId, settings: LinkSettings) {
        match self.links.get_mut(&to) {
            Some(way) if *way.link.settings() == settings => {}
            Some(way) => way.link.change(settings),
            None => {
                let id = u64::from(self.me) << 32 | to.number();
                let way = Way {
                    link: Link::new(settings, self.seed, id),
                    under_way_bytes: 0,
                    counts: LinkCounts::default(),
                };
                self.links.insert(to, way);
            }
        }
    }

    /// Whether datagrams to `to` can leave past this shaper.
    pub fn is_clear(&self, to: LinkId) -> bool {
        self.links.get(&to).is_none_or(|way| {
            // What is under way must not be overtaken by what comes next, unless the network changed.
            way.link.settings().is_clear() && way.under_way_bytes == 0
        })
    }

    /// Counts datagrams that went past.
    pub fn passed_by(&mut self, to: LinkId, datagrams: u64) {
        if let Some(way) = self.links.get_mut(&to) {
            way.counts.sent += datagrams;
        }
    }

    /// Takes a datagram that is sent at `now_ns`.
    pub fn send(&mut self, now_ns: u64, to: LinkId, mut datagram: Datagram) {
        let Some(way) = self.links.get_mut(&to) else {
            return self.wait(now_ns, to, datagram);
        };
        let counts = &mut way.counts;
        counts.sent += 1;
        let Passage {
            at_ns,
            copy_at_ns,
            flipped_bit,
        } = match way.link.send(now_ns, datagram.contents.len()) {
            Fate::Passes(passage) => passage,
            Fate::Dropped(cause) => {
                *match cause {
                    Cause::Cut => &mut counts.cut,
                    Cause::Mtu => &mut counts.mtu,
                    Cause::Loss => &mut counts.lost,
                    Cause::Queue => &mut counts.queue,
                } += 1;
                return;
            }
        };
        if let Some(byte) = flipped_bit.and_then(|bit| datagram.contents.get_mut(bit / 8)) {
            *byte ^= 1 << (flipped_bit.unwrap_or_default() % 8);
            counts.corrupted += 1;
        }
        if let Some(copy_at_ns) = copy_at_ns {
            counts.duplicated += 1;
            self.wait(copy_at_ns, to, datagram.clone());
        }
        self.wait(at_ns, to, datagram);
    }

    /// When the next datagram arrives.
    pub fn next_at_ns(&self) -> Option<u64> {
        self.line.peek().map(|Reverse(next)| next.at_ns)
    }

    /// A datagram that has arrived by `now_ns`, with the time at which it should have.
    pub fn arrived(&mut self, now_ns: u64) -> Option<(u64, Datagram)> {
        if self.next_at_ns()? > now_ns {
            return None;
        }
        let Reverse(Waiting {
            at_ns,
            link,
            datagram,
            ..
        }) = self.line.pop()?;
        if let Some(way) = self.links.get_mut(&link) {
            let cost = datagram.contents.len() + DATAGRAM_COST;
            way.under_way_bytes = way.under_way_bytes.saturating_sub(cost);
        }
        Some((at_ns, datagram))
    }

    /// What happened on each link.
    pub fn counts(&self) -> BTreeMap<LinkId, LinkCounts> {
        let counts = self.links.iter().map(|(to, way)| (*to, way.counts));
        counts.collect()
    }

    fn wait(&mut self, at_ns: u64, link: LinkId, datagram: Datagram) {
        if let Some(way) = self.links.get_mut(&link) {
            let cost = datagram.contents.len() + DATAGRAM_COST;
            if way.under_way_bytes + cost > UNDER_WAY_BYTES_MAX {
                way.counts.queue += 1;
                return;
            }
            way.under_way_bytes += cost;
        }
        let number = self.count;
        self.count += 1;
        self.line.push(Reverse(Waiting {
            at_ns,
            number,
            link,
            datagram,
        }));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    const MS: u64 = 1_000_000;
    const TO: LinkId = LinkId::Replica(1);

    fn datagram(byte: u8, len: usize) -> Datagram {
        Datagram {
            address: ([127, 0, 0, 1], 5300).into(),
            own_ip: None,
            ecn: None,
            contents: vec![byte; len],
        }
    }

    fn delayed(ms: u64) -> LinkSettings {
        LinkSettings {
            delay: Duration::from_millis(ms),
            ..LinkSettings::default()
        }
    }

    fn drain(shaper: &mut Shaper, now: u64) -> Vec<(u64, u8)> {
        std::iter::from_fn(|| shaper.arrived(now))
            .map(|(at, datagram)| (at / MS, datagram.contents[0]))
            .collect()
    }

    #[test]
    fn datagrams_arrive_in_the_order_of_their_times_whatever_link_they_are_on() {
        let mut shaper = Shaper::new(7, 0);
        shaper.change(TO, delayed(30));
        shaper.change(LinkId::Replica(2), delayed(10));
        shaper.send(0, TO, datagram(1, 10));
        shaper.send(MS, LinkId::Replica(2), datagram(2, 10));
        shaper.send(MS, LinkId::Replica(2), datagram(3, 10));
        assert_eq!(shaper.next_at_ns(), Some(11 * MS));
        assert_eq!(drain(&mut shaper, 10 * MS), []);
        assert_eq!(drain(&mut shaper, 11 * MS), [(11, 2), (11, 3)]);
        assert_eq!(drain(&mut shaper, 60 * MS), [(30, 1)]);
        assert_eq!(shaper.next_at_ns(), None);
    }

    #[test]
    fn a_link_is_clear_again_when_nothing_of_before_is_under_way() {
        let mut shaper = Shaper::new(7, 0);
        assert!(shaper.is_clear(TO), "nobody said anything of it");
        shaper.change(TO, delayed(5));
        assert!(!shaper.is_clear(TO));
        shaper.send(0, TO, datagram(1, 10));
        shaper.change(TO, LinkSettings::default());
        assert!(!shaper.is_clear(TO));
        drain(&mut shaper, 5 * MS);
        assert!(shaper.is_clear(TO));
    }

    #[test]
    fn a_link_holds_no_more_than_its_bound() {
        let mut shaper = Shaper::new(7, 0);
        shaper.change(TO, delayed(1_000));
        for _ in 0..10_000 {
            shaper.send(0, TO, datagram(0, 1_000));
        }
        let held = std::iter::from_fn(|| shaper.arrived(u64::MAX)).count();
        assert_eq!(held, UNDER_WAY_BYTES_MAX / (1_000 + DATAGRAM_COST));
        let counts = shaper.counts()[&TO];
        assert_eq!(counts.sent - counts.queue, held as u64);
        shaper.send(0, TO, datagram(0, 1_000));
        assert!(shaper.arrived(u64::MAX).is_some(), "there is room again");
    }

    #[test]
    fn a_damaged_datagram_differs_in_one_bit_and_a_copy_is_as_damaged() {
        let mut shaper = Shaper::new(7, 0);
        let settings = LinkSettings {
            corrupt: 1.0,
            duplicate: 1.0,
            ..LinkSettings::default()
        };
        shaper.change(TO, settings);
        shaper.send(0, TO, datagram(0, 100));
        let (_, one) = shaper.arrived(0).unwrap();
        let (_, two) = shaper.arrived(0).unwrap();
        assert_eq!(one, two);
        let bits: u32 = one.contents.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(bits, 1);
        let counts = shaper.counts()[&TO];
        assert_eq!((counts.duplicated, counts.corrupted), (1, 1));
    }

    #[test]
    fn a_change_to_what_is_already_so_changes_nothing() {
        let mut shaper = Shaper::new(7, 0);
        let slow = LinkSettings {
            bandwidth: Some(8_000),
            queue: 1 << 20,
            ..LinkSettings::default()
        };
        shaper.change(TO, slow);
        shaper.send(0, TO, datagram(1, 1_000));
        shaper.change(TO, slow);
        shaper.send(0, TO, datagram(2, 1_000));
        // Both wait for the bandwidth, one behind the other.
        assert_eq!(drain(&mut shaper, u64::MAX), [(1_000, 1), (2_000, 2)]);
    }
}
