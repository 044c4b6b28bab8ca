//! Checkers: they read what a run left (`committed.jsonl`, `history.jsonl`) and say whether it was right. They share no code with the protocol.

mod agreement;
mod committed;
mod linearizable;
mod read_back;
mod register;
mod search;
mod verdict;

pub use agreement::{AgreementReport, check_agreement};
pub use committed::{
    Checkpoint, CommitPath, CommittedEntry, CommittedError, CommittedLog, parse_committed,
};
pub use linearizable::{LinearizableReport, check_linearizable};
pub use read_back::check_read_back;
pub use verdict::{CheckResult, Verdict};
