//! R16: how an epoch ends, what is void behind its end, and how the next one begins.

use consensus::pbft::certificate::StableCertificate;
use consensus::pbft::message::{MisbehaviourProof, Mode, Status, ViewChange, Wire};
use consensus::pbft::record::Record;
use consensus::{Configuration, Epoch, Protocol, SeqNo, Timer, View};

use crate::fixture::{Fixture, Proposal, ms, state_at};
use crate::net::{Net, long};
use crate::node::Node;

const NOTHING: [&str; 0] = [];
/// K, and the end of an epoch that is closed by one of its first K slots.
const K: u64 = 4;
/// The slot that closes the epoch in these tests.
const RENEW_AT: u64 = 2;

/// What the primary proposes at `seq`; at [`RENEW_AT`] replica 4's RENEW.
fn proposal(fixture: &Fixture, seq: u64) -> Proposal {
    if seq == RENEW_AT {
        fixture.proposal_of(seq, vec![fixture.renew(4, 1, 9)])
    } else {
        fixture.proposal(seq)
    }
}

/// All of the votes for what the node has or gets.
fn carry(fixture: &Fixture, node: &mut Node, proposal: &Proposal) -> Vec<String> {
    let me = node.core.id().0;
    let mut lines = node.receive(0, &proposal.wire());
    for voter in (0..5).filter(|voter| *voter != me) {
        let vote = fixture.prepare(voter, &proposal.header);
        lines.extend(node.receive(voter, &Wire::Prepare(vote)));
    }
    lines
}

/// A replica that has executed the epoch's last slot, and the lines of that.
fn at_the_end(fixture: &Fixture, id: u16) -> Node {
    let mut node = fixture.node(id);
    for seq in 1..=K {
        carry(fixture, &mut node, &proposal(fixture, seq));
        node.executed(seq);
    }
    assert_eq!(node.core.configuration().closing(), Some(SeqNo(K)));
    node.state_saved(K, state_at(K));
    node
}

/// Its certificate, by which the epoch ends.
fn final_certificate(fixture: &Fixture) -> StableCertificate {
    fixture.stable(&[0, 2, 3, 4], K, state_at(K))
}

/// A replica that has just entered epoch 1.
fn in_epoch_1(fixture: &Fixture, id: u16) -> (Node, Vec<String>) {
    let mut node = at_the_end(fixture, id);
    let lines = node.receive(2, &Wire::Stable(final_certificate(fixture)));
    assert_eq!(node.core.epoch(), Epoch(1));
    (node, lines)
}

fn old_status(last_executed: u64) -> Wire {
    Wire::Status(Status {
        epoch: Epoch(0),
        view: View(0),
        mode: Mode::Normal,
        stable: SeqNo(0),
        last_executed: SeqNo(last_executed),
        undecided: vec![0xff].into(),
    })
}

#[test]
fn slots_above_the_boundary_are_void() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    let early = carry(&fixture, &mut node, &proposal(&fixture, 5));
    assert!(early.contains(&"decided s5 fast".to_owned()), "{early:?}");
    for seq in 1..=K {
        let lines = carry(&fixture, &mut node, &proposal(&fixture, seq));
        let executes = |line: &&String| line.starts_with("execute");
        assert_eq!(lines.iter().filter(executes).count(), 1, "{lines:?}");
    }
    let decision = proposal(&fixture, 5);
    let lines = carry(&fixture, &mut node, &decision);
    assert_eq!(lines, NOTHING, "decided, and never executed");
}

#[test]
fn nothing_is_promised_above_the_boundary() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    for seq in 1..=RENEW_AT {
        carry(&fixture, &mut node, &proposal(&fixture, seq));
    }
    let inside = node.receive(0, &proposal(&fixture, K).wire());
    assert_eq!(inside[0], "persist vote s4");
    let behind = node.receive(0, &proposal(&fixture, K + 1).wire());
    assert_eq!(behind, NOTHING);
}

