//! Does this replica do its part? What a load balancer or an operator's alarm asks.

use serde::Serialize;

use crate::observer::Observer;

/// The answer to `/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// The answer.
    pub status: HealthStatus,
    /// It in words.
    pub detail: String,
}

/// Whether a replica does its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// It votes, executes, and is connected with enough others.
    Ready,
    /// It takes no further step.
    Stopped,
    /// It has no vote until it is renewed (docs/protocol.md R16).
    Learner,
    /// It lacks decisions that the others' logs no longer hold, and fetches a state.
    Behind,
    /// Too few others are connected for a quorum.
    Isolated,
}

/// The gravest reason first.
pub(super) fn look(observer: &Observer) -> Health {
    let counters = &observer.counters;
    let (connected, needed) = observer.company();
    let executed = counters.last_executed.value();
    let wanted = counters.behind_until.value();
    let (status, detail) = if counters.stopped.value() != 0 {
        (
            HealthStatus::Stopped,
            "this replica has stopped; its log says why".to_owned(),
        )
    } else if counters.learner.value() != 0 {
        (
            HealthStatus::Learner,
            "this replica has lost its records: it executes, but has no vote until it is renewed"
                .to_owned(),
        )
    } else if executed < wanted {
        (
            HealthStatus::Behind,
            format!("executed up to slot {executed}, and fetching the state at slot {wanted}"),
        )
    } else if connected < needed {
        (
            HealthStatus::Isolated,
            format!("connected with {connected} other replicas; a quorum needs {needed}"),
        )
    } else {
        (
            HealthStatus::Ready,
            format!("executed up to slot {executed}, connected with {connected} other replicas"),
        )
    };
    Health { status, detail }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use consensus::{Cluster, FastQuorum, Limits, ReplicaId, Report, SeqNo};
    use crypto::SecretKey;

    use super::*;
    use crate::observer::Logs;

    fn observer() -> Observer {
        let key = |number: u8| SecretKey::from_seed(&[number; 32]).public();
        let replicas = (1..=4).map(key).collect();
        let limits = Limits::default();
        let cluster = Cluster::genesis(1, FastQuorum::Off, limits, replicas, vec![key(9)]).unwrap();
        let figures = Box::new(Default::default);
        Observer::new(
            ReplicaId(0),
            Arc::new(cluster),
            &[],
            figures,
            &Logs::default(),
        )
        .unwrap()
    }

    fn status(observer: &Observer) -> HealthStatus {
        look(observer).status
    }

    #[test]
    fn a_replica_is_ready_with_a_quorum_and_says_what_is_wrong_otherwise() {
        let observer = observer();
        assert_eq!(status(&observer), HealthStatus::Isolated);
        observer.peer(ReplicaId(1)).connected.set(1);
        assert_eq!(
            status(&observer),
            HealthStatus::Isolated,
            "two are no quorum of four"
        );
        observer.peer(ReplicaId(3)).connected.set(1);
        assert_eq!(status(&observer), HealthStatus::Ready);

        observer.report(&Report::Behind {
            last_executed: SeqNo(0),
            stable: SeqNo(128),
        });
        assert_eq!(status(&observer), HealthStatus::Behind);
        observer.report(&Report::TransferDone {
            seq: SeqNo(256),
            bytes: 1,
            parts: 1,
            sources: 1,
        });
        assert_eq!(status(&observer), HealthStatus::Ready);

        observer.report(&Report::BecameLearner);
        assert_eq!(status(&observer), HealthStatus::Learner);
        observer.counters.stopped.set(1);
        assert_eq!(status(&observer), HealthStatus::Stopped);
        assert_eq!(
            serde_json::to_value(look(&observer)).unwrap()["status"],
            "stopped"
        );
    }
}
