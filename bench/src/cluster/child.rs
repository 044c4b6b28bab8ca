//! A replica as a child process: `bench` starts itself again with these arguments, so that one
//! build has all there is, and `kill -9` and lost disks are real.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use replica::storage::Durability;
use replica::{Engine, ExitReason};

use super::fitting::{Correct, Surroundings};
use super::lying::Lying;
use super::member_file::MemberFile;

/// The hidden subcommand that makes `bench` a replica.
pub const SUBCOMMAND: &str = "replica-process";

/// Arguments of the child; made by [`Arguments::to_command_line`] only.
#[derive(Clone, Debug, Parser, PartialEq, Eq)]
#[command(no_binary_name = true)]
pub struct Arguments {
    /// The replica's directory.
    #[arg(long)]
    pub dir: PathBuf,
    /// File for the committed log.
    #[arg(long)]
    pub committed: PathBuf,
    /// File for the contents of what it executes, if it is to keep them.
    #[arg(long)]
    pub executed: Option<PathBuf>,
    /// What else it is: written by `bench` for this very process.
    #[arg(long)]
    pub member: PathBuf,
    /// Does a vote wait for the disk?
    #[arg(long)]
    pub durability: DurabilityName,
    /// Where records are kept.
    #[arg(long)]
    pub storage: EngineName,
    /// Filter of the log on standard error.
    #[arg(long, default_value = "warn")]
    pub log: String,
}

/// `full` or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DurabilityName {
    /// fsync before a vote leaves.
    Full,
    /// No fsync.
    Off,
}

/// `sqlite` or `memory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// SQLite files.
    Sqlite,
    /// Nothing survives the process.
    Memory,
}

impl Arguments {
    /// The arguments as `bench` passes them to itself.
    pub fn to_command_line(&self) -> Vec<OsString> {
        let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value()
                .map(|value| value.get_name().to_owned())
                .unwrap_or_default()
        };
        let mut line = vec![
            SUBCOMMAND.into(),
            "--dir".into(),
            self.dir.clone().into(),
            "--committed".into(),
            self.committed.clone().into(),
            "--member".into(),
            self.member.clone().into(),
            "--durability".into(),
            name(&|| self.durability.to_possible_value()).into(),
            "--storage".into(),
            name(&|| self.storage.to_possible_value()).into(),
            "--log".into(),
            self.log.clone().into(),
        ];
        if let Some(path) = &self.executed {
            line.extend(["--executed".into(), path.clone().into()]);
        }
        line
    }
}

/// Runs a replica in this process until it is told to stop or its parent is gone.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Standard error may be closed; then nobody reads it.
            let _ = error.print();
            return ExitCode::from(2);
        }
    };
    let filter = tracing_subscriber::EnvFilter::try_new(&arguments.log)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would panic where standard error cannot be written, as on a full disk.
        .log_internal_errors(false)
        .with_ansi(false)
        .try_init();
    debug_assert!(started.is_ok(), "a child starts its log once");
    let mut options = replica::Options::new(&arguments.dir);
    options.durability = match arguments.durability {
        DurabilityName::Full => Durability::Full,
        DurabilityName::Off => Durability::Off,
    };
    options.engine = match arguments.storage {
        EngineName::Sqlite => Engine::Sqlite,
        EngineName::Memory => Engine::Memory,
    };
    options.committed_log = Some(arguments.committed);
    options.executed_log = arguments.executed;
    // The parent holds the other end: when it dies, however it dies, the replica stops.
    options.exit_with_stdin = true;
    let member = match MemberFile::read(&arguments.member) {
        Ok(member) => member,
        Err(error) => return failed(&error),
    };
    match run(&options, member) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn run(options: &replica::Options, member: MemberFile) -> anyhow::Result<ExitReason> {
    let plan = member.byzantine.clone();
    let around = Surroundings::new(member);
    match plan {
        None => replica::run_fitted(options, Correct(around)),
        Some(plan) => {
            let lying = Lying::new(around, plan, &options.directory)?;
            replica::run_fitted(options, lying)
        }
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    replica::run::last_words(&format!("{error:#}"));
    ExitCode::from(replica::exit_code(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_what_it_was_made_from() {
        let arguments = Arguments {
            dir: "a dir".into(),
            committed: "c.jsonl".into(),
            executed: Some("e.bin".into()),
            member: "m.json".into(),
            durability: DurabilityName::Off,
            storage: EngineName::Memory,
            log: "info".to_owned(),
        };
        let line = arguments.to_command_line();
        let parsed = Arguments::try_parse_from(line.into_iter().skip(1)).ok();
        assert_eq!(parsed, Some(arguments));
    }
}
