//! Quantities with units: times, sizes, rates and shares, read from text and written back without loss.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// A quantity that a scenario writes as text with its unit.
pub trait Quantity: Sized {
    /// A value that a message may show as an example.
    const EXAMPLE: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// What is wrong and what would be right, in one sentence.
    fn parse(text: &str) -> Result<Self, String>;

    /// Writes it so that [`Quantity::parse`] gives the same value again.
    fn render(&self) -> String;
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// From a number of bytes.
    pub const fn of(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// Operations a second; finite.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    /// From operations a second.
    pub const fn of(per_second: f64) -> Self {
        Self(per_second)
    }

    /// Operations a second.
    pub const fn per_second(self) -> f64 {
        self.0
    }
}

/// A part of a whole: 0.5 is one half.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// From a fraction.
    pub const fn of(fraction: f64) -> Self {
        Self(fraction)
    }

    /// The fraction.
    pub const fn fraction(self) -> f64 {
        self.0
    }
}

/// Bits a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bandwidth(u64);

impl Bandwidth {
    /// From bits a second.
    pub const fn of(bits_per_second: u64) -> Self {
        Self(bits_per_second)
    }

    /// Bits a second.
    pub const fn bits_per_second(self) -> u64 {
        self.0
    }
}

/// Units of time with their nanoseconds, the largest first.
const TIMES: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of size with their bytes, the largest first; only the binary ones are written back.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

/// Units of bandwidth with their bits a second, the largest first.
const BANDWIDTHS: [(&str, u64); 4] = [
    ("Gbit", 1_000_000_000),
    ("Mbit", 1_000_000),
    ("kbit", 1_000),
    ("bit", 1),
];

impl Quantity for Bandwidth {
    const EXAMPLE: &'static str = "200Mbit";

    fn parse(text: &str) -> Result<Self, String> {
        scaled(
            text,
            "bandwidth",
            &BANDWIDTHS,
            "bit, kbit, Mbit or Gbit",
            "Mbit",
        )
        .map(Self)
    }

    fn render(&self) -> String {
        if self.0 == 0 {
            return "0bit".to_owned();
        }
        whole(self.0, &BANDWIDTHS)
    }
}

impl Quantity for Duration {
    const EXAMPLE: &'static str = "500ms";

    fn parse(text: &str) -> Result<Self, String> {
        scaled(text, "time", &TIMES, "ns, us, ms, s, m or h", "ms").map(Self::from_nanos)
    }

    fn render(&self) -> String {
        let nanos = u64::try_from(self.as_nanos()).unwrap_or(u64::MAX);
        if nanos == 0 {
            return "0ms".to_owned();
        }
        whole(nanos, &TIMES)
    }
}

impl Quantity for Size {
    const EXAMPLE: &'static str = "64KiB";

    fn parse(text: &str) -> Result<Self, String> {
        scaled(text, "size", &SIZES, "B, KiB, MiB, GiB, kB, MB or GB", "B").map(Self)
    }

    fn render(&self) -> String {
        if self.0 == 0 {
            return "0B".to_owned();
        }
        whole(self.0, &SIZES[..4])
    }
}

impl Quantity for Rate {
    const EXAMPLE: &'static str = "2000/s";

    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text)?;
        match unit {
            "/s" => {}
            "" => {
                return Err(format!(
                    "the rate \"{text}\" has no unit: write \"{number}/s\""
                ));
            }
            _ => {
                return Err(format!(
                    "\"{unit}\" is no unit of rate: write operations a second, \"{number}/s\""
                ));
            }
        }
        float(number).map(Self)
    }

    fn render(&self) -> String {
        format!("{}/s", self.0)
    }
}

