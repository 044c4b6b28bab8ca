//! What may be written on the command line.

mod results;
mod saturate;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use results::{DOCTOR_EXAMPLES, LIST_EXAMPLES, SHOW_EXAMPLES};
pub(super) use results::{DoctorArgs, ListArgs, ShowArgs};
use saturate::SATURATE_EXAMPLES;
pub(super) use saturate::SaturateArgs;

use crate::record::HistoryMode;
use crate::simulate::Seeds;
use crate::verify::Named;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  bench run                                  five replicas here, 12 seconds
  bench run overload --set load.clients=128  a scenario, one value changed
  bench run mine.toml --repeat 5 --json      five repeats, the result as JSON
  bench verify                               the newest run judged again, from its files
  bench sweep quickstart --over load.clients=1,8    one table over many values
  bench saturate quickstart --slo 'p99 < 50ms'      the highest rate that keeps it
  bench list                                 the runs there are
  bench show @1 --reproduce                  the command that runs the newest again
  bench compare @2 @1                        what the newest run changed
  bench report @1 --open                     the newest run as a page with figures
  bench scenario list                        the scenarios at hand
  bench simulate --seeds 0..2000             clusters in virtual time, faults on

Exit codes:
    0  ok
    1  runtime error
    2  wrong usage or scenario
    3  objective or expectation missed
    4  safety violation
    5  liveness violation
    6  environment unfit: a port is taken, a directory cannot be written
    7  a comparison found a regression (--fail-on)
  130  interrupted; partial results are written and marked";

const RUN_EXAMPLES: &str = "\
Examples:
  bench run
  bench run scenarios/fast-path.toml scenarios/classic-pbft.toml
  bench run quickstart --set cluster.f=2 --set load.duration=30s --seed 42
  bench run quickstart --history full --out /tmp/results
  bench run quickstart --attach cluster/cluster.toml

A SCENARIO is a file, or the name of one that the program carries: see
`bench scenario list`. Several are run one after the other; the gravest end
decides the exit code. Results are in DIR/<time>_<name>_<4 hex>; DIR/latest
is the newest.";

const SWEEP_EXAMPLES: &str = "\
Examples:
  bench sweep sweeps/rate-latency
  bench sweep quickstart --over load.clients=1,8,64 --over load.outstanding=1,8 --repeat 5
  bench sweep scenarios/attacks/
  bench sweep kill-primary pause-primary --repeat 3

One scenario with a [sweep] or --over: every combination, in turns over the repeats
(A B A B). sweep.csv has one row for each run, DIR/<time>_<name>_<4 hex> a folder for
each cell that `bench compare` takes. Stopped by Ctrl-C, the same command goes on.

A folder or several scenarios: each in which something goes wrong is compared with
the same load without it, run in the same session. The table is the resilience
scorecard; it is left as scorecard.json, .md and .html in DIR/<time>_sweep.";

const COMPARE_EXAMPLES: &str = "\
Examples:
  bench compare @2 @1
  bench compare results/before results/after --threshold 3
  bench compare main branch --results nightly --fail-on regression --format md -o report.md

The first RUN is the baseline. A folder that holds several runs of one thing counts
as one RUN with all their repeats, which is how runs that took turns are compared.
A metric is better or worse if chance is an unlikely explanation and it changed by
the threshold at least; docs/comparing.md has the statistics. Ten repeats a side
find a change of 10 %. Exit code 7: --fail-on found what it was told to look for.";

const REPORT_EXAMPLES: &str = "\
Examples:
  bench report @1 --open
  bench report results/latest -o report.html
  bench report @1 @2 @3 -o side-by-side.html
  bench report @1 --format csv
  bench report results/20260101T000000Z_rate-latency_1a2b

`bench run` leaves report.html in the directory of each run; this writes it again, or
in another format, or for several runs side by side. The page is one file that needs
no network; a sweep or a search for saturation has one, too. Without -o a page goes to report.html in the run's directory (of several
runs: in DIR), and its place is printed; other formats are printed.";

const VERIFY_EXAMPLES: &str = "\
Examples:
  bench verify
  bench verify results/latest
  bench verify @2 --check state,evidence --json

