//! `replica genesis`: founds a cluster.

use std::net::IpAddr;
use std::path::PathBuf;

use network::Genesis;
use network::genesis::{Addresses, GenesisError, replica_directory};

use super::count::Count;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Byzantine replicas to tolerate
    #[arg(short, value_name = "N")]
    f: u16,
    /// Replicas: a number or an expression, at least 3f+1
    #[arg(short, value_name = "EXPR", default_value = "4f+1")]
    n: Count,
    /// The machines' addresses; replica i runs on the i-th, and again from the first
    #[arg(
        long,
        value_name = "HOST",
        value_delimiter = ',',
        default_value = "127.0.0.1"
    )]
    hosts: Vec<IpAddr>,
    /// First UDP port on each machine; a replica has two
    #[arg(long, value_name = "PORT", default_value_t = 5300)]
    base_port: u16,
    /// Clients to make keys for
    #[arg(long, value_name = "N", default_value_t = 16)]
    clients: u32,
    /// Let clients read beside the log: every write then needs 2f+1 equal replies instead of f+1
    #[arg(long)]
    quorum_reads: bool,
    /// A new or empty directory
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// Whoever gave the arguments is to blame.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(String);

pub(super) fn genesis(arguments: &Arguments, json: bool) -> anyhow::Result<()> {
    let Some(n) = arguments.n.of(arguments.f) else {
        return Err(Usage("-n: more replicas than a cluster may have".to_owned()).into());
    };
    let addresses = Addresses::Hosts {
        hosts: arguments.hosts.clone(),
        base_port: arguments.base_port,
    };
    let mut founding = Genesis {
        addresses,
        ..Genesis::local(arguments.f, n, arguments.base_port, arguments.clients)
    };
    founding.limits.quorum_reads = arguments.quorum_reads;
    let file = founding
        .create(&arguments.output)
        .map_err(|error| match error {
            GenesisError::Occupied(_)
            | GenesisError::Addresses(_)
            | GenesisError::Clients(_)
            | GenesisError::File(_) => anyhow::Error::from(Usage(error.to_string())),
            other => other.into(),
        })?;
    let directories: Vec<PathBuf> = file
        .replicas
        .iter()
        .map(|replica| replica_directory(&arguments.output, replica.id))
        .collect();
    if json {
        let document = serde_json::json!({
            "directory": arguments.output,
            "n": n,
            "f": arguments.f,
            "clients": arguments.clients,
            "replicas": directories,
        });
        println!("{document}");
        return Ok(());
    }
    println!(
        "A cluster of n = {n} replicas that tolerates f = {}, with {} client keys, is in {}.",
        arguments.f,
        arguments.clients,
        arguments.output.display()
    );
    println!("Run each replica on its machine:");
    for directory in directories {
        println!("  replica run --dir {}", directory.display());
    }
    Ok(())
}
