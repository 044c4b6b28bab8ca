//! What replicas sign when views change (docs/protocol.md R4, R10): reports and openings, right
//! ones and such as only a faulty replica makes.

use consensus::pbft::message::{SignedViewChange, SlotRecord, ViewChange, Wire};
use consensus::{Epoch, ReplicaId, View};
use crypto::Kind;
use crypto::codec::Blob;

use crate::fixture::Fixture;

impl Fixture {
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
}
