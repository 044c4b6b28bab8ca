//! The command line: results on stdout, messages on stderr, and an exit code that says what came of it.

mod archive;
mod arguments;
mod compare;
mod doctor;
mod fault;
mod logging;
mod output;
mod report;
mod run;
mod saturate;
mod scenario;
mod simulate;
mod sweep;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Cli, Command};
use output::Output;

use crate::cluster::child;
use crate::exit::Exit;
use crate::outsider;

/// The whole program; the arguments begin with the program's name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    // The launcher's own way in: its arguments are none of the user's, so clap does not look at them.
    if arguments
        .get(1)
        .is_some_and(|first| first == child::SUBCOMMAND)
    {
        return child::main(arguments.split_off(2));
    }
    if arguments
        .get(1)
        .is_some_and(|first| first == outsider::SUBCOMMAND)
    {
        return outsider::main();
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // Prints to stdout what was asked for (--help), to stderr what is wrong, and exits with 0 or 2.
        Err(message) => message.exit(),
    };
    let output = Output::new(&cli.global);
    if let Err(message) = logging::start(&cli.global) {
        output.complain(&message);
        return Exit::Usage.into();
    }
    let exit = match &cli.command {
        Command::Run(run) => run::execute(run, &output, crate::run::run),
        Command::Sweep(arguments) => sweep::execute(arguments, &output, crate::run::run),
        Command::Saturate(arguments) => saturate::execute(arguments, &output, crate::run::run),
        Command::Scenario(scenario) => scenario::execute(scenario, &output),
        Command::Fault(arguments) => fault::execute(arguments, &output),
        Command::Compare(arguments) => compare::execute(arguments, &output),
        Command::Doctor(arguments) => doctor::execute(arguments, &output, crate::run::run),
        Command::List(arguments) => archive::list(arguments, &output),
        Command::Show(arguments) => archive::show(arguments, &output),
        Command::Report(arguments) => report::execute(arguments, &output),
        Command::Verify(arguments) => verify::execute(arguments, &output),
        Command::Simulate(arguments) => simulate::execute(arguments, &output),
        Command::Replay(arguments) => simulate::replay(arguments, &output),
    };
    exit.into()
}
