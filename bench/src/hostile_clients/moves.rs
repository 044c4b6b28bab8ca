//! What a hostile client does when it is its turn, attack by attack.

use bytes::Bytes;
use byzantine::client;
use consensus::{ByteList, Limits, Request};
use crypto::codec::Blob;
use kv::Op;
use rand::RngExt;

use super::attacker::Attacker;
use super::counts::add;
use super::forge::{encoded, spoiled};
use crate::scenario::schema::{ClientAttack, GoodFor};

/// Requests in one frame of an attack that signs badly.
const FRAME_REQUESTS: usize = 8;
/// Requests in one frame of a flood.
const FLOOD_FRAME_REQUESTS: usize = 256;
/// Entries that a scan for a large result asks for: the most there may be.
const LARGE_SCAN: u32 = kv::SCAN_LIMIT_MAX;
/// Turns after which the highest session there is is entered: there is no way back from it.
const LAST_SESSION_AFTER: u64 = 200;
/// Operations of the most costly request: as many as a request may have.
const COSTLY_OPS: usize = 1024;
/// What reads as a command elsewhere.
const SQL: &str = "'; DROP TABLE entries; --";

/// An attack in progress.
pub(super) struct Moves {
    attack: ClientAttack,
    turn: u64,
    /// The request that is asked again.
    kept: Option<Bytes>,
}

impl Moves {
    pub(super) fn new(attack: ClientAttack) -> Self {
        Moves {
            attack,
            turn: 0,
            kept: None,
        }
    }

    /// Makes so many moves.
    pub(super) async fn make(&mut self, attacker: &mut Attacker, count: usize) {
        match self.attack {
            ClientAttack::Flood { value, .. } => {
                let value = usize::try_from(value.bytes()).unwrap_or(1);
                let mut left = count;
                while left > 0 {
                    let some = left.min(FLOOD_FRAME_REQUESTS);
                    flood(attacker, some, value).await;
                    left -= some;
                }
            }
            ClientAttack::AskAgain { .. } => self.ask_again(attacker, count).await,
            _ => {
                for _ in 0..count {
                    self.one(attacker).await;
                    self.turn += 1;
                }
            }
        }
    }

    async fn one(&self, attacker: &mut Attacker) {
        match self.attack {
            ClientAttack::Equivocate { .. } => equivocate(attacker, self.turn).await,
            ClientAttack::BadSignature { good_for, .. } => sign_badly(attacker, good_for).await,
            ClientAttack::TimestampJump { .. } => jump(attacker, self.turn).await,
            ClientAttack::HalfSent { .. } => half_sent(attacker, self.turn).await,
            ClientAttack::Oversize { header, .. } => {
                let header = u32::try_from(header.bytes()).unwrap_or(u32::MAX);
                oversize(attacker, header, self.turn).await;
            }
            ClientAttack::NeverReads { .. } => {
                let request = attacker.forge.next(&[scan(b"", LARGE_SCAN)]);
                to_all(attacker, &[request], 1).await;
            }
            ClientAttack::HotReads { .. } => {
                // The first keys of the load: with a skewed choice of keys they are among the hottest.
                let hot = scan(b"", 16);
                if attacker.forge.quorum_reads {
                    let read = attacker.forge.read(std::slice::from_ref(&hot));
                    for line in &mut attacker.lines {
                        line.send_reads(std::slice::from_ref(&read)).await;
                    }
                }
                // As a client asks whose answers did not match.
                let request = attacker.forge.next(&[hot]);
                to_all(attacker, &[request], 1).await;
            }
            ClientAttack::Pathological { .. } => pathological(attacker, self.turn).await,
            // They take several moves at once.
            ClientAttack::Flood { .. } | ClientAttack::AskAgain { .. } => {}
        }
    }

    async fn ask_again(&mut self, attacker: &mut Attacker, count: usize) {
        let request = match &self.kept {
            Some(request) => request.clone(),
            None => {
                let request = attacker.forge.next(&[scan(b"", LARGE_SCAN)]);
                add(&attacker.counts.executable, 1);
                self.kept.insert(request).clone()
            }
        };
        for line in &mut attacker.lines {
            line.send(&vec![request.clone(); count]).await;
        }
    }
}

/// The same frame for every replica; so many of its requests may execute.
async fn to_all(attacker: &mut Attacker, requests: &[Bytes], executable: u64) {
    add(&attacker.counts.executable, executable);
    for line in &mut attacker.lines {
        line.send(requests).await;
    }
}

fn scan(start: &[u8], limit: u32) -> Op {
    Op::Scan {
        start: Blob(Bytes::copy_from_slice(start)),
        end: None,
        limit,
    }
}

async fn flood(attacker: &mut Attacker, count: usize, value: usize) {
    let requests: Vec<Bytes> = (0..count)
        .map(|_| {
            let write = attacker.forge.write(attacker.forge.number(), value);
            attacker.forge.next(&[write])
        })
        .collect();
    to_all(attacker, &requests, count as u64).await;
}

