//! What a listed key does not entitle to: Q2, Q12, Q15. Each connection breaks one rule and must be gone soon after.

use std::time::{Duration, Instant};

use consensus::{ByteList, ClientId, Outcome as Answer, Request, RequestId};
use crypto::codec::Blob;
use crypto::{ClusterId, Digest, SecretKey, Signature};
use network::{Class, ToClient, ToReplica};
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::attack::OutsiderAttack as Attack;
use super::keyed::{Dialer, MESSAGES, config, framed};
use super::packet::put_varint;
use super::plan::{Plan, Tally};
use super::puppet::{Opening, Outcome, Puppet};
use super::tls::Unprepared;
use super::{AtPort, Pace, Port};

/// A connection that broke a rule is gone after this time, on a loaded machine, too.
const PATIENCE: Duration = Duration::from_secs(10);
/// Broken rules on one connection: more than any replica lets pass.
const REPEATS: usize = 64;

pub(super) fn at_port(plan: &Plan, port: Port) -> Result<Option<AtPort>, Unprepared> {
    let applies = port.class == Class::Client || plan.attack == Attack::MalformedFrames;
    let Some(config) = config(plan, &port)?.filter(|_| applies) else {
        return Ok(None);
    };
    let (attack, rate) = (plan.attack, plan.arg("rate"));
    let mut forger = Forger::new(plan, port.number)?;
    let class = port.class;
    let mut dialer = Dialer {
        port,
        config,
        opening: Opening::default(),
        round: 0,
    };
    Ok(Some(Box::new(move |tally| {
        let mut pace = Pace::of(rate);
        while pace.wait(tally) {
            let Some(mut puppet) = dialer.dial(tally) else {
                continue;
            };
            let round = dialer.round;
            let rule = match attack {
                Attack::Datagrams => datagram(&mut puppet),
                Attack::ClaimedIdentity => forger.claim(&mut puppet, round),
                _ => forger.malformed(&mut puppet, class, round),
            };
            await_end(&mut puppet, rule, tally);
        }
    })))
}

/// An extension that the replica did not offer (RFC 9221 3).
fn datagram(puppet: &mut Puppet) -> &'static str {
    puppet.send(&[&[0x31, 5], b"hello".as_slice()].concat());
    "a DATAGRAM frame"
}

/// Waits until the replica has closed the connection.
fn await_end(puppet: &mut Puppet, rule: &str, tally: &Tally) {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        puppet.step(Duration::from_millis(20));
        if executed(puppet) {
            tally.accepted.add(1);
            return tally.note("executed a request in another client's name");
        }
        if let Outcome::Closed(why) = puppet.outcome() {
            tally.refused.add(1);
            return tally.note(why);
        }
        if tally.stopped() {
            tally.unanswered.add(1);
            return puppet.close();
        }
    }
    tally.accepted.add(1);
    tally.note(&format!("not closed after {rule}"));
    puppet.close();
}

/// Whether a reply says that something was executed.
fn executed(puppet: &Puppet) -> bool {
    puppet.streams().any(|stream| {
        let mut rest = stream.get(1..).unwrap_or_default();
        while let Some((len, after)) = rest.split_first_chunk::<4>() {
            let len = u32::from_le_bytes(*len) as usize;
            let Some((frame, after)) = after.split_at_checked(len) else {
                return false;
            };
            rest = after;
            if let Ok(ToClient::Replies(replies)) = ToClient::from_frame(frame)
                && replies
                    .iter()
                    .any(|reply| matches!(reply.outcome, Answer::Executed(_)))
            {
                return true;
            }
        }
        false
    })
}

/// Makes what is wrong.
struct Forger {
    /// The key that it has, for what it has no right to sign.
    key: Option<SecretKey>,
    cluster: ClusterId,
    victim: ClientId,
    random: ChaCha8Rng,
}

