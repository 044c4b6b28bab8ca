//! Handshakes that must not come about: Q1, Q2, Q3, Q8, Q10, Q13.

use std::sync::Arc;
use std::time::Duration;

use network::Class;
use rustls::ClientConfig;
use rustls::client::Resumption;

use super::attack::OutsiderAttack as Attack;
use super::keyed::{client_identity, key_of};
use super::packet::V1;
use super::plan::{Plan, Tally};
use super::puppet::{Opening, Outcome, Puppet};
use super::tls::{self, Shows, Unprepared};
use super::{AtPort, Pace, Port};

/// A handshake that has not ended after this time was neither confirmed nor refused.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tickets come right behind the handshake.
const TICKET_PATIENCE: Duration = Duration::from_millis(100);
/// Versions that nobody here speaks: one that is reserved to be unknown (RFC 9000 15), a draft whose keys are those of version 1,
/// and version 2.
const OTHER_VERSIONS: [u32; 3] = [0x0a0a_0a0a, 0xff00_0022, 0x6b33_43cf];

/// A kind of dialer that has to be turned away.
struct Caller {
    config: Arc<ClientConfig>,
    opening: Opening,
}

pub(super) fn at_port(plan: &Plan, port: Port) -> Result<Option<AtPort>, Unprepared> {
    let rate = plan.arg("rate");
    let caller = |shows: &Shows, alpn: &[&[u8]], version| {
        Ok::<_, Unprepared>(Caller {
            config: Arc::new(tls::config(shows, alpn)?),
            opening: Opening {
                version,
                ..Opening::default()
            },
        })
    };
    let mut callers = Vec::new();
    let own = [port.alpn()];
    match plan.attack {
        Attack::NoCertificate => callers.push(caller(&Shows::Nothing, &own, V1)?),
        Attack::BadCertificate => {
            for (_, certificate) in tls::bad_certificates()? {
                callers.push(caller(&Shows::Certificate(certificate), &own, V1)?);
            }
        }
        Attack::WrongPort => {
            let (class, identity) = match (port.class, &plan.replica_key) {
                (Class::Peer, _) => (Class::Peer, client_identity(plan)?),
                (Class::Client, Some(key)) => (Class::Client, key_of(key)?),
                (Class::Client, None) => return Ok(None),
            };
            debug_assert_eq!(class, port.class);
            callers.push(caller(&Shows::Identity(Box::new(identity)), &own, V1)?);
        }
        Attack::WrongProtocol => {
            let identity =
                || client_identity(plan).map(|identity| Shows::Identity(Box::new(identity)));
            if port.class == Class::Peer {
                return Ok(None);
            }
            let other: [&[u8]; 2] = [b"h3", network::transport::ALPN_PEER];
            callers.push(caller(&identity()?, &other, V1)?);
            callers.push(caller(&identity()?, &[], V1)?);
            for version in OTHER_VERSIONS {
                callers.push(caller(&identity()?, &own, version)?);
            }
        }
        Attack::EarlyData => {
            if port.class == Class::Peer {
                return Ok(None);
            }
            let mut config = tls::config(&Shows::Identity(Box::new(client_identity(plan)?)), &own)?;
            config.resumption = Resumption::in_memory_sessions(64);
            config.enable_early_data = true;
            let config = Arc::new(config);
            return Ok(Some(Box::new(move |tally| {
                ask_for_tickets(&port, &config, rate, tally);
            })));
        }
        Attack::BorrowedCertificate => {
            return Ok(Some(borrow(plan, port)?));
        }
        _ => callers.push(caller(
            &Shows::Identity(Box::new(tls::stranger(plan.seed, port.number)?)),
            &own,
            V1,
        )?),
    }
    Ok(Some(Box::new(move |tally| {
        knock(&port, &callers, rate, tally);
    })))
}

