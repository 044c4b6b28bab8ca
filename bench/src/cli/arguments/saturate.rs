//! Arguments of `bench saturate`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

pub(in crate::cli) const SATURATE_EXAMPLES: &str = "\
Examples:
  bench saturate quickstart --slo 'p99 < 50ms' --slo 'errors <= 1%'
  bench saturate overload --set load.duration=5s --repeat 5
  bench saturate mine.toml --precision 2 --max-time 1h

An EXPR is a key of [slo] and its condition. Without any, [slo] of the scenario counts;
if that says nothing either, p99 may be ten times the median of a cluster that has
little to do. Nothing may be dropped or stay unanswered in any case. The load is an
open loop, whatever the scenario says. Each rate is decided by most of its runs.
Stopped by Ctrl-C, the same command goes on, and --max-time counts anew.

Exit code 3: not even the lowest rate met the objective.";

/// Runs of one rate at most; more of them decide nothing that fewer would not.
const REPEATS_MAX: i64 = 99;

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct SaturateArgs {
    /// A scenario file or name
    #[arg(value_name = "SCENARIO")]
    pub(in crate::cli) scenario: String,
    /// What has to hold, such as 'p99 < 50ms'; may be repeated
    #[arg(long, value_name = "EXPR")]
    pub(in crate::cli) slo: Vec<String>,
    /// Override a value of the scenario; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(in crate::cli) set: Vec<String>,
    /// Runs of one rate at most; most of them decide
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=REPEATS_MAX))]
    pub(in crate::cli) repeat: u32,
    /// How close the highest rate that meets the objective and the lowest that misses it shall be, in per cent
    #[arg(long, value_name = "PCT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(in crate::cli) precision: u32,
    /// Rates that are tried at most
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(in crate::cli) max_probes: u32,
    /// After this long no further run begins
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = crate::cli::simulate::time)]
    pub(in crate::cli) max_time: Duration,
    /// A new search, even if one of this scenario was stopped before its end
    #[arg(long)]
    pub(in crate::cli) fresh: bool,
    /// Directory for results
    #[arg(short, long, value_name = "DIR", default_value = "results")]
    pub(in crate::cli) out: PathBuf,
    /// One progress line a second, also on a terminal
    #[arg(long)]
    pub(in crate::cli) plain: bool,
}
