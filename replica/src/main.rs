//! The command `replica`: founds clusters, runs replicas, shows their status.

mod commands;

use std::process::ExitCode;

use clap::Parser as _;

/// Replicas take requests in on one thread and let go of them on another, which the C library's allocator pays for with a
/// tenth of the processor time (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    commands::log::start(&cli.global);
    match commands::dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            replica::run::last_words(&format!("{error:#}"));
            ExitCode::from(commands::exit_code(&error))
        }
    }
}
