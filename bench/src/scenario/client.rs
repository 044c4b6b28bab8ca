//! Clients that attack: `[[fault]] kind = "client"`, the family BC of the attacks.
//!
//! They hold client keys of their own in the same cluster, so everything that they send comes from somebody whom the replicas
//! know. What they do is in `crate::hostile_clients`; here it is named, with the arguments that each has. What cannot be
//! expressed: clients that use the keys of the correct ones (a stolen key is its owner), and two attackers that plot together.

use std::time::Duration;

use serde::Serialize;

use super::fault::{Fault, FaultKind};
use super::units::{self, Rate, Size};

impl super::Scenario {
    /// Clients of the cluster that are no clients of the load: those of all attacks together.
    pub fn hostile_clients(&self) -> u32 {
        let count = |fault: &Fault| match &fault.kind {
            FaultKind::Client(client) => client.count,
            _ => 0,
        };
        self.faults.iter().map(count).sum()
    }
}

/// Clients that attack while the correct ones work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientFault {
    /// What they do.
    #[serde(flatten)]
    pub attack: ClientAttack,
    /// How many, each with a key of its own.
    pub count: u32,
    /// When they stop.
    #[serde(with = "units::duration_text")]
    pub until: Duration,
}

/// What hostile clients do. Rates are of each client.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "attack", content = "args", rename_all = "kebab-case")]
pub enum ClientAttack {
    /// BC1
    Equivocate {
        /// Pairs of requests.
        rate: Rate,
    },
    /// BC2
    BadSignature {
        /// Frames of eight requests.
        rate: Rate,
        /// Who gets good signatures.
        good_for: GoodFor,
    },
    /// BC3
    TimestampJump {
        /// Requests.
        rate: Rate,
    },
    /// BC4
    HalfSent {
        /// Streams.
        rate: Rate,
    },
    /// BC5
    Flood {
        /// Requests, however many are answered.
        rate: Rate,
        /// Of each value written.
        value: Size,
    },
    /// BC6
    Oversize {
        /// Frames.
        rate: Rate,
        /// What a header announces.
        header: Size,
    },
    /// BC7
    NeverReads {
        /// Requests for large results.
        rate: Rate,
    },
    /// BC8
    AskAgain {
        /// Repetitions of one request with a large result.
        rate: Rate,
    },
    /// BC9
    HotReads {
        /// Reads of the load's own keys.
        rate: Rate,
    },
    /// BC10
    Pathological {
        /// Requests.
        rate: Rate,
    },
}

/// Who gets good signatures from a client that signs badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GoodFor {
    /// Nobody.
    Nobody,
    /// Replica 0 alone, the first primary.
    First,
    /// All but replica 0.
    Others,
    /// Everybody, for all but one request of each frame.
    AllButOne,
}

impl GoodFor {
    /// By name.
    pub(super) const NAMES: [(&'static str, Self); 4] = [
        ("nobody", Self::Nobody),
        ("first", Self::First),
        ("others", Self::Others),
        ("all-but-one", Self::AllButOne),
    ];
}

/// An argument of an attack, as lists show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAttackArgument {
    /// Its key under `args`.
    pub name: &'static str,
    /// Its default, as a scenario writes it.
    pub default: &'static str,
    /// What it is.
    pub meaning: &'static str,
}

/// An attack, as lists show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAttackEntry {
    /// Its word under `attack`.
    pub name: &'static str,
    /// Its number in the catalogue of attacks.
    pub id: &'static str,
    /// What the clients do, in one sentence.
    pub description: &'static str,
    /// What must hold all the same.
    pub must: &'static str,
    /// Its arguments.
    pub arguments: &'static [ClientAttackArgument],
}

