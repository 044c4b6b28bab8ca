//! R7.2 step 1 and R10.6: what comes for a view before its NEW-VIEW does.

use consensus::Policy;
use consensus::pbft::message::Wire;

use crate::fixture::Fixture;

const NOTHING: [&str; 0] = [];

#[test]
fn proposals_and_votes_that_came_before_the_opening_count_afterwards() {
    let fixture = Fixture::conservative();
    let mut node = fixture.node(2);
    let batch = fixture.proposal(1).batch;
    let header = fixture.header(1, 1, batch.digest());
    let early = Wire::PrePrepare(header, Some(batch.to_raw()));
    assert_eq!(node.receive(1, &early), NOTHING);
    for voter in [0, 1, 3, 4] {
        let vote = Wire::Prepare(fixture.prepare(voter, &header));
        assert_eq!(node.receive(voter, &vote), NOTHING);
    }
    let lines = node.receive(1, &fixture.opens_empty(1));
    for line in [
        "persist vote s1",
        // q = 4 votes of others: prepared, and T_fast runs.
        "set Fast 20ms",
    ] {
        assert!(lines.contains(&line.to_owned()), "{line} in {lines:?}");
    }
    assert_eq!(node.persisted(), ["decided s1 fast", "execute s1 (1)"]);
}

#[test]
fn early_votes_count_even_if_the_proposal_never_came() {
    let fixture = Fixture::conservative();
    let mut node = fixture.node(2);
    let header = fixture.header(1, 1, fixture.proposal(1).batch.digest());
    for voter in [0, 1, 3, 4] {
        node.receive(voter, &Wire::Prepare(fixture.prepare(voter, &header)));
    }
    let lines = node.receive(1, &fixture.opens_empty(1));
    assert!(lines.contains(&"set Fast 20ms".to_owned()), "{lines:?}");
}

#[test]
fn of_early_proposals_the_nearest_views_is_kept_and_one_a_slot() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    let [near, second, far] = [(0, 1), (1, 1), (2, 1)].map(|(client, view)| {
        let batch = consensus::Batch::new(vec![fixture.request(client, 1)]);
        let view = if client == 2 { 6 } else { view };
        let header = fixture.header(view, 1, batch.digest());
        Wire::PrePrepare(header, Some(batch.to_raw()))
    });
    // Replica 1 is the primary of views 1 and 6.
    for early in [&far, &near, &second, &far] {
        assert_eq!(node.receive(1, early), NOTHING);
    }
    let lines = node.receive(1, &fixture.opens_empty(1));
    assert!(lines.contains(&"persist vote s1".to_owned()), "{lines:?}");
    let header = fixture.header(1, 1, fixture.proposal(1).batch.digest());
    let Some(Wire::Prepare(vote)) = node.sent.last() else {
        panic!("it voted");
    };
    assert_eq!(vote.statement, header.statement, "the first of view 1");
}

#[test]
fn early_bodies_are_bounded_and_what_did_not_fit_is_fetched() {
    let limits = consensus::Limits {
        op_bytes_max: 3 << 20,
        batch_bytes_max: 4 << 20,
        ..crate::fixture::small_limits()
    };
    let policy = Policy::default();
    let fixture = Fixture::with(5, 1, consensus::FastQuorum::Strong, limits, policy);
    let mut node = fixture.node(2);
    let op = vec![7u8; (2 << 20) + (1 << 19)];
    for seq in 1..=4 {
        let request = fixture.request_of(0, crate::fixture::SESSION, seq, 0, &[&op]);
        let batch = consensus::Batch::new(vec![request]);
        let header = fixture.header(1, seq, batch.digest());
        node.receive(1, &Wire::PrePrepare(header, Some(batch.to_raw())));
    }
    // Three times 2.5 MiB fit in 8 MiB.
    let lines = node.receive(1, &fixture.opens_empty(1));
    let votes = lines.iter().filter(|line| line.starts_with("persist vote"));
    assert_eq!(votes.count(), 3, "{lines:?}");
    let lines = node.status_after_waiting();
    assert!(
        lines.contains(&"send FETCH-BATCH s4 to r1".to_owned()),
        "{lines:?}"
    );
}