impl Quantity for Share {
    const EXAMPLE: &'static str = "0.1%";

    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text)?;
        let value = float(number)?;
        let fraction = match unit {
            "%" => value / 100.0,
            "" => value,
            _ => {
                return Err(format!(
                    "\"{unit}\" is no unit of a share: write \"{number}%\" or a fraction such as \"0.5\""
                ));
            }
        };
        if (0.0..=1.0).contains(&fraction) {
            return Ok(Self(fraction));
        }
        Err(match unit {
            "" => format!(
                "the share {number} is beyond 1: a share is 0 to 1, or a percentage such as \"{number}%\""
            ),
            _ => format!("the share {text} is beyond 100%"),
        })
    }

    fn render(&self) -> String {
        // A hundredth is no binary fraction: percent is used where it reads back as the same number.
        let percent = format!("{}%", (self.0 * 1e14).round() / 1e12);
        match Self::parse(&percent) {
            Ok(back) if back == *self => percent,
            _ => self.0.to_string(),
        }
    }
}

impl Quantity for f64 {
    const EXAMPLE: &'static str = "2";

    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text)?;
        if unit.is_empty() {
            return float(number);
        }
        Err(format!(
            "\"{unit}\" does not belong here: this is a plain number, write \"{number}\""
        ))
    }

    fn render(&self) -> String {
        self.to_string()
    }
}

/// The number and what follows it; underscores are allowed between digits.
fn split(text: &str) -> Result<(&str, &str), String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(text.len());
    if end == 0 {
        return Err(match text.strip_prefix('-') {
            Some(_) => format!("\"{text}\" is negative: it must be 0 or more"),
            None => format!("\"{text}\" does not begin with a number"),
        });
    }
    Ok((text[..end].trim_end(), text[end..].trim_start()))
}

fn float(number: &str) -> Result<f64, String> {
    match number.replace('_', "").parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(format!("\"{number}\" is no number")),
    }
}

/// An exact multiple of the smallest unit.
fn scaled(
    text: &str,
    what: &str,
    units: &[(&str, u64)],
    names: &str,
    usual: &str,
) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    if unit.is_empty() {
        return Err(format!(
            "the {what} \"{}\" has no unit: write \"{number}{usual}\", or another of {names}",
            text.trim()
        ));
    }
    let exact = units.iter().find(|(name, _)| *name == unit);
    let Some((_, factor)) = exact else {
        return Err(format!("\"{unit}\" is no unit of {what}: use {names}"));
    };
    multiple(number, *factor).ok_or_else(|| {
        format!(
            "\"{}\" is no whole number of {}, or too large",
            text.trim(),
            units
                .iter()
                .find(|(_, one)| *one == 1)
                .map_or("units", |(name, _)| name)
        )
    })
}

/// `number * factor`, if that is a whole number that fits.
fn multiple(number: &str, factor: u64) -> Option<u64> {
    let digits = number.replace('_', "");
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let unscaled: u128 = format!("{whole}{fraction}").parse().ok()?;
    let product = unscaled.checked_mul(u128::from(factor))?;
    if product % scale != 0 {
        return None;
    }
    u64::try_from(product / scale).ok()
}

/// Written in the largest unit that divides it.
fn whole(value: u64, units: &[(&str, u64)]) -> String {
    let (name, factor) = units
        .iter()
        .find(|(_, factor)| value.is_multiple_of(*factor))
        .unwrap_or(&units[units.len() - 1]);
    format!("{}{name}", value / factor)
}

/// `#[serde(with)]` for a [`Duration`] written with its unit.
pub(super) mod duration_text {
    use super::{Duration, Quantity as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        value: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.render())
    }
}

/// The JSON Schema of a time.
pub(super) fn duration_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": r"^[0-9][0-9_.]* *(h|m|s|ms|us|ns)$", "examples": [Duration::EXAMPLE] })
}

macro_rules! quantity_as_text {
    ($type:ty, $name:literal, $pattern:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.render())
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "examples": [Self::EXAMPLE] })
            }
        }
    };
}

