//! Evidence: who signed two contradicting contents, and whether it is somebody who was told to.
//!
//! Two verdicts in one. *Non-equivocation*: over everything that the replicas saw signed, no correct replica contradicted
//! itself, before or after a restart. *Blame*: nobody is accused who is not guilty, so every proof has to hold by the public
//! keys alone, and a proof that a correct replica wrote and that does not hold is a defect of that replica.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use consensus::Cluster;
use replica::evidence::{PROOF_BYTES_MAX, PROOFS_MAX, Proof};

use super::CheckResult;
use crate::record::EvidenceFact;

/// Files read from one folder.
const FILES_MAX: usize = 4 * PROOFS_MAX;

/// A file that may be a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhibit {
    /// The replica that wrote it, where it is known.
    pub witness: Option<u32>,
    /// Its name.
    pub name: String,
    /// What it says, or why it says nothing.
    pub proof: Result<Proof, String>,
}

/// What the files in a folder say; none if there is no folder.
///
/// # Errors
/// If the folder cannot be read.
pub fn read_exhibits(witness: Option<u32>, folder: &Path) -> io::Result<Vec<Exhibit>> {
    let mut paths: Vec<PathBuf> = match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<_>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
    paths.sort();
    paths.truncate(FILES_MAX);
    let exhibit = |path: PathBuf| Exhibit {
        witness,
        name: path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        proof: read(&path),
    };
    Ok(paths.into_iter().map(exhibit).collect())
}

fn read(path: &Path) -> Result<Proof, String> {
    let bytes = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if bytes > PROOF_BYTES_MAX {
        return Err(format!("it has {bytes} bytes, more than a proof may have"));
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// The verdict, and the proofs that hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Passes if nobody is accused but replicas that are not correct.
    pub result: CheckResult,
    /// Each proof that holds, once.
    pub proofs: Vec<Proof>,
}

/// Judges what correct replicas and others have left. `correct` are those who may not be among the culprits.
#[must_use]
pub fn check_evidence(exhibits: &[Exhibit], cluster: &Cluster, correct: &BTreeSet<u32>) -> Judged {
    let mut proofs = BTreeMap::<String, Proof>::new();
    let mut wrong = Vec::new();
    for exhibit in exhibits {
        let held = match &exhibit.proof {
            Ok(proof) => proof.check(cluster).map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        };
        match (held, &exhibit.proof) {
            (Ok(()), Ok(proof)) => {
                // Two witnesses may hold the two contents the other way round, or even a third one.
                proofs
                    .entry(proof.file_name())
                    .or_insert_with(|| proof.clone());
            }
            // What a liar writes about others is no surprise.
            (Err(_), _) if exhibit.witness.is_some_and(|id| !correct.contains(&id)) => {}
            (Err(why), _) => wrong.push(match exhibit.witness {
                Some(id) => format!(
                    "replica {id} accuses without proof in {}: {why}",
                    exhibit.name
                ),
                None => format!("{} proves nothing: {why}", exhibit.name),
            }),
            (Ok(()), Err(_)) => {}
        }
    }
    let proofs: Vec<Proof> = proofs.into_values().collect();
    let culprits: BTreeSet<u32> = proofs.iter().map(|proof| proof.culprit.into()).collect();
    for innocent in culprits.intersection(correct) {
        let proof = proofs
            .iter()
            .find(|proof| u32::from(proof.culprit) == *innocent);
        wrong.extend(proof.map(|proof| {
            format!(
                "replica {innocent}, which was to be correct, signed two contents ({}, view {}, sequence number {})",
                proof.kind.name(),
                proof.view,
                proof.seq
            )
        }));
    }
    let result = if !wrong.is_empty() {
        CheckResult::fail(wrong.join("; "))
    } else if proofs.is_empty() {
        CheckResult::pass("no replica was seen to sign two contradicting contents")
    } else {
        let culprits: Vec<String> = culprits.iter().map(u32::to_string).collect();
        CheckResult::pass(format!(
            "{} proofs hold by the public keys, all against replicas that were not to be correct: {}",
            proofs.len(),
            culprits.join(", ")
        ))
    };
    let culprits: Vec<u32> = culprits.into_iter().collect();
    Judged {
        result: result
            .with("proofs", proofs.len())
            .with("culprits", culprits)
            .with("violations", wrong.len()),
        proofs,
    }
}

/// Writes the proofs that hold into the repeat's `evidence/`; returns their entries for run.json.
///
/// # Errors
/// The disk's.
pub fn keep_evidence(repeat: &Path, proofs: &[Proof]) -> io::Result<Vec<EvidenceFact>> {
    let folder = repeat.join("evidence");
    fs::create_dir_all(&folder)?;
    let keep = |proof: &Proof| {
        let name = proof.file_name();
        let text = serde_json::to_string_pretty(proof).map_err(io::Error::other)?;
        fs::write(folder.join(&name), text + "\n")?;
        Ok(EvidenceFact {
            culprit: proof.culprit.into(),
            kind: proof.kind.name().to_owned(),
            file: format!("evidence/{name}"),
        })
    };
    proofs.iter().map(keep).collect()
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
