//! R12 across views: what a restart must not take back once views have changed.

use consensus::pbft::message::Mode;
use consensus::pbft::record::Record;
use consensus::{Event, Protocol, View};

use crate::fixture::Fixture;
use crate::node::Node;

/// The same replica, started from what `before` had made durable.
fn restarted(fixture: &Fixture, before: &Node) -> Node {
    let mut node = fixture.node(before.core.id().0);
    // Unbound records come first (see `Protocol::restore`), the newest of their kind.
    let views = before.records.iter().rev();
    let view = views.clone().find(|record| record.kind() == 4);
    let bound = before.records.iter().filter(|record| record.kind() < 3);
    for record in view.into_iter().chain(bound) {
        let bytes = crypto::encode(record);
        let record: Record = crypto::decode(&bytes).expect("own records decode");
        node.core.restore(record);
    }
    node
}

#[test]
fn a_primary_restarted_after_a_clean_stop_leaves_no_gap_below_votes_of_older_views() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(1);
    // Only this replica saw the proposal, so the new view assigns nothing to its slot.
    before.receive(0, &fixture.proposal(6).wire());
    for replica in [2, 3, 4] {
        before.receive(replica, &fixture.leaves(replica, 1));
    }
    assert_eq!(
        (before.core.view(), before.core.mode()),
        (View(1), Mode::Normal)
    );
    let mut node = restarted(&fixture, &before);
    node.step(Event::Started);
    let lines = node.request([fixture.request(0, 1)]);
    assert_eq!(lines[0], "proposed s1 (1)");
}
