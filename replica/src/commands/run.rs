//! `replica run`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use replica::storage::Durability;
use replica::{Engine, Options};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The replica's directory, as `replica genesis` made it
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where to listen for peers, if not where cluster.toml says
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where to listen for clients, if not where cluster.toml says
    #[arg(long, value_name = "ADDR")]
    client_listen: Option<SocketAddr>,
    /// Serve status, health and metrics over HTTP here: a port of this machine, or ADDRESS:PORT
    #[arg(long, value_name = "ADDR", value_parser = replica::admin::parse_address)]
    admin: Option<SocketAddr>,
    /// Whether a vote reaches the disk before it leaves; `off` is for benchmarks
    #[arg(long, value_enum, default_value = "full")]
    durability: DurabilityArgument,
    /// Where records are kept; `memory` is for benchmarks and forgets everything
    #[arg(long, value_enum, default_value = "sqlite")]
    storage: StorageArgument,
    /// Write every executed slot to this file, one JSON line each
    #[arg(long, value_name = "FILE")]
    committed_log: Option<PathBuf>,
    /// Stop when standard input ends
    #[arg(long)]
    exit_with_stdin: bool,
    /// Threads that verify signatures
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    verify_workers: u16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DurabilityArgument {
    Full,
    Off,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StorageArgument {
    Sqlite,
    Memory,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let options = Options {
        listen: arguments.listen,
        client_listen: arguments.client_listen,
        admin: arguments.admin,
        durability: match arguments.durability {
            DurabilityArgument::Full => Durability::Full,
            DurabilityArgument::Off => Durability::Off,
        },
        engine: match arguments.storage {
            StorageArgument::Sqlite => Engine::Sqlite,
            StorageArgument::Memory => Engine::Memory,
        },
        committed_log: arguments.committed_log.clone(),
        exit_with_stdin: arguments.exit_with_stdin,
        verify_workers: usize::from(arguments.verify_workers),
        ..Options::new(&arguments.dir)
    };
    replica::run(&options).map(|_| ())
}
