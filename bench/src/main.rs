//! `bench`: runs, measures and checks Quintet clusters.

use std::process::ExitCode;

/// Replicas, which are processes of this program too, take requests in on one thread and let go of them on another, which
/// the C library's allocator pays for with a tenth of the processor time (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    bench::cli::main(std::env::args_os())
}
