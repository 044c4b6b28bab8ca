//! When decisions no longer bring a replica up to date: the core asks for the state at a certified
//! checkpoint and goes on behind it (docs/protocol.md R9, R13). How a state is fetched is no matter
//! of the core's: `crate::transfer` does it.

use std::collections::BTreeMap;

use crypto::Digest;

use super::Pbft;
use super::certificate::StableCertificate;
use super::patience::Patience;
use super::record::Record;
use crate::configuration::Configuration;
use crate::ids::SeqNo;
use crate::protocol::{Action, Outbox};
use crate::report::Report;
use crate::time::Instant;

/// Certificates of states that were asked for and may still come; the oldest make room.
const STATE_REQUESTS_MAX: usize = 8;

/// T_rtx passes this often without progress below a certificate until decisions are given up: the
/// others' archives are bounded in bytes, too, and it cannot be seen from here where they end.
const PATIENCE_RETRANSMITS: u32 = 10;

/// States that were asked for, and how long decisions have been waited for in vain.
#[derive(Clone, Debug, Default)]
pub(super) struct StateRequests {
    certificates: BTreeMap<SeqNo, StableCertificate>,
    execute_sent: SeqNo,
    patience: Patience,
}

impl Pbft {
    /// There is a certificate above what was executed here. Those who are at `seq` keep decisions
    /// for one more window below it (archive): farther behind, only a state helps. So it does for who
    /// missed a whole epoch: the certificate that ended it is gone.
    pub(super) fn fetch_if_behind(&mut self, out: &mut Outbox<Self>) {
        let reach = self.execute_sent.plus(self.cluster().limits().log_window);
        if let Some(certificate) = self.ahead.clone()
            && (certificate.seq > reach || certificate.epoch > self.epoch.next())
        {
            out.push(Action::Report(Report::Behind {
                last_executed: self.last_executed,
                stable: certificate.seq,
            }));
            self.fetch_state(certificate, out);
        }
    }

    /// T_status: decisions that do not come for long will not come any more.
    ///
    /// Nobody may hold the state of the certificate either: after a power cut replicas come back
    /// with the newest state they saved, and that may not be stable yet. It becomes stable only with
    /// this replica's CHECKPOINT, so a state for which f + 1 replicas vouch is good enough to be
    /// fetched: one of them is correct and has executed everything up to it.
    pub(super) fn fetch_if_stuck(&mut self, now: Instant, out: &mut Outbox<Self>) {
        let certificate = self.ahead.clone();
        let above = certificate.filter(|certificate| certificate.seq > self.execute_sent);
        let vouched = self.vouched_above(self.execute_sent);
        let waiting = &mut self.state_requests;
        let moved = waiting.execute_sent != self.execute_sent;
        if moved || (above.is_none() && vouched.is_none()) {
            waiting.execute_sent = self.execute_sent;
            waiting.patience.progress(now);
            return;
        }
        let first = self.policy.retransmit_interval * PATIENCE_RETRANSMITS;
        if waiting.patience.attempt(now, first).is_none() {
            return;
        }
        if let Some(certificate) = above {
            self.fetch_state(certificate, out);
        }
        if let Some((seq, digest)) = vouched {
            let epoch = self.epoch;
            out.push(Action::FetchState {
                epoch,
                seq,
                digest,
                certificate: None,
            });
        }
    }

    /// Asks for the state that `certificate` certifies.
    pub(super) fn fetch_state(&mut self, certificate: StableCertificate, out: &mut Outbox<Self>) {
        out.push(Action::FetchState {
            epoch: certificate.epoch,
            seq: certificate.seq,
            digest: certificate.digest,
            certificate: Some(Record::Stable(certificate.clone())),
        });
        let state_requests = &mut self.state_requests.certificates;
        state_requests.insert(certificate.seq, certificate);
        if state_requests.len() > STATE_REQUESTS_MAX {
            state_requests.pop_first();
        }
    }

    /// A certified state is in place and durable: everything up to it is executed.
    pub(super) fn on_state_installed(
        &mut self,
        now: Instant,
        (seq, digest): (SeqNo, Digest),
        configuration: Configuration,
        out: &mut Outbox<Self>,
    ) {
        let ahead = seq > self.execute_sent;
        let certificate = self.state_requests.certificates.remove(&seq);
        self.state_requests.certificates = self.state_requests.certificates.split_off(&seq);
        self.execute_sent = self.execute_sent.max(seq);
        self.last_executed = self.last_executed.max(seq);
        self.next = self.next.max(seq.next());
        // Which of the pending requests are in the state the core cannot know. Whoever still waits
        // for an answer sends again, and the session table knows (R6).
        self.pool.clear();
        if ahead {
            self.follow_state(now, configuration, out);
        }
        match certificate.filter(|certificate| certificate.digest == digest) {
            Some(certificate) if seq > self.window.low() => {
                self.own_states.insert(seq, digest);
                self.on_stable(now, certificate, out);
            }
            // Its certificate has made room for newer ones: it counts like any saved state.
            _ => self.on_state_saved(now, seq, digest, out),
        }
        self.execute_decided(out);
        self.fetch_if_behind(out);
        // What follows is asked for at once.
        self.broadcast_status(out);
    }
}
