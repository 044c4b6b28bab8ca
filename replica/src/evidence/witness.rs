//! Remembers what the others have signed, and writes down who contradicts himself.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use consensus::{Cluster, ReplicaId};
use crossbeam_channel::{Receiver, Sender, bounded};
use crypto::codec::Blob;
use crypto::{Digest, Kind, Signature};

use super::{BODY_BYTES_MAX, Proof, ProofKind, Testimony};

/// Places remembered of each signer and kind, two windows of the default configuration; those of the least views and
/// sequence numbers make room.
pub const SEEN_MAX: usize = 1024;
/// Views of whose reports and openings the bytes are kept, of each signer and kind.
const OPENINGS_MAX: usize = 2;
/// Files in one replica's folder, those of earlier runs included.
pub const PROOFS_MAX: usize = 64;
/// Of these, of one culprit and kind: one says it all, a few show a pattern, and nobody takes the others' room.
const PROOFS_EACH_MAX: usize = 4;
/// The same for what is proven with whole messages, which are large.
const OPENINGS_EACH_MAX: usize = 1;
/// Proofs that wait for the disk.
const QUEUE_MAX: usize = 16;

/// The folder for evidence cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}; check the directory and its owner", path.display())]
pub struct EvidenceError {
    path: PathBuf,
    action: &'static str,
    source: io::Error,
}

/// Epoch, view and sequence number.
type Place = (u64, u64, u64);

/// What one replica has seen signed. Shared by the verification workers.
pub struct Witness {
    cluster: Arc<Cluster>,
    seen: Mutex<Seen>,
    queue: Option<Sender<Proof>>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    contents: BTreeMap<(u16, ProofKind), BTreeMap<Place, Testimony>>,
    /// Where each was last found to have claimed another state than the others.
    false_claims: BTreeMap<u16, Place>,
    proofs: BTreeMap<(u16, ProofKind), usize>,
    files: usize,
}

impl Witness {
    /// A witness who has seen nothing and writes to `folder`, which is created with the first proof.
    ///
    /// # Errors
    /// If the folder is there and cannot be read, or there is no thread for it.
    pub fn start(cluster: Arc<Cluster>, folder: &Path) -> Result<Self, EvidenceError> {
        let failed = |action| {
            move |source| EvidenceError {
                path: folder.to_owned(),
                action,
                source,
            }
        };
        let files = match fs::read_dir(folder) {
            Ok(entries) => entries.count(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(failed("read")(error)),
        };
        let (queue, proofs) = bounded(QUEUE_MAX);
        let path = folder.to_owned();
        let writer = std::thread::Builder::new()
            .name("evidence".to_owned())
            .spawn(move || write_all(&path, &proofs))
            .map_err(failed("start a thread for"))?;
        Ok(Witness {
            cluster,
            seen: Mutex::new(Seen {
                files,
                ..Seen::default()
            }),
            queue: Some(queue),
            writer: Some(writer),
        })
    }

    /// The configuration that gives the signers their keys.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Takes in contents whose signatures have been verified; says how many proofs they gave.
    pub fn see(&self, testimonies: &[Testimony]) -> usize {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = 0;
        for testimony in testimonies {
            let double = seen.compare(&self.cluster, testimony);
            let other = seen.compare_states(&self.cluster, testimony);
            for proof in double.into_iter().chain(other) {
                found += 1;
                self.keep(proof);
            }
        }
        found
    }

    fn keep(&self, proof: Proof) {
        tracing::error!(
            culprit = proof.culprit,
            kind = proof.kind.name(),
            view = proof.view,
            seq = proof.seq,
            "signed contents that contradict each other"
        );
        // A disk that does not take a few small files in this time loses some of them; the signer will go on.
        if let Some(queue) = &self.queue
            && queue.try_send(proof).is_err()
        {
            tracing::warn!("a proof was not written: the disk is too slow");
        }
    }
}

impl Seen {
    fn compare(&mut self, cluster: &Cluster, testimony: &Testimony) -> Option<Proof> {
        let kind = ProofKind::of(testimony.kind)?;
        let room = match kind.is_opening() {
            true => OPENINGS_MAX,
            false => SEEN_MAX,
        };
        let is_long = |body: &Blob| body.0.len() > BODY_BYTES_MAX;
        if testimony.body.as_ref().is_some_and(is_long) {
            return None;
        }
        let contents = self.contents.entry((testimony.signer.0, kind)).or_default();
        let Some(before) = contents.get(&place(testimony)) else {
            // Of its own: what it was read from may be much larger.
            let own = |body: &Blob| Blob(bytes::Bytes::copy_from_slice(&body.0));
            let body = testimony.body.as_ref().map(own);
            let kept = Testimony {
                body,
                ..testimony.clone()
            };
            contents.insert(place(testimony), kept);
            if contents.len() > room {
                contents.pop_first();
            }
            return None;
        };
        if before.digest == testimony.digest {
            return None;
        }
        let proof = Proof::new(kind, cluster, testimony, before);
        self.has_room(testimony.signer, kind).then_some(proof)
    }

