#![allow(clippy::unwrap_used)]

use std::cell::RefCell;

use super::*;
use crate::record::Run;

fn options(results: &Path) -> NoiseOptions {
    NoiseOptions {
        results: results.to_owned(),
        pairs: 3,
        set: Vec::new(),
    }
}

fn finished(status: RunStatus, throughput_ops_s: f64) -> Finished {
    let repeat = Repeat {
        throughput_ops_s,
        ..Repeat::default()
    };
    Finished {
        run: Run {
            status,
            repeats: vec![repeat],
            ..Run::default()
        },
        directory: PathBuf::new(),
    }
}

#[test]
fn sides_take_turns_and_a_pair_has_one_seed() {
    let place = tempfile::tempdir().unwrap();
    let seen = RefCell::new(Vec::new());
    let run = |loaded: &Loaded, folder: &Path| {
        let side = folder.file_name().unwrap().to_str().unwrap().to_owned();
        seen.borrow_mut().push((side, loaded.scenario.seed));
        let count = seen.borrow().len();
        Ok(finished(RunStatus::Completed, 1_000.0 + count as f64))
    };
    let environment = Environment {
        cores: 2,
        ..Environment::default()
    };
    let noise = measure_noise(
        &options(place.path()),
        environment.clone(),
        "aa",
        run,
        |_, _| {},
    )
    .unwrap();
    let expected = [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3), ("b", 3)];
    assert_eq!(
        seen.into_inner(),
        expected.map(|(side, seed)| (side.to_owned(), seed))
    );
    let floor = noise.floor(Metric::Throughput).unwrap();
    assert!(floor > 0.0 && floor < 0.006, "{floor}");
    assert_eq!(
        noise.floor(Metric::LatencyP99),
        None,
        "nothing was measured, which is not 0"
    );
    assert_eq!(read_noise(place.path()).unwrap().as_ref(), Some(&noise));
    assert!(noise.belongs_to(&environment));
    assert!(!noise.belongs_to(&Environment::default()));
}

#[test]
fn a_run_that_did_not_end_well_leaves_no_floor() {
    let place = tempfile::tempdir().unwrap();
    let run = |_: &Loaded, _: &Path| Ok(finished(RunStatus::Interrupted, 5.0));
    let ended = measure_noise(
        &options(place.path()),
        Environment::default(),
        "aa",
        run,
        |_, _| {},
    );
    assert_eq!(ended.unwrap_err().exit, Exit::Interrupted);
    assert_eq!(read_noise(place.path()).unwrap(), None);
    std::fs::write(place.path().join(NOISE_FILE), "{}").unwrap();
    assert!(read_noise(place.path()).unwrap_err().contains(NOISE_FILE));
}
