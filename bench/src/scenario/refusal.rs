//! Values of one kind read from the tree, and why one is refused.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::nearest::nearest;
use super::tree::Value;
use super::units::{Quantity, Size};

/// Why a value was refused: what is wrong, the words beside it, and the remedy.
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) label: String,
    pub(super) help: String,
}

impl Refusal {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            label: String::new(),
            help: help.into(),
        }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// A value of the wrong kind.
    pub(super) fn kind(wanted: &str, found: &Value, example: &str) -> Self {
        Self::new(
            format!("must be {wanted}, not {}", found.kind()),
            format!("for example {example}"),
        )
    }
}

/// A whole number within bounds.
pub(super) fn integer<T>(
    value: &Value,
    bounds: &RangeInclusive<T>,
    example: T,
) -> Result<T, Refusal>
where
    T: TryFrom<i64> + PartialOrd + Display + Copy,
{
    let Value::Integer(number) = value else {
        return Err(Refusal::kind("an integer", value, &example.to_string()));
    };
    match T::try_from(*number) {
        Ok(fitting) if bounds.contains(&fitting) => Ok(fitting),
        _ => Err(Refusal::new(
            format!("{number} is out of bounds"),
            format!("it is {} to {}", bounds.start(), bounds.end()),
        )),
    }
}

/// A quantity with its unit, within bounds.
pub(super) fn quantity<Q: Quantity + PartialOrd>(
    value: &Value,
    key: &str,
    example: &str,
    bounds: &RangeInclusive<Q>,
) -> Result<Q, Refusal> {
    let quantity = match value {
        Value::Text(text) => Q::parse(text).map_err(|message| {
            Refusal::new(message, format!("for example {key} = \"{example}\""))
        })?,
        Value::Integer(number) => {
            let written = number.to_string();
            let message = Q::parse(&written)
                .err()
                .unwrap_or_else(|| format!("{number} must be a string"));
            return Err(Refusal::new(
                message,
                format!("write it in quotes, for example {key} = \"{example}\""),
            ));
        }
        other => {
            return Err(Refusal::kind(
                "a string with a unit",
                other,
                &format!("{key} = \"{example}\""),
            ));
        }
    };
    if bounds.contains(&quantity) {
        return Ok(quantity);
    }
    let (least, most) = (bounds.start().render(), bounds.end().render());
    Err(Refusal::new(
        format!("{} is out of bounds", quantity.render()),
        format!("{key} is {least} to {most}"),
    ))
}

/// A number of bytes: an integer, or a size with its unit.
pub(super) fn bytes(value: &Value) -> Result<u64, Refusal> {
    match value {
        Value::Integer(number) => u64::try_from(*number).map_err(|_| {
            Refusal::new(
                format!("{number} is negative"),
                "write the number of bytes, for example 100",
            )
        }),
        Value::Text(text) => Size::parse(text)
            .map(Size::bytes)
            .map_err(|message| Refusal::new(message, "for example 100 or \"1KiB\"")),
        other => Err(Refusal::kind("a number of bytes", other, "100")),
    }
}

/// The words that a key accepts, and those that a later version will.
pub(super) struct Words<'w, T> {
    /// Accepted now.
    pub(super) now: &'w [(&'static str, T)],
    /// Known to the file format, not to this version.
    pub(super) later: &'w [&'static str],
}

impl<T: Copy> Words<'_, T> {
    pub(super) fn read(&self, value: &Value) -> Result<T, Refusal> {
        let names: Vec<&str> = self.now.iter().map(|(name, _)| *name).collect();
        let all = format!("it is one of {}", names.join(", "));
        let Value::Text(word) = value else {
            return Err(Refusal::kind(
                "a string",
                value,
                &format!("\"{}\"", names.first().unwrap_or(&"")),
            ));
        };
        if let Some((_, chosen)) = self.now.iter().find(|(name, _)| name == word) {
            return Ok(*chosen);
        }
        if self.later.contains(&word.as_str()) {
            return Err(Refusal::new(
                format!("\"{word}\" is not available yet in this version"),
                all,
            )
            .label("not available yet"));
        }
        let refusal = Refusal::new(format!("\"{word}\" is unknown"), all);
        Err(match nearest(word, &names) {
            Some(near) => refusal.label(format!("did you mean \"{near}\"?")),
            None => refusal,
        })
    }
}
