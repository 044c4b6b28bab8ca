//! Which program measures: two builds of one commit are the same, whatever bytes their files have.

use crate::exit::Exit;
use crate::options::RunError;

/// What tells this program from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Digest of its file.
    pub digest: String,
    /// What the compiler was told: profile, level of optimisation, flags.
    pub flags: String,
}

impl Program {
    /// The one that runs.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub fn own() -> Result<Self, RunError> {
        let read = || std::fs::read(std::env::current_exe()?);
        let bytes = read().map_err(|error| {
            let message = format!("this program cannot read its own file: {error}");
            RunError::new(Exit::Environment, message)
        })?;
        Ok(Self {
            digest: crypto::Digest::of("bench/program", &bytes).to_string(),
            flags: env!("QUINTET_FLAGS").to_owned(),
        })
    }

    /// As a file keeps it: a line for each.
    pub(super) fn text(&self) -> String {
        format!("{}\n{}\n", self.digest, self.flags)
    }

    /// What such a file says; flags are empty in one that does not have them.
    pub(super) fn read(text: &str) -> Self {
        let mut lines = text.lines().map(|line| line.trim().to_owned());
        let mut line = || lines.next().unwrap_or_default();
        Self {
            digest: line(),
            flags: line(),
        }
    }
}
