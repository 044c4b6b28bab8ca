//! What a run answered over time: its `timeseries.csv`, read back.

use std::path::Path;

/// Width of a line of `timeseries.csv`, seconds.
const BUCKET_S: f64 = 0.1;

/// Answered operations of each 100 ms of the measured phase.
#[derive(Clone, Debug, Default)]
pub(super) struct Series(Vec<f64>);

impl Series {
    /// One for each repeat of a run; empty where there is no file.
    pub(super) fn read(run: &Path) -> Vec<Series> {
        let repeats = (1..).map(|number| run.join(format!("repeat-{number}")));
        repeats
            .take_while(|directory| directory.is_dir())
            .map(|directory| {
                let text = std::fs::read_to_string(directory.join("timeseries.csv"));
                Series::parse(&text.unwrap_or_default())
            })
            .collect()
    }

    pub(super) fn parse(text: &str) -> Series {
        let mut lines = text.lines();
        let column = lines
            .next()
            .and_then(|header| header.split(',').position(|name| name == "ok"));
        let value = |line: &str| line.split(',').nth(column?)?.parse().ok();
        Series(lines.map(|line| value(line).unwrap_or(0.0)).collect())
    }

    /// Operations a second from `from` to `to`, seconds; `None` if that is less than a second.
    pub(super) fn mean(&self, from: f64, to: f64) -> Option<f64> {
        let part = self.part(from, to)?;
        let seconds = part.len() as f64 * BUCKET_S;
        (seconds >= 0.95).then(|| part.iter().sum::<f64>() / seconds)
    }

    /// Operations of the second in which there were fewest.
    pub(super) fn worst_second(&self, from: f64, to: f64) -> Option<f64> {
        let second = (1.0 / BUCKET_S) as usize;
        let part = self.part(from, to)?;
        part.windows(second)
            .map(|window| window.iter().sum::<f64>())
            .reduce(f64::min)
    }

    fn part(&self, from: f64, to: f64) -> Option<&[f64]> {
        let at = |seconds: f64| ((seconds / BUCKET_S).round().max(0.0) as usize).min(self.0.len());
        self.0.get(at(from)..at(to)).filter(|part| !part.is_empty())
    }
}
