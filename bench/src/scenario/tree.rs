//! A scenario's text as a tree in which every key and value remembers where it was written.
//!
//! Files are merged as trees: what a later layer writes replaces what an earlier one wrote, table by table.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, position};

/// A text that keys and values come from: a file, an embedded scenario, or a `--set` argument.
#[derive(Clone, Debug)]
pub(super) struct SourceText {
    pub(super) name: String,
    pub(super) text: String,
}

/// All texts of one scenario; a later one overrides an earlier one.
pub(super) type Layers = Vec<SourceText>;

/// Where something was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) layer: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Place {
    pub(super) fn new(layer: usize, span: Range<usize>) -> Self {
        Self {
            layer,
            start: span.start,
            end: span.end,
        }
    }

    /// Whether the other place is a part of this one, or all of it.
    pub(super) fn contains(self, other: Self) -> bool {
        self.layer == other.layer && self.start <= other.start && other.end <= self.end
    }

    /// A problem moved to this place.
    pub(super) fn blame(self, layers: &[SourceText], problem: Problem, label: &str) -> Problem {
        let source = &layers[self.layer];
        problem.at(&source.name, &source.text, self.start..self.end, label)
    }

    /// As a comment names it: `file.toml:12`, or the whole `--set` argument.
    pub(super) fn describe(self, layers: &[SourceText]) -> String {
        let source = &layers[self.layer];
        if source.name.starts_with("--") {
            // A comment has one line.
            let text = source.text.replace(char::is_control, " ");
            return format!("{} {text}", source.name);
        }
        format!("{}:{}", source.name, position(&source.text, self.start).0)
    }
}

/// The name of the text of an override.
pub(super) const SET: &str = "--set";

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Date,
    Array(Vec<Node>),
    Table(Table),
}

impl Value {
    /// What it is, as a message names it.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number with a fraction",
            Self::Bool(_) => "a boolean",
            Self::Date => "a date",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// A value under its key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Place,
    pub(super) node: Node,
}

pub(super) type Table = BTreeMap<String, Entry>;

/// Tables that mean one thing together: a later layer's replaces an earlier one's as a whole.
pub(super) const ATOMIC: [&str; 3] = ["workload.key", "workload.value", "workload.mix"];

/// Syntax errors shown at once; more of them are mostly echoes of the first.
const SYNTAX_ERRORS_MAX: usize = 3;

