//! The command `replica`: founds clusters, runs replicas, shows their status.

mod commands;

use std::process::ExitCode;

use clap::Parser as _;

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
