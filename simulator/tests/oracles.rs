//! Whole runs with something planted in them: the checkers that no unit test reaches fire.

use std::time::Duration;

use simulator::{Config, Faults, run};

/// The kinds of violations that seeds come to.
fn found(configs: impl Iterator<Item = Config>) -> Vec<String> {
    let kinds = configs.filter_map(|config| {
        let first = run(&config).violations.into_iter().next()?;
        Some(first.split(':').next().unwrap_or_default().to_owned())
    });
    let mut kinds: Vec<String> = kinds.collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn crashing(seed: u64) -> Config {
    Config {
        seed,
        heal_at: Duration::from_secs(2),
        faults: Faults {
            loss: 0.05,
            crashes: true,
            amnesia: true,
            lasting: Duration::from_millis(5)..Duration::from_millis(50),
            ..Faults::none()
        },
        ..Config::default()
    }
}

#[test]
fn replicas_that_forget_what_they_signed_are_found() {
    let kinds = found((0..20).map(crashing));
    assert!(kinds.contains(&"non-equivocation".to_owned()), "{kinds:?}");
}

#[test]
fn acknowledged_writes_that_a_power_cut_takes_away_are_found() {
    let cut = |seed| Config {
        faults: Faults {
            amnesia: true,
            ..Faults::none()
        },
        ..crashing(seed)
    };
    // All replicas are restarted at the end, with nothing left on their disks.
    let kinds = found((0..3).map(cut));
    assert!(!kinds.is_empty());
    assert!(
        !found((0..3).map(|seed| Config {
            restart_all: false,
            ..cut(seed)
        }))
        .contains(&kinds[0])
    );
}

#[test]
fn progress_that_comes_too_late_is_found() {
    let hasty = |seed| Config {
        progress_within: Duration::from_millis(1),
        ..Config::drawn(seed)
    };
    assert_eq!(found((1..4).map(hasty)), ["liveness"]);
}
