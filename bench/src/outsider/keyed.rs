//! Connections that a listed key entitles to, used to take as much as they can: Q6, Q7, Q11, Q14.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use consensus::SeqNo;
use crypto::tls::Identity;
use network::acceptor::Caps;
use network::frame::{CLIENT_FRAME_DEADLINE, PEER_FRAME_DEADLINE};
use network::{Class, ToReplica};
use rustls::ClientConfig;

use super::attack::OutsiderAttack as Attack;
use super::dial::{account, handshake};
use super::plan::{Plan, Tally};
use super::puppet::{Opening, Outcome, Puppet};
use super::tls::{self, Shows, Unprepared};
use super::{AtPort, Pace, Port};

/// The first byte of a stream of messages.
pub(super) const MESSAGES: u8 = 1;
/// Streams of one direction that a client may have open.
const STREAMS_MAX: u64 = network::transport::CLIENT_UNI_STREAMS as u64;
/// Between two looks at held connections.
const LOOK: Duration = Duration::from_millis(20);
/// Held connections show that they are there.
const PING_EVERY: Duration = Duration::from_secs(1);
/// A connection that was told to go is gone after this time; on a loaded machine, too.
const GRACE: Duration = Duration::from_secs(10);
/// What a slow sender announces: less than the largest frame of a client.
const ANNOUNCED: u32 = 900_000;
/// Requests for observations that one that never reads sends a second.
const OBSERVE_EVERY: Duration = Duration::from_millis(10);

/// The identity of the client whose key the attacker has.
pub(super) fn client_identity(plan: &Plan) -> Result<Identity, Unprepared> {
    match &plan.client_key {
        Some(path) => key_of(path),
        None => Err(anyhow::anyhow!(
            "the plan of {} has no client's key",
            plan.attack.name()
        )),
    }
}

/// The identity in a key file.
pub(super) fn key_of(path: &Path) -> Result<Identity, Unprepared> {
    Ok(Identity::new(&crypto::files::read_secret(path)?)?)
}

/// The configuration that the plan's keys allow at this port; `None` without such a key.
pub(super) fn config(plan: &Plan, port: &Port) -> Result<Option<Arc<ClientConfig>>, Unprepared> {
    let identity = match (port.class, &plan.replica_key) {
        (Class::Client, _) => client_identity(plan)?,
        (Class::Peer, Some(key)) => key_of(key)?,
        (Class::Peer, None) => return Ok(None),
    };
    let config = tls::config(&Shows::Identity(Box::new(identity)), &[port.alpn()])?;
    Ok(Some(Arc::new(config)))
}

pub(super) fn at_port(plan: &Plan, port: Port) -> Result<Option<AtPort>, Unprepared> {
    let Some(config) = config(plan, &port)? else {
        return Ok(None);
    };
    let (rate, at_once) = (plan.arg("rate"), plan.arg("at_once") as usize);
    let listed = plan.client as usize + 1;
    let dialer = Dialer {
        port,
        config,
        opening: Opening::default(),
        round: 0,
    };
    let of_client = dialer.port.class == Class::Client;
    Ok(match plan.attack {
        Attack::StreamFlood if of_client => {
            Some(Box::new(move |tally| streams(dialer, at_once, tally)))
        }
        Attack::ResetStorm if of_client => Some(Box::new(move |tally| resets(dialer, rate, tally))),
        Attack::OpenCloseStorm if of_client => {
            Some(Box::new(move |tally| open_and_close(dialer, rate, tally)))
        }
        Attack::NeverReads if of_client => {
            Some(Box::new(move |tally| never_reads(dialer, at_once, tally)))
        }
        Attack::StreamSlowloris => Some(Box::new(move |tally| slow(dialer, at_once, tally))),
        Attack::ConnectionHoard => {
            let most = Caps::of(dialer.port.class, listed).per_key_max;
            Some(Box::new(move |tally| hoard(dialer, at_once, most, tally)))
        }
        _ => None,
    })
}

/// Makes connections to one port.
pub(super) struct Dialer {
    pub(super) port: Port,
    pub(super) config: Arc<ClientConfig>,
    pub(super) opening: Opening,
    pub(super) round: u64,
}

impl Dialer {
    /// A connection that stands, if the replica lets it.
    pub(super) fn dial(&mut self, tally: &Tally) -> Option<Puppet> {
        self.round += 1;
        let id = self.port.connection(self.round);
        let opening = self.opening.clone();
        let mut puppet = Puppet::begin(self.port.address(), &self.config, opening, id).ok()?;
        let outcome = handshake(&mut puppet, tally);
        account(&outcome, &puppet, tally);
        if outcome != Outcome::Established {
            return None;
        }
        tally.admitted.add(1);
        Some(puppet)
    }
}

/// One connection that is held.
struct Held {
    puppet: Puppet,
    since: Instant,
    pinged: Instant,
    sent: u64,
    /// It broke a rule, and must be gone some time after.
    broke: bool,
}

impl Held {
    fn new(puppet: Puppet) -> Self {
        let now = Instant::now();
        Held {
            puppet,
            since: now,
            pinged: now,
            sent: 0,
            broke: false,
        }
    }

    /// Takes in what came; whether the connection still stands.
    fn stands(&mut self, tally: &Tally) -> bool {
        self.puppet.step(Duration::ZERO);
        if let Outcome::Closed(why) = self.puppet.outcome() {
            tally.refused.add(1);
            tally.note(why);
            return false;
        }
        if self.broke && self.since.elapsed() > GRACE {
            tally.accepted.add(1);
            tally.note("not closed after a broken rule");
            return false;
        }
        if self.pinged.elapsed() >= PING_EVERY {
            self.pinged = Instant::now();
            self.puppet.send(&[0x01]);
        }
        true
    }
}

