//! One table of a scenario while it is read: the only place that knows a key's name, default, and how it may be wrong.
//!
//! Reading a key declares it. What was declared and not written takes its default; what was written and never
//! declared is an unknown key; and where each value came from is noted for `explain`.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::problem::Problem;
use super::reading::{Origin, Reading, Unknown};
use super::refusal::{Refusal, Words, integer, quantity};
use super::tree::{Entry, Node, Place, Table, Value, join};
use super::units::Quantity;

/// One table while it is read.
pub(super) struct Section<'r, 'l> {
    pub(super) reading: &'r mut Reading<'l>,
    path: String,
    left: Table,
    known: Vec<&'static str>,
}

impl<'r, 'l> Section<'r, 'l> {
    /// The top of the file.
    pub(super) fn root(reading: &'r mut Reading<'l>, table: Table) -> Self {
        Self {
            reading,
            path: String::new(),
            left: table,
            known: Vec::new(),
        }
    }

    /// The dotted path of a key of this table.
    pub(super) fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Takes what was written under a key and declares the key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry> {
        self.known.push(key);
        self.left.remove(key)
    }

    /// Whether somebody wrote this key and it was not read yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    /// Reads a value with `read`, whose error is a message about it and the remedy.
    pub(super) fn value<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value) -> Result<T, Refusal>,
    ) -> T {
        let path = self.path(key);
        let Some(entry) = self.take(key) else {
            self.reading.origins.push((path, Origin::Default));
            return default;
        };
        self.reading
            .origins
            .push((path.clone(), Origin::Written(entry.node.place)));
        match read(&entry.node.value) {
            Ok(value) => value,
            Err(refusal) => {
                self.refuse(&path, entry.node.place, refusal);
                default
            }
        }
    }

    /// Reports a refused value at its place.
    pub(super) fn refuse(&mut self, path: &str, place: Place, refusal: Refusal) {
        let Refusal {
            message,
            label,
            help,
        } = refusal;
        let problem = Problem::new(format!("`{path}`: {message}")).help(help);
        let problem = place.blame(self.reading.layers, problem, &label);
        self.reading.problems.push(problem);
        self.reading.refused.push(path.to_owned());
    }

    /// Notes where a value was written that is read in another way.
    pub(super) fn note(&mut self, path: &str, place: Place) {
        let origin = Origin::Written(place);
        self.reading.origins.push((path.to_owned(), origin));
    }

    /// Forgets where a value was written that is shown as a part of a larger one.
    pub(super) fn forget(&mut self, key: &str) {
        let path = self.path(key);
        self.reading.origins.retain(|(known, _)| *known != path);
    }

    /// Notes that the default just taken for `key` follows from another value.
    pub(super) fn derived(&mut self, key: &str, from: impl Into<String>) {
        let path = self.path(key);
        let last = self
            .reading
            .origins
            .iter_mut()
            .rev()
            .find(|(known, _)| *known == path);
        if let Some((_, origin @ Origin::Default)) = last {
            *origin = Origin::Derived(from.into());
        }
    }

    /// A whole number within bounds.
    pub(super) fn integer<T>(
        &mut self,
        key: &'static str,
        default: T,
        bounds: RangeInclusive<T>,
    ) -> T
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        self.value(key, default, |value| integer(value, &bounds, default))
    }

    /// A boolean.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.value(key, default, |value| match value {
            Value::Bool(flag) => Ok(*flag),
            other => Err(Refusal::kind(
                "true or false",
                other,
                &format!("{key} = {default}"),
            )),
        })
    }

    /// A text.
    pub(super) fn text(&mut self, key: &'static str, default: &str) -> String {
        self.value(key, default.to_owned(), |value| match value {
            Value::Text(text) => Ok(text.clone()),
            other => Err(Refusal::kind(
                "a string",
                other,
                &format!("{key} = \"...\""),
            )),
        })
    }

    /// A quantity with its unit, within bounds.
    pub(super) fn quantity<Q: Quantity + PartialOrd>(
        &mut self,
        key: &'static str,
        default: Q,
        bounds: RangeInclusive<Q>,
    ) -> Q {
        let example = default.render();
        self.value(key, default, |value| {
            quantity(value, key, &example, &bounds)
        })
    }

    /// A number with a fraction, accepted by `fits`; `range` says in words what fits.
    pub(super) fn fraction(
        &mut self,
        key: &'static str,
        default: f64,
        fits: impl Fn(f64) -> bool,
        range: &str,
    ) -> f64 {
        self.value(key, default, |value| {
            let number = match value {
                Value::Float(number) => *number,
                Value::Integer(0) => 0.0,
                Value::Integer(1) => 1.0,
                // Larger integers only need to be refused or compared with small bounds.
                Value::Integer(number) => f64::from(i32::try_from(*number).unwrap_or(i32::MAX)),
                other => {
                    return Err(Refusal::kind(
                        "a number",
                        other,
                        &format!("{key} = {default}"),
                    ));
                }
            };
            if fits(number) {
                Ok(number)
            } else {
                Err(Refusal::new(
                    format!("{number} is out of bounds"),
                    format!("{key} is {range}"),
                ))
            }
        })
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        default: T,
        words: &Words<'_, T>,
    ) -> T {
        self.value(key, default, |value| words.read(value))
    }

    /// A table inside this one; absent is empty.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_, 'l>) -> T,
    ) -> T {
        let path = self.path(key);
        let left = match self.take(key) {
            None => Table::new(),
            Some(Entry {
                node:
                    Node {
                        value: Value::Table(table),
                        ..
                    },
                ..
            }) => table,
            Some(Entry {
                node: Node { value, place },
                ..
            }) => {
                self.refuse(
                    &path,
                    place,
                    Refusal::kind("a table", &value, &format!("[{path}]")),
                );
                Table::new()
            }
        };
        self.subtable(&path, left, read)
    }

    /// Reads a table that was taken before.
    pub(super) fn subtable<T>(
        &mut self,
        path: &str,
        left: Table,
        read: impl FnOnce(&mut Section<'_, 'l>) -> T,
    ) -> T {
        let mut section = Section {
            reading: &mut *self.reading,
            path: path.to_owned(),
            left,
            known: Vec::new(),
        };
        let value = read(&mut section);
        section.finish();
        value
    }

    /// A value without a default: absent, or read.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value) -> Result<T, Refusal>,
    ) -> Option<T> {
        if !self.has(key) {
            self.known.push(key);
            return None;
        }
        self.value(key, None, |value| read(value).map(Some))
    }

    /// Whether exactly this word was written under the key.
    pub(super) fn written_word(&self, key: &str, word: &str) -> bool {
        matches!(self.left.get(key), Some(entry) if matches!(&entry.node.value, Value::Text(text) if text == word))
    }

    /// Keys that make no sense because of the value of `decider`. Left over from a lower layer they are dropped with a
    /// warning, since overriding the decider is how one switches; written beside it they are a mistake, and in what a sweep
    /// varies as well: without them its cells would be the same.
    pub(super) fn inapplicable(
        &mut self,
        keys: &[&'static str],
        decider: &str,
        why: &str,
        help: &str,
    ) {
        let decided = self
            .reading
            .place(&self.path(decider))
            .map(|place| self.reading.rank(place));
        let judged = !self.reading.refused(&self.path(decider));
        for key in keys {
            let Some(entry) = self.take(key).filter(|_| judged) else {
                continue;
            };
            let message = format!("`{}` does not apply: {why}", self.path(key));
            let problem = Problem::new(message).help(help);
            let rank = self.reading.rank(entry.key);
            if decided.is_some_and(|decided| rank < decided) {
                let problem = problem.help("it is ignored");
                self.reading.warnings.push(
                    entry
                        .key
                        .blame(self.reading.layers, problem, "ignored")
                        .warning(),
                );
            } else {
                self.reading.problems.push(entry.key.blame(
                    self.reading.layers,
                    problem,
                    "does not apply",
                ));
            }
        }
    }

    /// Tables and keys of the file format that this version does not know yet.
    pub(super) fn later(&mut self, keys: &[(&'static str, &str)]) {
        for (key, what) in keys {
            let Some(entry) = self.left.remove(*key) else {
                continue;
            };
            let message = format!(
                "`{}` is not available in this version: it does not know {what} yet",
                self.path(key)
            );
            let problem = Problem::new(message).help("remove it, or use a later version");
            self.reading.problems.push(entry.key.blame(
                self.reading.layers,
                problem,
                "not available yet",
            ));
        }
    }

    /// Notes the origin of a group of values that nobody wrote.
    pub(super) fn default_group(&mut self, path: &str, derived: Option<String>) {
        self.reading.origins.push((
            path.to_owned(),
            derived.map_or(Origin::Default, Origin::Derived),
        ));
    }

    /// Replaces the origins of a group whose written values were set aside.
    pub(super) fn derive_group(&mut self, path: &str, from: &str) {
        let inside = format!("{path}.");
        self.reading
            .origins
            .retain(|(known, _)| !known.starts_with(&inside));
        self.default_group(path, Some(from.to_owned()));
    }

    /// Says nothing about the keys that are left: what they mean was not understood.
    pub(super) fn ignore_rest(&mut self) {
        self.left.clear();
    }

    /// Whatever is left was declared by nobody.
    pub(super) fn finish(mut self) {
        self.known.sort_unstable();
        self.known.dedup();
        for (key, entry) in self.left {
            let unknown = Unknown {
                table: self.path.clone(),
                key,
                place: entry.key,
                siblings: self.known.clone(),
            };
            self.reading.unknown.push(unknown);
        }
    }
}
