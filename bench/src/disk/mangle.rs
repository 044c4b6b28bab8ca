//! Damage to the files of a replica that does not run: torn at a sector, bits flipped, dated wrongly.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use network::genesis::REPLICA_KEY;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use replica::storage::sqlite::DATA;

use crate::scenario::schema::DataFile;

/// What a disk writes at once.
const SECTOR: u64 = 512;
/// A write that a crash tears is among the last bytes of a file.
const TORN_WITHIN: u64 = 64 << 10;
/// SQLite's write-ahead log: its header ...
const WAL_HEADER: u64 = 32;
/// ... and that of each frame, which is followed by a page.
const FRAME_HEADER: u64 = 24;
/// Where a WAL header has its page size, and where it and each frame have the salts that tell which frames are of this round.
const PAGE_SIZE_AT: u64 = 8;
const SALTS_AT: u64 = 16;
const FRAME_SALTS_AT: u64 = 8;
/// How wrong a file's date may be: fifty years.
const DATED_WRONGLY: Duration = Duration::from_secs(50 * 365 * 24 * 3600);

/// What was done, for whoever reads the results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mangled {
    /// The file, relative to the replica's directory.
    pub file: PathBuf,
    /// What was done to it.
    pub what: String,
}

/// Cuts the end of a file at a sector of the last 64 KiB that are in use, or fills it with zeros from there on.
///
/// # Errors
/// If there is no such file, nothing in it, or it cannot be written.
pub fn torn_write(home: &Path, file: DataFile, random: &mut ChaCha8Rng) -> io::Result<Mangled> {
    let relative = path_of(home, file, random)?;
    let path = home.join(&relative);
    let end = used(&path)?;
    let first = end.saturating_sub(TORN_WITHIN).div_ceil(SECTOR);
    let last = end.saturating_sub(1) / SECTOR;
    let at = random.random_range(first..=last.max(first)) * SECTOR;
    let opened = OpenOptions::new().write(true).open(&path)?;
    let what = if random.random() {
        opened.set_len(at)?;
        format!("cut at byte {at} of {end}")
    } else {
        let zeros = vec![0; usize::try_from(end.saturating_sub(at)).unwrap_or_default()];
        opened.write_all_at(&zeros, at)?;
        format!("zeros from byte {at} to {end}")
    };
    opened.sync_all()?;
    Ok(Mangled {
        file: relative,
        what,
    })
}

/// Flips bits of a file where it is in use.
///
/// # Errors
/// If there is no such file, nothing in it, or it cannot be written.
pub fn bit_flip(
    home: &Path,
    file: DataFile,
    flips: u32,
    random: &mut ChaCha8Rng,
) -> io::Result<Mangled> {
    let relative = path_of(home, file, random)?;
    let path = home.join(&relative);
    let end = used(&path)?;
    let opened = OpenOptions::new().read(true).write(true).open(&path)?;
    let mut places = Vec::new();
    for _ in 0..flips {
        let (at, bit) = (random.random_range(0..end), random.random_range(0..8_u8));
        let mut byte = [0];
        opened.read_exact_at(&mut byte, at)?;
        opened.write_all_at(&[byte[0] ^ (1 << bit)], at)?;
        places.push(format!("bit {bit} of byte {at}"));
    }
    opened.sync_all()?;
    Ok(Mangled {
        file: relative,
        what: format!("flipped {} (of {end} bytes)", places.join(", ")),
    })
}

/// Dates all files of the data directory fifty years back, or fifty years ahead.
///
/// # Errors
/// If one cannot be dated.
pub fn date(home: &Path, random: &mut ChaCha8Rng) -> io::Result<Mangled> {
    let now = SystemTime::now();
    let (when, words) = match random.random() {
        true => (now - DATED_WRONGLY, "fifty years back"),
        false => (now + DATED_WRONGLY, "fifty years ahead"),
    };
    for entry in fs::read_dir(home.join(DATA))? {
        File::open(entry?.path())?.set_modified(when)?;
    }
    Ok(Mangled {
        file: DATA.into(),
        what: format!("dated {words}"),
    })
}

/// The file, relative to the replica's directory.
fn path_of(home: &Path, file: DataFile, random: &mut ChaCha8Rng) -> io::Result<PathBuf> {
    let data = |name: &str| Path::new(DATA).join(name);
    Ok(match file {
        DataFile::Log => data("log.db"),
        DataFile::LogWal => data("log.db-wal"),
        DataFile::State => data("state.db"),
        DataFile::StateWal => data("state.db-wal"),
        DataFile::LogAnchor => "log.anchor".into(),
        DataFile::Key => REPLICA_KEY.into(),
        DataFile::Any => {
            let all = ["log.db", "log.db-wal", "state.db", "state.db-wal"].map(data);
            let there = |path: &&PathBuf| used(&home.join(path)).is_ok();
            let there: Vec<&PathBuf> = all.iter().filter(there).collect();
            match there.get(random.random_range(0..there.len().max(1))) {
                Some(path) => (*path).clone(),
                None => return Err(io::Error::other("there is no data to damage")),
            }
        }
    })
}

