//! Arguments of the commands that look at results.

use std::path::PathBuf;

use clap::Args;

pub(in crate::cli) const LIST_EXAMPLES: &str = "\
Examples:
  bench list
  bench list --limit 5
  bench list --results nightly --json

The newest is the first: runs, sweeps, searches for saturation, scorecards. What
stands under `run` names it for other commands, and so does the beginning of its id,
which begins with the time that is shown. What lies in a sweep is named behind it:
@1/rate=500-s.";

pub(in crate::cli) const SHOW_EXAMPLES: &str = "\
Examples:
  bench show
  bench show @2 --faults
  bench show 20261121T0917 --env
  bench show @1 --reproduce | sh

--reproduce prints a command with every --set, seed and repeat, quoted for a shell,
behind comments that name the commit. If the scenario has changed since, or the run
had no name to call it by, the command runs the effective scenario of the results.";

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Runs at most, the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(in crate::cli) limit: usize,
    /// Where the results are
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(in crate::cli) results: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// A directory of results, an id or the beginning of one, or @1 for the newest
    #[arg(value_name = "RUN", default_value = "@1")]
    pub(in crate::cli) run: String,
    /// Print the command that runs it again
    #[arg(long, group = "part")]
    pub(in crate::cli) reproduce: bool,
    /// Print the machine and the program
    #[arg(long, group = "part")]
    pub(in crate::cli) env: bool,
    /// Print the faults and what each cost
    #[arg(long, group = "part")]
    pub(in crate::cli) faults: bool,
    /// Where ids are looked for
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(in crate::cli) results: PathBuf,
}

pub(in crate::cli) const DOCTOR_EXAMPLES: &str = "\
Examples:
  bench doctor
  bench doctor --json
  bench doctor --aa
  bench doctor --aa 10 --results nightly

--aa runs one short scenario again and again, as pairs that take turns, and keeps in
DIR/noise-floor.json what they differ by. `bench compare` then takes no change for
one that is within the noise of this machine. Let nothing else run meanwhile.";

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct DoctorArgs {
    /// Measure the noise floor with this many pairs of runs, 15 seconds each
    #[arg(long, value_name = "PAIRS", num_args = 0..=1, default_missing_value = "5", value_parser = clap::value_parser!(u32).range(2..=50))]
    pub(in crate::cli) aa: Option<u32>,
    /// Override a value of the scenario of --aa; may be repeated
    #[arg(long, value_name = "KEY=VALUE", requires = "aa")]
    pub(in crate::cli) set: Vec<String>,
    /// Where results are, whose disk is measured
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(in crate::cli) results: PathBuf,
    /// One progress line a second, also on a terminal
    #[arg(long)]
    pub(in crate::cli) plain: bool,
}