/// Reads one file.
pub(super) fn parse(layers: &[SourceText], layer: usize) -> Result<Table, Vec<Problem>> {
    let text = &layers[layer].text;
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut problems = Vec::new();
    for error in errors.into_iter().take(SYNTAX_ERRORS_MAX) {
        problems.push(syntax(layers, layer, 0, &error));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    convert_table(layers, layer, 0, table.into_inner())
}

fn syntax(layers: &[SourceText], layer: usize, offset: usize, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(0..0);
    let place = Place::new(layer, span.start + offset..span.end + offset);
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    place.blame(
        layers,
        Problem::new(format!("this is no TOML: {message}")),
        "here",
    )
}

fn convert_table(
    layers: &[SourceText],
    layer: usize,
    offset: usize,
    table: DeTable<'_>,
) -> Result<Table, Vec<Problem>> {
    let mut converted = Table::new();
    let mut problems = Vec::new();
    for (key, value) in table {
        let place = Place::new(layer, shifted(key.span(), offset));
        match convert(layers, layer, offset, value) {
            Ok(node) => {
                converted.insert(key.into_inner().into_owned(), Entry { key: place, node });
            }
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() {
        Ok(converted)
    } else {
        Err(problems)
    }
}

fn convert(
    layers: &[SourceText],
    layer: usize,
    offset: usize,
    value: Spanned<DeValue<'_>>,
) -> Result<Node, Vec<Problem>> {
    let place = Place::new(layer, shifted(value.span(), offset));
    let refuse = |message: &str| Err(vec![place.blame(layers, Problem::new(message), "here")]);
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        text if is_unquoted(&text) => {
            return refuse("this is no TOML: string values must be quoted");
        }
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Value::Integer(integer),
            Err(_) => {
                return refuse(
                    "this integer is out of range: -9223372036854775808 to 9223372036854775807",
                );
            }
        },
        DeValue::Float(float) => match float.as_str().parse::<f64>() {
            Ok(float) if float.is_finite() => Value::Float(float),
            _ => return refuse("this number is not finite"),
        },
        DeValue::Boolean(flag) => Value::Bool(flag),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => {
            let items = items
                .into_iter()
                .map(|item| convert(layers, layer, offset, item));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => Value::Table(convert_table(layers, layer, offset, table)?),
    };
    Ok(Node { value, place })
}

/// Whether this is text without its quotes. The parser finds nearly all of it, but takes what begins
/// like `6_` for an integer, whatever follows: `6_400/s`.
fn is_unquoted(value: &DeValue<'_>) -> bool {
    let DeValue::Integer(integer) = value else {
        return false;
    };
    let digits = integer.as_str().trim_start_matches(['+', '-']);
    digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(integer.radix()))
}

fn shifted(span: Range<usize>, offset: usize) -> Range<usize> {
    span.start + offset..span.end + offset
}

/// Lays `over` on top of `base`.
pub(super) fn merge(base: &mut Table, over: Table) {
    merge_at("", base, over);
}

fn merge_at(path: &str, base: &mut Table, over: Table) {
    for (key, entry) in over {
        let path = join(path, &key);
        match (base.get_mut(&key), entry) {
            (
                Some(Entry {
                    node:
                        Node {
                            value: Value::Table(below),
                            ..
                        },
                    ..
                }),
                Entry {
                    node:
                        Node {
                            value: Value::Table(above),
                            ..
                        },
                    ..
                },
            ) if !ATOMIC.contains(&path.as_str()) => merge_at(&path, below, above),
            (_, entry) => {
                base.insert(key, entry);
            }
        }
    }
}

/// The dotted path of a key in a table.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Applies the override in the text of `layer`, `a.b.c=value`: a TOML value, or a bare string.
pub(super) fn apply_override(
    layers: &[SourceText],
    layer: usize,
    root: &mut Table,
) -> Result<(), Vec<Problem>> {
    let text = layers[layer].text.as_str();
    let whole = Place::new(layer, 0..text.len());
    let refuse = |place: Place, message: String| {
        Err(vec![place.blame(
            layers,
            Problem::new(message).help("write --set key=value, for example --set load.clients=32"),
            "",
        )])
    };
    let Some(equals) = text.find('=') else {
        return refuse(whole, format!("the override \"{text}\" has no \"=\""));
    };
    let raw = text[equals + 1..].trim();
    if raw.is_empty() {
        return refuse(whole, format!("the override \"{text}\" has no value"));
    }
    let offset = equals + 1 + (text[equals + 1..].len() - text[equals + 1..].trim_start().len());
    let node = override_value(layers, layer, offset, raw)?;

    let mut table = root;
    let mut start = 0;
    let mut segments = text[..equals].split('.').peekable();
    while let Some(raw_segment) = segments.next() {
        let segment = raw_segment.trim();
        let key = Place::new(layer, start..start + raw_segment.len());
        start += raw_segment.len() + 1;
        if segment.is_empty() {
            return refuse(whole, format!("the override \"{text}\" has an empty key"));
        }
        if segments.peek().is_none() {
            table.insert(segment.to_owned(), Entry { key, node });
            return Ok(());
        }
        let fresh = || Entry {
            key,
            node: Node {
                value: Value::Table(Table::new()),
                place: key,
            },
        };
        match &mut table
            .entry(segment.to_owned())
            .or_insert_with(fresh)
            .node
            .value
        {
            Value::Table(inner) => table = inner,
            other => {
                let message = format!(
                    "`{segment}` is {}, so nothing can be set inside it",
                    other.kind()
                );
                let problem = Problem::new(message)
                    .help(format!("write --set {}=...", text[..start - 1].trim()));
                return Err(vec![key.blame(layers, problem, "")]);
            }
        }
    }
    Ok(())
}

pub(super) fn override_value(
    layers: &[SourceText],
    layer: usize,
    offset: usize,
    raw: &str,
) -> Result<Node, Vec<Problem>> {
    match DeValue::parse(raw) {
        Ok(value) if !is_unquoted(value.get_ref()) => convert(layers, layer, offset, value),
        // What opens like TOML is meant as TOML; all else, such as 500ms or 4f+1, is a string without its quotes.
        Err(error) if raw.starts_with(['[', '{', '"', '\'']) => {
            Err(vec![syntax(layers, layer, offset, &error)])
        }
        _ => Ok(Node {
            value: Value::Text(raw.to_owned()),
            place: Place::new(layer, offset..offset + raw.len()),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn value(raw: &str) -> Result<Value, String> {
        let layers = [SourceText {
            name: SET.to_owned(),
            text: raw.to_owned(),
        }];
        match override_value(&layers, 0, 0, raw) {
            Ok(node) => Ok(node.value),
            Err(problems) => Err(problems[0].message().to_owned()),
        }
    }

    #[test]
    fn what_is_no_toml_as_a_whole_is_a_string() {
        for raw in [
            "6400/s",
            "6_400/s",
            "5_000ms",
            "-1_0x",
            "0x",
            "3f+1",
            "1_0.5_0/s",
        ] {
            match value(raw) {
                Ok(Value::Text(text)) => assert_eq!(text, raw),
                other => panic!("{raw}: {other:?}"),
            }
        }
        for (raw, integer) in [("6_400", 6_400), ("-1_0", -10), ("+7", 7), ("0xf_f", 255)] {
            match value(raw) {
                Ok(Value::Integer(read)) => assert_eq!(read, integer),
                other => panic!("{raw}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_integer_is_out_of_range_only_if_it_is_one() {
        let out_of_range =
            "this integer is out of range: -9223372036854775808 to 9223372036854775807";
        for raw in [
            "99999999999999999999",
            "-99999999999999999999",
            "99_999_999_999_999_999_999",
            "[99999999999999999999]",
        ] {
            assert_eq!(value(raw).unwrap_err(), out_of_range, "{raw}");
        }
        let unquoted = "this is no TOML: string values must be quoted";
        assert_eq!(value("[6_400/s]").unwrap_err(), unquoted);
        assert!(matches!(
            value("99_999_999_999_999_999_999/s"),
            Ok(Value::Text(_))
        ));
    }
}
