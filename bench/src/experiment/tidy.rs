//! One row for each cell and repeat, as CSV: every column has its unit in its name, and what was not measured is empty.

use std::io;

use super::{Experiment, Outcome};

/// The table with its header. Axes have the columns of their keys, with the values as the scenario writes them.
///
/// # Errors
/// Never for a writer in memory; the library's signature has one.
pub fn csv_text(experiment: &Experiment, outcome: &Outcome) -> io::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let sweep = experiment.base.scenario.sweep.as_ref();
    let axes = sweep.map_or(&[][..], |sweep| &sweep.axes[..]);
    let mut header: Vec<String> = ["cell", "variant"].map(str::to_owned).to_vec();
    header.extend(axes.iter().map(|axis| axis.key.clone()));
    let mut named = false;
    for (cell, rows) in experiment.cells.iter().zip(&outcome.rows) {
        for row in rows.iter().flatten() {
            let figures = figures(row)?;
            if !named {
                header.extend(figures.iter().map(|(name, _)| name.clone()));
                writer.write_record(&header)?;
                named = true;
            }
            let mut record = vec![cell.name.clone(), cell.variant.clone().unwrap_or_default()];
            record.extend(cell.values.0.iter().map(|(_, value)| match value {
                toml::Value::String(text) => text.clone(),
                other => other.to_string(),
            }));
            record.extend(figures.into_iter().map(|(_, value)| value));
            writer.write_record(&record)?;
        }
    }
    if !named {
        writer.write_record(&header)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| io::Error::other(error.to_string()))?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// Names and values of a row, in its order; nothing for what was not measured.
fn figures(row: &super::Row) -> io::Result<Vec<(String, String)>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(row)?;
    let bytes = writer
        .into_inner()
        .map_err(|error| io::Error::other(error.to_string()))?;
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    let names = reader.headers()?.clone();
    let values = reader.records().next().transpose()?.unwrap_or_default();
    let pairs = names.iter().zip(values.iter());
    Ok(pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}
