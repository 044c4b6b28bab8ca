//! One QUIC connection by hand: it finishes a handshake if it is told to, and then sends whatever frames it is given.
//!
//! It does what correct clients do only where an attack needs it: it resends its first packet, it may acknowledge, it notes
//! how the other end closes. No congestion control, no flow control, no path validation.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crypto::tls::SERVER_NAME;
use rustls::quic::{ClientConnection, KeyChange, Keys, Version};
use rustls::{ClientConfig, Side};

use super::packet::{
    Long, LongHeader, Received, V1, crypto_frame, look, open, put_varint, seal_long, seal_short,
    take, take_varint,
};
use super::tls::{Unprepared, initial_keys};

/// Bytes of connection identifiers.
pub(super) const ID_LEN: usize = 8;
/// The largest datagram that is received.
const DATAGRAM_MAX: usize = 8_192;
/// Bytes of a stream that are kept to be looked at.
const KEPT_MAX: usize = 1 << 20;
/// The first packet is sent again after this time, then after twice that, ...
const RESEND_AFTER: Duration = Duration::from_millis(200);
/// Received packet numbers that acknowledgements look at.
const NUMBERS_KEPT: usize = 1024;

/// How a connection begins.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    /// The version that it asks for.
    pub(super) version: u32,
    /// Its transport parameters; `None`: correct ones.
    pub(super) parameters: Option<Vec<u8>>,
    /// Whether it answers the server's part of the handshake.
    pub(super) answers: bool,
    /// Whether it sends one packet and never another, not even to prove its address.
    pub(super) silent: bool,
    /// Whether the first message of TLS is cut in half.
    pub(super) half: bool,
    /// Whether it acknowledges packets with content.
    pub(super) acknowledges: bool,
}

impl Default for Opening {
    fn default() -> Self {
        Opening {
            version: V1,
            parameters: None,
            answers: true,
            silent: false,
            half: false,
            acknowledges: true,
        }
    }
}

/// How far a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The handshake is under way.
    Pending,
    /// The server has confirmed the handshake, and so this end's certificate.
    Established,
    /// The server closed it, or TLS failed here.
    Closed(String),
    /// The server speaks other versions.
    OtherVersions,
}

/// A connection. Dropping it leaves the other end alone with it.
pub(super) struct Puppet {
    socket: UdpSocket,
    opening: Opening,
    tls: ClientConnection,
    own_id: [u8; ID_LEN],
    peer_id: Vec<u8>,
    /// Whether `peer_id` is the server's own choice.
    met: bool,
    token: Vec<u8>,
    hello: Vec<u8>,
    initial: Keys,
    handshake: Option<Keys>,
    app: Option<Keys>,
    spaces: [Space; 3],
    resend_at: Instant,
    resend_after: Duration,
    outcome: Outcome,
    /// Bytes of every stream that the server sends on, from its beginning.
    streams: BTreeMap<u64, Vec<u8>>,
    bytes_out: u64,
    bytes_in: u64,
    buffer: Vec<u8>,
}

/// One packet number space.
#[derive(Default)]
struct Space {
    next: u32,
    sent_crypto: u64,
    expected: u64,
    seen: BTreeSet<u64>,
    crypto: BTreeMap<u64, Vec<u8>>,
    read_crypto: u64,
}

const INITIAL: usize = 0;
const HANDSHAKE: usize = 1;
const APP: usize = 2;

impl Puppet {
    /// Sends the first packet of a connection from any port.
    pub(super) fn begin(
        remote: SocketAddr,
        config: &Arc<ClientConfig>,
        opening: Opening,
        id: u64,
    ) -> Result<Self, Unprepared> {
        let mut puppet = Self::unsent(remote, config, opening, id)?;
        puppet.send_hello();
        Ok(puppet)
    }

