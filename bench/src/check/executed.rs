//! `executed.bin`: the contents of the slots that a replica executed (the format is in `replica::observer::executed`).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use bytes::Bytes;
use crypto::{Digest, Hasher};
use replica::observer::executed::{EXECUTED_MAGIC, EXECUTED_MISSING};

/// The name of the file in a repeat's directory.
pub const EXECUTED_FILE: &str = "executed.bin";

/// What a replica executed, or several of them together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecutedLog {
    /// The replica; `None` for what several wrote.
    pub replica: Option<u32>,
    /// By sequence number: the requests as their clients signed them; none for the null batch.
    pub slots: BTreeMap<u64, Vec<Bytes>>,
    /// Whether the writer gave up: its disk was too slow, or the log too long.
    pub gave_up: bool,
    /// Sequence numbers for which one log has two contents.
    pub twice: Vec<u64>,
}

impl ExecutedLog {
    /// Reads a file. A last slot that was cut off, as when the writer was killed, is left out.
    ///
    /// # Errors
    /// If it cannot be read, or is no executed log.
    pub fn read(replica: Option<u32>, path: &Path) -> io::Result<Self> {
        Self::parse(replica, Bytes::from(fs::read(path)?))
    }

    /// Takes the bytes of a file apart.
    ///
    /// # Errors
    /// If it is no executed log.
    pub fn parse(replica: Option<u32>, mut bytes: Bytes) -> io::Result<Self> {
        let mut log = Self {
            replica,
            ..Self::default()
        };
        // Its writer was killed before it came to anything.
        if bytes.len() < EXECUTED_MAGIC.len() {
            return Ok(log);
        }
        if bytes.split_to(EXECUTED_MAGIC.len()) != EXECUTED_MAGIC {
            let message = "it is no executed log of this version";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        while let Some((seq, requests)) = next_slot(&mut bytes) {
            if seq == EXECUTED_MISSING {
                log.gave_up = true;
                break;
            }
            log.add(seq, requests);
        }
        Ok(log)
    }

    /// Adds a later life of the same replica, which executes again what it had not saved.
    pub fn append(&mut self, later: Self) {
        self.gave_up |= later.gave_up;
        self.twice.extend(later.twice);
        for (seq, requests) in later.slots {
            self.add(seq, requests);
        }
    }

    fn add(&mut self, seq: u64, requests: Vec<Bytes>) {
        match self.slots.get(&seq) {
            Some(before) if *before != requests => self.twice.push(seq),
            Some(_) => {}
            None => {
                self.slots.insert(seq, requests);
            }
        }
    }

    /// Bytes of the file that [`ExecutedLog::write`] would write.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let slot = |requests: &Vec<Bytes>| {
            12 + requests
                .iter()
                .map(|request| 4 + request.len() as u64)
                .sum::<u64>()
        };
        EXECUTED_MAGIC.len() as u64 + self.slots.values().map(slot).sum::<u64>()
    }

    /// Writes it as a replica does.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(fs::File::create(path)?);
        file.write_all(EXECUTED_MAGIC)?;
        let length = |length: usize| u32::try_from(length).map_err(io::Error::other);
        for (seq, requests) in &self.slots {
            file.write_all(&seq.to_le_bytes())?;
            file.write_all(&length(requests.len())?.to_le_bytes())?;
            for request in requests {
                file.write_all(&length(request.len())?.to_le_bytes())?;
                file.write_all(request)?;
            }
        }
        if self.gave_up {
            file.write_all(&EXECUTED_MISSING.to_le_bytes())?;
            file.write_all(&0_u32.to_le_bytes())?;
        }
        file.flush()
    }
}

/// `None` at the end, or where a slot is cut off.
fn next_slot(bytes: &mut Bytes) -> Option<(u64, Vec<Bytes>)> {
    let mut rest = bytes.clone();
    let seq = u64::from_le_bytes(take(&mut rest, 8)?.as_ref().try_into().ok()?);
    let count = length(&mut rest)?;
    let requests = (0..count)
        .map(|_| {
            let size = length(&mut rest)?;
            take(&mut rest, size)
        })
        .collect::<Option<Vec<_>>>()?;
    *bytes = rest;
    Some((seq, requests))
}

fn length(bytes: &mut Bytes) -> Option<usize> {
    let number = u32::from_le_bytes(take(bytes, 4)?.as_ref().try_into().ok()?);
    usize::try_from(number).ok()
}

fn take(bytes: &mut Bytes, count: usize) -> Option<Bytes> {
    (bytes.len() >= count).then(|| bytes.split_to(count))
}

/// The digest of a batch as docs/protocol.md R3 defines it, computed here once more.
#[must_use]
pub fn batch_digest(requests: &[Bytes]) -> Digest {
    if requests.is_empty() {
        return Digest::of("null", &[]);
    }
    let mut hasher = Hasher::new("batch");
    hasher.u64(requests.len() as u64);
    for request in requests {
        hasher.update(Digest::of("request", request).as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn log(slots: &[(u64, &[&'static str])]) -> ExecutedLog {
        let slot = |(seq, requests): &(u64, &[&'static str])| {
            let requests = requests
                .iter()
                .map(|each| Bytes::from_static(each.as_bytes()));
            (*seq, requests.collect())
        };
        ExecutedLog {
            slots: slots.iter().map(slot).collect(),
            ..ExecutedLog::default()
        }
    }

    #[test]
    fn what_is_written_is_read_and_a_cut_slot_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(EXECUTED_FILE);
        let written = log(&[(1, &["a", "bb"]), (2, &[]), (3, &["c"])]);
        written.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), written.bytes());
        assert_eq!(ExecutedLog::read(None, &path).unwrap(), written);
        let bytes = fs::read(&path).unwrap();
        let cut = Bytes::copy_from_slice(&bytes[..bytes.len() - 1]);
        let cut = ExecutedLog::parse(None, cut).unwrap();
        assert_eq!(cut, log(&[(1, &["a", "bb"]), (2, &[])]));
        assert!(
            ExecutedLog::parse(
                None,
                Bytes::from_static(b"something else, longer than the mark")
            )
            .is_err()
        );
    }

    #[test]
    fn the_mark_of_a_writer_that_gave_up_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(EXECUTED_FILE);
        let mut given_up = log(&[(1, &["a"])]);
        given_up.gave_up = true;
        given_up.write(&path).unwrap();
        assert!(ExecutedLog::read(None, &path).unwrap().gave_up);
    }

    #[test]
    fn a_second_life_that_executes_something_else_is_noticed() {
        let mut first = log(&[(1, &["a"]), (2, &["b"])]);
        first.append(log(&[(2, &["b"]), (3, &["c"])]));
        assert!(first.twice.is_empty() && first.slots.len() == 3);
        first.append(log(&[(3, &["X"])]));
        assert_eq!(first.twice, [3]);
    }
}