/// Keeps `at_once` connections, dialling slowly; `first` is done with each new one, `again` with each that stands.
fn hold(
    mut dialer: Dialer,
    at_once: usize,
    tally: &Tally,
    mut first: impl FnMut(&mut Held, u64),
    mut again: impl FnMut(&mut Held),
) {
    let mut held: Vec<Held> = Vec::new();
    while !tally.stopped() {
        if held.len() < at_once
            && let Some(puppet) = dialer.dial(tally)
        {
            let mut new = Held::new(puppet);
            first(&mut new, dialer.round);
            held.push(new);
        }
        held.retain_mut(|one| one.stands(tally));
        tally.held_max.raise(held.len());
        held.iter_mut().for_each(&mut again);
        std::thread::sleep(LOOK);
    }
}

/// As many streams as are allowed; on every third connection one more, on every third one of a kind that does not exist.
fn streams(dialer: Dialer, at_once: usize, tally: &Tally) {
    let first = |held: &mut Held, round: u64| {
        for stream in 0..STREAMS_MAX {
            held.puppet.send_stream(stream, 0, &[MESSAGES]);
        }
        match round % 3 {
            0 => {
                held.puppet.send_stream(STREAMS_MAX + 100, 0, &[MESSAGES]);
                held.broke = true;
            }
            1 => {
                held.puppet.send_stream(0, 1, &[0xff; 8]);
                held.broke = true;
            }
            _ => {}
        }
    };
    hold(dialer, at_once, tally, first, |_| {});
}

/// Streams that are reset as soon as they are open.
fn resets(mut dialer: Dialer, rate: u32, tally: &Tally) {
    let mut pace = Pace::of(rate);
    let mut current: Option<(Puppet, u64)> = None;
    while pace.wait(tally) {
        let Some((puppet, stream)) = &mut current else {
            current = dialer.dial(tally).map(|puppet| (puppet, 0));
            continue;
        };
        puppet.send_stream(*stream, 0, &[MESSAGES, 9]);
        let mut reset = vec![0x04];
        for value in [*stream * 4 + 2, 0, 2] {
            super::packet::put_varint(&mut reset, value);
        }
        puppet.send(&reset);
        *stream += 1;
        puppet.step(Duration::ZERO);
        if let Outcome::Closed(why) = puppet.outcome() {
            tally.refused.add(1);
            tally.note(why);
            current = None;
        }
    }
}

fn open_and_close(mut dialer: Dialer, rate: u32, tally: &Tally) {
    let mut pace = Pace::of(rate);
    while pace.wait(tally) {
        if let Some(mut puppet) = dialer.dial(tally) {
            puppet.close();
        }
    }
}

/// A large frame is announced and comes byte by byte.
fn slow(dialer: Dialer, at_once: usize, tally: &Tally) {
    let deadline = match dialer.port.class {
        Class::Peer => PEER_FRAME_DEADLINE,
        Class::Client => CLIENT_FRAME_DEADLINE,
    };
    let first = |held: &mut Held, _| {
        let announced = ANNOUNCED.to_le_bytes();
        held.puppet
            .send_stream(0, 0, &[&[MESSAGES], announced.as_slice()].concat());
        held.sent = 5;
    };
    let again = |held: &mut Held| {
        if held.since.elapsed() >= Duration::from_secs(held.sent - 4) {
            held.puppet.send_stream(0, held.sent, &[0]);
            held.sent += 1;
        }
        if held.since.elapsed() >= deadline && !held.broke {
            // From now on its time is over.
            held.broke = true;
            held.since = Instant::now();
            held.sent = 5;
        }
    };
    hold(dialer, at_once, tally, first, again);
}

/// As many connections as possible with one key.
fn hoard(mut dialer: Dialer, at_once: usize, most: usize, tally: &Tally) {
    let mut held: Vec<Held> = Vec::new();
    let mut over: Option<Instant> = None;
    while !tally.stopped() {
        if held.len() < at_once
            && let Some(puppet) = dialer.dial(tally)
        {
            held.push(Held::new(puppet));
        }
        held.retain_mut(|one| one.stands(tally));
        if held.len() <= most {
            tally.held_max.raise(held.len());
            over = None;
        } else if over.get_or_insert_with(Instant::now).elapsed() > GRACE {
            // Whoever is one too many is told so behind the handshake: that takes its time.
            tally.held_max.raise(held.len());
            tally.accepted.add(1);
            tally.note("more connections of one key than are allowed");
            over = None;
        }
        std::thread::sleep(LOOK);
    }
}

/// Asks for pages without end, and acknowledges none.
fn never_reads(mut dialer: Dialer, at_once: usize, tally: &Tally) {
    dialer.opening.acknowledges = false;
    let observe = crypto::encode(&ToReplica::Observe { from_seq: SeqNo(0) });
    let frame = framed(&observe);
    let first = |held: &mut Held, _| {
        held.puppet.send_stream(0, 0, &[MESSAGES]);
        held.sent = 1;
    };
    let again = |held: &mut Held| {
        let due = held.since.elapsed().as_millis() / OBSERVE_EVERY.as_millis();
        // Within the window that the replica gave at the beginning; it is never asked for more.
        let fits = held.sent < u64::from(network::transport::CLIENT_STREAM_WINDOW) / 2;
        if u128::from(held.sent) < due * frame.len() as u128 && fits {
            held.puppet.send_stream(0, held.sent, &frame);
            held.sent += frame.len() as u64;
        }
    };
    hold(dialer, at_once, tally, first, again);
}

/// A frame as streams carry it.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [len.to_le_bytes().as_slice(), message].concat()
}