#[test]
fn the_next_epoch_is_recorded_and_begins_with_view_0_and_a_window_of_its_own() {
    let fixture = Fixture::strong();
    let (node, lines) = in_epoch_1(&fixture, 2);
    assert_eq!(
        lines,
        [
            "stable s4",
            "persist epoch e1",
            "persist view v0 Normal",
            "persist stable s4",
            "truncate s4",
            "cancel NewView",
            "cancel Retransmit",
            "cancel Fast",
            "cancel Request",
            "entered e1",
            "entered v0",
            "send STATUS to all",
            "set Heartbeat 250ms",
        ]
    );
    assert_eq!(node.core.primary().0, 1, "(1 + 0) mod 5");
    assert_eq!(node.core.stable(), SeqNo(K));
}

#[test]
fn votes_of_the_old_epoch_are_worth_nothing_in_the_new_one() {
    let fixture = Fixture::strong();
    let (mut node, _) = in_epoch_1(&fixture, 2);
    let later = fixture.in_epoch(1);
    let new = later.proposal(5);
    node.receive(1, &new.wire());
    for voter in [0, 1, 3, 4] {
        let old = fixture.prepare(voter, &proposal(&fixture, 5).header);
        node.receive(voter, &Wire::Prepare(old));
        let header = later.header(0, 5, new.batch.digest());
        let old_signature = fixture.prepare(voter, &header);
        let mixed = consensus::pbft::message::Prepare {
            epoch: Epoch(1),
            ..old_signature
        };
        let refused = node.try_receive(voter, &Wire::Prepare(mixed));
        assert_eq!(refused, Err(consensus::Misbehaviour::BadSignature));
    }
    for voter in [0, 1, 3] {
        let vote = later.prepare(voter, &new.header);
        assert_eq!(node.receive(voter, &Wire::Prepare(vote)), NOTHING);
    }
    let last = later.prepare(4, &new.header);
    let lines = node.receive(4, &Wire::Prepare(last));
    assert_eq!(lines[..2], ["decided s5 fast", "execute s5 (1)"]);
}

#[test]
fn an_own_vote_of_the_old_epoch_that_becomes_durable_in_the_new_one_does_not_count() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    node.receive(0, &proposal(&fixture, 5).wire());
    for seq in 1..=K {
        carry(&fixture, &mut node, &proposal(&fixture, seq));
    }
    node.state_saved(K, state_at(K));
    node.receive(3, &Wire::Stable(final_certificate(&fixture)));
    assert_eq!(node.core.epoch(), Epoch(1));
    let later = fixture.in_epoch(1);
    let same = later.proposal(5);
    node.receive(1, &same.wire());
    for voter in [0, 1, 3] {
        let vote = later.prepare(voter, &same.header);
        node.receive(voter, &Wire::Prepare(vote));
    }
    let up_to_the_old = consensus::Event::Persisted(consensus::Ticket(5));
    assert_eq!(node.step(up_to_the_old), NOTHING);
    let lines = node.persisted();
    assert_eq!(lines[..2], ["decided s5 fast", "execute s5 (1)"]);
}

#[test]
fn the_requests_of_void_slots_wait_again() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    carry(&fixture, &mut node, &proposal(&fixture, 5));
    for seq in 1..=K {
        carry(&fixture, &mut node, &proposal(&fixture, seq));
    }
    assert_eq!(
        node.core.pending(),
        0,
        "a backup never heard of them itself"
    );
    node.state_saved(K, state_at(K));
    let lines = node.receive(2, &Wire::Stable(final_certificate(&fixture)));
    assert!(lines.contains(&"proposed s5 (1)".to_owned()), "{lines:?}");
}

