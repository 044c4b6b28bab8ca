//! Facts that a run must show: they make a scenario a test.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::compare::Comparison;
use super::units::Share;

/// The `[expect]` table (a fact missed: exit code 3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect {
    /// In the order of [`Fact::ALL`].
    pub expectations: Vec<Expectation>,
}

/// One fact and what is expected of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// What is looked at.
    pub fact: Fact,
    /// What it must be.
    pub condition: Condition,
}

/// What a fact must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A comparison of a count or a mean.
    Number(Comparison<f64>),
    /// A comparison of a share between 0 and 1.
    Share(Comparison<Share>),
    /// Exactly these replicas, in any order.
    Replicas(Vec<u32>),
    /// Exactly this word.
    Word(String),
}

impl Condition {
    /// Whether a measured count, mean or share (0 to 1) fulfils it; `false` for a list or word.
    pub fn admits_number(&self, measured: f64) -> bool {
        match self {
            Self::Number(wanted) => wanted.admits(measured),
            Self::Share(wanted) => wanted.admits(Share::of(measured)),
            Self::Replicas(_) | Self::Word(_) => false,
        }
    }

    /// Whether exactly these replicas are expected.
    pub fn admits_replicas(&self, measured: &[u32]) -> bool {
        let Self::Replicas(wanted) = self else {
            return false;
        };
        let sorted = |ids: &[u32]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        sorted(wanted) == sorted(measured)
    }

    /// Whether exactly this word is expected.
    pub fn admits_word(&self, measured: &str) -> bool {
        matches!(self, Self::Word(wanted) if wanted == measured)
    }
}

/// What kind of value a fact has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// A whole number or a mean.
    Number,
    /// A part of a whole, 0 to 1.
    Share,
    /// A list of replica numbers.
    Replicas,
    /// One of a few words.
    Word,
}

macro_rules! facts {
    ($( $variant:ident $name:literal $kind:ident $meaning:literal )*) => {
        /// A fact about a run, as `[expect]` names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fact {
            $( #[doc = $meaning] $variant, )*
        }

        impl Fact {
            /// Every fact this version can establish.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )*];

            /// The key under `[expect]`.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            /// What kind of value it has.
            pub const fn kind(self) -> FactKind {
                match self { $( Self::$variant => FactKind::$kind, )* }
            }

            /// What it counts, in one line.
            pub const fn meaning(self) -> &'static str {
                match self { $( Self::$variant => $meaning, )* }
            }
        }
    };
}

