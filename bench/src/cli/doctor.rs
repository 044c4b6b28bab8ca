//! `bench doctor`.

use std::path::Path;

use jiff::Timestamp;

use super::arguments::DoctorArgs;
use super::output::Output;
use crate::doctor::{
    DOCTOR_SCHEMA, Diagnosis, Noise, NoiseOptions, diagnosis_text, examine, measure_noise,
    read_noise,
};
use crate::exit::Exit;
use crate::options::{Finished, RunError, RunOptions};
use crate::record::{Environment, Settings, check_writable};
use crate::scenario::Loaded;

/// Examines this machine, and measures its noise floor if that is asked for.
pub(super) fn execute(
    arguments: &DoctorArgs,
    output: &Output,
    run: impl Fn(&RunOptions) -> Result<Finished, RunError>,
) -> Exit {
    if let Err(error) = check_writable(&arguments.results) {
        let message = format!(
            "cannot write to {}: {}; choose a writable directory with --results DIR, or free space there",
            error.path.display(),
            error.source
        );
        return output.fail(Exit::Environment, &message);
    }
    // A diagnosis is of no cluster.
    let environment = Environment::gather(Settings {
        durability: String::new(),
        authentication: String::new(),
    });
    output.say("examining this machine");
    let findings = examine(&arguments.results, &environment);
    let noise = match arguments.aa {
        Some(pairs) => measured(arguments, output, pairs, &environment, run).map(Some),
        None => Ok(earlier(arguments, output, &environment)),
    };
    let noise_floor = match noise {
        Ok(noise) => noise,
        Err(error) => return output.fail(error.exit, &error.message),
    };
    let diagnosis = Diagnosis {
        schema: DOCTOR_SCHEMA,
        environment,
        findings,
        noise_floor,
    };
    if output.json {
        output.document(&diagnosis);
    } else {
        output.text(&diagnosis_text(&diagnosis, output.paint));
    }
    output.end(Exit::Ok)
}

fn measured(
    arguments: &DoctorArgs,
    output: &Output,
    pairs: u32,
    environment: &Environment,
    run: impl Fn(&RunOptions) -> Result<Finished, RunError>,
) -> Result<Noise, RunError> {
    let options = NoiseOptions {
        results: arguments.results.clone(),
        pairs: pairs as usize,
        set: arguments.set.clone(),
    };
    let folder = format!(
        "{}_noise-floor",
        Timestamp::now().strftime("%Y%m%dT%H%M%SZ")
    );
    let display = output.display(arguments.plain);
    let one = |loaded: &Loaded, out: &Path| run(&RunOptions::one_of_many(loaded, out, display));
    let progress = |number: usize, total: usize| {
        output.say(&format!("[{number}/{total}] the same again"));
    };
    measure_noise(&options, environment.clone(), &folder, one, progress)
}

/// What was measured before on this machine.
fn earlier(arguments: &DoctorArgs, output: &Output, environment: &Environment) -> Option<Noise> {
    match read_noise(&arguments.results) {
        Ok(noise) => noise.filter(|noise| noise.belongs_to(environment)),
        Err(why) => {
            output.complain(&why);
            None
        }
    }
}
