//! Faults that strike the replicas while a scenario runs: `[[fault]]`.
//!
//! All times count from the beginning of the measured phase, the zero of `timeseries.csv` and of `start_s` in run.json.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::client::{CLIENT_ATTACKS, ClientFault};
use super::disk::DiskAttack;
use super::outsider::{self, OutsiderFault};
use super::partition::{LinkFault, Partition};
use super::units::{self, Quantity as _, Size};

/// One entry of `[[fault]]`: something that happens to replicas, once or again and again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// When it strikes (first).
    #[serde(with = "units::duration_text")]
    pub at: Duration,
    /// What it does.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Whom it hits; looked up when it strikes. No replicas at all where clients attack.
    #[serde(skip_serializing_if = "FaultTarget::is_nobody")]
    pub target: FaultTarget,
    /// Whether it strikes again.
    #[serde(flatten)]
    pub again: Option<Again>,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum FaultKind {
    /// SIGKILL: the process is gone between two instructions.
    Kill {
        /// When it is started again; `None`: never.
        #[serde(serialize_with = "optional", skip_serializing_if = "Option::is_none")]
        restart_at: Option<Duration>,
        /// Whether its disk is lost as well.
        wipe: bool,
    },
    /// SIGSTOP: the process stands still, its connections stay open, its clock goes on.
    Pause {
        /// When it goes on; `None`: never.
        #[serde(serialize_with = "optional", skip_serializing_if = "Option::is_none")]
        resume_at: Option<Duration>,
    },
    /// SIGTERM: the process stops in good order and is started again.
    Restart {
        /// When it is started again, if not as soon as it has stopped.
        #[serde(serialize_with = "optional", skip_serializing_if = "Option::is_none")]
        restart_at: Option<Duration>,
        /// Whether its disk is lost in between.
        wipe: bool,
    },
    /// SIGTERM; it is started again at once as a program that speaks another version of the protocol.
    Upgrade {
        /// When it is started once more, with the version of the others; `None`: never.
        #[serde(serialize_with = "optional", skip_serializing_if = "Option::is_none")]
        restart_at: Option<Duration>,
    },
    /// Links on which nothing gets through.
    Partition(Partition),
    /// Links that are slow, lossy or narrow.
    Link(LinkFault),
    /// SIGKILL as soon as its resident memory exceeds a cap, as the system does where memory runs out.
    Memory {
        /// Resident memory that it may have.
        cap: Size,
        /// When it is started again, and watched no longer; `None`: never.
        #[serde(serialize_with = "optional", skip_serializing_if = "Option::is_none")]
        restart_at: Option<Duration>,
    },
    /// Something happens to its disk, or to what is on it.
    Disk {
        /// What.
        #[serde(flatten)]
        attack: DiskAttack,
        /// When the disk is well again, and a replica that stopped or was refused is started again; `None`: never.
        #[serde(serialize_with = "optional", skip_serializing_if = "Option::is_none")]
        heal_at: Option<Duration>,
    },
    /// Those whom the replica has dialled see it at another port from now on.
    Rebind,
    /// Clients with keys of their own attack.
    Client(ClientFault),
    /// A stranger attacks the ports.
    Outsider(OutsiderFault),
}

/// Whom a fault hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultTarget {
    /// These replicas, at the same time; one is written as a number, several as a list.
    Replicas(Vec<u32>),
    /// One that a rule finds when the fault strikes.
    Chosen(Choice),
}

/// Whom a fault hits, by a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The primary of the highest view that f + 1 replicas report; if a fault holds that one already, the primary of the
    /// view after it, and so on.
    Primary,
    /// One that no fault holds, drawn from the seed.
    RandomCorrect,
    /// Any one, drawn from the seed; nothing happens if a fault holds it already.
    Random,
    /// Every replica.
    All,
}

/// A fault that strikes more than once. The times of the later ones keep their distance from `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Again {
    /// From one to the next.
    #[serde(with = "units::duration_text")]
    pub every: Duration,
    /// None strikes at this time or later.
    #[serde(with = "units::duration_text")]
    pub until: Duration,
}

/// One strike of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// When it begins.
    pub at: Duration,
    /// When it is to end; `None`: never. Equal to `at` for a restart at once.
    pub back_at: Option<Duration>,
}

