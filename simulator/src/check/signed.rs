//! Non-equivocation (ATTACKS S6): over everything that leaves correct replicas with a signature of
//! theirs, also if it is lost on the way, never two contents for one epoch, kind, view and slot,
//! across restarts.

use consensus::pbft::certificate::Statement;
use consensus::pbft::message::{NewView, ViewChange, Wire};
use consensus::{Cluster, Epoch, ReplicaId, SeqNo, View};
use crypto::Kind;

use crate::mix::{MixMap, of_bytes};

/// What a signature is about; a correct replica says one thing about it in all its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Subject {
    author: ReplicaId,
    kind: u8,
    epoch: Epoch,
    /// 0 for checkpoints, which are in no view.
    view: View,
    /// 0 for view changes, which are about no slot.
    seq: SeqNo,
}

/// What the signature on a message says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    subject: Subject,
    kind: Kind,
    content: u64,
}

impl Said {
    /// What `wire` says; nothing if its sender signs nothing with it.
    pub(crate) fn by(cluster: &Cluster, wire: &Wire) -> Option<Said> {
        let vote = |author, kind: Kind, epoch, said: &Statement| Said {
            subject: Subject {
                author,
                kind: kind as u8,
                epoch,
                view: said.view,
                seq: said.seq,
            },
            kind,
            content: of_bytes(said.digest.as_bytes()),
        };
        let opening = |author, kind: Kind, epoch, view, bytes: &[u8]| Said {
            subject: Subject {
                author,
                kind: kind as u8,
                epoch,
                view,
                seq: SeqNo(0),
            },
            kind,
            content: of_bytes(bytes),
        };
        Some(match wire {
            Wire::PrePrepare(it, _) => {
                let author = cluster.primary(it.epoch, it.statement.view);
                vote(author, Kind::PrePrepare, it.epoch, &it.statement)
            }
            Wire::Prepare(it) => vote(it.replica, Kind::Prepare, it.epoch, &it.statement),
            Wire::Commit(it) => vote(it.replica, Kind::Commit, it.epoch, &it.statement),
            Wire::Checkpoint(it) => {
                let said = Statement {
                    view: View(0),
                    seq: it.seq,
                    digest: it.digest,
                };
                vote(it.replica, Kind::Checkpoint, it.epoch, &said)
            }
            Wire::ViewChange(it) => {
                let said: ViewChange = crypto::decode(&it.bytes).ok()?;
                let kind = Kind::ViewChange;
                opening(said.replica, kind, said.epoch, said.new_view, &it.bytes)
            }
            Wire::NewView(it) => {
                let said: NewView = crypto::decode(&it.bytes).ok()?;
                let author = cluster.primary(said.epoch, said.view);
                opening(author, Kind::NewView, said.epoch, said.view, &it.bytes)
            }
            _ => return None,
        })
    }

    /// What kind of message it is.
    pub(crate) fn kind(&self) -> &'static str {
        match self.kind {
            Kind::PrePrepare => "PRE-PREPARE",
            Kind::Prepare => "PREPARE",
            Kind::Commit => "COMMIT",
            Kind::Checkpoint => "CHECKPOINT",
            Kind::ViewChange => "VIEW-CHANGE",
            Kind::NewView => "NEW-VIEW",
            _ => "another",
        }
    }

    /// Who signed.
    pub(crate) fn author(&self) -> ReplicaId {
        self.subject.author
    }
}

/// What was signed about what, for the newest slots.
#[derive(Default)]
pub(crate) struct Signed {
    contents: MixMap<Subject, u64>,
}

impl Signed {
    /// A message leaves. Says what is wrong if its author has said something else before.
    pub(crate) fn witness(&mut self, said: &Said) -> Option<String> {
        let Said {
            subject, content, ..
        } = said;
        let first = *self.contents.entry(*subject).or_insert(*content);
        let Subject {
            author,
            kind,
            epoch,
            view,
            seq,
        } = subject;
        (first != *content).then(|| {
            format!(
                "non-equivocation: replica {author} signed two contents of kind {kind} for \
                 epoch {epoch}, view {view}, slot {seq}"
            )
        })
    }

    /// Forgets what was said about slots below `seq`; what is about no slot stays.
    pub(crate) fn prune(&mut self, seq: SeqNo) {
        self.contents
            .retain(|subject, _| subject.seq == SeqNo(0) || subject.seq >= seq);
    }

    /// Subjects held.
    pub(crate) fn len(&self) -> usize {
        self.contents.len()
    }
}
