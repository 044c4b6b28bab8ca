//! An axis of a sweep on the command line: `--over key=value,value`.

use super::problem::Problem;
use super::tree::{Entry, Layers, Node, Place, Table, Value, override_value};

/// The name of the text of an axis.
pub(super) const OVER: &str = "--over";

/// Puts the axis in the text of `layer` into the `[sweep]` of the scenario, in place of one with the same key.
pub(super) fn apply_axis(
    layers: &Layers,
    layer: usize,
    root: &mut Table,
) -> Result<(), Vec<Problem>> {
    let text = layers[layer].text.as_str();
    let whole = Place::new(layer, 0..text.len());
    let refuse = |message: String| {
        let help = "write --over key=value,value, for example --over load.clients=1,8,64";
        let problem = Problem::new(message).help(help);
        Err(vec![whole.blame(layers, problem, "")])
    };
    let Some((key, values)) = text
        .split_once('=')
        .filter(|(key, _)| !key.trim().is_empty())
    else {
        return refuse(format!("the axis \"{text}\" has no values"));
    };
    let mut items = Vec::new();
    let mut offset = key.len() + 1;
    for raw in split(values) {
        let lead = raw.len() - raw.trim_start().len();
        if raw.trim().is_empty() {
            return refuse(format!("the axis \"{text}\" has an empty value"));
        }
        items.push(override_value(layers, layer, offset + lead, raw.trim())?);
        offset += raw.len() + 1;
    }
    let place = Place::new(layer, key.len() + 1..text.len());
    let entry = Entry {
        key: Place::new(layer, 0..key.len()),
        node: Node {
            value: Value::Array(items),
            place,
        },
    };
    let sweep = inner(root, "sweep", whole);
    let Some(over) = sweep.and_then(|sweep| inner(sweep, "over", whole)) else {
        return refuse("the scenario's `sweep` is no table, so no axis can be added".to_owned());
    };
    let key = key.trim();
    remove(over, key);
    over.insert(key.to_owned(), entry);
    Ok(())
}

/// The table under a key, made if there is none; `None` if something else is there.
fn inner<'t>(table: &'t mut Table, key: &str, place: Place) -> Option<&'t mut Table> {
    let fresh = || Entry {
        key: place,
        node: Node {
            value: Value::Table(Table::new()),
            place,
        },
    };
    match &mut table.entry(key.to_owned()).or_insert_with(fresh).node.value {
        Value::Table(inner) => Some(inner),
        _ => None,
    }
}

/// Takes away what the scenario says of the same key, written as one dotted key or as tables.
fn remove(table: &mut Table, path: &str) {
    table.remove(path);
    if let Some((head, rest)) = path.split_once('.')
        && let Some(entry) = table.get_mut(head)
        && let Value::Table(inside) = &mut entry.node.value
    {
        remove(inside, rest);
    }
}

/// Values apart by commas; those inside brackets and quotes belong to their value.
fn split(values: &str) -> Vec<&str> {
    let (mut depth, mut quote, mut from) = (0_u32, None, 0);
    let mut parts = Vec::new();
    for (at, letter) in values.char_indices() {
        match (quote, letter) {
            (Some(open), close) if open == close => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(&values[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&values[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_comma_inside_a_value_does_not_end_it() {
        assert_eq!(split("1,8"), ["1", "8"]);
        assert_eq!(split("[1,2],{a=1,b=2}"), ["[1,2]", "{a=1,b=2}"]);
        assert_eq!(split("\"a,b\",'c,d'"), ["\"a,b\"", "'c,d'"]);
        assert_eq!(split(""), [""]);
    }
}
