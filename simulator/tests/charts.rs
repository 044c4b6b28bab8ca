//! Charts: a run drawn is the run itself, within bounds.

use std::time::Duration;

use consensus::SeqNo;
use simulator::trace::{ChartBounds, chart};
use simulator::{Config, Faults, run};

fn crashing(seed: u64) -> Config {
    Config {
        seed,
        heal_at: Duration::from_secs(1),
        faults: Faults {
            crashes: true,
            ..Faults::none()
        },
        ..Config::default()
    }
}

#[test]
fn a_chart_shows_the_run_as_it_was() {
    let config = crashing(3);
    let drawn = chart(&config, ChartBounds::default());
    let outcome = run(&config);
    assert_eq!(drawn.outcome.trace, outcome.trace);
    assert_eq!(drawn.outcome.stats, outcome.stats);
    let text = drawn.lines.join("\n");
    for what in [
        "request",
        "pre-prepare v0 s1",
        "prepare v0 s1",
        "executes s1",
        "crashes",
    ] {
        assert!(text.contains(what), "no {what} in\n{text}");
    }
    assert!(!text.contains("status"));
}

#[test]
fn a_chart_ends_where_it_was_asked_to_and_keeps_no_more_lines_than_that() {
    let bounds = ChartBounds {
        until: Some(SeqNo(5)),
        lines_max: 10,
        heartbeats: true,
    };
    let drawn = chart(&crashing(3), bounds);
    assert_eq!(drawn.lines.len(), 10);
    assert!(drawn.omitted > 0);
    assert!(drawn.lines.iter().any(|line| line.ends_with("executes s5")));
    assert_eq!(drawn.outcome.stats.slots, 5);
}

/// The first slot of a cluster, as a reader sees it.
#[test]
fn the_chart_of_the_normal_case() {
    let config = Config {
        clients: 1,
        outstanding: 1,
        n: 4,
        ..Config::default()
    };
    let bounds = ChartBounds {
        until: Some(SeqNo(1)),
        ..ChartBounds::default()
    };
    let drawn = chart(&config, bounds);
    let without_time = drawn.lines.iter().map(|line| &line[16..]);
    let text: Vec<&str> = without_time.collect();
    let order = [
        "starts",
        "enters v0",
        "request",
        "pre-prepare",
        "prepare",
        "executes s1",
    ];
    let first = |what: &str| text.iter().position(|line| line.contains(what));
    let places: Vec<_> = order.iter().map(|what| first(what)).collect();
    assert!(places.iter().all(Option::is_some), "{text:#?}");
    assert!(places.is_sorted(), "{text:#?}");
}
