//! Numbers as a person reads them: three significant digits and a unit.

use crate::record::Estimate;

const US_PER_MS: f64 = 1e3;
const US_PER_S: f64 = 1e6;

/// A time given in microseconds, such as `812 us`, `1.25 ms` or `3.10 s`.
pub(crate) fn time(us: f64) -> String {
    let (value, unit) = if us < US_PER_MS {
        (us, "us")
    } else if us < US_PER_S {
        (us / US_PER_MS, "ms")
    } else {
        (us / US_PER_S, "s")
    };
    format!("{} {unit}", significant(value))
}

/// A number of bytes, such as `310 B` or `21.5 MiB`.
pub(crate) fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", significant(value), UNITS[unit])
}

/// A count with its thousands apart, such as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate, such as `5,123/s` or `0.45/s`.
pub(crate) fn rate(per_second: f64) -> String {
    format!("{}/s", number(per_second))
}

/// A mean or a rate: whole from 100 on, three significant digits below.
pub(crate) fn number(value: f64) -> String {
    if value >= 100.0 {
        count(value.round() as u64)
    } else {
        significant(value)
    }
}

/// A median with the ends of its 95 % interval, as what has to be added to it: `12.1 ms -3/+5 %`. Fewer repeats than an
/// interval needs give the median alone.
pub(crate) fn with_interval(estimate: &Estimate, show: fn(f64) -> String) -> String {
    let median = show(estimate.median);
    match estimate.interval() {
        Some(ends) if estimate.median > 0.0 => {
            let [low, high] = ends.map(|end| (end / estimate.median - 1.0) * 100.0);
            format!("{median} -{:.0}/+{:.0} %", low.abs(), high.abs())
        }
        _ => median,
    }
}

/// A part of a whole, such as `99.8 %`. Neither everything nor nothing comes from rounding.
pub(crate) fn share(fraction: f64) -> String {
    let percent = fraction * 100.0;
    let text = format!("{percent:.1}");
    match text.as_str() {
        "100.0" if percent < 100.0 => "> 99.9 %".to_owned(),
        "0.0" if percent > 0.0 => "< 0.1 %".to_owned(),
        _ => format!("{} %", text.strip_suffix(".0").unwrap_or(&text)),
    }
}

/// Three significant digits, and no fraction of a whole number of three digits or more.
fn significant(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value.abs() < 9.995 {
        format!("{value:.2}")
    } else if value.abs() < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// `3 views`, `1 view`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_shows_how_far_its_interval_reaches() {
        let of = |values: &[f64]| with_interval(&Estimate::of(values), time);
        assert_eq!(of(&[1_000.0, 900.0, 1_050.0]), "1.00 ms -10/+5 %");
        assert_eq!(of(&[1_000.0, 900.0]), "950 us");
        assert_eq!(of(&[0.0, 0.0, 0.0]), "0 us");
    }

    #[test]
    fn three_significant_digits_and_the_fitting_unit() {
        for (us, text) in [
            (0.0, "0 us"),
            (0.5, "0.50 us"),
            (42.0, "42.0 us"),
            (812.4, "812 us"),
            (1_250.0, "1.25 ms"),
            (99_960.0, "100 ms"),
            (3_100_000.0, "3.10 s"),
        ] {
            assert_eq!(time(us), text);
        }
        assert_eq!(bytes(310.0), "310 B");
        assert_eq!(bytes(1536.0), "1.50 KiB");
        assert_eq!(bytes(21.5 * 1024.0 * 1024.0), "21.5 MiB");
        assert_eq!(
            (rate(5123.4), rate(0.45)),
            ("5,123/s".to_owned(), "0.45/s".to_owned())
        );
        assert_eq!(
            counted(1, "view") + ", " + &counted(1_000, "slot"),
            "1 view, 1,000 slots"
        );
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn rounding_claims_neither_everything_nor_nothing() {
        for (fraction, text) in [
            (1.0, "100 %"),
            (0.99999, "> 99.9 %"),
            (0.9984, "99.8 %"),
            (0.00001, "< 0.1 %"),
            (0.0, "0 %"),
        ] {
            assert_eq!(share(fraction), text);
        }
    }
}
