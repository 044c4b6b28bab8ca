//! Remembers what the others have signed, and writes down who contradicts himself.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use consensus::Cluster;
use crossbeam_channel::{Receiver, Sender, bounded};
use crypto::{Digest, Signature};

use super::{Proof, ProofKind, Testimony};

/// Places remembered of each signer and kind, two windows of the default configuration; those of the least views and
/// sequence numbers make room.
pub const SEEN_MAX: usize = 1024;
/// Files in one replica's folder, those of earlier runs included.
pub const PROOFS_MAX: usize = 64;
/// Of these, of one culprit and kind: one says it all, a few show a pattern, and nobody takes the others' room.
const PROOFS_EACH_MAX: usize = 4;
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
    contents: BTreeMap<(u16, ProofKind), BTreeMap<Place, (Digest, Signature)>>,
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
            let Some(proof) = seen.compare(&self.cluster, testimony) else {
                continue;
            };
            found += 1;
            tracing::error!(
                culprit = proof.culprit,
                kind = proof.kind.name(),
                view = proof.view,
                seq = proof.seq,
                "two contradicting messages of one signer"
            );
            // A disk that does not take a few small files in this time loses some of them; the signer will go on.
            if let Some(queue) = &self.queue
                && queue.try_send(proof).is_err()
            {
                tracing::warn!("a proof was not written: the disk is too slow");
            }
        }
        found
    }
}

impl Seen {
    fn compare(&mut self, cluster: &Cluster, testimony: &Testimony) -> Option<Proof> {
        let kind = ProofKind::of(testimony.kind)?;
        let who = (testimony.signer.0, kind);
        let contents = self.contents.entry(who).or_default();
        let place = (testimony.epoch.0, testimony.view.0, testimony.seq.0);
        let Some(before) = contents.get(&place) else {
            contents.insert(place, (testimony.digest, testimony.signature));
            if contents.len() > SEEN_MAX {
                contents.pop_first();
            }
            return None;
        };
        if before.0 == testimony.digest {
            return None;
        }
        let before = *before;
        let proofs = self.proofs.entry(who).or_default();
        if *proofs >= PROOFS_EACH_MAX || self.files >= PROOFS_MAX {
            return None;
        }
        *proofs += 1;
        self.files += 1;
        Some(Proof::new(kind, cluster, testimony, before))
    }
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
