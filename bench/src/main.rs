//! `bench`: runs, measures and checks Quintet clusters.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench::cli::main(std::env::args_os())
}
