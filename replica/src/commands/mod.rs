//! Command line of `replica`. Data goes to standard output, messages to standard
//! error.

mod count;
mod genesis;
mod inspect;
pub(crate) mod log;
mod run;
mod status;

use clap::{Parser, Subcommand};

/// A member of a Byzantine-fault-tolerant replicated key-value store.
#[derive(Debug, Parser)]
#[command(name = "replica", version, propagate_version = true)]
#[command(after_help = "Examples:
  replica genesis -f 1 -o cluster            found a cluster of 5 on this machine
  replica run --dir cluster/replica-0        run its first member
  replica status 127.0.0.1:9000              ask one that runs with --admin 127.0.0.1:9000
  replica fsck cluster/replica-0             verify the data of one that does not run")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: log::Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Found a cluster: keys, one directory for each replica, cluster.toml
    Genesis(genesis::Arguments),
    /// Run a replica until SIGTERM or Ctrl-C
    Run(run::Arguments),
    /// Show what a replica with an admin port says of itself
    Status(status::Arguments),
    /// Show what a replica that does not run has on disk
    Inspect(inspect::Arguments),
    /// Verify what a replica that does not run has on disk; exit code 1 if it does not add up
    Fsck(inspect::Arguments),
}

pub(crate) fn dispatch(cli: &Cli) -> anyhow::Result<()> {
    match &cli.command {
        Command::Genesis(arguments) => genesis::genesis(arguments, cli.global.json),
        Command::Run(arguments) => run::run(arguments),
        Command::Status(arguments) => status::status(arguments, cli.global.json),
        Command::Inspect(arguments) => inspect::inspect(arguments, cli.global.json),
        Command::Fsck(arguments) => inspect::fsck(arguments, cli.global.json),
    }
}

/// 2: wrong use; 6: environment unfit; 1: everything else.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<genesis::Usage>().is_some() {
        return 2;
    }
    if replica::inspect::is_in_use(error) {
        return 6;
    }
    replica::exit_code(error)
}
