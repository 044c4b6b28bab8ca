//! What each replica needed, look by look: `resources.csv`, bounded however long a run is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;

use crate::record::{AtomicFile, Thinned};

/// The name of the file in a repeat's directory.
pub const RESOURCES_FILE: &str = "resources.csv";
const HEADER: &str = "t_s,replica,rss,connections,data,log,open_files,threads";
/// Of earlier versions' runs: what is missing counts as 0.
const HEADER_BEFORE: &str = "t_s,replica,rss,connections,data,log";
/// Looks that are held at most: twenty minutes at five a second, then coarser.
const LOOKS_MAX: usize = 6_000;

/// One look at one replica.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Seconds into the measured phase.
    pub t_s: f64,
    /// The replica.
    pub replica: u32,
    /// Resident memory, bytes; 0 if the system does not say.
    pub rss: u64,
    /// Open connections of clients.
    pub connections: u64,
    /// Bytes of its data directory; `None` where it was not looked at.
    pub data: Option<u64>,
    /// Bytes that it has logged since the run began; `None` where it was not looked at.
    pub log: Option<u64>,
    /// Files and sockets that it had open; 0 if the system does not say.
    pub open_files: u64,
    /// Its threads; 0 if the system does not say.
    pub threads: u64,
}

/// The looks of a measured phase. Of a long one only some are kept, at equal distances, and beside them those at which a
/// replica needed most: what is judged by its largest value is judged rightly.
#[derive(Debug, Clone)]
pub struct UsageSeries {
    looks: Thinned<Vec<Usage>>,
    peaks: BTreeMap<u32, Peaks>,
}

/// When one replica needed most.
#[derive(Debug, Clone, Copy)]
struct Peaks {
    memory: Usage,
    connections: Usage,
    open_files: Usage,
    threads: Usage,
}

impl Default for UsageSeries {
    fn default() -> Self {
        Self::of(LOOKS_MAX)
    }
}

impl UsageSeries {
    fn of(looks_max: usize) -> Self {
        UsageSeries {
            looks: Thinned::new(looks_max),
            peaks: BTreeMap::new(),
        }
    }

    /// Adds what the replicas that answered a look needed.
    pub fn push(&mut self, look: Vec<Usage>) {
        for one in &look {
            let peaks = self.peaks.entry(one.replica).or_insert(Peaks {
                memory: *one,
                connections: *one,
                open_files: *one,
                threads: *one,
            });
            let exceeds = |peak: &Usage, of: fn(&Usage) -> u64| of(one) > of(peak);
            if exceeds(&peaks.memory, |each| each.rss) {
                peaks.memory = *one;
            }
            if exceeds(&peaks.connections, |each| each.connections) {
                peaks.connections = *one;
            }
            if exceeds(&peaks.open_files, |each| each.open_files) {
                peaks.open_files = *one;
            }
            if exceeds(&peaks.threads, |each| each.threads) {
                peaks.threads = *one;
            }
        }
        self.looks.push(look);
    }

    /// What is kept, in the order of time.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        let mut all: Vec<Usage> = self.looks.iter().flatten().copied().collect();
        let known: BTreeSet<(u64, u32)> = all.iter().map(key).collect();
        let peaks = self.peaks.values();
        let peaks = peaks.flat_map(|of| [of.memory, of.connections, of.open_files, of.threads]);
        let missing: BTreeMap<(u64, u32), Usage> = peaks
            .filter(|peak| !known.contains(&key(peak)))
            .map(|peak| (key(&peak), peak))
            .collect();
        all.extend(missing.into_values());
        all.sort_by(|one, other| one.t_s.total_cmp(&other.t_s));
        all
    }
}

const fn key(usage: &Usage) -> (u64, u32) {
    (usage.t_s.to_bits(), usage.replica)
}

/// Writes `resources.csv`.
///
/// # Errors
/// The disk's.
pub fn write_usage(path: &Path, usage: &[Usage]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    writeln!(file, "{HEADER}")?;
    let field = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    for each in usage {
        let (data, log) = (field(each.data), field(each.log));
        writeln!(
            file,
            "{:.3},{},{},{},{data},{log},{},{}",
            each.t_s, each.replica, each.rss, each.connections, each.open_files, each.threads
        )?;
    }
    file.commit()
}

