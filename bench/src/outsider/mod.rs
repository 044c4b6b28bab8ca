//! A stranger at the ports of replicas: a hostile process that speaks UDP, QUIC and TLS by hand.
//!
//! ```text
//!   [[fault]] kind = "outsider" ─► Plan ─► (standard input) outsider process ─► packets ─► real replicas
//!                                          (standard output) ◄─ OutsiderReport
//! ```
//!
//! It shares nothing with the cluster but addresses and what anybody can know, and where an attack says so, the key of one
//! client or of one replica. It judges by itself what was accepted that had to be refused; whether others were served meanwhile, and
//! what the attack cost the replicas, the run shows.
//!
//! What it cannot express: source addresses of other machines (on loopback it uses all of 127.0.0.0/8), and more packets than
//! this machine makes beside the cluster that it attacks.

mod attack;
mod catalogue;
mod dial;
mod flood;
mod keyed;
mod misuse;
mod packet;
mod plan;
mod process;
mod puppet;
#[cfg(test)]
mod tests;
mod tls;

pub use attack::{Holds, Knob, OutsiderAttack};
pub use catalogue::{Entry, catalogue};
pub use plan::{OutsiderReport, Plan, Target};
pub use process::{Outsider, SUBCOMMAND, main};

use std::sync::Arc;
use std::time::{Duration, Instant};

use plan::Tally;
use tls::Unprepared;

/// One port of one target.
#[derive(Clone, Debug)]
struct Port {
    target: Target,
    class: network::Class,
    /// Distinguishes connection identifiers and draws of different ports.
    number: u64,
}

impl Port {
    fn address(&self) -> std::net::SocketAddr {
        match self.class {
            network::Class::Peer => self.target.peers,
            network::Class::Client => self.target.clients,
        }
    }

    fn alpn(&self) -> &'static [u8] {
        match self.class {
            network::Class::Peer => network::transport::ALPN_PEER,
            network::Class::Client => network::transport::ALPN_CLIENT,
        }
    }

    /// An identifier that no other connection of this process has.
    fn connection(&self, round: u64) -> u64 {
        self.number << 40 | round
    }
}

/// The part of an attack that one port sees; runs until the tally says stop.
type AtPort = Box<dyn FnOnce(&Tally) + Send>;

/// Runs an attack until `tally` is told to stop. One thread for each attacked port.
fn run(plan: &Plan, tally: &Arc<Tally>) -> Result<(), Unprepared> {
    let mut all: Vec<AtPort> = Vec::new();
    let mut number = 0;
    for target in &plan.targets {
        for class in [network::Class::Peer, network::Class::Client] {
            number += 1;
            let port = Port {
                target: target.clone(),
                class,
                number,
            };
            all.extend(at_port(plan, port)?);
        }
    }
    std::thread::scope(|scope| {
        for one in all {
            scope.spawn(move || one(tally));
        }
    });
    Ok(())
}

/// What the plan's attack does at this port; `None` if it has nothing to do there.
fn at_port(plan: &Plan, port: Port) -> Result<Option<AtPort>, Unprepared> {
    use OutsiderAttack as Attack;
    match plan.attack {
        Attack::UnknownCertificate
        | Attack::NoCertificate
        | Attack::WrongPort
        | Attack::BorrowedCertificate
        | Attack::BadCertificate
        | Attack::WrongProtocol
        | Attack::EarlyData => dial::at_port(plan, port),
        Attack::ConnectionFlood
        | Attack::HandshakeSlowloris
        | Attack::Amplification
        | Attack::MalformedPackets => flood::at_port(plan, port).map(Some),
        Attack::StreamFlood
        | Attack::ResetStorm
        | Attack::OpenCloseStorm
        | Attack::StreamSlowloris
        | Attack::ConnectionHoard
        | Attack::NeverReads => keyed::at_port(plan, port),
        Attack::ClaimedIdentity | Attack::MalformedFrames | Attack::Datagrams => {
            misuse::at_port(plan, port)
        }
    }
}

/// Spreads attempts over time; what could not be done in time is not made up for later.
struct Pace {
    every: Duration,
    next: Instant,
}

impl Pace {
    /// The longest backlog of attempts that is still made.
    const BACKLOG_MAX: Duration = Duration::from_millis(100);

    fn of(rate: u32) -> Self {
        Pace {
            every: Duration::from_secs(1) / rate.max(1),
            next: Instant::now(),
        }
    }

    /// Waits for the time of the next attempt; whether the attack goes on.
    fn wait(&mut self, tally: &Tally) -> bool {
        let now = Instant::now();
        self.next = (self.next + self.every).max(now.checked_sub(Self::BACKLOG_MAX).unwrap_or(now));
        while !tally.stopped() {
            let left = self.next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
        false
    }
}
