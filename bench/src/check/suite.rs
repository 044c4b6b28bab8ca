//! The checks that need nothing but what a repeat left: the same after a run and, from its files, at any later time.

use std::collections::BTreeSet;
use std::sync::Arc;

use consensus::{Cluster, Keyring};

use super::{
    CheckResult, CommittedLog, Contents, Evidence, ExecutedLog, Exhibit, Judged, Reexecution,
    Signatures, check_agreement, check_evidence, check_integrity, check_linearizable, check_state,
    reexecute,
};
use crate::record::HistoryLine;

/// What a repeat left.
#[derive(Debug)]
pub struct Remains {
    /// The configuration with the public keys, or why it is not known.
    pub cluster: Result<Arc<Cluster>, String>,
    /// The replicas that are correct by plan.
    pub correct: BTreeSet<u32>,
    /// What the replicas say that they committed.
    pub committed: Vec<CommittedLog>,
    /// The contents of what they executed.
    pub executed: Kept,
    /// What may be proofs, or why they are not at hand.
    pub exhibits: Result<Vec<Exhibit>, String>,
    /// What clients saw, or why it is not known.
    pub history: Result<Vec<HistoryLine>, String>,
}

/// The contents of what replicas executed.
#[derive(Debug)]
pub enum Kept {
    /// Logs that replicas wrote, or one put together from them.
    Logs(Vec<ExecutedLog>),
    /// The replicas run elsewhere and keep none.
    Elsewhere,
    /// There should be some.
    Missing(String),
}

/// The verdicts.
#[derive(Debug)]
pub struct Verdicts {
    /// No two correct replicas committed different batches.
    pub agreement: CheckResult,
    /// The log executed again gives the same states and answers.
    pub state: CheckResult,
    /// Known clients signed what took effect.
    pub integrity: CheckResult,
    /// Clients saw one copy of the map.
    pub linearizable: CheckResult,
    /// No correct replica contradicted itself, and nobody is accused without proof.
    pub evidence: CheckResult,
    /// The proofs that hold.
    pub proofs: Vec<replica::evidence::Proof>,
    /// The log executed again, if it was.
    pub reexecution: Option<Reexecution>,
}

impl Remains {
    /// Judges all of it.
    #[must_use]
    pub fn judge(&self, signatures: Signatures) -> Verdicts {
        let committed: Vec<CommittedLog> = self
            .committed
            .iter()
            .filter(|log| self.correct.contains(&log.replica))
            .cloned()
            .collect();
        let agreement = check_agreement(&committed);
        let reexecution = self.execute_again(&committed);
        let contents = match (&reexecution, &self.executed) {
            (Ok(again), _) => Contents::Executed(again),
            (Err(_), Kept::Elsewhere) => Contents::Elsewhere,
            (Err(why), _) => Contents::Missing(why.clone()),
        };
        let state = check_state(&agreement, &contents);
        let integrity = match (&reexecution, &self.cluster) {
            (Ok(again), Ok(cluster)) => {
                check_integrity(again, &Keyring::new(Arc::clone(cluster)), signatures)
            }
            (Err(why), _) | (_, Err(why)) => CheckResult::skipped(why.clone()),
        };
        let linearizable = match &self.history {
            Ok(lines) => check_linearizable(lines).result(),
            Err(why) => CheckResult::skipped(why.clone()),
        };
        let judged = match (&self.exhibits, &self.cluster) {
            (Ok(exhibits), Ok(cluster)) => check_evidence(exhibits, cluster, &self.correct),
            (Err(why), _) | (_, Err(why)) => Judged {
                result: CheckResult::skipped(why.clone()),
                proofs: Vec::new(),
            },
        };
        Verdicts {
            agreement: agreement.result(),
            state,
            integrity,
            linearizable,
            evidence: judged.result,
            proofs: judged.proofs,
            reexecution: reexecution.ok(),
        }
    }

    /// What a Byzantine replica says that it executed proves nothing against the others.
    fn execute_again(&self, committed: &[CommittedLog]) -> Result<Reexecution, String> {
        let cluster = self.cluster.as_ref().map_err(Clone::clone)?;
        let logs = match &self.executed {
            Kept::Logs(logs) if logs.is_empty() => {
                return Err("no replica left an executed log".to_owned());
            }
            Kept::Logs(logs) => logs,
            Kept::Elsewhere => {
                return Err("the replicas run elsewhere and keep no contents".to_owned());
            }
            Kept::Missing(why) => return Err(why.clone()),
        };
        let believed = |log: &&ExecutedLog| log.replica.is_none_or(|id| self.correct.contains(&id));
        let logs: Vec<ExecutedLog> = logs.iter().filter(believed).cloned().collect();
        Ok(reexecute(&Evidence {
            cluster,
            committed,
            executed: &logs,
            history: self.history.as_deref().unwrap_or_default(),
        }))
    }
}
