//! What the clients ask for: kinds of operations, keys, and sizes of values.

use schemars::JsonSchema;
use serde::Serialize;

use super::units::Size;

/// The `[workload]` table.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Workload {
    /// The family of workloads.
    pub kind: WorkloadKind,
    /// Which of the six YCSB core workloads; with `kind = "ycsb"` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Records loaded before the warm-up.
    pub records: u64,
    /// How a key is chosen among those which exist.
    pub key: KeyDistribution,
    /// How long a written value is.
    pub value: ValueSize,
    /// Share of each kind of operation; they sum to 1. With `kind = "ycsb"` the preset fixes it.
    pub mix: Mix,
    /// Longest scan; lengths are uniform between 1 and this.
    pub scan_length: u32,
    /// How reads are answered.
    pub read_mode: ReadMode,
}

/// The family of workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WorkloadKind {
    /// The Yahoo! Cloud Serving Benchmark's core workloads, chosen by `preset`.
    Ycsb,
    /// A mix of one's own, given by `mix`.
    Crud,
}

/// The YCSB core workloads (Cooper et al., SoCC 2010, table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Preset {
    /// Update heavy: half reads, half updates.
    A,
    /// Read mostly: 95 % reads.
    B,
    /// Reads only.
    C,
    /// Read latest: 95 % reads of recent records, 5 % creates.
    D,
    /// Short ranges: 95 % scans, 5 % creates.
    E,
    /// Read-modify-write: half reads, half updates of a key which the same client reads first.
    F,
}

/// How a key is chosen among those which exist.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "dist", rename_all = "lowercase")]
pub enum KeyDistribution {
    /// Every key alike.
    Uniform,
    /// Rank r with weight 1/r^theta, ranks scattered over the key space.
    Zipfian {
        /// The skew; 0 < theta <= 5.
        theta: f64,
    },
    /// Zipfian over age: the newest record is the most popular.
    Latest,
    /// A few keys take most of the operations.
    Hotspot {
        /// Share of the keys that is hot; 0 < hot_fraction <= 1.
        hot_fraction: f64,
        /// Share of the operations that goes to hot keys; 0 <= hot_share <= 1.
        hot_share: f64,
    },
    /// One after the other, around and around.
    Sequential,
}

/// How long a written value is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "dist", rename_all = "lowercase")]
pub enum ValueSize {
    /// Always the same length.
    Constant {
        /// The length in bytes.
        #[schemars(schema_with = "super::json_schema::bytes_or_size")]
        bytes: u64,
    },
    /// Every length between two bounds alike.
    Uniform {
        /// The shortest.
        min: Size,
        /// The longest.
        max: Size,
    },
    /// Mostly short with a long tail, as values in practice are.
    Lognormal {
        /// Half the values are shorter.
        median: Size,
        /// Standard deviation of the logarithm; 0 < sigma <= 4.
        sigma: f64,
        /// Longer values are cut to this.
        max: Size,
    },
}

/// A kind of operation that the clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OpKind {
    /// Fails if the key exists.
    Create,
    /// Returns the value or its absence.
    Read,
    /// Fails if the key does not exist.
    Update,
    /// Always succeeds.
    Put,
    /// Fails if the key does not exist.
    Delete,
    /// Fails unless the value equals the expected one.
    Cas,
    /// Several neighbouring records.
    Scan,
    /// Several operations under conditions, all or none.
    Txn,
}

impl OpKind {
    /// Every kind, in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::Read,
        Self::Update,
        Self::Put,
        Self::Delete,
        Self::Cas,
        Self::Scan,
        Self::Txn,
    ];

    /// The name used in scenarios, histories and file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Cas => "cas",
            Self::Scan => "scan",
            Self::Txn => "txn",
        }
    }
}

/// Share of each kind of operation, between 0 and 1; together 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "one share per OpKind, of the same name")]
pub struct Mix {
    #[serde(skip_serializing_if = "is_zero")]
    pub create: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub read: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub update: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub put: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub delete: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cas: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub scan: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub txn: f64,
}

fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

impl Mix {
    /// The share of one kind.
    pub const fn share(&self, kind: OpKind) -> f64 {
        match kind {
            OpKind::Create => self.create,
            OpKind::Read => self.read,
            OpKind::Update => self.update,
            OpKind::Put => self.put,
            OpKind::Delete => self.delete,
            OpKind::Cas => self.cas,
            OpKind::Scan => self.scan,
            OpKind::Txn => self.txn,
        }
    }

    pub(super) const fn share_mut(&mut self, kind: OpKind) -> &mut f64 {
        match kind {
            OpKind::Create => &mut self.create,
            OpKind::Read => &mut self.read,
            OpKind::Update => &mut self.update,
            OpKind::Put => &mut self.put,
            OpKind::Delete => &mut self.delete,
            OpKind::Cas => &mut self.cas,
            OpKind::Scan => &mut self.scan,
            OpKind::Txn => &mut self.txn,
        }
    }

    /// Every kind with its share, in the order of [`OpKind::ALL`].
    pub fn shares(&self) -> [(OpKind, f64); 8] {
        OpKind::ALL.map(|kind| (kind, self.share(kind)))
    }

    /// Sum of the shares; 1 within [`Mix::TOLERANCE`] in a scenario that was accepted.
    pub fn total(&self) -> f64 {
        self.shares().iter().map(|(_, share)| share).sum()
    }

    /// How far from 1 the sum may be: rounding of decimal fractions, no more.
    pub const TOLERANCE: f64 = 1e-9;
}

impl Preset {
    /// The shares that define the preset.
    pub fn mix(self) -> Mix {
        let none = Mix::default();
        match self {
            Self::A | Self::F => Mix {
                read: 0.5,
                update: 0.5,
                ..none
            },
            Self::B => Mix {
                read: 0.95,
                update: 0.05,
                ..none
            },
            Self::C => Mix { read: 1.0, ..none },
            Self::D => Mix {
                read: 0.95,
                create: 0.05,
                ..none
            },
            Self::E => Mix {
                scan: 0.95,
                create: 0.05,
                ..none
            },
        }
    }

    /// The key distribution that belongs to the preset unless the scenario says otherwise.
    pub const fn key(self) -> KeyDistribution {
        match self {
            Self::D => KeyDistribution::Latest,
            _ => KeyDistribution::Zipfian { theta: 0.99 },
        }
    }
}

/// How reads are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReadMode {
    /// Through the log, like writes.
    Ordered,
    /// Beside the log: n - f replicas agree. Writes need 2f + 1 equal replies then.
    Quorum,
}