facts! {
    Verdict "verdict" Word "The run's verdict: pass, safety-violation or liveness-violation."
    OkOperations "ok_operations" Number "Operations answered within the measured time."
    FailedOperations "failed_operations" Number "Operations whose answer was an error."
    UnknownOperations "unknown_operations" Number "Operations never answered: they may or may not have taken effect."
    DroppedOperations "dropped_operations" Number "Arrivals that the load generator gave up before sending them."
    LostOperations "lost_operations" Number "Operations acknowledged to a client that the replicas' logs do not hold."
    BusyReplies "busy_replies" Number "Answers by which replicas turned a request away."
    TurnedAway "turned_away" Number "busy_replies plus dropped_operations: load refused openly, wherever it was refused."
    Slots "slots" Number "Slots committed."
    FastPathShare "fast_path_share" Share "Part of the slots that was committed without a COMMIT phase."
    FastPathSlots "fast_path_slots" Number "Slots committed on the fast path."
    SlowPathSlots "slow_path_slots" Number "Slots committed by a quorum of COMMITs."
    BatchOpsMean "batch_ops_mean" Number "Mean number of operations in a slot."
    ViewChanges "view_changes" Number "Views entered in the measured phase, by the replica that saw most of them."
    FinalView "final_view" Number "The highest view at the end."
    Checkpoints "checkpoints" Number "Checkpoints that became stable."
    StateTransfers "state_transfers" Number "Times a replica fetched state from others."
    OtherProtocol "other_protocol" Number "Connections between replicas that failed because the two ends speak different versions of the protocol, as often as any replica noticed."
    Faults "faults" Number "Faults that struck: one for each replica that was hit, and one for each that was laid over several links."
    FirstCommitMs "first_commit_ms" Number "The longest time from a fault to the first answer to an operation that was sent at or after it."
    Recovered95Ms "recovered_95_ms" Number "The longest time from a fault until the throughput was back at 95 % of that before it."
    CaughtUpMs "caught_up_ms" Number "The longest time from a replica's return until it had executed what the others had."
    VotingMs "voting_ms" Number "The longest time from a replica's return until it voted again."
    ThroughputKept "throughput_kept" Share "The smallest share of the throughput before a fault that was kept until its replica had caught up and voted."
    Stopped "stopped" Replicas "Replicas that stopped by themselves because of a disk fault and said why, and no others."
    Refused "refused" Replicas "Replicas that refused to start because of a disk fault and said why, and no others."
    Learners "learners" Replicas "Replicas that came back from a disk fault without a vote, and no others."
    ShareKept "share_kept" Share "The least that a correct client was left with while clients attacked, as a part of its fair share: what it had before, divided among as many more as attacked, of what the attackers' own program left of the machine."
    ServiceKept "service_kept" Share "Throughput of the correct clients while clients attacked, as a part of that before."
    P99Ratio "p99_ratio" Number "While clients attacked: the highest p99 of one correct client over that of all the others."
    LongestWaitMs "longest_wait_ms" Number "While clients attacked: the longest time for which an operation of a correct client was open."
    FinalEpoch "final_epoch" Number "The epoch at the end: one more for each time that lost votes were renewed."
    RssMaxMib "rss_max_mib" Number "The most memory that a replica held, in MiB."
    OutsiderAttempts "outsider_attempts" Number "What outsiders tried: connections, packets or frames, over all attacks."
    OutsiderAccepted "outsider_accepted" Number "What replicas accepted of outsiders and had to refuse."
    OutsiderAmplification "outsider_amplification" Number "The most that an unproven address got back, as a multiple of what it sent."
    LongestStallMs "longest_stall_ms" Number "The longest time without any answer."
    EvidenceFiles "evidence_files" Number "Signed contradictions kept as proofs, those of all replicas together."
    Culprits "culprits" Replicas "Replicas proven faulty by evidence, and no others."
}

impl Fact {
    /// The words that `verdict` may be compared with.
    pub const VERDICTS: [&'static str; 3] = ["pass", "safety-violation", "liveness-violation"];
}

impl Serialize for Expect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.expectations.len()))?;
        for Expectation { fact, condition } in &self.expectations {
            match condition {
                Condition::Number(wanted) => {
                    map.serialize_entry(fact.name(), &wanted.to_string())?
                }
                Condition::Share(wanted) => {
                    map.serialize_entry(fact.name(), &wanted.to_string())?
                }
                Condition::Replicas(ids) => map.serialize_entry(fact.name(), ids)?,
                Condition::Word(word) => map.serialize_entry(fact.name(), word)?,
            }
        }
        map.end()
    }
}

impl JsonSchema for Expect {
    fn schema_name() -> Cow<'static, str> {
        "Expect".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let property = |fact: &Fact| {
            let mut schema = match fact.kind() {
                FactKind::Number => json_schema!({ "type": ["string", "number"] }),
                FactKind::Share => json_schema!({ "type": "string" }),
                FactKind::Replicas => {
                    json_schema!({ "type": "array", "items": { "type": "integer", "minimum": 0 } })
                }
                FactKind::Word => json_schema!({ "enum": Fact::VERDICTS }),
            };
            schema.insert("description".to_owned(), fact.meaning().into());
            (fact.name().to_owned(), schema.to_value())
        };
        json_schema!({ "type": "object", "properties": Fact::ALL.iter().map(property).collect::<serde_json::Map<_, _>>() })
    }
}
