//! What one client may have in flight while others ask as well (docs/protocol.md R15).
//!
//! Turns alone are not fair. Clients that wait for their answers have something at the primary only
//! for a part of the time, the rest of which it takes them to come and go; whoever always has
//! something waiting would have it ordered in their pauses, and what is ordered costs all replicas
//! alike. So two bounds hold for what is in proposals:
//!
//! * nobody has more than twice what most of those hold that hold anything, or sixteen small
//!   requests: somebody who asks for much without harm is not slowed down;
//! * a client that **floods** has no more than most of the others, pauses included. It floods if it
//!   holds several times what they hold and goes on asking although it is refused. Then it keeps few
//!   requests, for whatever waits here for long would be held against the primary by the backups.
//!
//! Somebody with much to make up for, after a pause of its machine or of this one, is no flood: it
//! is refused for a window's worth at once, heeds that, and would never catch up with what a flood
//! is left.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::ClientId;
use crate::time::Instant;

/// What a waiting request weighs beside its bytes when it is said who holds most.
pub(super) const REQUEST_WEIGHT: usize = 256;
/// A small request, with what it weighs beside its bytes.
const SMALL: usize = 512;
/// Of what most clients hold, nobody else has more than this many times in flight ...
const FAIR_FACTOR: usize = 2;
/// ... unless it is less than this: sixteen small requests.
const FAIR_MIN: usize = 16 * SMALL;
/// So long is a refusal remembered, one after the other: a client that heeds them is refused a few
/// times in a second, beside what it had sent before the first.
const REFUSAL: Duration = Duration::from_millis(16);
/// Who is refused more often while it holds more than this many times what most of the others do
/// floods ...
const FLOOD_FACTOR: usize = 4;
/// ... for so long; then it is looked at again, and floods for twice as long if it still does ...
const FLOOD_FOR: Duration = Duration::from_secs(1);
/// ... up to this.
const FLOOD_FOR_MAX: Duration = Duration::from_secs(8);
/// Whoever floods may have this in flight, or what most of the others hold.
const FLOOD_MIN: usize = 2 * SMALL;
/// Requests that stay pending of a client that floods.
pub(super) const FLOOD_PENDING_MAX: usize = 8;
/// Who has asked within this time is one of the others, whatever it holds now.
const ASKS_FOR: Duration = Duration::from_millis(200);

/// What one client holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) requests: usize,
    pub(super) bytes: usize,
    /// Of them, what waits for a proposal.
    pub(super) queued: usize,
    pub(super) queued_bytes: usize,
}

impl Share {
    pub(super) fn weight(self) -> usize {
        self.bytes + self.requests * REQUEST_WEIGHT
    }

    /// What is in proposals.
    pub(super) fn in_flight(self) -> usize {
        let bytes = self.bytes.saturating_sub(self.queued_bytes);
        bytes + self.requests.saturating_sub(self.queued) * REQUEST_WEIGHT
    }
}

/// Who may have how much in flight. Bounded: a few words for each client of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Fairness {
    /// When each client last asked.
    asked: BTreeMap<ClientId, Instant>,
    /// Who floods, or did lately.
    floods: BTreeMap<ClientId, Flood>,
    /// Until when each client's refusals are remembered.
    refused: BTreeMap<ClientId, Instant>,
    /// For so long they are nobody's fault: as many as a client may have sent before it hears of the
    /// first.
    excused: Duration,
    /// What a client may have in flight, as of the last batch ...
    most: usize,
    /// ... and one that floods.
    flood_most: usize,
}

#[derive(Clone, Copy, Debug)]
struct Flood {
    until: Instant,
    length: Duration,
    /// As of the last look at the clock.
    goes_on: bool,
}

impl Flood {
    /// False: long past.
    fn tick(&mut self, now: Instant) -> bool {
        self.goes_on = now < self.until;
        now < self.until + self.length
    }
}

impl Fairness {
    /// Nobody has asked; a client may have so many requests pending.
    pub(super) fn new(pending_per_client_max: usize) -> Self {
        Fairness {
            asked: BTreeMap::new(),
            floods: BTreeMap::new(),
            refused: BTreeMap::new(),
            excused: REFUSAL * u32::try_from(pending_per_client_max).unwrap_or(u32::MAX),
            most: usize::MAX,
            flood_most: usize::MAX,
        }
    }

