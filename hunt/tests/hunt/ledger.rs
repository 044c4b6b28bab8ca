//! What must hold at the correct replicas, whoever lies and whatever gets lost.

use std::collections::BTreeMap;

use consensus::pbft::message::{NewView, ViewChange, Wire};
use consensus::{Cluster, ReplicaId, SeqNo, View};
use crypto::Digest;

/// What a correct replica signs at most one content for (S6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Promise {
    pub(crate) by: u16,
    pub(crate) kind: &'static str,
    pub(crate) view: View,
    pub(crate) seq: SeqNo,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    puppets: Vec<u16>,
    violations: Vec<String>,
    decided: BTreeMap<SeqNo, Digest>,
    by_replica: BTreeMap<(u16, SeqNo), Digest>,
    states: BTreeMap<SeqNo, Digest>,
    promises: BTreeMap<Promise, Digest>,
}

impl Ledger {
    pub(crate) fn new(puppets: &[u16]) -> Self {
        Ledger {
            puppets: puppets.to_vec(),
            ..Self::default()
        }
    }

    /// Nothing forbidden has happened so far.
    pub(crate) fn holds(&self) -> bool {
        self.violations.is_empty()
    }

    /// Everything forbidden that happened.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        if self.holds() {
            Ok(())
        } else {
            Err(self.violations.join("; "))
        }
    }

    pub(crate) fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    /// What this replica decided for the slot.
    pub(crate) fn decision(&self, at: u16, seq: u64) -> Option<Digest> {
        self.by_replica.get(&(at, SeqNo(seq))).copied()
    }

    /// What correct replicas have signed: PRE-PREPAREs, PREPAREs, COMMITs and so on.
    pub(crate) fn promises(&self) -> impl Iterator<Item = (&Promise, &Digest)> {
        self.promises.iter()
    }

    /// S1: one digest for a slot.
    pub(crate) fn decided(&mut self, at: u16, seq: SeqNo, view: View, digest: Digest) {
        let first = *self.decided.entry(seq).or_insert(digest);
        if first != digest {
            self.violation(format!(
                "S1: r{at} decides {digest:?} for {seq:?} in {view:?}; {first:?} is decided"
            ));
        }
        self.by_replica.insert((at, seq), digest);
    }

    /// S2: one state after a slot.
    pub(crate) fn executed(&mut self, at: u16, seq: SeqNo, state: Digest) {
        let first = *self.states.entry(seq).or_insert(state);
        if first != state {
            self.violation(format!("S2: r{at} has another state after {seq:?}"));
        }
    }

    /// S8: only puppets are blamed.
    pub(crate) fn blamed(&mut self, at: u16, culprit: ReplicaId, seq: SeqNo) {
        if !self.puppets.contains(&culprit.0) {
            self.violation(format!("S8: r{at} proves {culprit:?} guilty at {seq:?}"));
        }
    }

    /// S6: one content for everything that a correct replica promises.
    pub(crate) fn signed(&mut self, cluster: &Cluster, by: u16, wire: &Wire) {
        let kind = wire.name();
        let (view, seq, content) = match wire {
            Wire::PrePrepare(header, _) => {
                let statement = header.statement;
                if cluster.primary(header.epoch, statement.view).0 != by {
                    return;
                }
                (statement.view, statement.seq, statement.digest)
            }
            Wire::Prepare(vote) => {
                let statement = vote.statement;
                (statement.view, statement.seq, statement.digest)
            }
            Wire::Commit(vote) => {
                let statement = vote.statement;
                (statement.view, statement.seq, statement.digest)
            }
            Wire::Checkpoint(claim) => (View(0), claim.seq, claim.digest),
            Wire::ViewChange(signed) => {
                let report: ViewChange = crypto::decode(&signed.bytes).expect("its own bytes");
                let content = Digest::of("report", &signed.bytes);
                (report.new_view, SeqNo(0), content)
            }
            Wire::NewView(signed) => {
                let opening: NewView = crypto::decode(&signed.bytes).expect("its own bytes");
                if cluster.primary(opening.epoch, opening.view).0 != by {
                    return;
                }
                for header in opening.headers {
                    let statement = header.statement;
                    let content = statement.digest;
                    self.promised(by, "pre-prepare", statement.view, statement.seq, content);
                }
                let content = Digest::of("opening", &signed.bytes);
                (opening.view, SeqNo(0), content)
            }
            _ => return,
        };
        self.promised(by, kind, view, seq, content);
    }

    fn promised(&mut self, by: u16, kind: &'static str, view: View, seq: SeqNo, content: Digest) {
        let promise = Promise {
            by,
            kind,
            view,
            seq,
        };
        let first = *self.promises.entry(promise).or_insert(content);
        if first != content {
            self.violation(format!(
                "S6: r{by} signs two different {kind}s for {view:?} {seq:?}"
            ));
        }
    }
}
