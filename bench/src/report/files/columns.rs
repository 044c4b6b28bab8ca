//! A table of numbers in a file, by the names of its columns: files of other versions have more or fewer of them.

use std::collections::BTreeMap;
use std::path::Path;

use super::{named, unused};
use crate::report::figure::Point;

/// Lines that are read: a day of 100 ms.
const LINES_MAX: usize = 864_000;

/// A line for each replica.
pub(crate) type Groups = BTreeMap<u32, Vec<Point>>;

/// Columns of equal length. An empty field, or one that is no number, is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Columns {
    numbers: BTreeMap<String, Vec<Option<f64>>>,
    /// As a sentence names the file.
    file: String,
    rows: usize,
}

impl Columns {
    /// Reads comma-separated values with a header.
    ///
    /// # Errors
    /// A sentence that names the file: it is not there, is no such table, or has no lines.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let file = std::fs::File::open(path).map_err(|error| unused(path, &error))?;
        let mut reader = csv::ReaderBuilder::new().from_reader(file);
        let broken = |error: csv::Error| format!("{} cannot be read: {error}.", named(path));
        let names: Vec<String> = reader
            .headers()
            .map_err(broken)?
            .iter()
            .map(str::to_owned)
            .collect();
        let mut columns = Columns {
            file: named(path),
            ..Columns::default()
        };
        for record in reader.records().take(LINES_MAX) {
            let record = record.map_err(broken)?;
            for (name, field) in names.iter().zip(record.iter()) {
                let number = field.parse().ok().filter(|number: &f64| number.is_finite());
                columns
                    .numbers
                    .entry(name.clone())
                    .or_default()
                    .push(number);
            }
            columns.rows += 1;
        }
        match columns.rows {
            0 => Err(format!("{} has no lines.", named(path))),
            _ => Ok(columns),
        }
    }

    /// A column of numbers.
    ///
    /// # Errors
    /// A sentence: there is none of this name, or nothing in it.
    pub(crate) fn numbers(&self, name: &str) -> Result<&[Option<f64>], String> {
        match self.numbers.get(name) {
            Some(column) if column.iter().any(Option::is_some) => Ok(column),
            Some(_) => Err(format!("the column `{name}` of {} is empty.", self.file)),
            None => Err(format!("{} has no column `{name}`.", self.file)),
        }
    }

    /// Pairs of two columns, for each value of a third, in the order of those values: a line for each replica.
    ///
    /// # Errors
    /// As [`Columns::numbers`].
    pub(crate) fn grouped(&self, by: &str, x: &str, y: &str) -> Result<Groups, String> {
        let (by, x, y) = (self.numbers(by)?, self.numbers(x)?, self.numbers(y)?);
        let mut groups = Groups::new();
        for ((group, x), y) in by.iter().zip(x).zip(y) {
            if let (Some(group), Some(x)) = (group, x) {
                groups.entry(*group as u32).or_default().push((*x, *y));
            }
        }
        Ok(groups)
    }
}
