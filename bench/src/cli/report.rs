//! `bench report`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::arguments::{ReportArgs, ReportFormat};
use super::output::Output;
use crate::archive::{Found, find, find_run};
use crate::exit::Exit;
use crate::record::write_file;
use crate::report::{
    REPORT_FILE, REPORT_SCHEMA, RUNS_MAX, RunFiles, SweepFiles, report_csv, report_html,
    report_json, report_markdown, sweep_html,
};

/// What says on the command line where results are.
const RESULTS_OPTION: &str = "--results";

/// Writes the report of one run, or of several side by side.
pub(super) fn execute(arguments: &ReportArgs, output: &Output) -> Exit {
    match report(arguments, output) {
        Ok(()) => output.end(Exit::Ok),
        Err((exit, message)) => output.fail(exit, &message),
    }
}

fn report(arguments: &ReportArgs, output: &Output) -> Result<(), (Exit, String)> {
    let usage = |message: String| (Exit::Usage, message);
    if arguments.runs.len() > RUNS_MAX {
        return Err(usage(format!(
            "{} runs are too many for one report: give {RUNS_MAX} at most",
            arguments.runs.len()
        )));
    }
    if arguments.open && arguments.format != ReportFormat::Html {
        return Err(usage(
            "--open shows a page: leave out --format, or --open".to_owned(),
        ));
    }
    if let Some(sweep) = sweep(arguments)? {
        return of_sweep(arguments, output, &sweep);
    }
    let runs = read(arguments)?;
    let text = match arguments.format {
        ReportFormat::Html => report_html(&runs),
        ReportFormat::Md => report_markdown(&runs),
        ReportFormat::Csv => {
            report_csv(&runs).map_err(|error| (Exit::Runtime, error.to_string()))?
        }
        ReportFormat::Json => format!("{:#}\n", report_json(&runs)),
    };
    let file = match (&arguments.out, arguments.format) {
        (Some(file), _) => Some(file.clone()),
        (None, ReportFormat::Html) => Some(usual_place(arguments, &runs)),
        (None, _) => None,
    };
    let Some(file) = file else {
        if output.json {
            output.document(&report_json(&runs));
        } else {
            output.text(&text);
        }
        return Ok(());
    };
    leave(arguments, output, &file, &text)
}

/// Writes the report, says where it is, and shows it if that was asked for.
fn leave(
    arguments: &ReportArgs,
    output: &Output,
    file: &Path,
    text: &str,
) -> Result<(), (Exit, String)> {
    write_file(file, text.as_bytes()).map_err(|error| {
        let message =
            format!("cannot write the report: {error}; choose another file with --out FILE");
        (Exit::Runtime, message)
    })?;
    if output.json {
        output.document(&json!({"schema": REPORT_SCHEMA, "file": file}));
    } else {
        output.text(&format!("{}\n", file.display()));
    }
    match arguments.open {
        true => show(file),
        false => Ok(()),
    }
}

/// The sweep or search that is meant, if it is one.
fn sweep(arguments: &ReportArgs) -> Result<Option<SweepFiles>, (Exit, String)> {
    let several = |word: &String| match find(&arguments.results, word, RESULTS_OPTION) {
        Ok(Found::Several(directory, kind)) => Some((directory, kind)),
        _ => None,
    };
    let Some((place, kind)) = arguments.runs.iter().find_map(several) else {
        return Ok(None);
    };
    let usage = |what: String| {
        Err((
            Exit::Usage,
            format!("{} is a {}: {what}", place.display(), kind.noun),
        ))
    };
    if arguments.runs.len() > 1 {
        return usage(
            "a report of one has no room for others; name a run in it, or give it alone".to_owned(),
        );
    }
    match SweepFiles::read(&place) {
        Some(read) => read
            .map(Some)
            .map_err(|error| (Exit::Runtime, error.to_string())),
        None => usage(format!("its page is {}", place.join(kind.page).display())),
    }
}

fn of_sweep(
    arguments: &ReportArgs,
    output: &Output,
    sweep: &SweepFiles,
) -> Result<(), (Exit, String)> {
    if arguments.format != ReportFormat::Html {
        let message = format!(
            "a sweep is reported as a page: leave out --format; its other forms are in {}",
            sweep.directory().display()
        );
        return Err((Exit::Usage, message));
    }
    let usual = || sweep.directory().join(REPORT_FILE);
    let file = arguments.out.clone().unwrap_or_else(usual);
    leave(arguments, output, &file, &sweep_html(sweep))
}

fn read(arguments: &ReportArgs) -> Result<Vec<RunFiles>, (Exit, String)> {
    let mut runs = Vec::new();
    for word in &arguments.runs {
        let given = Path::new(word);
        // A directory without results is named by what is wrong with it, and not as an id that nobody has.
        let directory = match given {
            file if file.is_file() => file.parent().unwrap_or(Path::new("")).to_owned(),
            folder if folder.is_dir() => folder.to_owned(),
            _ => find_run(&arguments.results, word, RESULTS_OPTION)
                .map_err(|message| (Exit::Usage, message))?,
        };
        runs.push(RunFiles::read(&directory).map_err(|error| (Exit::Runtime, error.to_string()))?);
    }
    Ok(runs)
}

/// Where the page goes if nobody says: to the one run, or beside several.
fn usual_place(arguments: &ReportArgs, runs: &[RunFiles]) -> PathBuf {
    match runs {
        [run] => run.directory().join(REPORT_FILE),
        _ => arguments.results.join(REPORT_FILE),
    }
}

fn show(file: &Path) -> Result<(), (Exit, String)> {
    open::that_detached(file).map_err(|error| {
        let message = format!(
            "the page is in {}, but no browser could be started: {error}",
            file.display()
        );
        (Exit::Environment, message)
    })
}