    /// A client asks for something.
    pub(super) fn asks(&mut self, client: ClientId, now: Instant) {
        self.asked.insert(client, now);
        if let Some(flood) = self.floods.get_mut(&client)
            && !flood.tick(now)
        {
            self.floods.remove(&client);
        }
    }

    /// May another of its requests be proposed? Of a client with nothing in flight always.
    pub(super) fn admits(&self, client: ClientId, share: Share) -> bool {
        let most = match self.is_flooding(client) {
            true => self.flood_most,
            false => self.most,
        };
        share.in_flight() < most
    }

    /// Does this client flood?
    pub(super) fn is_flooding(&self, client: ClientId) -> bool {
        self.floods.get(&client).is_some_and(|flood| flood.goes_on)
    }

    /// A client was refused because it has all that one client may have; does it flood?
    pub(super) fn refuse(
        &mut self,
        client: ClientId,
        now: Instant,
        held: &BTreeMap<ClientId, Share>,
    ) -> bool {
        let heeds = self.note_refusal(client, now) <= self.excused;
        if self.is_flooding(client) {
            return true;
        }
        if heeds {
            return false;
        }
        let own = held.get(&client).copied().unwrap_or_default().weight();
        let others = median(self.modest(now, held, Some(client)));
        let floods = others.is_some_and(|most| own > most.saturating_mul(FLOOD_FACTOR));
        if floods {
            let before = self.floods.get(&client).map(|flood| flood.length * 2);
            let length = before.unwrap_or(FLOOD_FOR).min(FLOOD_FOR_MAX);
            let flood = Flood {
                until: now + length,
                length,
                goes_on: true,
            };
            self.floods.insert(client, flood);
        }
        floods
    }

    /// How long its refusals will be remembered, this one included. What a flood is refused counts
    /// as well: if it goes on it floods again as soon as its time is over.
    fn note_refusal(&mut self, client: ClientId, now: Instant) -> Duration {
        let until = self.refused.entry(client).or_default();
        *until = (*until).max(now).min(now + self.excused) + REFUSAL;
        until.since(now)
    }

    /// What is fair now, for the next batch.
    pub(super) fn tick(&mut self, now: Instant, held: &BTreeMap<ClientId, Share>) {
        self.asked
            .retain(|client, asked| now.since(*asked) < ASKS_FOR || held.contains_key(client));
        self.floods.retain(|_, flood| flood.tick(now));
        let weights: Vec<usize> = held.values().copied().map(Share::weight).collect();
        self.most = match weights.len() {
            0 | 1 => usize::MAX,
            _ => median(weights).map_or(usize::MAX, |most| {
                most.saturating_mul(FAIR_FACTOR).max(FAIR_MIN)
            }),
        };
        self.flood_most = match self.floods.is_empty() {
            true => usize::MAX,
            // Nobody is there whose share it could take.
            false => {
                median(self.modest(now, held, None)).map_or(self.most, |most| most.max(FLOOD_MIN))
            }
        };
    }

    /// What those hold who ask and do not flood, but for one.
    fn modest(
        &self,
        now: Instant,
        held: &BTreeMap<ClientId, Share>,
        except: Option<ClientId>,
    ) -> Vec<usize> {
        let asks = |asked: &Instant| now.since(*asked) < ASKS_FOR;
        let others = self.asked.iter().filter(|(client, asked)| {
            let counts = asks(asked) || held.contains_key(client);
            counts && Some(**client) != except && !self.is_flooding(**client)
        });
        let weight = |(client, _)| held.get(client).copied().unwrap_or_default().weight();
        others.map(weight).collect()
    }
}

/// What most have at least: the lower of two in the middle.
fn median(mut weights: Vec<usize>) -> Option<usize> {
    let middle = weights.len().checked_sub(1)? / 2;
    let (_, median, _) = weights.select_nth_unstable(middle);
    Some(*median)
}
