//! Why there is no comparison.

use std::path::PathBuf;

use super::comparable::Obstacle;
use super::side::LABELS;

/// Why runs were not compared. All but [`CompareError::Unreadable`] are the caller's to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// There is no such run; the sentence says what there is.
    #[error("{0}")]
    NotFound(String),
    /// A result cannot be read, or is none.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        reason: String,
    },
    /// A run without anything to compare.
    #[error("{} has no repeat that came to its measured phase, so there is nothing to compare: run it again", .0.display())]
    Empty(PathBuf),
    /// One run, or none.
    #[error("a comparison needs two runs or more, the baseline first")]
    TooFew,
    /// More runs than there are letters for them.
    #[error("{0} runs are too many for one comparison: {max} at most", max = LABELS.len())]
    TooMany(usize),
    /// They are not two answers to one question.
    #[error("these runs cannot be compared: {}; --force compares them all the same", sentences(.0))]
    Incomparable(Vec<Obstacle>),
}

fn sentences(obstacles: &[Obstacle]) -> String {
    let all: Vec<String> = obstacles
        .iter()
        .map(|obstacle| format!("{} ({})", obstacle.what, obstacle.remedy))
        .collect();
    all.join("; ")
}
