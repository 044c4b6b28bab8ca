//! `bench fault`: what a `[[byzantine]]` entry, and a client or an outsider of `[[fault]]`, can name, from the same catalogues that
//! scenarios are read with. One word may name several, a member's behaviour and a client's attack: all of them are described.

use std::fmt::Write as _;

use byzantine::{Behaviour, Plays};
use serde_json::{Value, json};

use super::arguments::{FaultArgs, FaultCommand};
use super::output::Output;
use crate::exit::Exit;
use crate::outsider;
use crate::scenario::byzantine::{Argument, arguments, conditions};
use crate::scenario::nearest;
use crate::scenario::schema::{CLIENT_ATTACKS, ClientAttackEntry};

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
    let outsiders = outsider::catalogue();
    if output.json {
        let members = all.iter().map(short);
        let clients = CLIENT_ATTACKS.iter().map(of_client);
        let rows = members.chain(clients).chain(outsiders.iter().map(outside));
        return output.document(&rows.collect::<Vec<Value>>());
    }
    let members = all.iter().map(|one| (one.name(), one.id(), one.sentence()));
    let clients = CLIENT_ATTACKS
        .iter()
        .map(|one| (one.name, one.id, one.description));
    let strangers = outsiders.iter().map(|one| (one.name, one.id, one.what));
    let rows: Vec<_> = members.chain(clients).chain(strangers).collect();
    let name_width = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    let id_width = rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
    let line = |(name, id, sentence): &(&str, &str, &str)| {
        format!("{name:name_width$}  {id:id_width$}  {sentence}\n")
    };
    output.text(&rows.iter().map(line).collect::<String>());
}

/// Whatever bears this name, as a document and as text.
fn named(name: &str) -> Vec<(Value, String)> {
    let members = Behaviour::named(name).map(|it| (whole(&it), described(&it)));
    let is_it = |entry: &&ClientAttackEntry| entry.name == name || entry.id == name;
    let clients = CLIENT_ATTACKS.iter().filter(is_it);
    let clients = clients.map(|entry| (of_client(entry), client_described(entry)));
    let outsiders = outsider::catalogue();
    let strangers = outsiders.iter().filter(|entry| entry.name == name);
    let strangers = strangers.map(|entry| (outside(entry), outsider_described(entry)));
    members
        .into_iter()
        .chain(clients)
        .chain(strangers)
        .collect()
}

fn describe(name: &str, output: &Output) -> Exit {
    let (mut documents, texts): (Vec<Value>, Vec<String>) = named(name).into_iter().unzip();
    if documents.is_empty() {
        let clients: Vec<&str> = CLIENT_ATTACKS.iter().map(|entry| entry.name).collect();
        let outsiders = outsider::catalogue();
        let strangers: Vec<&str> = outsiders.iter().map(|entry| entry.name).collect();
        let known = [Behaviour::NAMES, &clients, &strangers].concat();
        let hint = match nearest(name, &known) {
            Some(near) => format!("did you mean {near}? "),
            None => String::new(),
        };
        output.complain(&format!(
            "there is no behavior \"{name}\": {hint}`bench fault list` shows all"
        ));
        return Exit::Usage;
    }
    if output.json {
        let others = documents.split_off(1);
        let mut first = documents.remove(0);
        if !others.is_empty() {
            first["same_name"] = Value::from(others);
        }
        output.document(&first);
    } else {
        output.text(&texts.join("\n"));
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

fn outside(entry: &outsider::Entry) -> Value {
    let args = entry.args.iter().map(
        |(name, default, meaning)| json!({ "name": name, "default": default, "meaning": meaning }),
    );
    json!({
        "name": entry.name,
        "id": entry.id,
        "plays": "outsider",
        "description": entry.what,
        "must_hold": entry.must,
        "args": args.collect::<Vec<Value>>(),
        "example": entry.example,
    })
}

fn outsider_described(entry: &outsider::Entry) -> String {
    let mut text = format!(
        "{} ({}, as an outsider)\n\n  {}\n\nWhat must hold\n  {}.\n\nargs\n",
        entry.name, entry.id, entry.what, entry.must
    );
    for (name, default, meaning) in &entry.args {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {name} [default: {default}]\n      {meaning}");
    }
    let _ = write!(text, "\nIn a scenario\n{}", indented(&entry.example));
    text
}

fn of_client(entry: &ClientAttackEntry) -> Value {
    let args = entry
        .arguments
        .iter()
        .map(|one| json!({ "name": one.name, "default": one.default, "meaning": one.meaning }));
    json!({
        "name": entry.name,
        "id": entry.id,
        "plays": "client",
        "description": entry.description,
        "must_hold": entry.must,
        "args": args.collect::<Vec<Value>>(),
        "example": client_example(entry),
    })
}

fn client_described(entry: &ClientAttackEntry) -> String {
    let mut text = format!(
        "{} ({}, as a client)\n\n  {}\n\nWhat must hold\n  {}\n\nargs\n",
        entry.name, entry.id, entry.description, entry.must
    );
    for one in entry.arguments {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "  {} [default: {}]\n      {}",
            one.name, one.default, one.meaning
        );
    }
    let example = indented(&client_example(entry));
    let _ = write!(text, "\nIn a scenario\n{example}");
    text
}

fn client_example(entry: &ClientAttackEntry) -> String {
    format!(
        "[[fault]]\nat = \"4s\"\nuntil = \"8s\"\nkind = \"client\"\nattack = \"{}\"\n",
        entry.name
    )
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
    fn the_example_of_every_outsider_is_a_valid_scenario() {
        for entry in outsider::catalogue() {
            let text = format!("schema = 1\nname = \"example\"\n{}", entry.example);
            let name = entry.name.to_owned();
            if let Err(error) = load(&[Source::Text { name, text }], &[]) {
                panic!("{error}");
            }
            let shown = outsider_described(&entry);
            assert!(shown.contains(entry.must) && shown.contains(entry.id));
        }
    }

    #[test]
    fn the_example_of_every_client_is_a_valid_scenario() {
        for entry in &CLIENT_ATTACKS {
            let text = format!("schema = 1\nname = \"example\"\n{}", client_example(entry));
            let name = entry.name.to_owned();
            if let Err(error) = load(&[Source::Text { name, text }], &[]) {
                panic!("{error}");
            }
            let shown = client_described(entry);
            assert!(shown.contains(entry.must) && shown.contains(entry.id));
        }
    }

    #[test]
    fn a_name_that_two_attacks_bear_shows_both_and_a_clients_number_it_alone() {
        let played = |name: &str| -> Vec<Value> {
            let found = named(name).into_iter();
            found.map(|(document, _)| document["id"].clone()).collect()
        };
        assert_eq!(played("equivocate"), ["BP1", "BC1"]);
        assert_eq!(played("BC1"), ["BC1"]);
        let outsiders = outsider::catalogue();
        let members = Behaviour::NAMES.iter().copied();
        let clients = CLIENT_ATTACKS.iter().map(|entry| entry.name);
        let strangers = outsiders.iter().map(|entry| entry.name);
        let mut everything = members.chain(clients).chain(strangers);
        assert!(everything.all(|name| !named(name).is_empty()));
        assert!(named("equivocat").is_empty());
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
