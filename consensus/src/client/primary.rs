//! Which replica is presumed to be the primary: that of the latest epoch and view that
//! f + 1 distinct replicas have reached. One of those is correct, so it has begun; fewer are never
//! believed.

use crate::cluster::Cluster;
use crate::ids::{ReplicaId, Term};

/// The replicas' reports and what follows from them.
#[derive(Debug)]
pub(super) struct Presumed {
    term: Term,
    primary: ReplicaId,
    /// The latest term that each replica reported.
    reported: Vec<Term>,
    connected: Vec<bool>,
}

impl Presumed {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let n = cluster.quorums().n();
        Presumed {
            term: Term::default(),
            primary: primary_of(cluster, Term::default()),
            reported: vec![Term::default(); n],
            connected: vec![false; n],
        }
    }

    pub(super) fn term(&self) -> Term {
        self.term
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
    pub(super) fn report(&mut self, from: ReplicaId, term: Term, cluster: &Cluster) -> bool {
        match self.reported.get_mut(from.index()) {
            Some(reported) if *reported < term => *reported = term,
            _ => return false,
        }
        let believed = cluster.quorums().weak();
        let mut descending = self.reported.clone();
        descending.sort_unstable_by(|a, b| b.cmp(a));
        let Some(term) = descending.get(believed - 1).copied() else {
            return false;
        };
        if term <= self.term {
            return false;
        }
        self.term = term;
        let primary = primary_of(cluster, term);
        std::mem::replace(&mut self.primary, primary) != primary
    }
}

fn primary_of(cluster: &Cluster, term: Term) -> ReplicaId {
    cluster.primary(term.epoch, term.view)
}
