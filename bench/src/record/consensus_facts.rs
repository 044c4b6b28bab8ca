//! What the protocol did, in run.json.

use serde::{Deserialize, Serialize};

/// What the protocol did during the repeat.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsensusFacts {
    /// Sequence numbers decided.
    pub slots: u64,
    /// Decided by a fast quorum of PREPAREs.
    pub fast_path_slots: u64,
    /// Decided by COMMITs.
    pub slow_path_slots: u64,
    /// Share of `fast_path_slots` in both, 0 to 1; 0 without slots.
    pub fast_path_share: f64,
    /// Views entered in the measured phase, by the replica that saw most of them.
    pub view_changes: u64,
    /// The view at the end.
    pub final_view: u64,
    /// The epoch at the end: it grows when a replica that lost its disk has its vote renewed.
    pub final_epoch: u64,
    /// Stable checkpoints.
    pub checkpoints: u64,
    /// States that replicas fetched from others.
    pub state_transfers: u64,
    /// Connections between replicas that failed because the two ends speak different versions of the protocol, as often as any
    /// replica noticed.
    pub other_protocol: u64,
    /// Operations per slot, on average (the same number as `batch.mean`).
    pub batch_ops_mean: f64,
    /// Operations per slot.
    pub batch: BatchSizes,
}

/// Operations per slot.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "statistics by their usual names")]
pub struct BatchSizes {
    pub mean: f64,
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
}

impl BatchSizes {
    /// Of the operations in each slot.
    #[must_use]
    pub fn of(mut sizes: Vec<u64>) -> Self {
        sizes.sort_unstable();
        let Some(max) = sizes.last().copied() else {
            return Self::default();
        };
        // Nearest rank: the smallest size that at least this share of the slots does not exceed.
        let at = |percent: usize| sizes[(sizes.len() * percent).div_ceil(100).saturating_sub(1)];
        Self {
            mean: sizes.iter().sum::<u64>() as f64 / sizes.len() as f64,
            p50: at(50),
            p99: at(99),
            max,
        }
    }
}

impl ConsensusFacts {
    /// Fills the shares and the batch sizes from the counts.
    #[must_use]
    pub fn with_batches(self, batch: BatchSizes) -> Self {
        let decided = self.fast_path_slots + self.slow_path_slots;
        let fast_path_share = if decided == 0 {
            0.0
        } else {
            self.fast_path_slots as f64 / decided as f64
        };
        Self {
            fast_path_share,
            batch_ops_mean: batch.mean,
            batch,
            ..self
        }
    }
}
