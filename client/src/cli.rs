//! From the command line to an exit code.

mod args;
mod failure;
mod operate;
mod output;
mod repl;
mod status;
mod txn;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use client::{Client, HubSettings, Pace};
use consensus::{ClientId, Grade};
use network::genesis;
use tracing_subscriber::EnvFilter;

use args::{Args, Command, Options, ReadMode};
use failure::Failure;
use operate::{Stdin, operate};
use output::Format;

/// The first wait before all replicas are asked; never longer than half of the time-out.
const RETRANSMIT_AFTER: Duration = Duration::from_millis(500);

/// Runs the command of this process.
pub(crate) fn main() -> ExitCode {
    // Wrong usage ends the process here, with exit code 2.
    let args = Args::parse();
    let format = Format {
        json: args.options.json,
        hex: args.options.hex,
    };
    let result = start_log(&args.options).and_then(|()| run(args));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            format.print_error(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(args: Args) -> Result<(), Failure> {
    let Args { options, command } = args;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Local(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let client = start(&options)?;
        let result = perform(&client, &options, command).await;
        client.close().await;
        result
    })
}

async fn perform(client: &Client, options: &Options, command: Command) -> Result<(), Failure> {
    let format = Format {
        json: options.json,
        hex: options.hex,
    };
    if let Command::Status = command {
        return status::status(client.hub(), options.timeout, format).await;
    }
    client.hub().ready(options.timeout).await?;
    match command {
        Command::Operation(operation) => operate(client, operation, format, Stdin::Values).await,
        Command::Repl => repl::repl(client, format).await,
        Command::Status => Ok(()),
    }
}

fn start(options: &Options) -> Result<Client, Failure> {
    let cluster = cluster_file(options)?;
    let key = options.key_file.clone().unwrap_or_else(|| {
        let directory = cluster.parent().unwrap_or(Path::new("."));
        genesis::client_key(directory, ClientId(0))
    });
    let pace = Pace {
        retransmit_after: RETRANSMIT_AFTER.min(options.timeout / 2),
        request_timeout: options.timeout,
        ..Pace::default()
    };
    let settings = HubSettings {
        pace,
        ..HubSettings::default()
    };
    let client = Client::start(&cluster, &key, settings)?;
    let grade = match options.read {
        ReadMode::Ordered => return Ok(client),
        ReadMode::Quorum => Grade::Quorum,
        ReadMode::Stale => Grade::Stale,
    };
    Ok(client.with_reads(grade))
}

/// What --cluster says, else $QUINTET_CLUSTER, else ./cluster.toml.
fn cluster_file(options: &Options) -> Result<PathBuf, Failure> {
    let named = options.cluster.clone().or_else(|| {
        let named = std::env::var_os("QUINTET_CLUSTER").filter(|name| !name.is_empty());
        named.map(PathBuf::from)
    });
    let file = named.unwrap_or_else(|| PathBuf::from(genesis::CLUSTER_FILE));
    if file.is_file() {
        return Ok(file);
    }
    Err(Failure::Local(format!(
        "no cluster file {}: name one with --cluster or $QUINTET_CLUSTER; `replica genesis` makes one",
        file.display()
    )))
}

/// Messages go to stderr, coloured only on a terminal that wants colours.
fn start_log(options: &Options) -> Result<(), Failure> {
    let level = match (options.quiet, options.verbose) {
        (true, _) => "error",
        (false, 0) => "warn,client=info",
        (false, 1) => "info,client=debug",
        (false, _) => "debug",
    };
    let filter = options.log.as_deref().unwrap_or(level);
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure::Usage(format!("--log {filter:?}: {error}")))?;
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .without_time()
        .with_target(false)
        .init();
    Ok(())
}
