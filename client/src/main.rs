//! The command `client`: operations on a Quintet cluster from a shell.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
