//! Packets of nobody in particular: Q4, Q5, Q9, Q12.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rustls::{ClientConfig, Side};

use super::attack::OutsiderAttack as Attack;
use super::dial::account;
use super::packet::{Long, LongHeader, V1, crypto_frame, seal_long};
use super::plan::{Plan, Tally};
use super::puppet::{ID_LEN, Opening, Outcome, Puppet, transport_parameters};
use super::tls::{self, Shows, Unprepared, initial_keys};
use super::{AtPort, Pace, Port};

/// Source ports that a flood uses at a time; every packet takes the place of an old one.
const SOURCES: usize = 256;
/// A half-done handshake that got no end after this time is begun anew.
const HALF_DONE_MAX: Duration = Duration::from_secs(5);
/// How long one that never answers listens to what comes back: the server sends again a few times.
const LISTEN: Duration = Duration::from_secs(1);
/// Listeners at a time at each port.
const LISTENERS_MAX: usize = 200;

pub(super) fn at_port(plan: &Plan, port: Port) -> Result<AtPort, Unprepared> {
    let stranger = Shows::Identity(Box::new(tls::stranger(plan.seed, port.number)?));
    let config = Arc::new(tls::config(&stranger, &[port.alpn()])?);
    let random = ChaCha8Rng::seed_from_u64(plan.seed ^ port.number);
    let (attack, rate, at_once) = (plan.attack, plan.arg("rate"), plan.arg("at_once"));
    Ok(Box::new(move |tally: &Tally| match attack {
        Attack::HandshakeSlowloris => half_done(&port, &config, at_once as usize, tally),
        Attack::Amplification => listen(&port, &config, rate, random, tally),
        Attack::MalformedPackets => nonsense(&port, &config, rate, random, tally),
        _ => flood(&port, &config, rate, random, tally),
    }))
}

/// Sources of packets that ask for nothing back.
struct Sources {
    remote: SocketAddr,
    sockets: Vec<UdpSocket>,
    next: usize,
}

impl Sources {
    fn to(remote: SocketAddr) -> Self {
        Sources {
            remote,
            sockets: Vec::with_capacity(SOURCES),
            next: 0,
        }
    }

    /// Sends from a port, and on loopback an address, that was not used before.
    fn send(&mut self, packet: &[u8], random: &mut ChaCha8Rng) -> bool {
        let from: IpAddr = match self.remote.ip() {
            IpAddr::V4(to) if to.is_loopback() => {
                let [a, b, c] = random.random::<[u8; 3]>();
                Ipv4Addr::new(127, a, b, c.clamp(1, 254)).into()
            }
            _ => network::endpoint::any_port(self.remote).ip(),
        };
        let Ok(socket) = UdpSocket::bind((from, 0)) else {
            return false;
        };
        // A full queue of this machine is no reason to wait.
        let sent =
            socket.set_nonblocking(true).is_ok() && socket.send_to(packet, self.remote).is_ok();
        if self.sockets.len() < SOURCES {
            self.sockets.push(socket);
        } else {
            self.sockets[self.next] = socket;
            self.next = (self.next + 1) % SOURCES;
        }
        sent
    }
}

/// The first message of a handshake, to be sent under any identifier.
struct Hello {
    message: Vec<u8>,
    own_id: [u8; ID_LEN],
}

impl Hello {
    fn new(port: &Port, config: &Arc<ClientConfig>, parameters: Option<Vec<u8>>) -> Option<Self> {
        let opening = Opening {
            parameters,
            silent: true,
            ..Opening::default()
        };
        let puppet = Puppet::unsent(port.address(), config, opening, port.connection(0)).ok()?;
        let (message, own_id) = puppet.hello();
        Some(Hello {
            message: message.to_vec(),
            own_id,
        })
    }

    fn packet(&self, random: &mut ChaCha8Rng) -> Vec<u8> {
        let to: [u8; ID_LEN] = random.random();
        let header = LongHeader {
            kind: Long::Initial,
            version: V1,
            to: &to,
            from: &self.own_id,
            token: &[],
        };
        let keys = initial_keys(&to, Side::Client);
        seal_long(header, 0, &crypto_frame(0, &self.message), &keys.local)
    }
}

/// Good first packets from ever new sources.
fn flood(
    port: &Port,
    config: &Arc<ClientConfig>,
    rate: u32,
    mut random: ChaCha8Rng,
    tally: &Tally,
) {
    let Some(hello) = Hello::new(port, config, None) else {
        return tally.note("no first packet could be made");
    };
    let mut sources = Sources::to(port.address());
    let mut pace = Pace::of(rate);
    while pace.wait(tally) {
        let packet = hello.packet(&mut random);
        tally.attempts.add(1);
        if sources.send(&packet, &mut random) {
            tally.bytes_out.add(packet.len());
        }
    }
}

