//! The catalogue of what outsiders do to the ports of replicas: one enum from which the scenario schema, `bench fault list` and the test
//! that runs every attack are made.

use serde::{Deserialize, Serialize};

/// Which key an attacker holds. A key of the configuration is a member's: what it may do with it is not refused, only bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// None that the configuration lists.
    Nothing,
    /// That of one client.
    ClientKey,
    /// That of one client and, where `replica` names one, that replica's.
    ReplicaKey,
}

/// A number that an attack can be told, with its default and bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knob {
    /// Its key under `args`.
    pub name: &'static str,
    /// Without it.
    pub default: u32,
    /// At most.
    pub most: u32,
    /// What it is, with its unit.
    pub meaning: &'static str,
}

/// Attempts a second at each attacked port.
const fn rate(default: u32) -> Knob {
    Knob {
        name: "rate",
        default,
        most: 100_000,
        meaning: "attempts a second at each port; as many as this machine makes of it",
    }
}

/// How many things are held at a time.
const fn at_once(default: u32) -> Knob {
    Knob {
        name: "at_once",
        default,
        most: 10_000,
        meaning: "how many are open or under way at a time at each port",
    }
}

macro_rules! attacks {
    ($( $variant:ident $name:literal $id:literal $holds:ident [$($knob:expr),*] $what:literal $must:literal )*) => {
        /// Something that a stranger does to the UDP ports of replicas (`[[fault]] kind = "outsider"`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum OutsiderAttack {
            $( #[doc = $what] $variant, )*
        }

        impl OutsiderAttack {
            /// Every attack.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )*];

            /// Its word in scenarios.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            /// Its rows in the catalogue of attacks.
            pub const fn id(self) -> &'static str {
                match self { $( Self::$variant => $id, )* }
            }

            /// What it does, in one sentence.
            pub const fn what(self) -> &'static str {
                match self { $( Self::$variant => $what, )* }
            }

            /// What a correct replica does about it.
            pub const fn must(self) -> &'static str {
                match self { $( Self::$variant => $must, )* }
            }

            /// The key that it needs.
            pub const fn holds(self) -> Holds {
                match self { $( Self::$variant => Holds::$holds, )* }
            }

            /// Its `args`.
            pub const fn knobs(self) -> &'static [Knob] {
                match self { $( Self::$variant => const { &[$( $knob ),*] }, )* }
            }
        }
    };
}

attacks! {
    UnknownCertificate "unknown-certificate" "Q1" Nothing [rate(50)]
        "Dials with a self-signed certificate around a key that nobody listed."
        "refuse the handshake before any byte of an application"
    NoCertificate "no-certificate" "Q1" Nothing [rate(50)]
        "Dials without any certificate."
        "refuse the handshake"
    WrongPort "wrong-port" "Q2" ClientKey [rate(50)]
        "Dials the port of replicas with a client's key."
        "refuse the handshake: each port has its own list of keys"
    BorrowedCertificate "borrowed-certificate" "Q2" Nothing [rate(50)]
        "Presents the certificate that another replica shows to everybody, without its key."
        "refuse the handshake: its signature is not by the certificate's key"
    ClaimedIdentity "claimed-identity" "Q2" ClientKey [rate(50)]
        "Sends requests in the name of another client over its own connection, and attachments with its own signature."
        "execute none; close the connection after a few"
    BadCertificate "bad-certificate" "Q3" Nothing [rate(50)]
        "Presents certificates that are expired, not yet valid, of another algorithm, or a chain of two."
        "refuse them all: only a listed Ed25519 key counts, and dates are ignored on purpose"
    ConnectionFlood "connection-flood" "Q4" Nothing [rate(2_000)]
        "Sends first packets of handshakes from ever new ports, and answers nothing."
        "prove addresses above a threshold; correct members come in"
    HandshakeSlowloris "handshake-slowloris" "Q5" Nothing [at_once(200)]
        "Begins handshakes from addresses that answer, and leaves them half done."
        "end each within 3 s, and never let them lock others out"
    StreamFlood "stream-flood" "Q6" ClientKey [at_once(16)]
        "Opens as many streams as it may, with one byte on each, and opens more when one is closed."
        "allow few streams, and close the connection for streams of no kind"
    ResetStorm "reset-storm" "Q6" ClientKey [rate(500)]
        "Opens streams and resets them at once."
        "serve others as before"
    OpenCloseStorm "open-close-storm" "Q6" ClientKey [rate(100)]
        "Opens connections with a listed key and closes them at once."
        "serve others as before"
    StreamSlowloris "stream-slowloris" "Q7" ReplicaKey [at_once(8)]
        "Announces a frame of a megabyte and sends one byte a second of it."
        "close the connection when the frame's time is over; keep no more than what arrived"
    EarlyData "early-data" "Q8, Q10" ClientKey [rate(20)]
        "Asks for session tickets, and dials again with early data and resumption."
        "hand out no ticket, take no early data, run every handshake in full"
    Amplification "amplification" "Q9" Nothing [rate(50)]
        "Sends first packets from addresses that never answer, and counts what comes back."
        "send at most three times what came in before the address is proven"
    ConnectionHoard "connection-hoard" "Q11" ReplicaKey [at_once(100)]
        "Opens a hundred connections with one key and keeps them."
        "few connections for a key; the newest of a replica wins"
    MalformedPackets "malformed-packets" "Q12" Nothing [rate(1_000)]
        "Sends random datagrams, cut and bent first packets, and nonsense for transport parameters."
        "drop them"
    MalformedFrames "malformed-frames" "Q12" ReplicaKey [rate(50)]
        "Sends frames of nonsense with a listed key: false lengths, unknown kinds, cut messages, bytes behind the end."
        "close the connection, and allocate nothing by announcement"
    WrongProtocol "wrong-protocol" "Q13" ClientKey [rate(50)]
        "Offers other application protocols, none, and other versions of QUIC, with a listed key."
        "refuse"
    NeverReads "never-reads" "Q14" ClientKey [at_once(4)]
        "Asks for pages of observations without end and acknowledges no packet that brings them."
        "bound what waits for it; drop what is old"
    Datagrams "datagrams" "Q15" ClientKey [rate(200)]
        "Sends DATAGRAM frames, which were never agreed on."
        "close the connection: an extension that was not offered"
}

impl OutsiderAttack {
    /// The attack of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_the_same_in_every_format() {
        let names: BTreeSet<&str> = OutsiderAttack::ALL.iter().map(|one| one.name()).collect();
        assert_eq!(names.len(), OutsiderAttack::ALL.len());
        for attack in OutsiderAttack::ALL {
            let written = serde_json::to_value(attack).ok();
            assert_eq!(written, Some(attack.name().into()));
            assert_eq!(OutsiderAttack::named(attack.name()), Some(*attack));
        }
    }

    #[test]
    fn every_row_of_the_catalogue_has_an_attack() {
        let rows: BTreeSet<&str> = OutsiderAttack::ALL
            .iter()
            .flat_map(|one| one.id().split(", "))
            .collect();
        for row in 1..=15 {
            assert!(rows.contains(format!("Q{row}").as_str()), "Q{row}");
        }
    }

    #[test]
    fn knobs_have_defaults_within_their_bounds() {
        for attack in OutsiderAttack::ALL {
            for knob in attack.knobs() {
                assert!(
                    (1..=knob.most).contains(&knob.default),
                    "{attack:?} {knob:?}"
                );
            }
        }
    }
}
