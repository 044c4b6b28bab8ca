//! When a replica answers reads (docs/protocol.md R14).
//!
//! A read quorum meets every write quorum in a correct replica that has *executed* the write. A
//! restart takes back what was executed since the last state on disk: replies leave without waiting
//! for it, and the decision is safe with others. So a restarted replica may be asked for less than
//! it has answered for, and says nothing until it has executed all that it may have executed before.
//! That is no more than L slots above the state it came back with, for h moves only to states that
//! are on disk, and nothing is executed above h + L (R9). A learner may have forgotten more than its
//! disk can tell; what it executed before lies below its RENEW, which no batch held then (R16).

use crate::ids::SeqNo;
use crate::mutation::{Mutation, active};
use crate::report::Report;
use crate::settings::Limits;

/// Whether this replica's executed state holds whatever it has answered for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadGate {
    /// Everything up to here has to be executed.
    from: SeqNo,
    /// Its vote, and with it what it knew, has not been renewed.
    learner: bool,
}

impl ReadGate {
    /// Of a replica that has never run before.
    pub fn founded() -> Self {
        ReadGate::default()
    }

    /// Of a replica that comes back with the state at `executed`.
    pub fn restarted(executed: SeqNo, limits: &Limits) -> Self {
        if active(Mutation::ReadsAtOnceAfterRestart) {
            return ReadGate::default();
        }
        ReadGate {
            from: executed.plus(limits.log_window),
            learner: false,
        }
    }

    /// Takes in what the protocol reports.
    pub fn note(&mut self, report: &Report) {
        match report {
            Report::BecameLearner => self.learner = !active(Mutation::ReadsAtOnceAfterRestart),
            Report::BecameMember(_) => self.learner = false,
            _ => {}
        }
    }

    /// May a quorum read be answered from the state at `executed`?
    pub fn is_open(&self, executed: SeqNo) -> bool {
        !self.learner && executed >= self.from
    }
}
