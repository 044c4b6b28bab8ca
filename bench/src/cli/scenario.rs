//! `bench scenario`.

use std::path::Path;

use serde_json::{Value, json};

use super::arguments::{ScenarioArgs, ScenarioCommand};
use super::output::{self, Output};
use crate::exit::Exit;
use crate::scenario::{
    self, FOLDER, ScenarioError, Source, json_schema, list_text, load, new_scenario,
};

pub(super) fn execute(arguments: &ScenarioArgs, output: &Output) -> Exit {
    let done = match &arguments.command {
        ScenarioCommand::List => {
            list(output);
            Ok(())
        }
        ScenarioCommand::Check { files, set } => return check(files, set, output),
        ScenarioCommand::Explain { file, set } => explain(file, set, output),
        ScenarioCommand::New { from } => new_scenario(from.as_deref()).map(|text| {
            if output.json {
                output.document(&json!({ "scenario": text }));
            } else {
                output.text(&text);
            }
        }),
        ScenarioCommand::Schema => {
            output.document(&json_schema());
            Ok(())
        }
    };
    match done {
        Ok(()) => output.end(Exit::Ok),
        Err(error) => output.turn_down(&error),
    }
}

fn list(output: &Output) {
    let listed = scenario::list(Path::new(FOLDER));
    if !output.json {
        return output.text(&list_text(&listed));
    }
    let one = |one: &scenario::Listed| json!({ "name": one.name, "embedded": one.embedded, "description": one.description, "valid": one.valid });
    output.document(&listed.iter().map(one).collect::<Vec<Value>>());
}

fn explain(file: &str, set: &[String], output: &Output) -> Result<(), ScenarioError> {
    let loaded = load(&[Source::find(file)?], set)?;
    output.warn(&loaded.warnings);
    if output.json {
        output.document(&loaded.scenario);
    } else {
        output.text(&scenario::explain(&loaded));
    }
    Ok(())
}

/// All files are looked at, also behind a wrong one.
fn check(files: &[String], set: &[String], output: &Output) -> Exit {
    let mut exit = Exit::Ok;
    let mut documents = Vec::new();
    for file in files {
        match Source::find(file).and_then(|source| scenario::check(&source, set)) {
            Ok((line, warnings)) => {
                output.warn(&warnings);
                if !output.json {
                    output.text(&(line + "\n"));
                }
                documents.push(json!({
                    "file": file, "valid": true, "problems": [], "warnings": output::problems(&warnings)
                }));
            }
            Err(error) => {
                exit = Exit::Usage;
                output.refuse(&error);
                documents.push(json!({
                    "file": file, "valid": false, "problems": output::problems(error.problems()), "warnings": []
                }));
            }
        }
    }
    if output.json {
        output.document(&documents);
    }
    output.end(exit)
}
