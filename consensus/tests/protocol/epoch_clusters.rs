//! R16: whole clusters across a change of epoch.

use consensus::pbft::message::Wire;
use consensus::pbft::record::Record;
use consensus::{Epoch, Protocol, SeqNo};

use crate::epochs::{K, NOTHING, at_the_end, final_certificate};
use crate::fixture::{Fixture, ms, state_at};
use crate::net::{Net, long};

/// Runs a cluster until the epoch has changed; the slot at which it did is K.
fn changed_epoch<'f>(fixture: &'f Fixture, silent: &[u16]) -> Net<'f> {
    let mut net = Net::new(fixture, silent);
    for id in (0..5).filter(|id| !silent.contains(id)) {
        net.request(id, fixture.renew(4, 1, 9));
    }
    net.run(long());
    net
}

#[test]
fn an_idle_epoch_is_filled_up_to_its_end() {
    let fixture = Fixture::strong();
    let net = changed_epoch(&fixture, &[]);
    for id in 0..5 {
        assert_eq!(net.core(id).epoch(), Epoch(1), "r{id}");
        assert_eq!(net.core(id).stable(), SeqNo(K), "r{id}");
        assert_eq!(net.core(id).pending(), 0, "r{id}");
        assert!(!net.executed(id, K + 1), "r{id}");
    }
    let repeated: Vec<_> = (1..=K).map(|seq| net.log[&(0, SeqNo(seq))]).collect();
    assert!(repeated.iter().all(|batch| *batch == repeated[0]));
    assert_eq!(repeated[0].1, 1, "the RENEW itself, not NULL");
}

#[test]
fn requests_go_on_across_the_change_of_epoch() {
    let fixture = Fixture::strong();
    let mut net = changed_epoch(&fixture, &[4]);
    for number in 1..=3 {
        net.request(3, fixture.request(0, number));
        net.run(long() / 10);
    }
    net.run(long());
    for id in 0..4 {
        assert!(net.executed(id, K + 3), "r{id}");
        assert_eq!(net.core(id).primary().0, 1);
    }
    assert_eq!(net.halts, NOTHING);
}

#[test]
fn a_primary_that_fails_while_its_epoch_closes_is_replaced_and_the_epoch_ends() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[]);
    // It gets no further than the RENEW.
    net.loses = Box::new(|from, _, wire| {
        from == 0 && matches!(wire, Wire::PrePrepare(header, _) if header.statement.seq > SeqNo(1))
    });
    for id in 0..5 {
        net.request(id, fixture.renew(4, 1, 9));
    }
    net.run(ms(20));
    assert!(net.executed(3, 1) && !net.executed(3, 2));
    net.crash(0);
    net.run(long() * 2);
    for id in 1..5 {
        assert_eq!(net.core(id).epoch(), Epoch(1), "r{id}");
        assert!(net.executed(id, K), "r{id}");
    }
    assert_eq!(net.halts, NOTHING);
}

#[test]
fn a_replica_that_was_away_while_the_epoch_changed_follows() {
    let fixture = Fixture::strong();
    let mut net = changed_epoch(&fixture, &[3]);
    net.request(1, fixture.request(0, 1));
    net.run(long());
    net.start(3);
    net.run(long() * 2);
    assert_eq!(net.core(3).epoch(), Epoch(1));
    assert!(net.executed(3, K + 1));
}

#[test]
fn a_cluster_that_lost_power_goes_on_in_the_epoch_that_it_had_entered() {
    let fixture = Fixture::strong();
    let mut net = changed_epoch(&fixture, &[]);
    net.request(1, fixture.request(0, 1));
    net.run(long());
    (0..5).for_each(|id| net.crash(id));
    net.run(long() / 100);
    (0..5).for_each(|id| net.start(id));
    net.request(1, fixture.request(0, 2));
    net.run(long());
    for id in 0..5 {
        assert_eq!(net.core(id).epoch(), Epoch(1), "r{id}");
        assert!(net.executed(id, K + 2), "r{id}");
    }
    assert_eq!(net.halts, NOTHING);
}

#[test]
fn a_state_at_the_boundary_with_its_certificate_begins_the_next_epoch_after_a_restart() {
    let fixture = Fixture::strong();
    let boundary = at_the_end(&fixture, 2).core.configuration().clone();
    let stable = Record::Stable(final_certificate(&fixture));
    for certificate_first in [true, false] {
        let mut node = fixture.node(2);
        if certificate_first {
            node.core.restore(stable.clone());
        }
        node.core
            .restore_state(SeqNo(K), state_at(K), boundary.clone());
        if !certificate_first {
            assert_eq!(node.core.epoch(), Epoch(0));
            node.core.restore(stable.clone());
        }
        assert_eq!(
            (node.core.epoch(), node.core.stable()),
            (Epoch(1), SeqNo(K))
        );
        let lines = node.step(consensus::Event::Started);
        assert_eq!(lines[0], "persist epoch e1");
    }
}
