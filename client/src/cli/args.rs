//! What the command line may say.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  client put greeting hello            store a value, whether or not the key exists
  client get greeting                  print it; exit code 1 if there is no such key
  client cas greeting bye --expect hello
  client scan --prefix user/ --limit 20
  echo -n 00ff | client create blob - --hex
  client txn transfer.json             several operations, all or none
  client repl                          a prompt for all of these
  client status                        what each replica says of itself

The cluster file is ./cluster.toml unless --cluster or $QUINTET_CLUSTER names another; the key is
clients/client-0.key beside it unless --key names another. Two processes at a time need two keys.

Exit codes: 0 ok, 1 the operation failed or has no result, 2 wrong usage, 130 interrupted.";

/// Operations on a Quintet cluster. Data goes to stdout, messages to stderr.
#[derive(Debug, Parser)]
#[command(name = "client", version, after_long_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, ClapArgs)]
pub(crate) struct Options {
    /// The cluster file [default: $QUINTET_CLUSTER, else ./cluster.toml]
    #[arg(long, global = true, value_name = "CLUSTER.toml")]
    pub(crate) cluster: Option<PathBuf>,
    /// The client's key file [default: clients/client-0.key beside the cluster file]
    #[arg(long = "key", global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// How long to wait for connections, and for each result
    #[arg(long, global = true, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// How gets and scans are done
    #[arg(long, global = true, value_enum, default_value_t = ReadMode::Ordered)]
    pub(crate) read: ReadMode,
    /// Print one JSON document (one a line in repl)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Values on the command line, on stdin and in the output are hexadecimal digits
    #[arg(long, global = true)]
    pub(crate) hex: bool,
    /// No messages but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// More messages; twice for still more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Which log messages to show, such as client=debug
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

/// How reads are done (docs/protocol.md R14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReadMode {
    /// In the order of all operations: linearizable
    Ordered,
    /// From n - f replicas that agree: linearizable, where the cluster has `quorum_reads`
    Quorum,
    /// From one replica: no guarantee at all
    Stale,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Operation(Operation),
    /// Read commands from a prompt, or from stdin line by line
    #[command(
        after_long_help = "Type the operations as on the command line, without `client`; \
        `help` lists them. Quotes group words. With input that is no terminal there is no prompt, \
        lines beginning with # are skipped, and the exit code is 1 if a line failed.\n\n\
        Example:\n  printf 'put a 1\\nget a\\n' | client repl"
    )]
    Repl,
    /// Show what each replica says of itself
    #[command(
        after_long_help = "One replica's words are no proof: a broken replica may say \
        anything. Exit code 1 if fewer than n - f replicas are connected.\n\n\
        Example:\n  client status --json | jq '.replicas[] | select(.connected | not)'"
    )]
    Status,
}

/// One operation.
#[derive(Debug, Subcommand)]
pub(crate) enum Operation {
    /// Store a new key; fails if it exists
    #[command(after_long_help = "Example:\n  client create user/7 '{\"name\":\"Ada\"}'")]
    Create(KeyValue),
    /// Store a value whether or not the key exists
    #[command(after_long_help = "Examples:\n  client put a 1\n  client put picture - < p.png")]
    Put(KeyValue),
    /// Print the value of a key; exit code 1 if it does not exist
    #[command(after_long_help = "Examples:\n  client get a\n  client get picture --hex")]
    Get(Key),
    /// Replace the value of a key; fails if it does not exist
    #[command(after_long_help = "Example:\n  client update a 2")]
    Update(KeyValue),
    /// Remove a key; fails if it does not exist
    #[command(after_long_help = "Example:\n  client delete a")]
    Delete(Key),
    /// Store a value if the key is as expected; fails otherwise
    #[command(after_long_help = "Examples:\n  client cas a 2 --expect 1\n  \
        client cas a 2 --expect-version 42.0\n  client cas a 1 --absent")]
    Cas(Cas),
    /// Print the entries of a range of keys in order: key, tab, value
    #[command(
        after_long_help = "Examples:\n  client scan\n  client scan a m --limit 10\n  \
        client scan --prefix user/"
    )]
    Scan(Scan),
    /// Execute a transaction from a file or stdin
    #[command(
        after_long_help = "The transaction is JSON. If all of `compare` hold, `then` is \
        executed, otherwise `else`; if an operation of the list fails, nothing takes effect.\n\n\
        Example:\n  {\"compare\": [{\"key\": \"a\", \"value\": \"10\"}, {\"key\": \"b\", \"absent\": true}],\n   \
        \"then\": [{\"op\": \"put\", \"key\": \"a\", \"value\": \"9\"}, {\"op\": \"create\", \"key\": \"b\", \"value\": \"1\"}],\n   \
        \"else\": [{\"op\": \"read\", \"key\": \"a\"}]}\n\n\
        Conditions: value, version (as printed, such as \"42.0\") or absent.\n\
        Operations: create, read, update, put, delete, cas (with one of expect, expect_version, \
        expect_absent)."
    )]
    Txn(TxnFile),
}

/// A key.
#[derive(Debug, ClapArgs)]
pub(crate) struct Key {
    /// The key, as text
    pub(crate) key: String,
}

/// A key and a value.
#[derive(Debug, ClapArgs)]
pub(crate) struct KeyValue {
    /// The key, as text
    pub(crate) key: String,
    /// The value; - reads it from stdin
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: String,
}

/// A conditional store.
#[derive(Debug, ClapArgs)]
pub(crate) struct Cas {
    #[command(flatten)]
    pub(crate) target: KeyValue,
    #[command(flatten)]
    pub(crate) expect: Expected,
}

/// What the key has to be.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct Expected {
    /// The key must have this value
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(crate) expect: Option<String>,
    /// The key must have this version, as printed by get --json
    #[arg(long, value_name = "VERSION")]
    pub(crate) expect_version: Option<kv::Version>,
    /// The key must not exist
    #[arg(long)]
    pub(crate) absent: bool,
}

/// A range of keys.
#[derive(Debug, ClapArgs)]
pub(crate) struct Scan {
    /// The first key [default: the least]
    pub(crate) start: Option<String>,
    /// The key to end before [default: no end]
    pub(crate) end: Option<String>,
    /// Keys that begin with this
    #[arg(long, conflicts_with_all = ["start", "end"])]
    pub(crate) prefix: Option<String>,
    /// Entries at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) limit: u32,
}

/// Where a transaction is.
#[derive(Debug, ClapArgs)]
pub(crate) struct TxnFile {
    /// A JSON file; - reads stdin
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
}

/// The longest time that an option may say.
const DURATION_MAX: Duration = Duration::from_secs(24 * 3600);

/// A time with its unit, such as 250ms, 5s, 1.5s or 2m.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time with its unit: 250ms, 5s, 2m".to_owned();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        _ => return Err(wrong()),
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() && time <= DURATION_MAX => Ok(time),
        _ => Err("expected a time between 1ms and 1440m".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
        let args = Args::parse_from(["client", "--key", "k.key", "get", "a"]);
        assert_eq!(args.options.key_file.unwrap(), PathBuf::from("k.key"));
        assert!(
            matches!(args.command, Command::Operation(Operation::Get(Key { key })) if key == "a")
        );
    }

    #[test]
    fn times_have_units_and_bounds() {
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        for wrong in ["", "5", "s", "5h", "-1s", "0s", "1e9m", "99999m", "1.2.3s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
