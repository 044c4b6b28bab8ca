//! A primary that is just fast enough for every timeout (docs/protocol.md R15).

use std::time::Duration;

use consensus::protocol::Event;
use consensus::{FastQuorum, Limits, Policy, Timer};

use crate::fixture::{Fixture, ms};
use crate::node::Node;
use crate::voting::decide;

/// For `lasting`, requests come every 50 ms, and the primary proposes each `delay` (a multiple of
/// 50 ms) after it was seen here. Returns how long it took until the view was left for slowness.
fn judged(fixture: &Fixture, node: &mut Node, delay: Duration, lasting: Duration) -> Option<u128> {
    let step = ms(50);
    let (mut now, mut asked, mut proposed) = (Duration::ZERO, 0, 0);
    while now < lasting {
        asked += 1;
        node.request([fixture.request(0, asked)]);
        if now >= delay {
            proposed += 1;
            decide(fixture, node, proposed..=proposed);
        }
        node.wait(step);
        now += step;
        let lines = node.fire(Timer::Status);
        if lines.contains(&"leave for v1: slowness".to_owned()) {
            return Some(now.as_millis());
        }
    }
    None
}

/// A window for all the slots of a test.
fn roomy() -> Fixture {
    let policy = Policy::default();
    Fixture::with(5, 1, FastQuorum::Strong, Limits::default(), policy)
}

fn backup(fixture: &Fixture) -> Node {
    let mut node = fixture.node(2);
    node.step(Event::Started);
    node
}

#[test]
fn a_primary_that_is_just_fast_enough_for_every_timeout_is_given_up_for_slowness() {
    let fixture = roomy();
    // T_req is 500 ms.
    let left = judged(&fixture, &mut backup(&fixture), ms(200), ms(6000));
    let left = left.expect("left");
    assert!((3000..5000).contains(&left), "grace and probation: {left}");
}

#[test]
fn a_prompt_primary_is_not_given_up() {
    let fixture = roomy();
    let mut node = backup(&fixture);
    assert_eq!(judged(&fixture, &mut node, ms(0), ms(6000)), None);
}

#[test]
fn requests_that_only_the_primary_knows_say_nothing_about_it() {
    let fixture = roomy();
    let mut node = backup(&fixture);
    for seq in 1..=100 {
        decide(&fixture, &mut node, seq..=seq);
        node.wait(ms(50));
        let lines = node.fire(Timer::Status);
        assert!(
            !lines.iter().any(|line| line.starts_with("leave")),
            "{lines:?}"
        );
    }
}
