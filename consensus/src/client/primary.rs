//! Which replica is presumed to be the primary: that of the highest view that f + 1 distinct
//! replicas have reported. One of those is correct, so the view exists; fewer are never believed.

use crate::cluster::Cluster;
use crate::ids::{Epoch, ReplicaId, View};

/// The replicas' reports and what follows from them.
#[derive(Debug)]
pub(super) struct Presumed {
    view: View,
    primary: ReplicaId,
    /// The highest view that each replica reported.
    reported: Vec<View>,
    connected: Vec<bool>,
}

impl Presumed {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let n = cluster.quorums().n();
        Presumed {
            view: View(0),
            primary: cluster.primary(Epoch(0), View(0)),
            reported: vec![View(0); n],
            connected: vec![false; n],
        }
    }

    pub(super) fn view(&self) -> View {
        self.view
    }

    pub(super) fn primary(&self) -> ReplicaId {
        self.primary
    }

    pub(super) fn is_connected(&self, replica: ReplicaId) -> bool {
        self.connected
            .get(replica.index())
            .copied()
            .unwrap_or(false)
    }

    /// Every replica, ascending.
    pub(super) fn replicas(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        let n = u16::try_from(self.reported.len()).expect("one entry per replica of the cluster");
        (0..n).map(ReplicaId)
    }

    /// True if this changes something.
    pub(super) fn set_connected(&mut self, replica: ReplicaId, now: bool) -> bool {
        self.connected
            .get_mut(replica.index())
            .is_some_and(|connected| std::mem::replace(connected, now) != now)
    }

    /// Takes a report; true if another replica is presumed primary now.
    pub(super) fn report(&mut self, from: ReplicaId, view: View, cluster: &Cluster) -> bool {
        match self.reported.get_mut(from.index()) {
            Some(reported) if *reported < view => *reported = view,
            _ => return false,
        }
        let believed = cluster.quorums().weak();
        let mut descending = self.reported.clone();
        descending.sort_unstable_by(|a, b| b.cmp(a));
        let Some(view) = descending.get(believed - 1).copied() else {
            return false;
        };
        if view <= self.view {
            return false;
        }
        self.view = view;
        let primary = cluster.primary(Epoch(0), view);
        std::mem::replace(&mut self.primary, primary) != primary
    }
}