    /// A connection of which nothing was sent.
    pub(super) fn unsent(
        remote: SocketAddr,
        config: &Arc<ClientConfig>,
        opening: Opening,
        id: u64,
    ) -> Result<Self, Unprepared> {
        let socket = UdpSocket::bind(network::endpoint::any_port(remote))?;
        socket.connect(remote)?;
        let own_id = id.to_be_bytes();
        // Any will do that no other connection under way has.
        let peer_id = crypto::Digest::of("outsider connection", &own_id).0[..ID_LEN].to_vec();
        let parameters = opening
            .parameters
            .clone()
            .unwrap_or_else(|| transport_parameters(&own_id));
        let mut tls = ClientConnection::new(
            Arc::clone(config),
            Version::V1,
            SERVER_NAME.try_into()?,
            parameters,
        )?;
        let mut hello = Vec::new();
        // The first flight brings no keys.
        let _ = tls.write_hs(&mut hello);
        if opening.half {
            hello.truncate(hello.len() / 2);
        }
        let initial = initial_keys(&peer_id, Side::Client);
        Ok(Puppet {
            socket,
            opening,
            tls,
            own_id,
            peer_id,
            met: false,
            token: Vec::new(),
            hello,
            initial,
            handshake: None,
            app: None,
            spaces: Default::default(),
            resend_at: Instant::now() + RESEND_AFTER,
            resend_after: RESEND_AFTER,
            outcome: Outcome::Pending,
            streams: BTreeMap::new(),
            bytes_out: 0,
            bytes_in: 0,
            buffer: vec![0; DATAGRAM_MAX],
        })
    }

    pub(super) fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// UDP payload bytes sent and received.
    pub(super) fn traffic(&self) -> (u64, u64) {
        (self.bytes_out, self.bytes_in)
    }

    /// What the server sent on its streams, as far as it is here.
    pub(super) fn streams(&self) -> impl Iterator<Item = &[u8]> {
        self.streams.values().map(Vec::as_slice)
    }

    /// Session tickets that the server gave.
    pub(super) fn tickets(&self) -> u32 {
        self.tls.tls13_tickets_received()
    }

    /// Whether a ticket of an earlier connection lets this one send early data.
    pub(super) fn may_send_early(&self) -> bool {
        self.tls.zero_rtt_keys().is_some()
    }