Histories, logs, contents, proofs and samples are read again; every signature is
verified. What run.json says is shown where it differs. Exit code 4: a safety
violation; 5: only standstills; 3: only a replica that needed too much.";

const SCENARIO_EXAMPLES: &str = "\
Examples:
  bench scenario new --from fast-path > mine.toml
  bench scenario check mine.toml
  bench scenario explain mine.toml --set cluster.f=2";

const FAULT_EXAMPLES: &str = "\
Examples:
  bench fault list
  bench fault describe equivocate
  bench fault describe slow-primary --json";

const SIMULATE_EXAMPLES: &str = "\
Examples:
  bench simulate --seeds 0..2000
  bench simulate kill-loop --seeds 0..100 --virtual 10m
  bench simulate kill-loop --set cluster.f=2 --json

Without a SCENARIO each seed draws everything: sizes, quorums, workload, faults.
With one, its cluster and the kinds of its faults are taken, and the seed draws
when they strike and whom they hit. A failing seed is printed with the command
that shows it again. Exit code 4: a contradiction; 5: only standstills.";

const REPLAY_EXAMPLES: &str = "\
Examples:
  bench replay 17
  bench replay 17 kill-loop --until 40
  bench replay 17 --lines 100000 > chart

The scenario and --virtual must be those that the seed failed with.";

/// Runs and measures Byzantine fault tolerant clusters on this machine
#[derive(Debug, Parser)]
#[command(name = "bench", version, styles = STYLES, after_long_help = EXAMPLES)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Global {
    /// No progress and no warnings, only results and errors
    #[arg(
        short,
        long,
        global = true,
        display_order = 100,
        conflicts_with = "verbose"
    )]
    pub(super) quiet: bool,
    /// More log messages; -vv even more
    #[arg(short, long, global = true, display_order = 100, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Which log messages are shown, such as `bench=debug,network=trace`
    #[arg(long, global = true, display_order = 100, value_name = "FILTER")]
    pub(super) log: Option<String>,
    /// Print one JSON document instead of text
    #[arg(long, global = true, display_order = 100)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run scenarios: start a cluster, load it, measure, check, and leave results
    #[command(after_long_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Run one scenario over many values, or a folder of them: one table over all
    #[command(after_long_help = SWEEP_EXAMPLES)]
    Sweep(SweepArgs),
    /// Look for the highest offered rate that meets an objective
    #[command(after_long_help = SATURATE_EXAMPLES)]
    Saturate(SaturateArgs),
    /// Compare runs: what changed, whether that is more than chance, and by how much
    #[command(after_long_help = COMPARE_EXAMPLES)]
    Compare(CompareArgs),
    /// List the runs of a results directory
    #[command(after_long_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Show a run again: its summary, environment, faults, or the command that runs it again
    #[command(after_long_help = SHOW_EXAMPLES)]
    Show(ShowArgs),
    /// Turn runs into a report: a page with figures, Markdown, CSV or JSON
    #[command(after_long_help = REPORT_EXAMPLES)]
    Report(ReportArgs),
    /// Judge a run once more, from its files alone
    #[command(after_long_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Examine this machine: what makes figures doubtful, and how far runs of one thing are apart
    #[command(after_long_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
    /// List, check, explain and begin scenario files
    #[command(after_long_help = SCENARIO_EXAMPLES)]
    Scenario(ScenarioArgs),
    /// List and describe what Byzantine replicas, clients and outsiders can do
    #[command(after_long_help = FAULT_EXAMPLES)]
    Fault(FaultArgs),
    /// Simulate whole clusters in virtual time, one for each seed, and check every one
    #[command(after_long_help = SIMULATE_EXAMPLES)]
    Simulate(SimulateArgs),
    /// Simulate one seed again and print its messages as a chart
    #[command(after_long_help = REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
}