/// Bytes of a file that mean something: of a write-ahead log, those before what is left of its last round.
fn used(path: &Path) -> io::Result<u64> {
    let opened = File::open(path)?;
    let length = opened.metadata()?.len();
    let is_wal = path
        .extension()
        .is_some_and(|extension| extension == "db-wal");
    let used = match is_wal {
        true => used_frames(&opened, length)?,
        false => length,
    };
    match used {
        0 => Err(io::Error::other(format!("{} is empty", path.display()))),
        used => Ok(used),
    }
}

fn used_frames(wal: &File, length: u64) -> io::Result<u64> {
    if length < WAL_HEADER {
        return Ok(0);
    }
    let mut page = [0; 4];
    wal.read_exact_at(&mut page, PAGE_SIZE_AT)?;
    let frame = FRAME_HEADER + u64::from(u32::from_be_bytes(page));
    let salts = |at| -> io::Result<[u8; 8]> {
        let mut salts = [0; 8];
        wal.read_exact_at(&mut salts, at)?;
        Ok(salts)
    };
    let round = salts(SALTS_AT)?;
    let mut end = WAL_HEADER;
    while end + frame <= length && salts(end + FRAME_SALTS_AT)? == round {
        end += frame;
    }
    // A header alone holds nothing.
    Ok(if end == WAL_HEADER { 0 } else { end })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::SeedableRng;

    use super::*;

    const PAGE: usize = 512;

    /// A write-ahead log with three frames of this round and two of the one before.
    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(DATA)).unwrap();
        let mut wal = vec![0; 32];
        wal[8..12].copy_from_slice(&(PAGE as u32).to_be_bytes());
        wal[16..24].copy_from_slice(b"newsalts");
        for salts in [
            b"newsalts",
            b"newsalts",
            b"newsalts",
            b"oldsalts",
            b"oldsalts",
        ] {
            wal.extend([0; 8]);
            wal.extend(salts);
            wal.extend([7; 8 + PAGE]);
        }
        fs::write(home.path().join(DATA).join("log.db-wal"), wal).unwrap();
        fs::write(home.path().join(REPLICA_KEY), [7; 100]).unwrap();
        home
    }

    const USED: usize = 32 + 3 * (24 + PAGE);

    #[test]
    fn a_write_is_torn_at_a_sector_and_where_the_file_is_in_use() {
        let (mut cut, mut zeroed) = (0, 0);
        for seed in 0..32 {
            let home = home();
            let file = home.path().join("data/log.db-wal");
            let before = fs::read(&file).unwrap();
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            torn_write(home.path(), DataFile::LogWal, &mut random).unwrap();
            let after = fs::read(&file).unwrap();
            if after.len() < before.len() {
                assert!(after.len() < USED && after.len().is_multiple_of(512));
                cut += 1;
            } else {
                assert_eq!(after[USED..], before[USED..], "the old round stays");
                assert_ne!(after[..USED], before[..USED]);
                zeroed += 1;
            }
        }
        assert!(cut > 0 && zeroed > 0);
    }

    #[test]
    fn as_many_bits_flip_as_were_asked_for_and_only_in_the_named_file() {
        let home = home();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mangled = bit_flip(home.path(), DataFile::Key, 3, &mut random).unwrap();
        let key = fs::read(home.path().join(REPLICA_KEY)).unwrap();
        let flipped: u32 = key.iter().map(|byte| (byte ^ 7).count_ones()).sum();
        assert_eq!(flipped, 3, "{mangled:?}");
        assert_eq!(mangled.file, Path::new(REPLICA_KEY));
        let any = bit_flip(home.path(), DataFile::Any, 1, &mut random).unwrap();
        assert_eq!(any.file, Path::new("data/log.db-wal"), "the only one there");
        let missing = bit_flip(home.path(), DataFile::State, 1, &mut random);
        assert!(missing.is_err());
    }

    #[test]
    fn files_are_dated_long_ago_or_in_the_future() {
        let home = home();
        date(home.path(), &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        let file = home.path().join("data/log.db-wal");
        let modified = fs::metadata(file).unwrap().modified().unwrap();
        let year = Duration::from_secs(365 * 24 * 3600);
        let away = match modified.duration_since(SystemTime::now()) {
            Ok(ahead) => ahead,
            Err(behind) => behind.duration(),
        };
        assert!(away > 49 * year, "{away:?}");
    }
}
