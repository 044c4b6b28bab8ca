//! Comparisons written in a scenario, such as `"< 400ms"`.

use std::fmt;

use super::units::Quantity;

/// How a measured value must relate to the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its mathematical sign")]
pub enum Relation {
    Less,
    AtMost,
    Greater,
    AtLeast,
    Equal,
    NotEqual,
}

impl Relation {
    /// Longer signs first, so that the first match is the right one.
    const SIGNS: [(&'static str, Self); 7] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("!=", Self::NotEqual),
        ("==", Self::Equal),
        ("<", Self::Less),
        (">", Self::Greater),
        ("=", Self::Equal),
    ];

    const fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Equal => "=",
            Self::NotEqual => "!=",
        }
    }
}

/// A relation and its right side; the measured value is the left side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison<T> {
    /// How the measured value must relate to the bound.
    pub relation: Relation,
    /// The right side.
    pub bound: T,
}

impl<T: PartialOrd> Comparison<T> {
    /// Whether the measured value fulfils the comparison.
    pub fn admits(&self, measured: T) -> bool {
        match self.relation {
            Relation::Less => measured < self.bound,
            Relation::AtMost => measured <= self.bound,
            Relation::Greater => measured > self.bound,
            Relation::AtLeast => measured >= self.bound,
            Relation::Equal => measured == self.bound,
            Relation::NotEqual => measured != self.bound,
        }
    }
}

impl<T: Quantity> Comparison<T> {
    /// Reads a sign and a quantity with its unit.
    ///
    /// # Errors
    /// What is wrong and what would be right, in one sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some((sign, relation)) = Relation::SIGNS
            .into_iter()
            .find(|(sign, _)| text.starts_with(sign))
        else {
            return Err(format!(
                "a comparison begins with one of < <= > >= = !=, for example \"< {}\"",
                T::EXAMPLE
            ));
        };
        let bound = T::parse(text[sign.len()..].trim())?;
        Ok(Self { relation, bound })
    }
}

impl<T: Quantity> fmt::Display for Comparison<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.relation.sign(), self.bound.render())
    }
}
