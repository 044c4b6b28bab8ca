//! What a list says of a sweep, a search or a scorecard: as much of its document as all three have.

use std::path::Path;

use serde::Deserialize;

use super::list::State;
use super::read::BYTES_MAX;
use crate::campaign::Kind;
use crate::record::{Environment, RunVerdict};

/// Several runs in short.
pub(super) struct Several {
    /// The name of the scenario; `None` if there are several.
    pub(super) name: Option<String>,
    pub(super) status: State,
    /// The worst of all runs; `None` if the document says none.
    pub(super) verdict: Option<RunVerdict>,
    /// How many runs there are.
    pub(super) runs: usize,
    pub(super) environment: Environment,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    schema: String,
    name: Option<String>,
    status: Option<String>,
    environment: Option<Environment>,
    /// Of a sweep.
    cells: Vec<Cell>,
    /// Of a search.
    probes: Vec<Probe>,
    /// Of a scorecard.
    rows: Vec<Judged>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cell {
    runs: Vec<Judged>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Probe {
    repeats: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Judged {
    verdict: RunVerdict,
}

/// Reads the document of a directory.
///
/// # Errors
/// A sentence with the file and what is wrong with it.
pub(super) fn read_several(directory: &Path, kind: Kind) -> Result<Several, String> {
    let file = directory.join(kind.document);
    let wrong = |what: String| format!("{}: {what}", file.display());
    let read = || {
        let bytes = std::fs::metadata(&file)?.len();
        (bytes <= BYTES_MAX)
            .then(|| std::fs::read(&file))
            .transpose()
            .map(|text| text.ok_or(bytes))
    };
    let text = read()
        .map_err(|error: std::io::Error| wrong(error.to_string()))?
        .map_err(|bytes| wrong(format!("{bytes} bytes are too many: {BYTES_MAX} at most")))?;
    let document: Document = serde_json::from_slice(&text)
        .map_err(|error| wrong(format!("is no {}: {error}", kind.noun)))?;
    if document.schema != kind.schema {
        return Err(wrong(format!(
            "has the schema {:?}, not {:?}",
            document.schema, kind.schema
        )));
    }
    let cells = document.cells.iter().flat_map(|cell| &cell.runs);
    let judged: Vec<RunVerdict> = cells.chain(&document.rows).map(|one| one.verdict).collect();
    let probes = document.probes.iter().map(|probe| probe.repeats.len());
    Ok(Several {
        name: document.name,
        status: match document.status.as_deref() {
            // A scorecard is written when all is over.
            None | Some("completed") => State::Completed,
            Some("interrupted") => State::Interrupted,
            Some("failed") => State::Failed,
            Some(_) => State::Incomplete,
        },
        verdict: judged.iter().copied().max(),
        runs: judged.len() + probes.sum::<usize>(),
        environment: document.environment.unwrap_or_default(),
    })
}