#[derive(Clone, Debug, Default, Args)]
pub(super) struct RunArgs {
    /// Scenario files or names; none means quickstart
    #[arg(value_name = "SCENARIO")]
    pub(super) scenarios: Vec<String>,
    /// Override a value of the scenario, such as load.clients=64; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Independent runs on fresh clusters
    #[arg(long, value_name = "N")]
    pub(super) repeat: Option<u32>,
    /// Seed of keys, arrivals and the choice of operations
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,
    /// Name of the run, part of its directory's name
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Directory for results
    #[arg(short, long, value_name = "DIR", default_value = "results")]
    pub(super) out: PathBuf,
    /// How many operations history.jsonl keeps [default: what the scenario's check needs]
    #[arg(long, value_name = "MODE")]
    pub(super) history: Option<History>,
    /// Measure the running cluster of this file instead of starting one
    #[arg(long, value_name = "CLUSTER.toml")]
    pub(super) attach: Option<PathBuf>,
    /// Show Prometheus what the load generator does: a port of this machine, or ADDRESS:PORT
    #[arg(long, value_name = "ADDR", value_parser = replica::admin::parse_address)]
    pub(super) prom: Option<SocketAddr>,
    /// Keep the replicas' data directories
    #[arg(long)]
    pub(super) keep_data: bool,
    /// One progress line a second, also on a terminal
    #[arg(long)]
    pub(super) plain: bool,
    /// Show the run on the whole terminal as it goes
    #[arg(long, conflicts_with_all = ["plain", "quiet", "json"])]
    pub(super) tui: bool,
}

#[derive(Clone, Debug, Args)]
pub(super) struct SweepArgs {
    /// Scenario files or names, folders of them, or folders of this program such as `attacks`
    #[arg(value_name = "SCENARIO|DIR", required = true)]
    pub(super) scenarios: Vec<String>,
    /// The values that a key takes, such as load.clients=1,8; several make a cross product
    #[arg(long, value_name = "KEY=V1,V2")]
    pub(super) over: Vec<String>,
    /// Override a value of every scenario; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Independent runs of each on fresh clusters
    #[arg(long, value_name = "N")]
    pub(super) repeat: Option<u32>,
    /// No runs without faults to compare with (scorecards)
    #[arg(long)]
    pub(super) alone: bool,
    /// A new sweep, even if one of this scenario was stopped before its end
    #[arg(long)]
    pub(super) fresh: bool,
    /// Directory for results
    #[arg(short, long, value_name = "DIR", default_value = "results")]
    pub(super) out: PathBuf,
    /// One progress line a second, also on a terminal
    #[arg(long)]
    pub(super) plain: bool,
}

impl SweepArgs {
    /// `--set`, then the options that have a name of their own.
    pub(super) fn overrides(&self) -> Vec<String> {
        let repeat = self.repeat.map(|repeat| format!("repeat={repeat}"));
        self.set.iter().cloned().chain(repeat).collect()
    }
}