quantity_as_text!(Size, "Size", "^[0-9][0-9_.]* *(B|KiB|MiB|GiB|kB|MB|GB)$");
quantity_as_text!(Rate, "Rate", "^[0-9][0-9_.]* */s$");
quantity_as_text!(Share, "Share", "^[0-9][0-9_.]* *%?$");
quantity_as_text!(
    Bandwidth,
    "Bandwidth",
    "^[0-9][0-9_.]* *(bit|kbit|Mbit|Gbit)$"
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn times_are_read_exactly_and_written_in_the_largest_fitting_unit() {
        for (text, nanos, written) in [
            ("500ms", 500_000_000, "500ms"),
            ("1us", 1_000, "1us"),
            ("2m", 120_000_000_000, "2m"),
            ("90s", 90_000_000_000, "90s"),
            ("1.5s", 1_500_000_000, "1500ms"),
            ("1_000 ms", 1_000_000_000, "1s"),
            ("0s", 0, "0ms"),
        ] {
            let time = Duration::parse(text).unwrap();
            assert_eq!(time, Duration::from_nanos(nanos), "{text}");
            assert_eq!(time.render(), written);
        }
    }

    #[test]
    fn sizes_know_binary_and_decimal_units() {
        for (text, bytes, written) in [
            ("1MiB", 1 << 20, "1MiB"),
            ("64KiB", 1 << 16, "64KiB"),
            ("1kB", 1_000, "1000B"),
            ("100B", 100, "100B"),
            ("0.5KiB", 512, "512B"),
        ] {
            let size = Size::parse(text).unwrap();
            assert_eq!(size.bytes(), bytes, "{text}");
            assert_eq!(size.render(), written);
        }
    }

    #[test]
    fn bandwidths_are_bits_a_second() {
        for (text, bits, written) in [
            ("200Mbit", 200_000_000, "200Mbit"),
            ("0.5 Mbit", 500_000, "500kbit"),
            ("1Gbit", 1_000_000_000, "1Gbit"),
        ] {
            let bandwidth = Bandwidth::parse(text).unwrap();
            assert_eq!(bandwidth.bits_per_second(), bits, "{text}");
            assert_eq!(bandwidth.render(), written);
        }
        assert_eq!(
            Bandwidth::parse("1MB").unwrap_err(),
            "\"MB\" is no unit of bandwidth: use bit, kbit, Mbit or Gbit"
        );
    }

    #[test]
    fn a_missing_or_wrong_unit_is_named_with_the_remedy() {
        let message = |result: Result<Duration, String>| result.unwrap_err();
        assert_eq!(
            message(Duration::parse("500")),
            "the time \"500\" has no unit: write \"500ms\", or another of ns, us, ms, s, m or h"
        );
        assert_eq!(
            message(Duration::parse("5 sec")),
            "\"sec\" is no unit of time: use ns, us, ms, s, m or h"
        );
        assert_eq!(
            message(Duration::parse("-5s")),
            "\"-5s\" is negative: it must be 0 or more"
        );
        assert_eq!(
            message(Duration::parse("0.5ns")),
            "\"0.5ns\" is no whole number of ns, or too large"
        );
        assert_eq!(
            Size::parse("1Mb").unwrap_err(),
            "\"Mb\" is no unit of size: use B, KiB, MiB, GiB, kB, MB or GB"
        );
        assert_eq!(
            Rate::parse("2000").unwrap_err(),
            "the rate \"2000\" has no unit: write \"2000/s\""
        );
        assert_eq!(
            Rate::parse("2000/m").unwrap_err(),
            "\"/m\" is no unit of rate: write operations a second, \"2000/s\""
        );
        assert_eq!(
            Share::parse("95").unwrap_err(),
            "the share 95 is beyond 1: a share is 0 to 1, or a percentage such as \"95%\""
        );
        assert_eq!(
            Share::parse("120%").unwrap_err(),
            "the share 120% is beyond 100%"
        );
    }

    #[test]
    fn every_percentage_reads_back_as_the_same_share() {
        for thousandth in 0..=100_000_u32 {
            let share = Share::of(f64::from(thousandth) / 100_000.0);
            assert_eq!(Share::parse(&share.render()).unwrap(), share);
        }
    }
}
