//! One thing that was looked at, and all of them together.

use serde::Serialize;

use super::noise::Noise;
use crate::record::Environment;

/// The `schema` of the document.
pub const DOCTOR_SCHEMA: &str = "bench.doctor/v1";

/// Whether a finding is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is.
    Ok,
    /// Figures may suffer.
    Warn,
    /// It could not be found out.
    Unknown,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// As documents name it, with the unit of `value`.
    pub name: &'static str,
    /// As tables name it.
    pub title: &'static str,
    /// What was found; `None` if nothing could be, or if it is no number.
    pub value: Option<f64>,
    /// The same in words, with more of it.
    pub text: String,
    /// Whether that is as it should be.
    pub state: State,
    /// What to do about it, if it is not.
    pub remedy: Option<String>,
}

impl Finding {
    /// As it should be.
    pub(super) fn ok(
        name: &'static str,
        title: &'static str,
        value: f64,
        text: impl Into<String>,
    ) -> Self {
        Self {
            name,
            title,
            value: Some(value),
            text: text.into(),
            state: State::Ok,
            remedy: None,
        }
    }

    /// A warning instead, if `doubtful`.
    pub(super) fn warn_if(self, doubtful: bool, remedy: impl Into<String>) -> Self {
        if !doubtful {
            return self;
        }
        Self {
            state: State::Warn,
            remedy: Some(remedy.into()),
            ..self
        }
    }

    /// Nobody knows, and why.
    pub(super) fn unknown(
        name: &'static str,
        title: &'static str,
        why: impl std::fmt::Display,
    ) -> Self {
        Self {
            name,
            title,
            value: None,
            text: format!("unknown: {why}"),
            state: State::Unknown,
            remedy: None,
        }
    }
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// [`DOCTOR_SCHEMA`].
    pub schema: &'static str,
    /// The machine and this program.
    pub environment: Environment,
    /// Each thing that was looked at.
    pub findings: Vec<Finding>,
    /// How far runs of one thing are apart, if that was measured now or before.
    pub noise_floor: Option<Noise>,
}
