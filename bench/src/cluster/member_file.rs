//! What one replica process is to be besides what its directory says: written when it is started, read by the child
//! before it opens a port. A replica in whose file nothing stands is as honest as the binary `replica`.

use std::path::Path;

use byzantine::Plan;
use serde::{Deserialize, Serialize};

use super::control::ControlLine;

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberFile {
    /// All chance around this replica derives from it.
    pub(super) seed: u64,
    /// The network that is emulated around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) network: Option<crate::emulation::Plan>,
    /// Whether it was started before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) restarted: bool,
    /// The version of the protocol that it speaks, if not the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) speaks: Option<u32>,
    /// What it does, if it is Byzantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) byzantine: Option<Plan>,
    /// What replicas were told since the run began: a replica that is started again begins with it.
    #[serde(default)]
    pub(super) told: Vec<ControlLine>,
}

impl MemberFile {
    /// Reads a file that `bench` wrote.
    ///
    /// # Errors
    /// If it cannot be read or is of another version of this program.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = || format!("member file {}", path.display());
        let text = std::fs::read_to_string(path)
            .map_err(|error| anyhow::anyhow!("{}: {error}", name()))?;
        serde_json::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {error}", name()))
    }

    /// Writes it where the child will look for it.
    ///
    /// # Errors
    /// If the disk is full or the directory is gone.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        std::fs::write(path, serde_json::to_vec_pretty(self)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_member_file_comes_back_as_it_was_and_a_foreign_key_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("member-3.json");
        let file = MemberFile {
            seed: 7,
            network: None,
            restarted: true,
            speaks: Some(2),
            byzantine: Some(Plan::default()),
            told: vec![ControlLine::Begin { ago_ms: 3 }],
        };
        file.write(&path).unwrap();
        assert_eq!(MemberFile::read(&path).unwrap(), file);
        std::fs::write(&path, r#"{"seed":7,"lies":true}"#).unwrap();
        let error = MemberFile::read(&path).unwrap_err().to_string();
        assert!(error.contains("member-3.json") && error.contains("lies"));
    }
}