/// Reads `resources.csv`.
///
/// # Errors
/// A sentence that names the line.
pub fn read_usage(path: &Path) -> Result<Vec<Usage>, String> {
    let unreadable = |why: &str| format!("{} cannot be read: {why}", path.display());
    let file = File::open(path).map_err(|error| unreadable(&error.to_string()))?;
    let mut usage = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(|error| unreadable(&error.to_string()))?;
        match (number, parse(&line)) {
            (1, _) if [HEADER, HEADER_BEFORE].contains(&line.as_str()) => {}
            (_, Some(each)) => usage.push(each),
            _ => return Err(unreadable(&format!("line {number} is no sample"))),
        }
    }
    Ok(usage)
}

fn parse(line: &str) -> Option<Usage> {
    let fields: Vec<&str> = line.split(',').collect();
    let (&[t_s, replica, rss, connections, data, log], later) = fields.split_first_chunk()?;
    let (open_files, threads) = match *later {
        [] => ("0", "0"),
        [open_files, threads] => (open_files, threads),
        _ => return None,
    };
    let optional = |field: &str| match field {
        "" => Some(None),
        number => number.parse().ok().map(Some),
    };
    Some(Usage {
        t_s: t_s.parse().ok()?,
        replica: replica.parse().ok()?,
        rss: rss.parse().ok()?,
        connections: connections.parse().ok()?,
        data: optional(data)?,
        log: optional(log)?,
        open_files: open_files.parse().ok()?,
        threads: threads.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn look(t_s: f64, rss: u64, connections: u64) -> Vec<Usage> {
        let one = |replica| Usage {
            t_s,
            replica,
            rss,
            connections,
            ..Usage::default()
        };
        vec![one(0), one(1)]
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(RESOURCES_FILE);
        let mut usage = [look(0.0, 5, 1), look(0.2, 6, 2)].concat();
        usage[3].data = Some(10);
        usage[3].log = Some(7);
        usage[2].open_files = 33;
        usage[2].threads = 12;
        write_usage(&path, &usage).unwrap();
        assert_eq!(read_usage(&path).unwrap(), usage);
        // A run of before, which had fewer columns.
        std::fs::write(&path, format!("{HEADER_BEFORE}\n0.000,0,5,1,10,7\n")).unwrap();
        let of_before = read_usage(&path).unwrap();
        assert_eq!((of_before[0].rss, of_before[0].log), (5, Some(7)));
        assert_eq!((of_before[0].open_files, of_before[0].threads), (0, 0));
        std::fs::write(&path, "t_s,replica\n").unwrap();
        assert!(
            read_usage(&path)
                .unwrap_err()
                .ends_with("line 1 is no sample")
        );
    }

    #[test]
    fn a_long_run_is_bounded_and_loses_no_peak_and_no_end() {
        let mut series = UsageSeries::of(10);
        let looks = 1_003;
        for number in 0..looks {
            // Neither peak is at a look that is kept for its place.
            let rss = if number == 777 { 900 } else { 100 };
            let connections = if number == 555 { 9 } else { 3 };
            let mut looks = look(number as f64 / 5.0, rss, connections);
            looks[0].open_files = if number == 333 { 40 } else { 20 };
            looks[1].threads = if number == 444 { 15 } else { 10 };
            series.push(looks);
        }
        let usage = series.usage();
        assert!(usage.len() <= 2 * 10 + 8, "{}", usage.len());
        assert!(usage.windows(2).all(|two| two[0].t_s <= two[1].t_s));
        let most = |value: fn(&Usage) -> u64| usage.iter().map(value).max();
        assert_eq!(most(|one| one.rss), Some(900));
        assert_eq!(most(|one| one.connections), Some(9));
        assert_eq!(most(|one| one.open_files), Some(40));
        assert_eq!(most(|one| one.threads), Some(15));
        let last = usage.last().unwrap();
        assert_eq!(last.t_s, (looks - 1) as f64 / 5.0);
        let of = |replica| usage.iter().filter(move |one| one.replica == replica);
        assert_eq!(of(0).count(), of(1).count(), "two and one more of each");
    }

    #[test]
    fn a_short_run_is_kept_as_it_was() {
        let mut series = UsageSeries::default();
        let all: Vec<Vec<Usage>> = (0..50_u32)
            .map(|number| look(f64::from(number), 50 - u64::from(number), 1))
            .collect();
        all.iter().for_each(|look| series.push(look.clone()));
        assert_eq!(series.usage(), all.concat());
    }
}
