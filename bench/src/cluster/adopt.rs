//! What is known of a cluster that runs elsewhere takes the place of what the scenario asked for:
//! a report must not describe a cluster that was not measured.

use network::ClusterFile;

use crate::scenario::schema::{self, Scenario};

/// Makes the scenario's `[cluster]` table say what the cluster file says. What the file does not
/// say (storage engine, durability) stays; the replicas' status tells it.
pub fn adopt(scenario: &mut Scenario, file: &ClusterFile) {
    let cluster = &mut scenario.cluster;
    cluster.n = u32::try_from(file.replicas.len()).unwrap_or(u32::MAX);
    cluster.f = u32::from(file.f);
    cluster.fast_quorum = match file.fast_quorum {
        consensus::FastQuorum::Strong => schema::FastQuorum::Strong,
        consensus::FastQuorum::Conservative => schema::FastQuorum::Conservative,
        consensus::FastQuorum::Off => schema::FastQuorum::Off,
        consensus::FastQuorum::Exactly(votes) => schema::FastQuorum::Exactly(u32::from(votes)),
    };
    cluster.protocol = match file.fast_quorum {
        consensus::FastQuorum::Off => schema::Protocol::Pbft,
        _ => schema::Protocol::PbftFast,
    };
    cluster.commit_mode = match file.policy.commit_mode {
        consensus::CommitMode::Adaptive => schema::CommitMode::Adaptive,
        consensus::CommitMode::Eager => schema::CommitMode::Eager,
    };
    cluster.storage.checkpoint_interval = file.limits.checkpoint_interval;
    cluster.storage.log_window = file.limits.log_window;
    cluster.batch.max_delay = file.policy.batch_delay;
    cluster.batch.pipeline = u32::try_from(file.policy.inflight_max).unwrap_or(u32::MAX);
    cluster.timeouts.view_change = file.policy.view_change_timeout;
    cluster.timeouts.heartbeat = file.policy.heartbeat_timeout;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use network::Genesis;

    #[test]
    fn the_report_of_an_attached_run_describes_the_attached_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let mut genesis = Genesis::local(2, 7, 40_000, 1);
        genesis.fast_quorum = consensus::FastQuorum::Off;
        genesis.limits.checkpoint_interval = 32;
        let file = genesis.create(&folder.path().join("cluster")).unwrap();
        let mut scenario = crate::scenario::load(&[], &[]).unwrap().scenario;
        assert_eq!((scenario.cluster.n, scenario.cluster.f), (5, 1));
        adopt(&mut scenario, &file);
        let cluster = scenario.cluster;
        assert_eq!((cluster.n, cluster.f), (7, 2));
        assert_eq!(cluster.protocol, schema::Protocol::Pbft);
        assert_eq!(cluster.fast_quorum, schema::FastQuorum::Off);
        assert_eq!(cluster.storage.checkpoint_interval, 32);
    }
}
