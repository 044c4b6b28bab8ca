//! `replicas.csv`: where each replica stood and what it had used, look by look.
//!
//! A look is 0.2 s. A run is as long as it likes and the file is not: it has [`LOOKS_MAX`] looks at most, at equal distances.

use std::io::{self, Write};
use std::path::Path;

use super::{AtomicFile, Thinned};

/// Name of the file in a repeat's directory.
pub const REPLICAS_FILE: &str = "replicas.csv";

/// Looks that are held at most: twenty minutes at five a second, then coarser.
const LOOKS_MAX: usize = 6_000;

const HEADER: &str = "t_s,replica,epoch,view,role,executed,lag,stable,fast,slow,fallbacks,view_changes,transfers,cpu_s,rss,bytes_sent,bytes_received,fsyncs";

/// One replica at one look.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaRow {
    /// When it was heard, seconds into the measured phase.
    pub t_s: f64,
    /// The replica.
    pub id: u32,
    /// Its epoch.
    pub epoch: u64,
    /// Its view.
    pub view: u64,
    /// `primary`, `backup` or `learner`.
    pub role: &'static str,
    /// Last slot executed.
    pub executed: u64,
    /// Slots behind the correct replica that was furthest at the same look.
    pub lag: u64,
    /// Low watermark.
    pub stable: u64,
    /// Resident memory now, bytes; `None` if the system does not say.
    pub rss_bytes: Option<u64>,
    /// What it had done since the measured phase began, whichever of its processes did it.
    pub totals: Totals,
}

/// What a replica has done and used so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Totals {
    /// Slots decided fast.
    pub fast: u64,
    /// Slots decided by COMMITs.
    pub slow: u64,
    /// COMMITs sent because the fast path was late.
    pub fallbacks: u64,
    /// Views entered.
    pub view_changes: u64,
    /// States fetched.
    pub transfers: u64,
    /// CPU seconds.
    pub cpu_s: f64,
    /// Bytes sent to replicas and clients.
    pub bytes_sent: u64,
    /// Bytes received from them.
    pub bytes_received: u64,
    /// Synchronous writes.
    pub fsyncs: u64,
}

/// The looks of a measured phase.
#[derive(Debug, Clone)]
pub struct ReplicaSeries {
    looks: Thinned<Vec<ReplicaRow>>,
}

impl Default for ReplicaSeries {
    fn default() -> Self {
        ReplicaSeries {
            looks: Thinned::new(LOOKS_MAX),
        }
    }
}

impl ReplicaSeries {
    /// Adds what the replicas that answered a look said.
    pub fn push(&mut self, rows: Vec<ReplicaRow>) {
        self.looks.push(rows);
    }

    /// Writes the file: times in seconds, memory and traffic in bytes, `cpu_s` in seconds. `fast` to `fsyncs` are totals
    /// since the measured phase began.
    ///
    /// # Errors
    /// The file system's, with the path in the message.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = AtomicFile::create(path)?;
        writeln!(file, "{HEADER}")?;
        for rows in self.looks.iter() {
            for row in rows {
                let ReplicaRow {
                    t_s,
                    id,
                    epoch,
                    view,
                    role,
                    executed,
                    lag,
                    stable,
                    rss_bytes,
                    totals,
                } = row;
                let Totals {
                    fast,
                    slow,
                    fallbacks,
                    view_changes,
                    transfers,
                    cpu_s,
                    bytes_sent,
                    bytes_received,
                    fsyncs,
                } = totals;
                let rss = rss_bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
                writeln!(
                    file,
                    "{t_s:.3},{id},{epoch},{view},{role},{executed},{lag},{stable},{fast},{slow},{fallbacks},{view_changes},\
                     {transfers},{cpu_s:.2},{rss},{bytes_sent},{bytes_received},{fsyncs}"
                )?;
            }
        }
        file.commit()
    }
}

impl Totals {
    /// What was done between an earlier state of the same process and this one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        self.with(earlier, u64::saturating_sub, |mine, theirs| {
            (mine - theirs).max(0.0)
        })
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add, |mine, theirs| mine + theirs)
    }

    fn with(
        &self,
        other: &Self,
        whole: impl Fn(u64, u64) -> u64,
        real: impl Fn(f64, f64) -> f64,
    ) -> Self {
        Totals {
            fast: whole(self.fast, other.fast),
            slow: whole(self.slow, other.slow),
            fallbacks: whole(self.fallbacks, other.fallbacks),
            view_changes: whole(self.view_changes, other.view_changes),
            transfers: whole(self.transfers, other.transfers),
            cpu_s: real(self.cpu_s, other.cpu_s),
            bytes_sent: whole(self.bytes_sent, other.bytes_sent),
            bytes_received: whole(self.bytes_received, other.bytes_received),
            fsyncs: whole(self.fsyncs, other.fsyncs),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(t_s: f64, id: u32, executed: u64) -> ReplicaRow {
        ReplicaRow {
            t_s,
            id,
            epoch: 0,
            view: 1,
            role: "backup",
            executed,
            lag: 2,
            stable: 0,
            rss_bytes: None,
            totals: Totals {
                cpu_s: 0.5,
                fsyncs: 9,
                ..Totals::default()
            },
        }
    }

    fn written(series: &ReplicaSeries) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(REPLICAS_FILE);
        series.write(&path).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_not_known_is_an_empty_field() {
        let mut series = ReplicaSeries::default();
        series.push(vec![row(0.2, 3, 7)]);
        let lines = written(&series);
        assert_eq!(lines[1], "0.200,3,0,1,backup,7,2,0,0,0,0,0,0,0.50,,0,0,9");
        assert_eq!(
            lines[0].split(',').count(),
            lines[1].split(',').count(),
            "a field for each name"
        );
    }

    #[test]
    fn totals_add_up_over_two_processes() {
        let total = |fsyncs, cpu_s| Totals {
            fsyncs,
            cpu_s,
            ..Totals::default()
        };
        let first = total(30, 2.0).since(&total(10, 0.5));
        assert_eq!(first.and(&total(4, 1.0)), total(24, 2.5));
    }
}
