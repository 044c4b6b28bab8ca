//! `bench list` and `bench show`.

use std::path::Path;

use serde_json::{Value, json};

use super::arguments::{ListArgs, ShowArgs};
use super::output::{self, Output};
use crate::archive::{find_run, list_runs, listing_text, read_run, reproduce};
use crate::exit::Exit;
use crate::options::Finished;
use crate::record::Run;
use crate::report::{environment_text, faults_text, summary_text};

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
        Err(message) => refuse(
            output,
            &format!("{message}; choose another place with --results DIR"),
        ),
    }
}

/// Shows a run again, or a part of it.
pub(super) fn show(arguments: &ShowArgs, output: &Output) -> Exit {
    if let Some(text) = several(arguments, output.json) {
        output.text(&text);
        return output.end(Exit::Ok);
    }
    let found = find_run(&arguments.results, &arguments.run, "--results")
        .and_then(|directory| Ok((read_run(&directory)?, directory)));
    let (run, directory) = match found {
        Ok(found) => found,
        Err(message) => return refuse(output, &message),
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
            Err(message) => refuse(output, &message),
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

/// What a sweep or a search says of all its runs, if that is what was named and no part of a run is asked for.
fn several(arguments: &ShowArgs, json: bool) -> Option<String> {
    if arguments.reproduce || arguments.env || arguments.faults {
        return None;
    }
    let named = [
        Path::new(&arguments.run).to_owned(),
        arguments.results.join(&arguments.run),
    ];
    let files = ["sweep", "saturate"].into_iter().flat_map(|stem| {
        let file = format!("{stem}.{}", if json { "json" } else { "md" });
        named.iter().map(move |place| place.join(&file))
    });
    files
        .into_iter()
        .find_map(|file| std::fs::read_to_string(file).ok())
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

fn refuse(output: &Output, message: &str) -> Exit {
    output.complain(message);
    if output.json {
        output.document(&output::failure(Exit::Usage, message));
    }
    output.end(Exit::Usage)
}
