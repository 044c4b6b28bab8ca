//! What replicas committed: the sizes of batches, and, where they contradict each other, who has what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::{RepeatFiles, named, unused};
use crate::check::{CommitPath, CommittedEntry};

/// Bytes at the end of a log from which the sizes of batches are taken: about 50,000 slots.
const SIZES_BYTES_MAX: u64 = 8 << 20;
/// Bytes of each log that are searched for a contradiction.
const SEARCHED_BYTES_MAX: u64 = 256 << 20;
/// Replicas whose logs are looked at.
const LOGS_MAX: u32 = 64;

/// What replicas committed at one sequence number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// The sequence number.
    pub(crate) seq: u64,
    /// By replica, one entry for each digest that it committed there.
    pub(crate) commits: BTreeMap<u32, Vec<CommittedEntry>>,
    /// Sequence numbers with contradictions, this one included.
    pub(crate) places: u64,
}

/// Operations in each batch at the end of the longest log, and whose log that is.
///
/// # Errors
/// A sentence: there is no log, or nothing in it.
pub(crate) fn batch_sizes(repeat: &RepeatFiles<'_>) -> Result<(u32, Vec<u64>), String> {
    let members = repeat.members().clamp(1, LOGS_MAX);
    let path = |id: u32| repeat.path(&format!("replicas/{id}/committed.jsonl"));
    let bytes = |id: u32| std::fs::metadata(path(id)).map_or(0, |meta| meta.len());
    let longest = (0..members)
        .max_by_key(|id| (bytes(*id), std::cmp::Reverse(*id)))
        .unwrap_or_default();
    let path = path(longest);
    let mut file = File::open(&path).map_err(|error| unused(&path, &error))?;
    let skipped = bytes(longest).saturating_sub(SIZES_BYTES_MAX);
    file.seek(SeekFrom::Start(skipped))
        .map_err(|error| unused(&path, &error))?;
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    // The first line is cut where something was skipped.
    let sizes: Vec<u64> = lines
        .skip(usize::from(skipped > 0))
        .filter_map(|line| serde_json::from_str::<CommittedEntry>(&line).ok())
        .map(|entry| entry.ops)
        .collect();
    match sizes.is_empty() {
        true => Err(format!("{} has no batches.", named(&path))),
        false => Ok((longest, sizes)),
    }
}

/// The first sequence number at which correct replicas committed different batches, with what everybody committed there.
pub(crate) fn conflict(repeat: &RepeatFiles<'_>) -> Option<Conflict> {
    let liars = liars(repeat);
    let members = repeat.members().clamp(1, LOGS_MAX);
    let log = |id: u32| repeat.path(&format!("replicas/{id}/committed.jsonl"));
    let mut digests: BTreeMap<u64, String> = BTreeMap::new();
    let mut places = BTreeSet::new();
    for id in (0..members).filter(|id| !liars.contains(id)) {
        for entry in entries(&log(id)) {
            match digests.get(&entry.seq) {
                None => {
                    digests.insert(entry.seq, entry.digest);
                }
                Some(digest) if *digest != entry.digest => {
                    places.insert(entry.seq);
                }
                Some(_) => {}
            }
        }
    }
    let seq = *places.first()?;
    let mut commits: BTreeMap<u32, Vec<CommittedEntry>> = BTreeMap::new();
    for id in 0..members {
        for entry in entries(&log(id)).filter(|entry| entry.seq == seq) {
            let held = commits.entry(id).or_default();
            if held.iter().all(|other| other.digest != entry.digest) {
                held.push(entry);
            }
        }
    }
    Some(Conflict {
        seq,
        commits,
        places: places.len() as u64,
    })
}

fn entries(path: &Path) -> impl Iterator<Item = CommittedEntry> + use<> {
    let file = File::open(path).ok();
    let lines = file
        .into_iter()
        .flat_map(|file| BufReader::new(file.take(SEARCHED_BYTES_MAX)).lines());
    lines
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str(&line).ok())
}

/// Replicas that the scenario lets lie: what they write about themselves proves nothing.
pub(crate) fn liars(repeat: &RepeatFiles<'_>) -> BTreeSet<u32> {
    let faults = repeat.repeat.faults.iter();
    faults
        .filter(|fault| fault.kind == "byzantine")
        .filter_map(|fault| fault.target)
        .collect()
}

/// How a replica came to a batch, in a word.
pub(crate) const fn path_word(path: CommitPath) -> &'static str {
    match path {
        CommitPath::Fast => "fast path",
        CommitPath::Slow => "by COMMITs",
        CommitPath::Transfer => "from another replica",
    }
}