    /// The certificate that the server showed.
    pub(super) fn server_certificate(&self) -> Option<rustls::pki_types::CertificateDer<'static>> {
        Some(self.tls.peer_certificates()?.first()?.clone().into_owned())
    }

    /// The first message of TLS, and the identifier that belongs to it: for others to send.
    pub(super) fn hello(&self) -> (&[u8], [u8; ID_LEN]) {
        (&self.hello, self.own_id)
    }

    /// Goes on until the handshake is confirmed or over, or the time is up.
    pub(super) fn handshake(&mut self, patience: Duration) -> Outcome {
        let until = Instant::now() + patience;
        while self.outcome == Outcome::Pending {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.step(left.min(Duration::from_millis(50)));
        }
        self.outcome.clone()
    }

    /// Takes in what comes within `wait`, at least what is here.
    pub(super) fn step(&mut self, wait: Duration) {
        let again = self.outcome == Outcome::Pending && !self.met && !self.opening.silent;
        if again && Instant::now() >= self.resend_at {
            self.resend_after *= 2;
            self.resend_at = Instant::now() + self.resend_after;
            self.send_hello();
        }
        // A timeout of zero would mean to wait for ever.
        let wait = wait.max(Duration::from_micros(100));
        let _ = self.socket.set_read_timeout(Some(wait));
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Ok(len) = self.socket.recv(&mut buffer) {
            self.bytes_in += len as u64;
            self.datagram(&buffer[..len]);
            let _ = self
                .socket
                .set_read_timeout(Some(Duration::from_micros(100)));
        }
        self.buffer = buffer;
    }

    /// Sends frames of an application, if there are keys for it.
    pub(super) fn send(&mut self, frames: &[u8]) -> bool {
        let Some(keys) = &self.app else { return false };
        let number = self.spaces[APP].number();
        let packet = seal_short(&self.peer_id, number, frames, &keys.local);
        self.transmit(&packet)
    }

    /// Bytes on one of this end's own one-way streams.
    pub(super) fn send_stream(&mut self, stream: u64, offset: u64, data: &[u8]) -> bool {
        let mut frame = vec![0x0e];
        put_varint(&mut frame, stream * 4 + 2);
        put_varint(&mut frame, offset);
        put_varint(&mut frame, data.len() as u64);
        frame.extend_from_slice(data);
        self.send(&frame)
    }

    /// Ends the connection in order.
    pub(super) fn close(&mut self) {
        self.send(&[0x1d, 0, 0]);
    }

    fn send_hello(&mut self) {
        let header = LongHeader {
            kind: Long::Initial,
            version: self.opening.version,
            to: &self.peer_id,
            from: &self.own_id,
            token: &self.token,
        };
        let frame = crypto_frame(0, &self.hello);
        let number = self.spaces[INITIAL].number();
        let packet = seal_long(header, number, &frame, &self.initial.local);
        self.transmit(&packet);
    }

    fn transmit(&mut self, packet: &[u8]) -> bool {
        let sent = self.socket.send(packet).is_ok();
        self.bytes_out += packet.len() as u64;
        sent
    }

    /// A datagram may hold several packets.
    fn datagram(&mut self, datagram: &[u8]) {
        let mut rest = datagram;
        while !rest.is_empty() {
            match look(rest) {
                Received::Long {
                    kind,
                    from,
                    number_at,
                    end,
                } => {
                    let (packet, more) = rest.split_at(end);
                    rest = more;
                    self.long(kind, from, packet, number_at);
                }
                Received::Short => {
                    self.short(rest);
                    return;
                }
                Received::Retry { from, token } => {
                    self.retry(from, token);
                    return;
                }
                Received::Versions => {
                    self.outcome = Outcome::OtherVersions;
                    return;
                }
                Received::Other => return,
            }
        }
    }

    /// The server wants to see that this address is ours.
    fn retry(&mut self, from: Vec<u8>, token: Vec<u8>) {
        if self.met || self.opening.silent || !self.token.is_empty() {
            return;
        }
        self.initial = initial_keys(&from, Side::Client);
        self.peer_id = from;
        self.token = token;
        self.send_hello();
    }

    fn long(&mut self, kind: Long, from: Vec<u8>, packet: &[u8], number_at: usize) {
        let (keys, space) = match kind {
            Long::Initial => (Some(&self.initial), INITIAL),
            Long::Handshake => (self.handshake.as_ref(), HANDSHAKE),
        };
        let Some(keys) = keys else { return };
        let expected = self.spaces[space].expected;
        let Some((number, frames)) = open(packet, number_at, expected, &keys.remote) else {
            return;
        };
        if !self.met {
            self.met = true;
            self.peer_id = from;
        }
        if self.spaces[space].see(number) {
            self.frames(space, &frames);
        }
    }

    fn short(&mut self, packet: &[u8]) {
        let Some(keys) = &self.app else { return };
        let expected = self.spaces[APP].expected;
        let Some((number, frames)) = open(packet, 1 + ID_LEN, expected, &keys.remote) else {
            return;
        };
        if self.spaces[APP].see(number) {
            let asks = self.frames(APP, &frames).unwrap_or(true);
            if asks && self.opening.acknowledges {
                let ack = self.spaces[APP].acknowledgement();
                self.send(&ack);
            }
        }
    }

    /// Takes in the frames of a packet. Whether it wants to be acknowledged; `None` if it was not understood.
    fn frames(&mut self, space: usize, mut rest: &[u8]) -> Option<bool> {
        let mut asks = false;
        while let Some(kind) = take_varint(&mut rest) {
            asks |= !matches!(kind, 0x00 | 0x02 | 0x03 | 0x1c | 0x1d);
            match kind {
                0x00 | 0x01 => {}
                0x02 | 0x03 => {
                    take_varint(&mut rest)?;
                    take_varint(&mut rest)?;
                    let ranges = take_varint(&mut rest)?;
                    let more = if kind == 0x03 { 3 } else { 0 };
                    for _ in 0..1 + 2 * ranges + more {
                        take_varint(&mut rest)?;
                    }
                }
                0x06 => {
                    let offset = take_varint(&mut rest)?;
                    let len = take_varint(&mut rest)?;
                    let data = take(&mut rest, usize::try_from(len).ok()?)?;
                    self.spaces[space].crypto.insert(offset, data.to_vec());
                    self.talk(space);
                }
                0x07 => {
                    let len = take_varint(&mut rest)?;
                    take(&mut rest, usize::try_from(len).ok()?)?;
                }
                0x08..=0x0f => {
                    let id = take_varint(&mut rest)?;
                    let offset = match kind & 0x04 {
                        0 => 0,
                        _ => take_varint(&mut rest)?,
                    };
                    let len = match kind & 0x02 {
                        0 => rest.len(),
                        _ => usize::try_from(take_varint(&mut rest)?).ok()?,
                    };
                    let data = take(&mut rest, len)?;
                    let kept = self.streams.entry(id).or_default();
                    if kept.len() as u64 == offset && kept.len() < KEPT_MAX {
                        kept.extend_from_slice(data);
                    }
                }
                0x10 | 0x12..=0x14 | 0x16 | 0x17 | 0x19 => {
                    take_varint(&mut rest)?;
                }
                0x04 | 0x05 | 0x11 | 0x15 => {
                    for _ in 0..if kind == 0x04 { 3 } else { 2 } {
                        take_varint(&mut rest)?;
                    }
                }
                0x18 => {
                    take_varint(&mut rest)?;
                    take_varint(&mut rest)?;
                    let len = usize::from(*take(&mut rest, 1)?.first()?);
                    take(&mut rest, len + 16)?;
                }
                0x1a | 0x1b => {
                    take(&mut rest, 8)?;
                }
                0x1c | 0x1d => {
                    let code = take_varint(&mut rest)?;
                    if kind == 0x1c {
                        take_varint(&mut rest)?;
                    }
                    let len = take_varint(&mut rest)?;
                    let reason = take(&mut rest, usize::try_from(len).ok()?).unwrap_or_default();
                    self.outcome = Outcome::Closed(closed(kind, code, reason));
                    return Some(false);
                }
                0x1e => self.established(),
                _ => return None,
            }
        }
        Some(asks)
    }

    fn established(&mut self) {
        if self.outcome == Outcome::Pending {
            self.outcome = Outcome::Established;
        }
    }

    /// Lets TLS read what is complete, and sends its answer.
    fn talk(&mut self, space: usize) {
        while let Some(data) = self.spaces[space].next_crypto() {
            if let Err(error) = self.tls.read_hs(&data) {
                self.outcome = Outcome::Closed(format!("here: {error}"));
                return;
            }
        }
        if self.opening.silent || (!self.opening.answers && space != INITIAL) {
            return;
        }
        loop {
            let mut flight = Vec::new();
            // What is written belongs to the keys before the change.
            let written_in = match (&self.app, &self.handshake) {
                (Some(_), _) => APP,
                (None, Some(_)) => HANDSHAKE,
                (None, None) => INITIAL,
            };
            let change = self.tls.write_hs(&mut flight);
            if !flight.is_empty() && written_in == HANDSHAKE {
                self.send_handshake(&flight);
            }
            match change {
                Some(KeyChange::Handshake { keys }) => self.handshake = Some(keys),
                Some(KeyChange::OneRtt { keys, .. }) => self.app = Some(keys),
                None => return,
            }
        }
    }

    fn send_handshake(&mut self, flight: &[u8]) {
        let Some(keys) = &self.handshake else { return };
        let space = &mut self.spaces[HANDSHAKE];
        let frame = crypto_frame(space.sent_crypto, flight);
        space.sent_crypto += flight.len() as u64;
        let header = LongHeader {
            kind: Long::Handshake,
            version: self.opening.version,
            to: &self.peer_id,
            from: &self.own_id,
            token: &[],
        };
        let packet = seal_long(header, space.number(), &frame, &keys.local);
        self.transmit(&packet);
    }
}

