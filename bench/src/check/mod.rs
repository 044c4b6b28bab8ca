//! Checkers: they read what a run left and say whether it was right. They share no code with what executes and decides in a
//! replica, only the encodings of what travels.
//!
//! | check | reads | asks |
//! |---|---|---|
//! | `agreement` | `committed.jsonl` | did all commit the same? |
//! | `state`, `reexecution` | that, `executed.bin`, `history.jsonl` | does the log executed again give the same states and answers? |
//! | `integrity` | `executed.bin`, `cluster.toml` | did a known client sign whatever took effect? |
//! | `linearizable` | `history.jsonl` | did clients see one copy of the map? |
//! | `read_back` | `history.jsonl` | is there what clients were told is stored? |
//! | `evidence` | `evidence/`, `cluster.toml` | did a correct replica sign two contents? Is anybody accused without proof? |

mod agreement;
mod burden;
mod committed;
mod evidence;
mod executed;
mod integrity;
mod linearizable;
mod read_back;
pub(crate) mod reexecution;
mod register;
mod resources;
mod search;
mod shrink;
mod state;
mod suite;
mod usage;
mod verdict;

pub use agreement::{AgreementReport, check_agreement};
pub use burden::{Burden, SIGNATURES_FILE, Source, read_burdens, write_burdens};
pub use committed::{
    Checkpoint, CommitPath, CommittedEntry, CommittedError, CommittedLog, parse_committed,
};
pub use evidence::{Exhibit, Judged, check_evidence, keep_evidence, read_exhibits};
pub use executed::{EXECUTED_FILE, ExecutedLog, batch_digest};
pub use integrity::{Signatures, check_integrity};
pub use linearizable::{LinearizableReport, check_linearizable};
pub use read_back::check_read_back;
pub use reexecution::{Evidence, Reexecution, Violations, reexecute};
pub use resources::check_resources;
pub use state::{Contents, check_state};
pub use suite::{Kept, Remains, Verdicts};
pub use usage::{RESOURCES_FILE, Usage, UsageSeries, read_usage, write_usage};
pub use verdict::{CheckResult, Verdict};