    /// Whether somebody claims another state than the one that f + 1 others vouch for. Each replica that lied to some of the
    /// others only is convicted by those.
    fn compare_states(&mut self, cluster: &Cluster, testimony: &Testimony) -> Option<Proof> {
        if testimony.kind != Kind::Checkpoint {
            return None;
        }
        let mut claims: BTreeMap<Digest, Vec<&Testimony>> = BTreeMap::new();
        for ((_, kind), contents) in &self.contents {
            let claim = contents.get(&place(testimony));
            if let Some(claim) = claim.filter(|_| *kind == ProofKind::DoubleCheckpoint) {
                claims.entry(claim.digest).or_default().push(claim);
            }
        }
        let weak = cluster.quorums().weak();
        let (digest, vouching) = claims.iter().find(|(_, claims)| claims.len() >= weak)?;
        let others = claims.iter().filter(|(other, _)| *other != digest);
        let is_new =
            |claim: &&&Testimony| self.false_claims.get(&claim.signer.0) != Some(&place(testimony));
        let liar = (*others.flat_map(|(_, claims)| claims).find(is_new)?).clone();
        let vouchers: Vec<(ReplicaId, Signature)> = vouching
            .iter()
            .map(|claim| (claim.signer, claim.signature))
            .collect();
        let proof = Proof::of_false_checkpoint(cluster, &liar, digest, &vouchers);
        self.false_claims.insert(liar.signer.0, place(&liar));
        let kind = ProofKind::FalseCheckpoint;
        self.has_room(liar.signer, kind).then_some(proof)
    }

    /// Counts one more proof, if there is room for it.
    fn has_room(&mut self, culprit: ReplicaId, kind: ProofKind) -> bool {
        let room = match kind.is_opening() {
            true => OPENINGS_EACH_MAX,
            false => PROOFS_EACH_MAX,
        };
        let proofs = self.proofs.entry((culprit.0, kind)).or_default();
        if *proofs >= room || self.files >= PROOFS_MAX {
            return false;
        }
        *proofs += 1;
        self.files += 1;
        true
    }
}

fn place(testimony: &Testimony) -> Place {
    (testimony.epoch.0, testimony.view.0, testimony.seq.0)
}

impl Drop for Witness {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the thread that writes evidence panicked");
        }
    }
}

fn write_all(folder: &Path, proofs: &Receiver<Proof>) {
    for proof in proofs {
        let name = proof.file_name();
        if let Err(error) = write(folder, &name, &proof) {
            tracing::error!("{} was not written: {error}", folder.join(name).display());
        }
    }
}

/// The file appears under its name when it is whole.
fn write(folder: &Path, name: &str, proof: &Proof) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let text = serde_json::to_string_pretty(proof).map_err(io::Error::other)?;
    let unfinished = folder.join(format!("{name}.new"));
    fs::write(&unfinished, text + "\n")?;
    fs::rename(unfinished, folder.join(name))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