impl FaultKind {
    /// Its word in scenarios and run.json.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Pause { .. } => "pause",
            Self::Restart { .. } => "restart",
            Self::Upgrade { .. } => "upgrade",
            Self::Partition(_) => "partition",
            Self::Link(_) => "link",
            Self::Outsider(_) => "outsider",
            Self::Memory { .. } => "memory",
            Self::Rebind => "rebind",
            Self::Disk { .. } => "disk",
            Self::Client(_) => "client",
        }
    }

    /// The word of what happens to a disk, or is done by a stranger.
    pub const fn attack(&self) -> Option<&'static str> {
        match self {
            Self::Disk { attack, .. } => Some(attack.name()),
            Self::Outsider(fault) => Some(fault.attack.name()),
            _ => None,
        }
    }

    /// Whether it is about links and leaves the processes alone.
    pub const fn is_of_the_network(&self) -> bool {
        matches!(self, Self::Partition(_) | Self::Link(_) | Self::Rebind)
    }

    /// Whether the data directory is lost.
    pub const fn wipes(&self) -> bool {
        matches!(
            self,
            Self::Kill { wipe: true, .. }
                | Self::Restart { wipe: true, .. }
                | Self::Disk {
                    attack: DiskAttack::Wiped { .. },
                    ..
                }
        )
    }
}

impl FaultTarget {
    /// No replica.
    pub const fn is_nobody(&self) -> bool {
        matches!(self, Self::Replicas(ids) if ids.is_empty())
    }
}

impl Choice {
    /// The rules by name.
    pub(super) const NAMES: [(&'static str, Self); 4] = [
        ("primary", Self::Primary),
        ("random-correct", Self::RandomCorrect),
        ("random", Self::Random),
        ("all", Self::All),
    ];

    /// Its word in scenarios.
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, choice)| *choice == self);
        named.map_or("", |(name, _)| name)
    }
}

impl Fault {
    /// When the first strike is to end.
    pub fn back_at(&self) -> Option<Duration> {
        match self.kind {
            FaultKind::Kill { restart_at, .. } => restart_at,
            FaultKind::Pause { resume_at } => resume_at,
            FaultKind::Restart { restart_at, .. } => Some(restart_at.unwrap_or(self.at)),
            FaultKind::Client(ref client) => Some(client.until),
            FaultKind::Partition(Partition { heal_at, .. })
            | FaultKind::Link(LinkFault { heal_at, .. }) => heal_at,
            FaultKind::Upgrade { restart_at } | FaultKind::Memory { restart_at, .. } => restart_at,
            FaultKind::Disk {
                ref attack,
                heal_at,
            } => match attack.cut_at() {
                Some(cut_at) => Some(cut_at),
                None if attack.is_live() || attack.is_refused() => heal_at,
                // It is started again at once, with what it has now.
                None => Some(heal_at.unwrap_or(self.at)),
            },
            // It is over when it has happened.
            FaultKind::Rebind => Some(self.at),
            FaultKind::Outsider(ref fault) => fault.until,
        }
    }

    /// Whom the budget of f counts as faulty; `None`: nobody, for a slow link or another port is no fault of a replica.
    pub fn counted(&self) -> Option<&FaultTarget> {
        match &self.kind {
            FaultKind::Link(_)
            | FaultKind::Rebind
            | FaultKind::Client(_)
            | FaultKind::Outsider(_) => None,
            _ => Some(&self.target),
        }
    }

    /// Every strike, in order.
    pub fn strikes(&self) -> impl Iterator<Item = Strike> + '_ {
        let held = self.back_at().map(|back| back.saturating_sub(self.at));
        let times = (0..).map_while(move |number: u32| match self.again {
            None => (number == 0).then_some(self.at),
            Some(Again { every, until }) => Some(self.at + every * number).filter(|at| *at < until),
        });
        times.map(move |at| Strike {
            at,
            back_at: held.map(|held| at + held),
        })
    }
}

impl Serialize for FaultTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Replicas(ids) => match ids.as_slice() {
                [one] => serializer.serialize_u32(*one),
                several => several.serialize(serializer),
            },
            Self::Chosen(choice) => serializer.serialize_str(choice.name()),
        }
    }
}

pub(super) fn optional<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => units::duration_text::serialize(time, serializer),
        None => serializer.serialize_none(),
    }
}

