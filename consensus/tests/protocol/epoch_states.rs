//! R13, R16: states of other replicas that bring an epoch with them.

use consensus::pbft::message::Wire;
use consensus::{Configuration, Epoch, SeqNo};

use crate::epochs::{K, in_epoch_1};
use crate::fixture::{Fixture, state_at};
use crate::node::Node;

#[test]
fn the_genesis_configuration_belongs_to_epoch_0() {
    let fixture = Fixture::strong();
    let configuration = Configuration::genesis(&fixture.cluster);
    let mut node = fixture.node(1);
    node.core
        .restore_state(SeqNo(K), state_at(K), configuration);
    let lines = node.step(consensus::Event::Started);
    assert!(
        !lines.iter().any(|line| line.starts_with("persist")),
        "{lines:?}"
    );
}

/// The configuration of epoch `epoch` that began behind slot `base`; it may be closing at `seq`.
fn configured(fixture: &Fixture, closings: &[u64]) -> Configuration {
    let mut configuration = Configuration::genesis(&fixture.cluster);
    for (replica, end) in (1..).zip(closings) {
        let batch = consensus::Batch::new(vec![fixture.renew(replica, 1, 9)]);
        configuration.execute(SeqNo(end - 1), Some(&batch));
    }
    configuration
}

fn installed(seq: u64, configuration: Configuration) -> crate::node::Happened {
    consensus::Event::StateInstalled {
        seq: SeqNo(seq),
        digest: state_at(seq),
        configuration,
    }
}

#[test]
fn a_state_of_a_later_epoch_takes_a_replica_there() {
    let fixture = Fixture::strong();
    let later = fixture.in_epoch(2);
    let mut node = fixture.node(1);
    let certificate = later.stable(&[0, 2, 3, 4], 12, state_at(12));
    let lines = node.receive(2, &Wire::Stable(certificate));
    assert_eq!(lines, ["behind s12", "fetch state s12"]);
    let mut configuration = configured(&fixture, &[4, 8]);
    configuration.begin(SeqNo(9));
    let lines = node.step(installed(12, configuration));
    assert_eq!(lines[..2], ["persist epoch e2", "persist view v0 Normal"]);
    assert!(lines.contains(&"stable s12".to_owned()), "{lines:?}");
    assert_eq!(
        (node.core.epoch(), node.core.stable()),
        (Epoch(2), SeqNo(12))
    );
    assert_eq!(
        node.receive(2, &later.proposal(13).wire())[0],
        "persist vote s13"
    );
}

#[test]
fn a_state_at_the_end_of_its_epoch_takes_a_replica_into_the_next_one() {
    let fixture = Fixture::strong();
    for epoch in [0, 2] {
        let mut node = fixture.node(1);
        let closings = if epoch == 0 { vec![12] } else { vec![4, 8, 12] };
        let certificate = fixture
            .in_epoch(epoch)
            .stable(&[0, 2, 3, 4], 12, state_at(12));
        node.receive(2, &Wire::Stable(certificate));
        node.step(installed(12, configured(&fixture, &closings)));
        let expected = (Epoch(epoch + 1), SeqNo(12));
        assert_eq!((node.core.epoch(), node.core.stable()), expected);
    }
}

#[test]
fn a_state_that_execution_has_overtaken_does_not_reopen_the_configuration() {
    let fixture = Fixture::strong();
    let (mut node, _) = in_epoch_1(&fixture, 2);
    let late = Configuration::genesis(&fixture.cluster);
    node.step(installed(K, late));
    assert_eq!(node.core.configuration().epoch(), Epoch(1));
}

#[test]
fn a_learner_whose_renewal_comes_with_a_state_is_a_member() {
    let fixture = Fixture::strong();
    for (life, renewed) in [(9, true), (8, false)] {
        let mut core = fixture.core(1);
        core.become_learner(consensus::Nonce([life; 16]));
        let mut node = Node::new(core, fixture.keyring.clone());
        let certificate = fixture.in_epoch(1).stable(&[0, 2, 3, 4], 12, state_at(12));
        node.receive(2, &Wire::Stable(certificate));
        let mut configuration = configured(&fixture, &[4]);
        configuration.begin(SeqNo(K + 1));
        let lines = node.step(installed(12, configuration));
        let member = lines.contains(&"member from e1".to_owned());
        assert_eq!(member, renewed, "{lines:?}");
    }
}
