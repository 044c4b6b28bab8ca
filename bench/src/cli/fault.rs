//! `bench fault`: what a `[[byzantine]]` entry can name, from the same catalogue that scenarios are read with.

use std::fmt::Write as _;

use byzantine::{Behaviour, Plays};
use serde_json::{Value, json};

use super::arguments::{FaultArgs, FaultCommand};
use super::output::Output;
use crate::exit::Exit;
use crate::scenario::byzantine::{Argument, arguments, conditions};
use crate::scenario::nearest;

pub(super) fn execute(arguments: &FaultArgs, output: &Output) -> Exit {
    let exit = match &arguments.command {
        FaultCommand::List => {
            list(output);
            Exit::Ok
        }
        FaultCommand::Describe { name } => describe(name, output),
    };
    output.end(exit)
}

fn list(output: &Output) {
    let all = Behaviour::catalogue();
    if output.json {
        return output.document(&all.iter().map(short).collect::<Vec<Value>>());
    }
    let name_width = all.iter().map(|one| one.name().len()).max().unwrap_or(0);
    let id_width = all.iter().map(|one| one.id().len()).max().unwrap_or(0);
    let line = |one: &Behaviour| {
        format!(
            "{:name_width$}  {:id_width$}  {}\n",
            one.name(),
            one.id(),
            one.sentence()
        )
    };
    output.text(&all.iter().map(line).collect::<String>());
}

fn describe(name: &str, output: &Output) -> Exit {
    let Some(behaviour) = Behaviour::named(name) else {
        let hint = match nearest(name, Behaviour::NAMES) {
            Some(near) => format!("did you mean {near}? "),
            None => String::new(),
        };
        output.complain(&format!(
            "there is no behavior \"{name}\": {hint}`bench fault list` shows all"
        ));
        return Exit::Usage;
    };
    if output.json {
        output.document(&whole(&behaviour));
    } else {
        output.text(&described(&behaviour));
    }
    Exit::Ok
}

fn short(behaviour: &Behaviour) -> Value {
    json!({
        "name": behaviour.name(),
        "id": behaviour.id(),
        "plays": behaviour.plays(),
        "description": behaviour.sentence(),
        "must_hold": behaviour.must(),
    })
}

fn whole(behaviour: &Behaviour) -> Value {
    let mut whole = short(behaviour);
    whole["args"] = json!(arguments(behaviour));
    whole["when"] = json!(conditions());
    whole["example"] = json!(example(behaviour));
    whole
}

fn described(behaviour: &Behaviour) -> String {
    let plays = match behaviour.plays() {
        Plays::Primary => "as the primary",
        Plays::Backup => "as a backup",
        Plays::Either => "in any part",
    };
    let mut text = format!(
        "{} ({}, {plays})\n\n  {}\n\nWhat must hold\n  {}.\n",
        behaviour.name(),
        behaviour.id(),
        behaviour.sentence(),
        behaviour.must()
    );
    for (heading, table) in [
        ("args", arguments(behaviour)),
        ("when: conditions that all must hold", conditions()),
    ] {
        // Writing to a string does not fail.
        let _ = write!(text, "\n{heading}\n");
        if table.is_empty() {
            text.push_str("  none\n");
        }
        for Argument {
            name,
            meaning,
            default,
        } in table
        {
            let default = match default {
                Value::Null => String::new(),
                default => format!(" [default: {default}]"),
            };
            let _ = writeln!(text, "  {name}{default}\n      {meaning}");
        }
    }
    let _ = write!(text, "\nIn a scenario\n{}", indented(&example(behaviour)));
    text
}

fn example(behaviour: &Behaviour) -> String {
    let replica = match behaviour.plays() {
        Plays::Primary | Plays::Either => "\"primary\"",
        Plays::Backup => "4",
    };
    format!(
        "[[byzantine]]\nreplica = {replica}\nbehavior = \"{}\"\nwhen = {{ from = \"4s\", to = \"8s\" }}\n",
        behaviour.name()
    )
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Source, load};

    #[test]
    fn the_example_of_every_behaviour_is_a_valid_scenario() {
        for behaviour in Behaviour::catalogue() {
            let text = format!("schema = 1\nname = \"example\"\n{}", example(&behaviour));
            let name = behaviour.name().to_owned();
            if let Err(error) = load(&[Source::Text { name, text }], &[]) {
                panic!("{error}");
            }
        }
    }

    #[test]
    fn a_description_names_what_must_hold_and_every_argument_and_condition() {
        for behaviour in Behaviour::catalogue() {
            let text = described(&behaviour);
            assert!(text.contains(behaviour.must()) && text.contains(behaviour.id()));
            for argument in arguments(&behaviour).iter().chain(&conditions()) {
                let line = text.lines().find(|line| {
                    line.trim_start().split(' ').next() == Some(argument.name.as_str())
                });
                assert!(line.is_some(), "{}: {}", behaviour.name(), argument.name);
            }
        }
    }
}