impl Forger {
    fn new(plan: &Plan, number: u64) -> Result<Self, Unprepared> {
        let key = plan.client_key.as_deref().map(crypto::files::read_secret);
        Ok(Forger {
            key: key.transpose()?,
            cluster: ClusterId(Digest(plan.cluster)),
            victim: ClientId(plan.victim),
            random: ChaCha8Rng::seed_from_u64(plan.seed ^ number),
        })
    }

    /// In the name of somebody else.
    fn claim(&mut self, puppet: &mut Puppet, round: u64) -> &'static str {
        let mut bytes = vec![MESSAGES];
        if round.is_multiple_of(2) {
            let attach = ToReplica::Attach {
                client: self.victim,
                signature: Signature([7; 64]),
            };
            bytes.extend(framed(&crypto::encode(&attach)));
            puppet.send_stream(0, 0, &bytes);
            return "an attachment that nobody signed";
        }
        let requests: Vec<Blob> = (1..=16)
            .filter_map(|number| {
                let id = RequestId {
                    client: self.victim,
                    session: u64::MAX,
                    number,
                };
                let read = kv::Op::Read {
                    key: Blob::from(b"outsider".to_vec()),
                };
                let ops: ByteList = [read.encode()].into_iter().collect();
                let request = Request::sign(self.key.as_ref()?, &self.cluster, id, 0, false, &ops);
                Some(Blob(request.raw().clone()))
            })
            .collect();
        bytes.extend(framed(&crypto::encode(&ToReplica::Requests(requests))));
        puppet.send_stream(0, 0, &bytes);
        "requests in another client's name"
    }

    /// What is no frame, or no message, or no QUIC.
    fn malformed(&mut self, puppet: &mut Puppet, class: Class, round: u64) -> &'static str {
        let mut garbage = [0; 64];
        self.random.fill_bytes(&mut garbage);
        let on_stream = |puppet: &mut Puppet, rest: &[u8]| {
            puppet.send_stream(0, 0, &[&[MESSAGES], rest].concat());
        };
        match round % 10 {
            0 => {
                puppet.send_stream(0, 0, &[7, 1, 2, 3]);
                "a stream of no kind"
            }
            1 => {
                on_stream(puppet, &u32::MAX.to_le_bytes());
                "a frame of 4 GiB"
            }
            2 => {
                let many = framed(&[]).repeat(REPEATS);
                on_stream(puppet, &many);
                "frames without a message"
            }
            3 => {
                let many = framed(&garbage).repeat(REPEATS);
                on_stream(puppet, &many);
                "frames of nonsense"
            }
            4 => {
                let mut message = crypto::encode(&ToReplica::Requests(Vec::new()));
                // On a peer's stream this is nothing at all.
                message.extend_from_slice(&garbage[..self.random.random_range(1..9)]);
                on_stream(puppet, &framed(&message).repeat(REPEATS));
                "bytes behind a message"
            }
            5 => {
                // The end of the stream in the middle of a frame.
                let mut frame = vec![0x0f, 2, 0];
                let bytes = [&[MESSAGES], 100_u32.to_le_bytes().as_slice(), &garbage[..9]].concat();
                put_varint(&mut frame, bytes.len() as u64);
                frame.extend(bytes);
                puppet.send(&frame);
                "a frame without an end"
            }
            6 => {
                puppet.send(&[0x40, 0x3f]);
                "a QUIC frame of no type"
            }
            7 => {
                puppet.send(&[0x0a, 3, 1, 9]);
                "bytes on the replica's own stream"
            }
            8 => {
                let mut frame = vec![0x0e, 2];
                put_varint(&mut frame, 1 << 40);
                frame.extend([1, 9]);
                puppet.send(&frame);
                "bytes beyond every window"
            }
            _ => {
                let huge = match class {
                    // More elements than there are bytes.
                    Class::Client => [1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
                    Class::Peer => [0xff; 12],
                };
                on_stream(puppet, &framed(&huge).repeat(REPEATS));
                "an announced list of billions"
            }
        }
    }
}
