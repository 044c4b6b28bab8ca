//! The cluster that a run measures: one that is started here as operating-system processes, or one
//! that somebody else started (`--attach`).

mod adopt;
pub mod child;
pub mod control;
mod fitting;
mod founding;
mod local;
mod lying;
mod member;
mod member_file;
mod observe;
mod process;

pub use adopt::adopt;
pub use control::ControlLine;
pub use founding::client_pace;
pub(crate) use founding::{fast_quorum, limits, policy};
pub use local::{Local, LocalOptions};
pub(crate) use member::{COMMITTED_STEM, EXECUTED_STEM};
pub use member::{Failed, Members, Started};
pub use observe::{Observer, Snapshot};

use std::path::{Path, PathBuf};

use crypto::SecretKey;
use network::ClusterFile;

use crate::exit::Exit;
use crate::options::RunError;

/// The cluster file of a cluster that runs elsewhere, and the keys of `clients` of its clients.
///
/// # Errors
/// If the file cannot be used or there are too few keys beside it: names the path and the remedy.
pub fn attach(path: &Path, clients: u32) -> Result<(ClusterFile, Vec<SecretKey>), RunError> {
    let file =
        ClusterFile::read(path).map_err(|error| RunError::new(Exit::Usage, error.to_string()))?;
    let folder = path.parent().unwrap_or(Path::new(".")).join("clients");
    let keys = (0..clients)
        .map(|id| read_client_key(&folder, id, &file))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((file, keys))
}

fn read_client_key(folder: &Path, id: u32, file: &ClusterFile) -> Result<SecretKey, RunError> {
    let path: PathBuf = folder.join(format!("client-{id}.key"));
    if !path.exists() {
        return Err(RunError::new(
            Exit::Usage,
            format!(
                "{} is missing: the scenario has more clients than this cluster has client keys ({}); \
             lower it with --set load.clients=N, or found the cluster with `replica genesis --clients N`",
                path.display(),
                file.clients.len()
            ),
        ));
    }
    crypto::files::read_secret(&path).map_err(|error| RunError::new(Exit::Usage, error.to_string()))
}