/// Two operations under one number, one to each half of the replicas; who is in which half changes.
async fn equivocate(attacker: &mut Attacker, turn: u64) {
    let forge = &mut attacker.forge;
    let ops = [forge.write(0, 8), forge.write(1, 16)].map(|write| encoded(&[write]));
    let said = client::equivocate(&mut forge.signs, &ops[0], &ops[1]);
    add(&attacker.counts.executable, 1);
    let n = attacker.lines.len();
    for (id, line) in attacker.lines.iter_mut().enumerate() {
        let raw = said[client::half(id, n, turn)].raw();
        line.send(std::slice::from_ref(raw)).await;
    }
}

async fn sign_badly(attacker: &mut Attacker, good_for: GoodFor) {
    let good: Vec<Bytes> = (0..FRAME_REQUESTS)
        .map(|_| {
            let write = attacker.forge.write(attacker.forge.number(), 16);
            attacker.forge.next(&[write])
        })
        .collect();
    let bad: Vec<Bytes> = good.iter().map(spoiled).collect();
    let mixed: Vec<Bytes> = bad
        .iter()
        .take(1)
        .chain(good.iter().skip(1))
        .cloned()
        .collect();
    let executable = match good_for {
        GoodFor::Nobody => 0,
        GoodFor::First | GoodFor::Others => FRAME_REQUESTS,
        GoodFor::AllButOne => FRAME_REQUESTS - 1,
    };
    add(&attacker.counts.executable, executable as u64);
    for (id, line) in attacker.lines.iter_mut().enumerate() {
        let frame = match (good_for, id) {
            (GoodFor::First, 0) => &good,
            (GoodFor::Others, 1..) => &good,
            (GoodFor::AllButOne, _) => &mixed,
            _ => &bad,
        };
        line.send(frame).await;
    }
}

/// The highest number, an older session, the same thing three times, and in the end the highest session.
async fn jump(attacker: &mut Attacker, turn: u64) {
    let forge = &mut attacker.forge;
    let ops = encoded(&[forge.write(turn, 16)]);
    let jump = client::jump(&mut forge.signs, turn, LAST_SESSION_AFTER, &ops);
    let requests: Vec<Bytes> = jump.requests.iter().map(Request::raw).cloned().collect();
    to_all(attacker, &requests, jump.executable).await;
}

async fn half_sent(attacker: &mut Attacker, turn: u64) {
    let write = attacker.forge.write(turn, 1000);
    let request = attacker.forge.next(&[write]);
    let count = attacker.lines.len().max(1);
    let chosen = attacker.random.random_range(0..count);
    let Some(line) = attacker.lines.get_mut(chosen) else {
        return;
    };
    // A frame's length, and less than that behind it.
    let mut half = 4096u32.to_le_bytes().to_vec();
    half.extend_from_slice(&request[..request.len() / 2]);
    match turn % 3 {
        0 => {
            line.send_bytes(&half).await;
        }
        1 => {
            line.send_bytes(&half).await;
            line.reset().await;
        }
        _ => {
            // What may be left of half a frame would swallow it.
            line.reset().await;
            add(&attacker.counts.executable, 1);
            line.send(&[request]).await;
        }
    }
}

async fn oversize(attacker: &mut Attacker, header: u32, turn: u64) {
    if turn.is_multiple_of(2) {
        let most = Limits::default().op_bytes_max as usize;
        let ops = ByteList::from_iter([vec![0u8; most + 1]]);
        let request = attacker.forge.next_raw(&ops);
        to_all(attacker, &[request], 0).await;
    } else {
        for line in &mut attacker.lines {
            let mut bytes = header.to_le_bytes().to_vec();
            bytes.extend_from_slice(&[0; 64]);
            line.send_bytes(&bytes).await;
        }
    }
}

async fn pathological(attacker: &mut Attacker, turn: u64) {
    let forge = &mut attacker.forge;
    let put = |key: Blob| Op::Put {
        key,
        value: SQL.as_bytes().to_vec().into(),
    };
    let named = |bytes: &[u8]| Blob::from([&forge.key_named("").0, bytes].concat());
    let longest = kv::KEY_BYTES_MAX - named(b"").0.len();
    let ops = match turn % 9 {
        0 => vec![scan(b"", LARGE_SCAN); COSTLY_OPS],
        1 => vec![
            put(Blob::default()),
            Op::Read {
                key: Blob::default(),
            },
        ],
        2 => vec![put(named(&vec![b'k'; longest]))],
        3 => vec![put(named(&vec![b'k'; longest + 1]))],
        4 => vec![put(named(b"a\0b")), Op::Read { key: named(b"a") }],
        5 => vec![put(named(&[0xff, 0xfe, 0xc3, 0x28]))],
        6 => vec![
            put(named(SQL.as_bytes())),
            Op::Delete {
                key: named(SQL.as_bytes()),
            },
        ],
        7 => vec![Op::Scan {
            start: named(b"z"),
            end: Some(named(b"a")),
            limit: u32::MAX,
        }],
        _ => Vec::new(),
    };
    let request = if ops.is_empty() {
        forge.next_raw(&ByteList::from_iter([[0xff; 9]]))
    } else {
        forge.next(&ops)
    };
    to_all(attacker, &[request], 1).await;
}
