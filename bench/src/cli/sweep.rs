//! `bench sweep`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::arguments::SweepArgs;
use super::output::{self, Output};
use crate::campaign::{Program, SCORECARD};
use crate::exit::Exit;
use crate::experiment::{Experiment, open, run_experiment, sweep_text};
use crate::options::{Finished, RunError, RunOptions};
use crate::record::{Environment, check_writable, write_file, write_json};
use crate::run::settings;
use crate::scenario::{Loaded, ScenarioError, Source, embedded, load_over};
use crate::sweep::{Card, Plan, Targets, card_html, card_markdown, card_text, sweep};

/// Runs one scenario over what it varies, or a scorecard.
pub(super) fn execute(
    arguments: &SweepArgs,
    output: &Output,
    run: impl Fn(&RunOptions) -> Result<Finished, RunError>,
) -> Exit {
    match varied(arguments) {
        None => scorecard(arguments, output, run),
        Some(Ok(base)) => experiment(arguments, output, base, run),
        Some(Err(refused)) => output.turn_down(&refused),
    }
}

/// The scenario, if it is one alone that varies something.
fn varied(arguments: &SweepArgs) -> Option<Result<Loaded, ScenarioError>> {
    let [word] = &arguments.scenarios[..] else {
        return None;
    };
    if !Path::new(word).is_file() && (Path::new(word).is_dir() || embedded(word).is_none()) {
        return None;
    }
    let loaded = Source::find(word)
        .and_then(|source| load_over(&[source], &arguments.overrides(), &arguments.over));
    match loaded {
        Ok(loaded) if loaded.scenario.sweep.is_none() => None,
        other => Some(other),
    }
}

/// Runs every cell in turns and leaves the table beside the runs.
fn experiment(
    arguments: &SweepArgs,
    output: &Output,
    base: Loaded,
    run: impl Fn(&RunOptions) -> Result<Finished, RunError>,
) -> Exit {
    let cells = match base.cells() {
        Ok(cells) => cells,
        Err(refused) => return output.turn_down(&refused),
    };
    output.warn(&base.warnings);
    let experiment = Experiment {
        repeats: base.scenario.repeat,
        base,
        cells,
    };
    let display = output.display(arguments.plain);
    let one = |loaded: &Loaded, out: &Path| run(&RunOptions::one_of_many(loaded, out, display));
    let progress = |number: usize, total: usize, name: &str| {
        output.say(&format!("[{number}/{total}] {name}"));
    };
    let environment = Environment::gather(settings(&experiment.base.scenario, false));
    let opened = Program::own().and_then(|program| {
        let fresh = arguments.fresh;
        open(&arguments.out, &experiment, environment, &program, fresh)
    });
    let ended = opened.and_then(|opened| {
        if opened.campaign.resumed {
            output.say(&format!(
                "going on with {}, which has {} of {} runs",
                opened.campaign.path.display(),
                opened.measured(),
                experiment.cells.len() * experiment.repeats as usize
            ));
        }
        run_experiment(&experiment, &opened, one, progress)
    });
    output.campaign(ended, |document| &document.directory, sweep_text)
}

/// Runs everything and leaves the scorecard beside the runs.
fn scorecard(
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
    // Said once, and not by every run.
    if let Err(error) = check_writable(&arguments.out) {
        return output.fail(Exit::Environment, &error.to_string());
    }
    // Each sweep has a folder of its own, so that its runs stay together.
    let folder = format!("{}_sweep", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
    let out = arguments.out.join(folder);
    let display = output.display(arguments.plain);
    let one = |loaded: &Loaded| run(&RunOptions::one_of_many(loaded, &out, display));
    let progress = |number: usize, total: usize, name: &str| {
        output.say(&format!("[{}/{total}] {name}", number + 1));
    };
    let (card, exit) = sweep(&plan, one, progress);
    match write(&card, &out) {
        Ok(()) if output.json => output.document(&card),
        Ok(()) => {
            output.text(&card_text(&card));
            output.text(&format!("\n{}\n", out.join(SCORECARD.page).display()));
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
    write_json(&path(SCORECARD.document), card)?;
    write_file(&path(SCORECARD.table), card_markdown(card).as_bytes())?;
    write_file(&path(SCORECARD.page), card_html(card).as_bytes())
}
