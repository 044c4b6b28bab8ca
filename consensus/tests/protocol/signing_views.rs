//! What replicas sign when views change (docs/protocol.md R4, R10): reports and openings, right
//! ones and such as only a faulty replica makes.

use consensus::pbft::certificate::{Phase, StableCertificate};
use consensus::pbft::message::{
    Header, MisbehaviourProof, Mode, NewView, SignedNewView, SignedViewChange, SlotRecord, Status,
    ViewChange, VoteReport, Wire,
};
use consensus::{Epoch, ReplicaId, SeqNo, View};
use crypto::codec::Blob;
use crypto::{Digest, Kind};

use crate::fixture::Fixture;
use crate::node::Node;

/// The latest vote was for this header.
pub(crate) fn voted(header: &Header) -> SlotRecord {
    SlotRecord {
        seq: header.statement.seq,
        vote: Some(VoteReport {
            view: header.statement.view,
            digest: header.statement.digest,
            header_signature: header.signature,
        }),
        prepared: None,
    }
}

/// The last VIEW-CHANGE that this replica sent, as it was signed and as what it says.
pub(crate) fn sent_report(node: &Node) -> (Wire, ViewChange) {
    let sent = node.sent.iter().rfind(|wire| wire.name() == "view-change");
    let Some(Wire::ViewChange(signed)) = sent else {
        panic!("it sent a VIEW-CHANGE");
    };
    let report = crypto::decode(&signed.bytes).expect("own reports decode");
    (Wire::ViewChange(signed.clone()), report)
}

/// STATUS of a replica that has executed nothing.
pub(crate) fn status_in(view: u64, mode: Mode) -> Wire {
    Wire::Status(Status {
        epoch: Epoch(0),
        view: View(view),
        mode,
        stable: SeqNo(0),
        last_executed: SeqNo(0),
        undecided: Blob::from(vec![0xff]),
    })
}

impl Fixture {
    /// The latest vote was for this header, and these replicas' PREPAREs for it are known.
    pub(crate) fn prepared(&self, header: &Header, signers: &[u16]) -> SlotRecord {
        SlotRecord {
            prepared: Some(self.certificate(Phase::Prepare, signers, header)),
            ..voted(header)
        }
    }

    /// A report that starts at the beginning of the epoch.
    pub(crate) fn report(
        &self,
        replica: u16,
        new_view: u64,
        records: Vec<SlotRecord>,
    ) -> ViewChange {
        ViewChange {
            epoch: Epoch(0),
            new_view: View(new_view),
            replica: ReplicaId(replica),
            stable: None,
            records,
        }
    }

    /// A report that starts at a stable checkpoint.
    pub(crate) fn report_above(
        &self,
        stable: StableCertificate,
        (replica, new_view): (u16, u64),
        records: Vec<SlotRecord>,
    ) -> ViewChange {
        ViewChange {
            stable: Some(stable),
            ..self.report(replica, new_view, records)
        }
    }

    /// Signed by the replica that it names.
    pub(crate) fn sign_report(&self, report: &ViewChange) -> SignedViewChange {
        let bytes = crypto::encode(report);
        let signature = self.sign(report.replica.0, Kind::ViewChange, &bytes);
        SignedViewChange {
            bytes: Blob::from(bytes),
            signature,
        }
    }

    /// VIEW-CHANGE of a replica that has promised nothing.
    pub(crate) fn leaves(&self, replica: u16, new_view: u64) -> Wire {
        Wire::ViewChange(self.sign_report(&self.report(replica, new_view, Vec::new())))
    }

    /// Signed by the primary of its view.
    pub(crate) fn sign_new_view(&self, new_view: &NewView) -> SignedNewView {
        let primary = self.cluster.primary(new_view.epoch, new_view.view);
        let bytes = crypto::encode(new_view);
        let signature = self.sign(primary.0, Kind::NewView, &bytes);
        SignedNewView {
            bytes: Blob::from(bytes),
            signature,
        }
    }

    /// A NEW-VIEW of these reports that assigns these digests, from `first` on.
    pub(crate) fn new_view(
        &self,
        reports: &[ViewChange],
        excluded: Vec<MisbehaviourProof>,
        first: u64,
        digests: &[Digest],
    ) -> NewView {
        let view = reports.first().expect("no view opens by itself").new_view;
        NewView {
            epoch: Epoch(0),
            view,
            view_changes: reports.iter().map(|one| self.sign_report(one)).collect(),
            excluded,
            headers: (first..)
                .zip(digests)
                .map(|(seq, digest)| self.header(view.0, seq, *digest))
                .collect(),
        }
    }

    /// The view is opened by the first n − f replicas, which have promised nothing.
    pub(crate) fn opens_empty(&self, view: u64) -> Wire {
        let count = u16::try_from(self.cluster.quorums().view_change()).unwrap();
        let reports: Vec<_> = (0..count)
            .map(|replica| self.report(replica, view, Vec::new()))
            .collect();
        Wire::NewView(self.sign_new_view(&self.new_view(&reports, Vec::new(), 1, &[])))
    }

    /// Two headers of one primary for one slot.
    pub(crate) fn double_pre_prepare(&self, view: u64, seq: u64) -> MisbehaviourProof {
        let [a, b] = ["one batch", "another"].map(|name| Digest::of("test", name.as_bytes()));
        MisbehaviourProof::DoublePrePrepare(self.header(view, seq, a), self.header(view, seq, b))
    }
}