#[derive(Clone, Debug, Args)]
pub(super) struct CompareArgs {
    /// Two runs or more, the baseline first: directories of results, folders of them, ids or beginnings of ids, @1 for the newest
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    pub(super) runs: Vec<String>,
    /// The smallest change that matters, in per cent
    #[arg(long, value_name = "PCT", default_value = "5", value_parser = super::compare::threshold)]
    pub(super) threshold: f64,
    /// How the comparison is written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: CompareFormat,
    /// Write it to a file; stdout then gets its conclusion only
    #[arg(short, long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// What makes the exit code 7
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub(super) fail_on: FailOn,
    /// Compare also what is not comparable, with a warning
    #[arg(long)]
    pub(super) force: bool,
    /// Where ids are looked for
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(super) results: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum CompareFormat {
    /// For a terminal
    #[default]
    Table,
    /// Markdown, to paste into a pull request or to turn into a page
    Md,
    /// A page with figures
    Html,
    /// Every number, as bench.compare/v1
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// A metric that is worse
    Regression,
    /// A metric that is worse or better
    Any,
    /// Nothing
    #[default]
    Never,
}

#[derive(Clone, Debug, Args)]
pub(super) struct ReportArgs {
    /// Directories of results, ids or beginnings of ids, @1 for the newest
    #[arg(value_name = "RUN", default_value = "@1")]
    pub(super) runs: Vec<String>,
    /// How the report is written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: ReportFormat,
    /// Write it to this file
    #[arg(short, long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Open the page in the browser
    #[arg(long)]
    pub(super) open: bool,
    /// Where ids are looked for
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(super) results: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// One page with interactive figures
    #[default]
    Html,
    /// Markdown: the story and the tables of all figures
    Md,
    /// One line for each repeat
    Csv,
    /// Every point of every figure, as bench.report/v1
    Json,
}

#[derive(Clone, Debug, Args)]
pub(super) struct VerifyArgs {
    /// A directory of results, an id or the beginning of one, or @1 for the newest
    #[arg(value_name = "RUN", default_value = "@1")]
    pub(super) run: String,
    /// Only these checks
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    pub(super) check: Vec<Named>,
    /// Where results are looked for
    #[arg(short, long, value_name = "DIR", default_value = "results")]
    pub(super) out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum History {
    /// None
    Off,
    /// All operations on a share of the keys
    Sampled,
    /// Every operation
    Full,
}

impl From<History> for HistoryMode {
    fn from(history: History) -> Self {
        match history {
            History::Off => Self::Off,
            History::Sampled => Self::Sampled,
            History::Full => Self::Full,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(super) struct SimulateArgs {
    /// A scenario file or name; none draws everything from the seed
    #[arg(value_name = "SCENARIO")]
    pub(super) scenario: Option<String>,
    /// Seeds: A..B without B, A..=B, or one
    #[arg(long, value_name = "A..B", default_value = "0..100")]
    pub(super) seeds: Seeds,
    /// Threads [default: all cores]
    #[arg(short, long, value_name = "N")]
    pub(super) jobs: Option<usize>,
    /// For how long things go wrong, such as 10m, before everything is healed [default: as the scenario or the seed says]
    #[arg(long = "virtual", value_name = "TIME", value_parser = super::simulate::time)]
    pub(super) virtual_time: Option<Duration>,
    /// Override a value of the scenario, such as cluster.f=2; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub(super) struct ReplayArgs {
    /// The seed
    #[arg(value_name = "SEED")]
    pub(super) seed: u64,
    /// The scenario that it belongs to, if any
    #[arg(value_name = "SCENARIO")]
    pub(super) scenario: Option<String>,
    /// Override a value of the scenario, such as cluster.f=2; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// For how long things go wrong
    #[arg(long = "virtual", value_name = "TIME", value_parser = super::simulate::time)]
    pub(super) virtual_time: Option<Duration>,
    /// End when somebody has executed this sequence number
    #[arg(long, value_name = "SEQ")]
    pub(super) until: Option<u64>,
    /// Lines at most: the last ones
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub(super) lines: usize,
    /// Show STATUS messages, too
    #[arg(long)]
    pub(super) heartbeats: bool,
}

#[derive(Debug, Args)]
pub(super) struct ScenarioArgs {
    #[command(subcommand)]
    pub(super) command: ScenarioCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum ScenarioCommand {
    /// List the scenarios of the program and those below ./scenarios
    List,
    /// Check scenario files without running them
    Check {
        /// Scenario files or names
        #[arg(value_name = "FILE", required = true)]
        files: Vec<String>,
        /// Override a value, such as load.clients=64; may be repeated
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
    /// Print the effective scenario with the origin of each value
    Explain {
        /// A scenario file or name
        #[arg(value_name = "FILE")]
        file: String,
        /// Override a value, such as load.clients=64; may be repeated
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
    /// Print the beginning of a new scenario
    New {
        /// The scenario to start from [default: quickstart]
        #[arg(long, value_name = "NAME")]
        from: Option<String>,
    },
    /// Print the JSON Schema of scenario files
    Schema,
}

#[derive(Debug, Args)]
pub(super) struct FaultArgs {
    #[command(subcommand)]
    pub(super) command: FaultCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum FaultCommand {
    /// List every behavior of Byzantine replicas, one line each
    List,
    /// Explain a behavior: what it does, what must hold, its arguments, an example
    Describe {
        /// Its name, as `bench fault list` shows it
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
