//! Log messages on stderr.

use tracing_subscriber::EnvFilter;

use super::arguments::Global;
use crate::report::Paint;
use crate::screen::Held;

/// Starts logging as the command line asks for it.
///
/// # Errors
/// The filter is wrong; the message says how.
pub(super) fn start(global: &Global) -> Result<(), String> {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, 2) => "debug",
        (false, _) => "trace",
    };
    let filter = match &global.log {
        None => EnvFilter::new(level),
        Some(filter) => EnvFilter::try_new(filter).map_err(|error| {
            format!("--log \"{filter}\" is no filter: {error}; write a level (error, warn, info, debug, trace) or target=level, apart by commas")
        })?,
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(Paint::of(&std::io::stderr()).colour)
        .with_writer(|| Held)
        .try_init()
        .map_err(|error| format!("cannot start logging: {error}"))
}
