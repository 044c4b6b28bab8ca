//! The attacking process: `bench` starts itself again, tells it what to do through a pipe, and ends it by closing that pipe.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::plan::{OutsiderReport, Plan, Tally};

/// The hidden subcommand that makes `bench` an outsider.
pub const SUBCOMMAND: &str = "outsider-process";

/// A process that was told to end has this long to say what it did.
const END_PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at whether it has ended.
const POLL: Duration = Duration::from_millis(10);

/// A running attack. Dropping it kills the process.
pub struct Outsider {
    child: Child,
}

impl Outsider {
    /// Starts the attack; what the process complains of goes to the end of `log`.
    ///
    /// # Errors
    /// A sentence, if there can be no such process.
    pub fn start(program: &Path, plan: &Plan, log: &Path) -> Result<Self, String> {
        let start = || -> std::io::Result<Child> {
            let stderr = std::fs::File::options()
                .create(true)
                .append(true)
                .open(log)?;
            let mut child = Command::new(program)
                .arg(SUBCOMMAND)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(stderr)
                .process_group(0)
                .spawn()?;
            let mut line = serde_json::to_vec(plan)?;
            line.push(b'\n');
            if let Some(stdin) = &mut child.stdin {
                stdin.write_all(&line)?;
            }
            Ok(child)
        };
        let child = start().map_err(|error| format!("cannot start an outsider: {error}"))?;
        Ok(Outsider { child })
    }

    /// Ends the attack and returns what came of it.
    ///
    /// # Errors
    /// A sentence, if the process had ended in disorder or says nothing.
    pub fn finish(mut self) -> Result<OutsiderReport, String> {
        drop(self.child.stdin.take());
        let until = Instant::now() + END_PATIENCE;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => {
                    let mut said = String::new();
                    if let Some(mut stdout) = self.child.stdout.take() {
                        // Half a report is no report.
                        let _ = stdout.read_to_string(&mut said);
                    }
                    return serde_json::from_str(&said)
                        .map_err(|error| format!("the outsider's report is unreadable: {error}"));
                }
                Ok(Some(status)) => return Err(format!("the outsider failed ({status})")),
                Ok(None) => std::thread::sleep(POLL),
                Err(error) => return Err(format!("the outsider is lost: {error}")),
            }
        }
        Err(format!(
            "the outsider did not end within {} s and was killed",
            END_PATIENCE.as_secs()
        ))
    }
}

impl Drop for Outsider {
    fn drop(&mut self) {
        // It has ended already, or it must.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Attacks until standard input ends, then prints what came of it.
pub fn main() -> ExitCode {
    let mut stdin = BufReader::new(std::io::stdin());
    let mut line = String::new();
    let plan: Plan = match stdin
        .read_line(&mut line)
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_str(&line).map_err(|error| error.to_string()))
    {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("an outsider needs a plan on standard input: {error}");
            return ExitCode::from(2);
        }
    };
    let tally = Arc::new(Tally::default());
    let watched = Arc::clone(&tally);
    let watcher = std::thread::Builder::new()
        .name("stop".to_owned())
        .spawn(move || {
            // The end, or an error, which is an end as well.
            let _ = std::io::copy(&mut stdin, &mut std::io::sink());
            watched.stop();
        });
    if let Err(error) = watcher
        .map_err(anyhow::Error::from)
        .and_then(|_| super::run(&plan, &tally))
    {
        eprintln!("{}: {error:#}", plan.attack.name());
        return ExitCode::from(1);
    }
    // An attack with nothing to do waits like the others.
    while !tally.stopped() {
        std::thread::sleep(POLL);
    }
    match serde_json::to_string(&tally.report()) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::from(1),
    }
}