#[test]
fn the_first_proposals_of_an_epoch_wait_for_its_record() {
    let fixture = Fixture::strong();
    let (mut primary, _) = in_epoch_1(&fixture, 1);
    let first = primary.request([fixture.request(0, 9)]);
    let waits = "send PRE-PREPARE s5 to all once durable";
    assert!(first.contains(&waits.to_owned()), "{first:?}");
    primary.persisted();
    let second = primary.request([fixture.request(1, 9)]);
    primary.wait(ms(5));
    let leaves = "send PRE-PREPARE s6 to all";
    let next = primary.fire(Timer::Batch);
    assert!(
        second.iter().chain(&next).any(|line| line == leaves),
        "{second:?} {next:?}"
    );
}

#[test]
fn messages_of_the_old_epoch_are_answered_with_the_certificate() {
    let fixture = Fixture::strong();
    let (mut node, _) = in_epoch_1(&fixture, 2);
    let vote = Wire::Prepare(fixture.prepare(4, &proposal(&fixture, 5).header));
    assert_eq!(node.receive(4, &vote), NOTHING, "it may be under way");
    node.wait(ms(200));
    let answer = ["send STABLE s4 to r4", "retransmitted 1 to r4"];
    assert_eq!(node.receive(4, &vote), answer);
    assert_eq!(node.receive(4, &vote), NOTHING, "not again and again");
    assert_eq!(
        node.sent.last(),
        Some(&Wire::Stable(final_certificate(&fixture)))
    );
}

#[test]
fn whoever_is_a_few_slots_behind_the_boundary_gets_the_decisions_up_to_it() {
    let fixture = Fixture::strong();
    let (mut node, _) = in_epoch_1(&fixture, 2);
    let later = fixture.in_epoch(1);
    let next = later.proposal(5);
    node.receive(1, &next.wire());
    for voter in [0, 1, 3, 4] {
        let vote = later.prepare(voter, &next.header);
        node.receive(voter, &Wire::Prepare(vote));
    }
    let lines = node.hear_stuck(1, &old_status(1));
    let expected = [
        "send STABLE s4 to r1",
        "send DECISION s2 to r1",
        "send DECISION s3 to r1",
        "send DECISION s4 to r1",
        "retransmitted 4 to r1",
    ];
    assert_eq!(lines, expected, "slot 5 belongs to the new epoch");
    let mut behind = fixture.node(1);
    carry(&fixture, &mut behind, &proposal(&fixture, 1));
    for wire in &node.sent[node.sent.len() - 3..] {
        behind.receive(2, wire);
    }
    behind.state_saved(K, state_at(K));
    behind.receive(2, &Wire::Stable(final_certificate(&fixture)));
    assert_eq!(behind.core.epoch(), Epoch(1));
}

#[test]
fn a_certificate_of_a_later_epoch_shows_a_replica_that_it_is_behind() {
    let fixture = Fixture::strong();
    let node = || {
        let mut node = fixture.node(1);
        crate::voting::decide(&fixture, &mut node, 1..=K);
        node
    };
    let certified = |epoch: u64, seq| {
        let later = fixture.in_epoch(epoch);
        Wire::Stable(later.stable(&[0, 2, 3, 4], seq, state_at(seq)))
    };
    let mut one_behind = node();
    assert_eq!(one_behind.receive(2, &certified(1, 12)), NOTHING);
    let why = "decisions of the next epoch can still be had, once this one has ended";
    assert_eq!(
        one_behind.receive(2, &certified(1, 16)),
        ["behind s16", "fetch state s16"],
        "{why}"
    );
    let mut two_behind = node();
    assert_eq!(
        two_behind.receive(2, &certified(2, 12)),
        ["behind s12", "fetch state s12"]
    );
    assert_eq!(
        two_behind.core.epoch(),
        Epoch(0),
        "what it lacks comes first"
    );
}

/// The records of `before`, as storage gives them back.
fn restore(node: &mut Node, before: &Node) {
    let last = |kind: u8| before.records.iter().rposition(|held| held.kind() == kind);
    for (at, record) in before.records.iter().enumerate() {
        if record.seq() == SeqNo(0) && last(record.kind()) == Some(at) {
            node.core.restore(record.clone());
        }
    }
    for record in before.records.iter().filter(|held| held.seq() > SeqNo(0)) {
        node.core.restore(record.clone());
    }
}

