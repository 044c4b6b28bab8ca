//! Messages: to standard error, plain unless that is a terminal.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Options of every command.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// Only errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// More messages; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Which messages, such as `info` or `warn,replica::transport=debug`
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// Standard output is one JSON document
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Sends messages to standard error from here on.
pub(crate) fn start(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn,replica=info",
        (false, 1) => "info,replica=debug",
        (false, _) => "trace",
    };
    let filter = global.log.as_deref().unwrap_or(level);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        // It would panic where standard error cannot be written.
        .log_internal_errors(false)
        .with_ansi(colour)
        .with_target(false);
    match EnvFilter::try_new(filter) {
        Ok(filter) => subscriber.with_env_filter(filter).init(),
        Err(error) => {
            subscriber.with_env_filter(level).init();
            tracing::warn!("--log {filter:?} is not understood ({error}); using {level:?}");
        }
    }
}