impl Space {
    fn number(&mut self) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        number
    }

    /// Notes a packet; whether it is new.
    fn see(&mut self, number: u64) -> bool {
        self.expected = self.expected.max(number + 1);
        while self.seen.len() >= NUMBERS_KEPT {
            self.seen.pop_first();
        }
        self.seen.insert(number)
    }

    /// An ACK of the newest packets without a gap.
    fn acknowledgement(&self) -> Vec<u8> {
        let largest = self.seen.last().copied().unwrap_or_default();
        let run = self
            .seen
            .iter()
            .rev()
            .zip((0..=largest).rev())
            .take_while(|(seen, wanted)| *seen == wanted)
            .count();
        let mut frame = vec![0x02];
        for value in [largest, 0, 0, (run as u64).saturating_sub(1)] {
            put_varint(&mut frame, value);
        }
        frame
    }

    fn next_crypto(&mut self) -> Option<Vec<u8>> {
        let data = self.crypto.remove(&self.read_crypto)?;
        self.read_crypto += data.len() as u64;
        Some(data)
    }
}

/// Parameters that a correct client could send: a large window, and nothing that is optional.
pub(super) fn transport_parameters(own_id: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut put = |id: u64, value: &[u8]| {
        put_varint(&mut all, id);
        put_varint(&mut all, value.len() as u64);
        all.extend_from_slice(value);
    };
    for (id, value) in [
        (0x01, 30_000), // max_idle_timeout, ms
        (0x04, 64 << 20),
        (0x07, 64 << 20),
        (0x09, 16),
    ] {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, value);
        put(id, &bytes);
    }
    put(0x0f, own_id);
    all
}

fn closed(kind: u64, code: u64, reason: &[u8]) -> String {
    let reason = String::from_utf8_lossy(reason);
    // Digests of keys would make every remark a different one.
    let reason: String = reason.chars().take(60).collect();
    match (kind, code) {
        (0x1c, 0x100..=0x1ff) => format!("TLS alert {}", code & 0xff),
        (0x1c, _) => format!("QUIC error {code:#x}: {reason}"),
        _ => format!("closed with {code}: {reason}"),
    }
}
