//! How many replicas: a number, or an expression in f such as `4f+1`.

use std::str::FromStr;

/// `coefficient × f + constant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    per_f: u32,
    constant: u32,
}

impl Count {
    /// The number for a given f; `None` if it is beyond a u16.
    pub(crate) fn of(self, f: u16) -> Option<u16> {
        let replicas = self
            .per_f
            .checked_mul(u32::from(f))?
            .checked_add(self.constant)?;
        u16::try_from(replicas).ok()
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("expected a number or an expression such as 4f+1, not {text:?}");
        let mut count = Count {
            per_f: 0,
            constant: 0,
        };
        for term in text.split('+').map(str::trim) {
            let (number, sum) = match term.strip_suffix('f') {
                Some("") => ("1", &mut count.per_f),
                Some(number) => (number, &mut count.per_f),
                None => (term, &mut count.constant),
            };
            let number: u32 = number
                .trim()
                .trim_end_matches('*')
                .parse()
                .map_err(|_| refuse())?;
            *sum = sum.checked_add(number).ok_or_else(refuse)?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_and_expressions_in_f_are_understood() {
        let at_two = |text: &str| text.parse::<Count>().unwrap().of(2).unwrap();
        assert_eq!(
            ["4f+1", "3f + 1", "7", "f+6", "5*f"].map(at_two),
            [9, 7, 7, 8, 10]
        );
        for wrong in ["", "4g+1", "4f+", "-3", "4f1"] {
            assert!(wrong.parse::<Count>().is_err(), "{wrong:?}");
        }
        assert_eq!("60000f".parse::<Count>().unwrap().of(2), None);
    }
}