/// Handshakes that stop in the middle, from addresses that prove themselves when they are asked to.
fn half_done(port: &Port, config: &Arc<ClientConfig>, at_once: usize, tally: &Tally) {
    let mut held: Vec<(Puppet, Instant)> = Vec::new();
    let mut round = 0;
    while !tally.stopped() {
        while held.len() < at_once {
            round += 1;
            let opening = Opening {
                answers: false,
                half: round % 2 == 0,
                ..Opening::default()
            };
            match Puppet::begin(port.address(), config, opening, port.connection(round)) {
                Ok(puppet) => held.push((puppet, Instant::now())),
                Err(_) => break,
            }
        }
        tally.held_max.raise(held.len());
        held.retain_mut(|(puppet, since)| {
            puppet.step(Duration::ZERO);
            let over = *puppet.outcome() != Outcome::Pending || since.elapsed() >= HALF_DONE_MAX;
            if over {
                account(puppet.outcome(), puppet, tally);
            }
            if *puppet.outcome() == Outcome::Established {
                tally.accepted.add(1);
            }
            !over
        });
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// First packets from addresses that never answer, and what comes back to them.
fn listen(
    port: &Port,
    config: &Arc<ClientConfig>,
    rate: u32,
    mut random: ChaCha8Rng,
    tally: &Tally,
) {
    let mut held: Vec<(Puppet, Instant)> = Vec::new();
    let mut pace = Pace::of(rate);
    let mut round = 0;
    while pace.wait(tally) {
        round += 1;
        if held.len() < LISTENERS_MAX {
            let opening = Opening {
                silent: true,
                half: round % 4 == 3,
                // One of a version that nobody speaks is answered with a list of versions.
                version: if round % 4 == 2 { 0x1a2a_3a4a } else { V1 },
                ..Opening::default()
            };
            if let Ok(puppet) =
                Puppet::begin(port.address(), config, opening, port.connection(round))
            {
                held.push((puppet, Instant::now()));
            }
            stray(port, &mut random, tally);
        }
        held.retain_mut(|(puppet, since)| {
            puppet.step(Duration::ZERO);
            let over = since.elapsed() >= LISTEN;
            if over {
                let (out, back) = puppet.traffic();
                tally.amplified(out, back);
                account(puppet.outcome(), puppet, tally);
            }
            !over
        });
    }
    for (puppet, _) in &held {
        let (out, back) = puppet.traffic();
        tally.amplified(out, back);
        account(puppet.outcome(), puppet, tally);
    }
}

/// A packet of a connection that does not exist: it may be answered with a reset, which is shorter than the packet.
fn stray(port: &Port, random: &mut ChaCha8Rng, tally: &Tally) {
    let Ok(socket) = UdpSocket::bind(network::endpoint::any_port(port.address())) else {
        return;
    };
    let mut packet = vec![0_u8; random.random_range(30..1200)];
    random.fill_bytes(&mut packet);
    packet[0] = 0x40 | packet[0] & 0x3f;
    let _ = socket.set_read_timeout(Some(Duration::from_millis(2)));
    if socket.send_to(&packet, port.address()).is_ok() {
        let mut answer = [0; 2048];
        let back = socket.recv(&mut answer).unwrap_or_default();
        tally.amplified(packet.len() as u64, back as u64);
    }
}

/// What is no QUIC, or not quite.
fn nonsense(
    port: &Port,
    config: &Arc<ClientConfig>,
    rate: u32,
    mut random: ChaCha8Rng,
    tally: &Tally,
) {
    let hellos: Vec<Hello> = bad_parameters(&mut random)
        .into_iter()
        .map(Some)
        .chain([None])
        .filter_map(|parameters| Hello::new(port, config, parameters))
        .collect();
    let mut sources = Sources::to(port.address());
    let mut pace = Pace::of(rate);
    let mut round = 0_usize;
    while pace.wait(tally) {
        round += 1;
        let Some(hello) = hellos.get(round % hellos.len().max(1)) else {
            return;
        };
        let mut packet = hello.packet(&mut random);
        match round % 8 {
            0 | 1 => {}
            2 => packet.truncate(random.random_range(0..packet.len())),
            3 => {
                let at = random.random_range(0..packet.len());
                packet[at] ^= 1 << random.random_range(0..8);
            }
            4 => {
                // The header is what is looked at before anything is decrypted.
                let at = random.random_range(0..40);
                packet[at] = random.random();
            }
            5 => {
                packet.truncate(random.random_range(0..1500).min(packet.len()));
                random.fill_bytes(&mut packet);
            }
            6 => {
                let mut tail = vec![0; random.random_range(1..300)];
                random.fill_bytes(&mut tail);
                packet.extend(tail);
            }
            _ => {
                random.fill_bytes(&mut packet);
                packet[0] = 0x40 | packet[0] & 0x3f;
            }
        }
        tally.attempts.add(1);
        if sources.send(&packet, &mut random) {
            tally.bytes_out.add(packet.len());
        }
    }
}

/// Transport parameters that break a rule each (RFC 9000 18).
fn bad_parameters(random: &mut ChaCha8Rng) -> Vec<Vec<u8>> {
    let good = transport_parameters(&[7; ID_LEN]);
    let with = |more: &[u8]| [good.as_slice(), more].concat();
    let mut garbage = vec![0; 200];
    random.fill_bytes(&mut garbage);
    vec![
        Vec::new(),
        garbage,
        good[..good.len() - 3].to_vec(),
        // Twice the same parameter; another connection's identifier.
        with(&[0x01, 1, 5]),
        good.clone(),
        // max_udp_payload_size below 1200, ack_delay_exponent above 20, max_ack_delay above 2^14.
        with(&[0x03, 1, 10]),
        with(&[0x0a, 1, 60]),
        with(&[0x0b, 4, 0x80, 0xff, 0xff, 0xff]),
        // active_connection_id_limit of 0, more streams than there are, a length beyond the end.
        with(&[0x0e, 1, 0]),
        with(&[0x08, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        with(&[0x20, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        with(&[0x21, 0x7f, 0xff]),
        // What only a server may say: a reset token, a preferred address.
        with(&[&[0x02, 16], [9; 16].as_slice()].concat()),
        with(&[&[0x0d, 41], [1; 41].as_slice()].concat()),
    ]
}