#[test]
fn records_of_the_old_epoch_are_void() {
    let fixture = Fixture::strong();
    let mut before = fixture.node(2);
    before.receive(0, &proposal(&fixture, 5).wire());
    for seq in 1..=K {
        carry(&fixture, &mut before, &proposal(&fixture, seq));
    }
    let boundary = before.core.configuration().clone();
    before.state_saved(K, state_at(K));
    before.receive(3, &Wire::Stable(final_certificate(&fixture)));
    let mut node = fixture.node(2);
    restore(&mut node, &before);
    node.core.restore_state(SeqNo(K), state_at(K), boundary);
    assert_eq!(node.core.epoch(), Epoch(1));
    assert_eq!(node.core.stable(), SeqNo(K));
    let other = fixture.in_epoch(1).other_proposal(5);
    assert_eq!(node.receive(1, &other.wire())[0], "persist vote s5");
}

#[test]
fn a_vote_of_the_new_epoch_is_never_contradicted_after_a_restart() {
    let fixture = Fixture::strong();
    let later = fixture.in_epoch(1);
    let (mut before, _) = in_epoch_1(&fixture, 2);
    before.receive(1, &later.proposal(5).wire());
    let mut node = fixture.node(2);
    restore(&mut node, &before);
    let lines = node.receive(1, &later.other_proposal(5).wire());
    assert_eq!(lines[0], "equivocation r1 s5");
    let voted = node.records.iter().any(|held| held.kind() == 1);
    assert!(!voted, "no second vote");
}

#[test]
fn an_epoch_that_only_the_saved_state_knows_of_is_recorded_before_anything_else() {
    let fixture = Fixture::strong();
    let before = at_the_end(&fixture, 2);
    let mut configuration = before.core.configuration().clone();
    configuration.begin(SeqNo(K + 1));
    let mut node = fixture.node(2);
    restore(&mut node, &before);
    node.core
        .restore_state(SeqNo(2 * K), state_at(2 * K), configuration);
    let lines = node.step(consensus::Event::Started);
    assert_eq!(lines[..2], ["persist epoch e1", "persist view v0 Normal"]);
    assert_eq!(node.core.stable(), SeqNo(K), "where the epoch began");
    let records = node.records.clone();
    let votes = |held: &&Record| matches!(held, Record::Epoch { epoch, .. } if *epoch == Epoch(1));
    assert_eq!(records.iter().filter(votes).count(), 1);
}

#[test]
fn a_view_change_of_the_new_epoch_rests_on_its_beginning() {
    let fixture = Fixture::strong();
    let (mut node, _) = in_epoch_1(&fixture, 2);
    node.wait(ms(250));
    node.fire(Timer::Heartbeat);
    let Some(Wire::ViewChange(sent)) = node.sent.last() else {
        panic!("the silent primary is given up");
    };
    let report: ViewChange = crypto::decode(&sent.bytes).unwrap();
    assert_eq!((report.epoch, report.new_view), (Epoch(1), View(1)));
    assert_eq!(report.stable, None);
    assert_eq!(report.records, []);
}

#[test]
fn reports_of_the_old_epoch_make_nobody_join_in_the_new_one() {
    let fixture = Fixture::strong();
    let mut node = at_the_end(&fixture, 2);
    let leave = |fixture: &Fixture, replica: u16| {
        let report = ViewChange {
            epoch: fixture.epoch,
            new_view: View(3),
            replica: consensus::ReplicaId(replica),
            stable: None,
            records: Vec::new(),
        };
        let bytes = crypto::encode(&report);
        let signature = fixture.sign(replica, crypto::Kind::ViewChange, &bytes);
        Wire::ViewChange(consensus::pbft::message::SignedViewChange {
            bytes: bytes.into(),
            signature,
        })
    };
    assert_eq!(node.receive(3, &leave(&fixture, 3)), NOTHING);
    node.receive(0, &Wire::Stable(final_certificate(&fixture)));
    let later = fixture.in_epoch(1);
    assert_eq!(node.receive(4, &leave(&later, 4)), NOTHING);
    let lines = node.receive(3, &leave(&later, 3));
    assert_eq!(lines[0], "leave for v3: join");
}

