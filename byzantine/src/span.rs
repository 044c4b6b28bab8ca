//! A length of time in a scenario file or a plan: a number with a unit, such as `"450ms"`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time with a unit, in whole nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// Units, longest name first, with the nanoseconds in each.
const UNITS: [(&str, u64); 5] = [
    ("min", 60_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
    ("s", 1_000_000_000),
];

impl Span {
    /// This many milliseconds.
    pub const fn millis(millis: u64) -> Span {
        Span(Duration::from_millis(millis))
    }
}

/// Why a text is no length of time. Whoever wrote the plan is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSpan(String);

impl fmt::Display for NoSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no duration: write a number and a unit (ns, us, ms, s, min), such as \"450ms\"",
            self.0
        )
    }
}

impl FromStr for Span {
    type Err = NoSpan;

    fn from_str(text: &str) -> Result<Self, NoSpan> {
        let wrong = || NoSpan(text.to_owned());
        let unit = UNITS.iter().find(|(name, _)| text.ends_with(name));
        let (name, nanos) = unit.ok_or_else(wrong)?;
        let number = text[..text.len() - name.len()].trim_end();
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let nanos = number * *nanos as f64;
        // Beyond 2^53 a float has no single nanoseconds; a hundred days are below it.
        if !(0.0..9.0e15).contains(&nanos) {
            return Err(wrong());
        }
        Ok(Span(Duration::from_nanos(nanos.round() as u64)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        match nanos {
            0 => f.write_str("0s"),
            _ if nanos.is_multiple_of(1_000_000_000) => write!(f, "{}s", nanos / 1_000_000_000),
            _ if nanos.is_multiple_of(1_000_000) => write!(f, "{}ms", nanos / 1_000_000),
            _ if nanos.is_multiple_of(1_000) => write!(f, "{}us", nanos / 1_000),
            _ => write!(f, "{nanos}ns"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: Cow<'de, str> = Deserialize::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9]+)? ?(ns|us|ms|s|min)$",
            "description": "a duration with its unit, such as \"450ms\""
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_and_written_with_its_unit() {
        for (text, nanos) in [
            ("450ms", 450_000_000),
            ("2s", 2_000_000_000),
            ("0.5s", 500_000_000),
            ("30 us", 30_000),
            ("1min", 60_000_000_000),
            ("7ns", 7),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0.as_nanos(), nanos, "{text}");
            assert_eq!(span.to_string().parse(), Ok(span));
        }
    }

    #[test]
    fn a_number_without_unit_or_beyond_reason_is_refused() {
        for text in ["450", "", "ms", "-1s", "1e99s", "NaNs", "5 days"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
