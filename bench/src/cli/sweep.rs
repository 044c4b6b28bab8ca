//! `bench sweep`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::arguments::SweepArgs;
use super::output::{self, Output};
use crate::exit::Exit;
use crate::options::{Finished, RunError, RunOptions};
use crate::record::{write_file, write_json};
use crate::scenario::Loaded;
use crate::sweep::{Card, Plan, Targets, card_html, card_markdown, card_text, sweep};

/// Runs everything and leaves the scorecard beside the runs.
pub(super) fn execute(
    arguments: &SweepArgs,
    output: &Output,
    run: impl Fn(&RunOptions) -> Result<Finished, RunError>,
) -> Exit {
    let targets = Targets {
        named: arguments.scenarios.clone(),
        over: arguments.over.clone(),
        set: arguments.overrides(),
        alone: arguments.alone,
    };
    let plan = match Plan::new(&targets) {
        Ok(plan) => plan,
        Err(refused) => {
            refused.0.iter().for_each(|error| output.refuse(error));
            if output.json {
                let all: Vec<_> = refused.0.iter().map(output::refusal).collect();
                output.document(&all);
            }
            return output.end(Exit::Usage);
        }
    };
    // Each sweep has a folder of its own, so that its runs stay together.
    let folder = format!("{}_sweep", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
    let out = arguments.out.join(folder);
    let one = |loaded: &Loaded| {
        run(&RunOptions {
            loaded: loaded.clone(),
            invocation: None,
            out: out.clone(),
            history: None,
            attach: None,
            keep_data: false,
            display: output.display(arguments.plain),
        })
    };
    let progress = |number: usize, total: usize, name: &str| {
        output.say(&format!("[{}/{total}] {name}", number + 1));
    };
    let (card, exit) = sweep(&plan, one, progress);
    match write(&card, &out) {
        Ok(()) if output.json => output.document(&card),
        Ok(()) => {
            output.text(&card_text(&card));
            output.text(&format!("\n{}\n", out.join("scorecard.html").display()));
        }
        Err(error) => {
            output.complain(&format!(
                "cannot write the scorecard to {}: {error}; choose another directory with --out DIR",
                out.display()
            ));
            return output.end(exit.max(Exit::Environment));
        }
    }
    output.end(exit)
}

fn write(card: &Card, out: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(out)?;
    let path = |name: &str| -> PathBuf { out.join(name) };
    write_json(&path("scorecard.json"), card)?;
    write_file(&path("scorecard.md"), card_markdown(card).as_bytes())?;
    write_file(&path("scorecard.html"), card_html(card).as_bytes())
}
