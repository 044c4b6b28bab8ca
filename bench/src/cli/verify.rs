//! `bench verify`.

use super::arguments::VerifyArgs;
use super::output::Output;
use crate::archive::find_run;
use crate::check::Verdict;
use crate::exit::Exit;
use crate::verify::{Named, Verified, verify};

/// Judges a run once more and says what was found.
pub(super) fn execute(arguments: &VerifyArgs, output: &Output) -> Exit {
    let asked = match arguments.check.is_empty() {
        true => Named::ALL.to_vec(),
        false => arguments.check.clone(),
    };
    let verified = find_run(&arguments.out, &arguments.run, "--out")
        .and_then(|directory| verify(&directory, &asked));
    match verified {
        Ok(verified) => {
            if output.json {
                output.document(&verified);
            } else {
                output.text(&text(&verified));
            }
            output.end(verified.exit())
        }
        Err(message) => output.fail(Exit::Usage, &message),
    }
}

fn text(verified: &Verified) -> String {
    let mut text = format!("{}\n", verified.id);
    for repeat in &verified.repeats {
        if verified.repeats.len() > 1 {
            text += &format!("repeat {}\n", repeat.number);
        }
        for (named, result) in &repeat.checks {
            let recorded = match repeat.recorded.get(named) {
                Some(before) => format!(" (run.json says {})", word(*before)),
                None => String::new(),
            };
            let (title, word) = (named.title(), word(result.verdict));
            text += &format!("  {title:<14}  {word}{recorded}: {}\n", result.detail);
        }
    }
    text
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "FAIL",
        Verdict::Skipped => "skipped",
    }
}