impl JsonSchema for Fault {
    fn schema_name() -> Cow<'static, str> {
        "Fault".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut time = |meaning: &str| {
            let mut schema = units::duration_schema(generator);
            schema.insert("description".to_owned(), meaning.into());
            schema
        };
        let (at, restart_at, resume_at, heal_at, cut_at, delay, every, until) = (
            time("When it strikes (first), from the beginning of the measured phase."),
            time(
                "kill, restart, memory: when the replica is started again. upgrade: when it speaks the version of the others again.",
            ),
            time("pause: when the replica goes on."),
            time(
                "partition, link: when the network is as before. disk: when the disk is well again, and a replica that stopped is started again.",
            ),
            time(
                "disk, fsync-lies and stale-restore: when the replica is killed and finds what its disk really holds.",
            ),
            time("disk, slow-disk: what a sync takes."),
            time("From one strike to the next; absent: one strike."),
            time(
                "No strike at this time or later; client: when they stop; absent: until the load ends.",
            ),
        );
        let of_clients = CLIENT_ATTACKS.iter().map(|entry| entry.name);
        let attacks: Vec<&str> = DiskAttack::NAMES.into_iter().chain(of_clients).collect();
        let words = Choice::NAMES.map(|(name, _)| name);
        let mut schema = json_schema!({
            "type": "object",
            "description": "Something that happens to replicas, or is done by hostile clients, while the scenario runs.",
            "properties": {
                "at": at,
                "kind": { "enum": ["kill", "pause", "restart", "upgrade", "partition", "link", "rebind", "memory", "disk", "client", "outsider"] },
                "target": { "anyOf": [
                    { "type": "integer", "minimum": 0 },
                    { "type": "array", "items": { "type": "integer", "minimum": 0 }, "minItems": 1 },
                    { "enum": words },
                ] },
                "restart_at": restart_at,
                "resume_at": resume_at,
                "heal_at": heal_at,
                "wipe": { "type": "boolean", "description": "Whether the data directory is lost before the replica is started again." },
                "cap": { "type": "string", "description": "memory: resident memory above which the replica is killed." },
                "attack": { "enum": attacks, "description": "disk: what happens to it. client: what they do." },
                "store": { "enum": ["log", "state"], "description": "disk, fsync-error: whose write fails." },
                "files": { "enum": ["data", "databases", "everything"], "description": "disk: how much is lost or replaced." },
                "file": { "enum": ["log", "log-wal", "state", "state-wal", "log-anchor", "key", "any"], "description": "disk: which file." },
                "flips": { "type": "integer", "minimum": 1, "maximum": 64, "description": "disk, bit-flip: how many bits." },
                "from": { "type": "integer", "minimum": 0, "description": "disk, swapped: whose data it is." },
                "delay": delay,
                "cut_at": cut_at,
                "heal_at": heal_at,
                "count": { "type": "integer", "minimum": 1, "description": "client: how many." },
                "args": { "type": "object", "description": "client: arguments of the attack; `bench fault describe` names them." },
                "every": every,
                "until": until,
            },
        });
        super::partition::describe(&mut schema, generator);
        outsider::describe(&mut schema);
        schema
    }
}

/// A time as messages about faults write it: `65 s`, `500 ms`.
pub(super) fn spoken(time: Duration) -> String {
    let written = time.render();
    let unit = written.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = written.split_at(unit.unwrap_or(written.len()));
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn later_strikes_keep_their_distance_and_none_comes_at_the_end() {
        let fault = Fault {
            at: s(2),
            kind: FaultKind::Kill {
                restart_at: Some(s(3)),
                wipe: false,
            },
            target: FaultTarget::Chosen(Choice::RandomCorrect),
            again: Some(Again {
                every: s(2),
                until: s(6),
            }),
        };
        let strikes: Vec<_> = fault.strikes().map(|one| (one.at, one.back_at)).collect();
        assert_eq!(strikes, [(s(2), Some(s(3))), (s(4), Some(s(5)))]);
    }

    #[test]
    fn a_restart_at_once_ends_when_it_begins_and_a_kill_without_restart_never() {
        let strike = |kind| {
            let fault = Fault {
                at: s(2),
                kind,
                target: FaultTarget::Replicas(vec![1]),
                again: None,
            };
            fault.strikes().map(|one| one.back_at).collect::<Vec<_>>()
        };
        let (restart_at, wipe) = (None, false);
        assert_eq!(
            strike(FaultKind::Restart { restart_at, wipe }),
            [Some(s(2))]
        );
        assert_eq!(strike(FaultKind::Kill { restart_at, wipe }), [None]);
    }

    #[test]
    fn times_are_spoken_with_a_space() {
        assert_eq!(spoken(s(65)), "65 s");
        assert_eq!(spoken(Duration::from_millis(1_500)), "1500 ms");
    }
}