/// Dials in turn as each of the callers.
fn knock(port: &Port, callers: &[Caller], rate: u32, tally: &Tally) {
    let mut pace = Pace::of(rate);
    for (round, caller) in (0..).zip(callers.iter().cycle()) {
        if !pace.wait(tally) {
            return;
        }
        let opening = caller.opening.clone();
        let Ok(mut puppet) = Puppet::begin(
            port.address(),
            &caller.config,
            opening,
            port.connection(round),
        ) else {
            continue;
        };
        let outcome = handshake(&mut puppet, tally);
        account(&outcome, &puppet, tally);
        if outcome == Outcome::Established {
            tally.accepted.add(1);
            tally.note("accepted a handshake");
        }
        puppet.close();
    }
}

/// Until the handshake is decided, or the attack is over.
pub(super) fn handshake(puppet: &mut Puppet, tally: &Tally) -> Outcome {
    let slice = Duration::from_millis(100);
    let mut left = PATIENCE;
    while !left.is_zero() && !tally.stopped() {
        let outcome = puppet.handshake(slice);
        if outcome != Outcome::Pending {
            return outcome;
        }
        left = left.saturating_sub(slice);
    }
    puppet.outcome().clone()
}

/// Counts an attempt and how it ended, but for a connection that was established.
pub(super) fn account(outcome: &Outcome, puppet: &Puppet, tally: &Tally) {
    let (out, back) = puppet.traffic();
    tally.attempts.add(1);
    tally.bytes_out.add(out as usize);
    tally.bytes_in.add(back as usize);
    match outcome {
        Outcome::Established => {}
        Outcome::Pending => tally.unanswered.add(1),
        Outcome::Closed(why) => {
            tally.refused.add(1);
            tally.note(why);
        }
        Outcome::OtherVersions => {
            tally.refused.add(1);
            tally.note("other versions");
        }
    }
}

/// Shows the certificate of another replica: anybody who dials it gets to see it.
fn borrow(plan: &Plan, port: Port) -> Result<AtPort, Unprepared> {
    let rate = plan.arg("rate");
    let lenders = plan.others.clone();
    let curious = Arc::new(tls::config(&Shows::Nothing, &[port.alpn()])?);
    Ok(Box::new(move |tally: &Tally| {
        let certificate = lenders.iter().zip(0..).find_map(|(lender, round)| {
            let id = port.connection(u64::MAX >> 24) ^ round;
            let lender = Port {
                target: lender.clone(),
                ..port.clone()
            };
            let mut puppet =
                Puppet::begin(lender.address(), &curious, Opening::default(), id).ok()?;
            handshake(&mut puppet, tally);
            puppet.server_certificate()
        });
        let Some(certificate) = certificate else {
            return tally.note("no other replica showed its certificate");
        };
        let config = tls::borrowed(certificate)
            .and_then(|key| tls::config(&Shows::Certificate(key), &[port.alpn()]));
        if let Ok(config) = config {
            let caller = Caller {
                config: Arc::new(config),
                opening: Opening::default(),
            };
            knock(&port, &[caller], rate, tally);
        }
    }))
}

/// Looks for a ticket behind each handshake, and for what an earlier one is good for.
fn ask_for_tickets(port: &Port, config: &Arc<ClientConfig>, rate: u32, tally: &Tally) {
    let mut pace = Pace::of(rate);
    let mut round = 0;
    while pace.wait(tally) {
        round += 1;
        let opening = Opening::default();
        let Ok(mut puppet) = Puppet::begin(port.address(), config, opening, port.connection(round))
        else {
            continue;
        };
        if puppet.may_send_early() {
            tally.accepted.add(1);
            tally.note("early data is possible");
        }
        let outcome = handshake(&mut puppet, tally);
        account(&outcome, &puppet, tally);
        if outcome == Outcome::Established {
            tally.admitted.add(1);
            puppet.step(TICKET_PATIENCE);
            if puppet.tickets() > 0 {
                tally.accepted.add(1);
                tally.note("a session ticket was given");
            }
        }
        puppet.close();
    }
}