#[test]
fn a_proof_of_an_earlier_epoch_against_its_first_primary_does_not_end_the_first_view() {
    let fixture = Fixture::strong();
    let mut node = at_the_end(&fixture, 2);
    let (a, b) = (proposal(&fixture, 7), fixture.other_proposal(7));
    let votes = (fixture.prepare(1, &a.header), fixture.prepare(1, &b.header));
    let proof = MisbehaviourProof::DoublePrepare(votes.0, votes.1);
    let lines = node.receive(3, &Wire::Evidence(proof));
    assert_eq!(lines[0], "equivocation r1 s7");
    node.receive(0, &Wire::Stable(final_certificate(&fixture)));
    assert_eq!((node.core.epoch(), node.core.view()), (Epoch(1), View(0)));
    assert_eq!(node.core.primary().0, 1);
}

#[test]
fn a_proof_against_an_earlier_life_stops_nobody() {
    let fixture = Fixture::strong();
    let proof = |fixture: &Fixture| {
        let (a, b) = (fixture.proposal(7), fixture.other_proposal(7));
        let votes = (fixture.prepare(2, &a.header), fixture.prepare(2, &b.header));
        Wire::Evidence(MisbehaviourProof::DoublePrepare(votes.0, votes.1))
    };
    let (mut renewed, _) = in_epoch_1(&fixture, 2);
    let lines = renewed.receive(3, &proof(&fixture));
    assert_eq!(lines, ["equivocation r2 s7", "send EVIDENCE to all"]);
    let mut core = fixture.core(2);
    core.become_learner(consensus::Nonce([1; 16]));
    let mut learner = Node::new(core, fixture.keyring.clone());
    let lines = learner.receive(3, &proof(&fixture));
    assert_eq!(lines[0], "equivocation r2 s7");
    let now = renewed.receive(3, &proof(&fixture.in_epoch(1)));
    assert!(now[0].starts_with("halt"), "{now:?}");
}

#[test]
fn a_proof_of_an_earlier_epoch_is_passed_on_and_excludes_nobody() {
    let fixture = Fixture::strong();
    let (mut node, _) = in_epoch_1(&fixture, 2);
    let proof = |fixture: &Fixture| {
        let primary = fixture.cluster.primary(fixture.epoch, View(0)).0;
        let (a, b) = (fixture.proposal(7).header, fixture.other_proposal(7).header);
        (
            primary,
            Wire::Evidence(MisbehaviourProof::DoublePrePrepare(a, b)),
        )
    };
    let (culprit, old) = proof(&fixture);
    assert_eq!(culprit, 0);
    let passed_on = ["equivocation r0 s7", "send EVIDENCE to all"];
    assert_eq!(node.receive(3, &old), passed_on);
    assert_eq!(node.receive(3, &old), NOTHING, "once");
    assert_eq!(node.core.evidence().count(), 1);
    let later = fixture.in_epoch(1);
    let view_5 = |digest| later.header(4, 7, digest);
    let again = MisbehaviourProof::DoublePrePrepare(
        view_5(later.proposal(7).batch.digest()),
        view_5(later.other_proposal(7).batch.digest()),
    );
    let lines = node.receive(3, &Wire::Evidence(again));
    assert_eq!(lines[..2], passed_on, "proven in this epoch as well");
    let far = fixture.in_epoch(9);
    let far = MisbehaviourProof::DoublePrepare(
        far.prepare(3, &far.proposal(7).header),
        far.prepare(3, &far.other_proposal(7).header),
    );
    assert_eq!(node.receive(3, &Wire::Evidence(far)), NOTHING, "not yet");
}

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
