//! `bench compare`.

use super::arguments::{CompareArgs, CompareFormat, FailOn};
use super::output::Output;
use crate::compare::{
    CompareError, Comparison, NoiseFloor, Options, Side, Verdict, compare, comparison_html,
    comparison_markdown, comparison_text, conclusion, document, read_sides,
};
use crate::doctor::{NOISE_FILE, read_noise};
use crate::exit::Exit;
use crate::record::write_file;
use crate::report::Paint;

/// A threshold larger than this is a slip of the keyboard.
const THRESHOLD_PERCENT_MAX: f64 = 1_000.0;

/// Compares runs and says what came of it.
pub(super) fn execute(arguments: &CompareArgs, output: &Output) -> Exit {
    let comparison = read_sides(&arguments.results, &arguments.runs).and_then(|sides| {
        let (noise_floor, doubt) = noise_floor(arguments, &sides);
        let options = Options {
            threshold: arguments.threshold / 100.0,
            noise_floor,
            force: arguments.force,
        };
        let mut comparison = compare(sides, options)?;
        comparison.warnings.extend(doubt);
        Ok(comparison)
    });
    let comparison = match comparison {
        Ok(comparison) => comparison,
        Err(error) => {
            let exit = match error {
                CompareError::Unreadable { .. } => Exit::Runtime,
                _ => Exit::Usage,
            };
            return output.fail(exit, &error.to_string());
        }
    };
    if let Some(file) = &arguments.out {
        let text = written(&comparison, arguments.format, Paint::PLAIN);
        if let Err(error) = write_file(file, text.as_bytes()) {
            let message = format!(
                "cannot write the comparison: {error}; choose another file with --out FILE"
            );
            return output.fail(Exit::Runtime, &message);
        }
    }
    if output.json {
        output.document(&document(&comparison));
    } else if arguments.out.is_some() {
        output.text(&format!("{}\n", conclusion(&comparison)));
    } else {
        output.text(&written(&comparison, arguments.format, output.paint));
    }
    output.end(judged(&comparison, arguments.fail_on))
}

/// The noise floor beside the results, if it is that of the machine on which all sides ran; else why it does not count.
fn noise_floor(arguments: &CompareArgs, sides: &[Side]) -> (Option<NoiseFloor>, Option<String>) {
    let noise = match read_noise(&arguments.results) {
        Ok(Some(noise)) => noise,
        Ok(None) => return (None, None),
        Err(why) => return (None, Some(format!("no noise floor was used: {why}"))),
    };
    let mut runs = sides.iter().flat_map(|side| &side.runs);
    if !runs.all(|run| noise.belongs_to(&run.environment)) {
        let why = format!(
            "the noise floor in {} was measured on another machine or build, and was not used: bench doctor --aa on this one",
            arguments.results.join(NOISE_FILE).display()
        );
        return (None, Some(why));
    }
    (Some(NoiseFloor::of(|metric| noise.floor(metric))), None)
}

/// Reads a threshold in per cent: `5`, `2.5`, `5%`.
pub(super) fn threshold(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    match number.parse::<f64>() {
        Ok(percent) if (0.0..=THRESHOLD_PERCENT_MAX).contains(&percent) => Ok(percent),
        _ => Err(format!(
            "a threshold is a percentage from 0 to {THRESHOLD_PERCENT_MAX}, such as 5"
        )),
    }
}

fn written(comparison: &Comparison, format: CompareFormat, paint: Paint) -> String {
    match format {
        CompareFormat::Table => comparison_text(comparison, paint),
        CompareFormat::Md => comparison_markdown(comparison),
        CompareFormat::Html => comparison_html(comparison),
        CompareFormat::Json => format!("{:#}\n", document(comparison)),
    }
}

fn judged(comparison: &Comparison, fail_on: FailOn) -> Exit {
    let found = |verdicts: &[Verdict]| verdicts.iter().any(|verdict| comparison.any(*verdict));
    let failed = match fail_on {
        FailOn::Never => false,
        FailOn::Regression => found(&[Verdict::Worse]),
        FailOn::Any => found(&[Verdict::Worse, Verdict::Better]),
    };
    if failed { Exit::Regression } else { Exit::Ok }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_percentage() {
        assert_eq!(threshold("5"), Ok(5.0));
        assert_eq!(threshold("2.5 %"), Ok(2.5));
        assert_eq!(threshold("0%"), Ok(0.0));
        for wrong in ["", "five", "-1", "NaN", "inf", "5%%x"] {
            assert!(threshold(wrong).is_err(), "{wrong}");
        }
    }
}