const fn argument(
    name: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> ClientAttackArgument {
    ClientAttackArgument {
        name,
        default,
        meaning,
    }
}

/// Every attack of clients, in the order of the catalogue.
pub const CLIENT_ATTACKS: [ClientAttackEntry; 10] = [
    ClientAttackEntry {
        name: "equivocate",
        id: "BC1",
        description: "Sends two different operations under one number, one to each half of the replicas.",
        must: "One of the two executes, the same one at all replicas, and no view changes.",
        arguments: &[argument("rate", "\"200/s\"", "pairs of requests")],
    },
    ClientAttackEntry {
        name: "bad-signature",
        id: "BC2",
        description: "Signs well for some replicas and badly for others, eight requests in a frame.",
        must: "No view changes, and the others keep 97 %.",
        arguments: &[
            argument("rate", "\"200/s\"", "frames"),
            argument(
                "good_for",
                "\"first\"",
                "who gets good signatures: nobody, first (replica 0), others (all but it), all-but-one (everybody, for all but one request of a frame)",
            ),
        ],
    },
    ClientAttackEntry {
        name: "timestamp-jump",
        id: "BC3",
        description: "Jumps to the highest number and session, goes backwards, and sends duplicates.",
        must: "Nobody but this client is hurt.",
        arguments: &[argument("rate", "\"500/s\"", "requests")],
    },
    ClientAttackEntry {
        name: "half-sent",
        id: "BC4",
        description: "Sends half a request and no more, resets streams in the middle, and sends whole requests to one backup only.",
        must: "Buffers are freed, and what a backup got is ordered without a view change.",
        arguments: &[argument("rate", "\"50/s\"", "streams")],
    },
    ClientAttackEntry {
        name: "flood",
        id: "BC5",
        description: "Sends writes at a fixed rate to every replica, however many are answered.",
        must: "The others keep 80 % of their share, memory stays bounded, and what is shed is told so.",
        arguments: &[
            argument("rate", "\"20000/s\"", "requests"),
            argument("value", "\"100B\"", "bytes of each value written"),
        ],
    },
    ClientAttackEntry {
        name: "oversize",
        id: "BC6",
        description: "Sends operations one byte over the limit, and frames whose header announces far more than is allowed.",
        must: "They are refused at the header, before memory is given to them.",
        arguments: &[
            argument("rate", "\"50/s\"", "frames"),
            argument("header", "\"1GiB\"", "what a header announces"),
        ],
    },
    ClientAttackEntry {
        name: "never-reads",
        id: "BC7",
        description: "Asks for large results and never reads a reply.",
        must: "What waits for it is bounded, and the others keep 97 %.",
        arguments: &[argument("rate", "\"500/s\"", "requests")],
    },
    ClientAttackEntry {
        name: "ask-again",
        id: "BC8",
        description: "Has one large result and asks all replicas for it again and again.",
        must: "Replicas send it from what they keep, at a bounded rate.",
        arguments: &[argument("rate", "\"5000/s\"", "repetitions")],
    },
    ClientAttackEntry {
        name: "hot-reads",
        id: "BC9",
        description: "Reads the keys that the others are writing: beside the log where there are quorum reads, whose answers hardly ever match then, and in any case in the log.",
        must: "Nobody's reads or writes starve.",
        arguments: &[argument("rate", "\"2000/s\"", "reads")],
    },
    ClientAttackEntry {
        name: "pathological",
        id: "BC10",
        description: "Sends what is costly or odd: a thousand scans of everything in a request, keys of no byte and of the most, NUL, bytes that are no text, SQL.",
        must: "The cost is limited, and nothing in a key or value is ever anything but bytes.",
        arguments: &[argument("rate", "\"50/s\"", "requests")],
    },
];

impl ClientAttack {
    /// Its place in [`CLIENT_ATTACKS`].
    const fn index(&self) -> usize {
        match self {
            Self::Equivocate { .. } => 0,
            Self::BadSignature { .. } => 1,
            Self::TimestampJump { .. } => 2,
            Self::HalfSent { .. } => 3,
            Self::Flood { .. } => 4,
            Self::Oversize { .. } => 5,
            Self::NeverReads { .. } => 6,
            Self::AskAgain { .. } => 7,
            Self::HotReads { .. } => 8,
            Self::Pathological { .. } => 9,
        }
    }

    /// What lists show of it.
    pub const fn entry(&self) -> &'static ClientAttackEntry {
        &CLIENT_ATTACKS[self.index()]
    }

    /// How often each client does it.
    pub const fn rate(&self) -> Rate {
        match *self {
            Self::Equivocate { rate }
            | Self::BadSignature { rate, .. }
            | Self::TimestampJump { rate }
            | Self::HalfSent { rate }
            | Self::Flood { rate, .. }
            | Self::Oversize { rate, .. }
            | Self::NeverReads { rate }
            | Self::AskAgain { rate }
            | Self::HotReads { rate }
            | Self::Pathological { rate } => rate,
        }
    }
}
