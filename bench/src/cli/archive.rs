//! `bench list` and `bench show`.

use std::path::Path;

use serde_json::{Value, json};

use super::arguments::{ListArgs, ShowArgs};
use super::output::Output;
use crate::archive::{Found, find, find_run, list_runs, listing_text, read_run, reproduce};
use crate::campaign::Kind;
use crate::exit::Exit;
use crate::options::Finished;
use crate::record::Run;
use crate::report::{environment_text, faults_text, summary_text};

/// What says on the command line where results are.
const RESULTS_OPTION: &str = "--results";
/// The `schema` of the document of `show --env`.
const ENVIRONMENT_SCHEMA: &str = "bench.environment/v1";
/// The `schema` of the document of `show --faults`.
const FAULTS_SCHEMA: &str = "bench.faults/v1";

/// Lists the runs of a results directory.
pub(super) fn list(arguments: &ListArgs, output: &Output) -> Exit {
    match list_runs(&arguments.results, arguments.limit) {
        Ok(listing) => {
            if output.json {
                output.document(&listing);
            } else {
                output.text(&listing_text(&listing, output.paint));
            }
            output.end(Exit::Ok)
        }
        Err(message) => output.fail(
            Exit::Usage,
            &format!("{message}; choose another place with --results DIR"),
        ),
    }
}

/// Shows a run again, or a part of it.
pub(super) fn show(arguments: &ShowArgs, output: &Output) -> Exit {
    let found = find(&arguments.results, &arguments.run, RESULTS_OPTION);
    let directory = match found {
        Ok(Found::Run(directory)) => directory,
        Ok(Found::Several(directory, kind)) => return several(arguments, output, &directory, kind),
        Err(message) => return output.fail(Exit::Usage, &message),
    };
    let run = match read_run(&directory) {
        Ok(run) => run,
        Err(message) => return output.fail(Exit::Usage, &message),
    };
    if arguments.reproduce {
        return match reproduce(&run, &directory) {
            Ok(again) => {
                if output.json {
                    output.document(&again);
                } else {
                    output.text(&again.text());
                }
                output.end(Exit::Ok)
            }
            Err(message) => output.fail(Exit::Usage, &message),
        };
    }
    if output.json {
        if arguments.env {
            output.document(&environment(&run));
        } else if arguments.faults {
            output.document(&faults(&run));
        } else {
            output.document(&run);
        }
    } else if arguments.env {
        output.text(&environment_text(&run, output.paint));
    } else if arguments.faults {
        output.text(&faults_text(&run, output.paint));
    } else {
        output.text(&summary_text(&Finished { run, directory }, output.paint));
    }
    output.end(Exit::Ok)
}

/// What a sweep, a search or a scorecard says of all its runs; the parts of a run are those of one run.
fn several(arguments: &ShowArgs, output: &Output, directory: &Path, kind: Kind) -> Exit {
    let parts = [
        (arguments.reproduce, "--reproduce"),
        (arguments.env, "--env"),
        (arguments.faults, "--faults"),
    ];
    if let Some((_, part)) = parts.iter().find(|(asked, _)| *asked) {
        let why = match find_run(&arguments.results, &arguments.run, RESULTS_OPTION) {
            Err(why) => why,
            Ok(run) => run.display().to_string(),
        };
        return output.fail(Exit::Usage, &format!("{part} is of one run, and {why}"));
    }
    let file = match output.json {
        true => kind.document,
        false => kind.table,
    };
    match std::fs::read_to_string(directory.join(file)) {
        Ok(text) => {
            output.text(&text);
            output.end(Exit::Ok)
        }
        Err(error) => output.fail(
            Exit::Usage,
            &format!("{}: {error}", directory.join(file).display()),
        ),
    }
}

fn environment(run: &Run) -> Value {
    json!({ "schema": ENVIRONMENT_SCHEMA, "run": run.id, "environment": run.environment })
}

fn faults(run: &Run) -> Value {
    let repeats = (1..).zip(&run.repeats).map(|(number, repeat): (u32, _)| {
        json!({ "repeat": number, "seed": repeat.seed, "faults": repeat.faults })
    });
    json!({ "schema": FAULTS_SCHEMA, "run": run.id, "repeats": repeats.collect::<Value>() })
}
