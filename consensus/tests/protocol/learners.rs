//! R16: what a replica that has lost its records does and does not do, and how it gets its vote
//! back.

use consensus::pbft::message::{Mode, Status, Wire};
use consensus::pbft::record::{Record, Role};
use consensus::{Batch, Epoch, Nonce, Protocol, Renew, ReplicaId, Request, SeqNo, Timer, View};

use crate::fixture::{Fixture, ms, state_at};
use crate::net::{Net, long};
use crate::node::Node;

const NOTHING: [&str; 0] = [];
const K: u64 = 4;
/// Slots between two RENEWs of one replica: 16 K.
const PAUSE: u64 = 16 * K;
const LIFE: Nonce = Nonce([7; 16]);

/// Replica `id`, whose records are gone.
fn learner(fixture: &Fixture, id: u16) -> Node {
    let mut core = fixture.core(id);
    core.become_learner(LIFE);
    Node::new(core, fixture.keyring.clone())
}

fn status(stable: u64, last_executed: u64) -> Wire {
    Wire::Status(Status {
        epoch: Epoch(0),
        view: View(0),
        mode: Mode::Normal,
        stable: SeqNo(stable),
        last_executed: SeqNo(last_executed),
        undecided: vec![0xff].into(),
    })
}

/// The RENEWs among what was sent.
fn asked(node: &Node, fixture: &Fixture) -> Vec<Renew> {
    let forwarded = node.sent.iter().filter_map(|wire| match wire {
        Wire::Forward(raw) => Some(raw),
        _ => None,
    });
    forwarded
        .flatten()
        .filter_map(|raw| Request::parse(raw.0.clone(), fixture.cluster.limits()).ok())
        .filter_map(|request| Renew::of(&request))
        .map(|(_, renew)| renew)
        .collect()
}

/// Lets the STATUS timer fire for a while.
fn pass_time(node: &mut Node) {
    for _ in 0..20 {
        node.wait(ms(50));
        node.fire(Timer::Status);
    }
}

#[test]
fn a_learner_records_its_life_before_anything_else() {
    let fixture = Fixture::strong();
    let mut node = learner(&fixture, 1);
    let lines = node.step(consensus::Event::Started);
    let role = Role::Learner { nonce: LIFE };
    assert_eq!(lines[0], format!("persist {role:?}"));
    assert_eq!(lines[1], "became a learner");
    assert_eq!(node.core.role(), role);
}

#[test]
fn a_learner_sends_no_promise() {
    for fixture in [Fixture::strong(), Fixture::conservative()] {
        for id in [1, 4] {
            let mut node = learner(&fixture, id);
            node.step(consensus::Event::Started);
            for seq in 1..=K {
                let proposal = fixture.proposal(seq);
                node.receive(0, &proposal.wire());
                for voter in (0..5).filter(|voter| *voter != id) {
                    let vote = Wire::Prepare(fixture.prepare(voter, &proposal.header));
                    node.receive(voter, &vote);
                    let vote = Wire::Commit(fixture.commit(voter, &proposal.header));
                    node.receive(voter, &vote);
                }
                node.executed(seq);
            }
            node.state_saved(K, state_at(K));
            node.persisted();
            assert_eq!(node.core.last_executed(), SeqNo(K), "but it executes");
            for peer in (0..5).filter(|peer| *peer != id) {
                node.hear_stuck(peer, &status(0, 0));
            }
            for timer in [
                Timer::Batch,
                Timer::Fast,
                Timer::Heartbeat,
                Timer::Request,
                Timer::NewView,
                Timer::Retransmit,
            ] {
                node.wait(long());
                node.fire(timer);
            }
            let double = fixture.other_proposal(6).wire();
            node.receive(0, &fixture.proposal(6).wire());
            node.receive(0, &double);
            let promises = [
                "pre-prepare",
                "prepare",
                "commit",
                "checkpoint",
                "view-change",
                "new-view",
            ];
            let sent: Vec<_> = node.sent.iter().map(Wire::name).collect();
            assert!(sent.contains(&"decision"), "but it serves: {sent:?}");
            let promised = sent.iter().find(|name| promises.contains(name));
            assert_eq!(promised, None, "r{id}");
            assert_eq!(node.core.view(), View(0));
            let of_a_promise = |held: &Record| !matches!(held, Record::Role(_) | Record::Stable(_));
            assert!(!node.records.iter().any(of_a_promise));
        }
    }
}

#[test]
fn the_low_watermark_of_a_learner_moves_by_the_claims_of_the_others() {
    let fixture = Fixture::strong();
    for claims_first in [true, false] {
        let mut node = learner(&fixture, 1);
        crate::voting::decide(&fixture, &mut node, 1..=K);
        if !claims_first {
            node.state_saved(K, state_at(K));
        }
        for replica in [0, 2, 3, 4] {
            let claim = fixture.checkpoint(replica, K, state_at(K));
            node.receive(replica, &Wire::Checkpoint(claim));
        }
        if claims_first {
            node.state_saved(K, state_at(K));
        }
        assert_eq!(node.core.stable(), SeqNo(K));
    }
}

#[test]
fn a_learner_asks_all_replicas_once_it_has_caught_up_and_not_before() {
    let fixture = Fixture::strong();
    let mut node = learner(&fixture, 1);
    pass_time(&mut node);
    assert_eq!(asked(&node, &fixture), [], "it knows nothing of the others");
    for (peer, stable) in [(0, K), (2, K), (3, 0), (4, 0)] {
        node.receive(peer, &status(stable, stable));
    }
    pass_time(&mut node);
    assert_eq!(asked(&node, &fixture), [], "it lacks slots up to K");
    for seq in 1..=K {
        crate::voting::decide(&fixture, &mut node, seq..=seq);
        node.executed(seq);
    }
    pass_time(&mut node);
    let asked = asked(&node, &fixture);
    let renew = Renew {
        incarnation: 1,
        nonce: LIFE,
    };
    assert_eq!(asked.first(), Some(&renew));
    assert!((2..=4).contains(&asked.len()), "with patience: {asked:?}");
}

#[test]
fn a_peer_that_claims_to_be_far_ahead_keeps_no_learner_from_asking() {
    let fixture = Fixture::strong();
    let mut node = learner(&fixture, 1);
    node.receive(4, &status(400, 400));
    for peer in [0, 2] {
        node.receive(peer, &status(0, 0));
    }
    pass_time(&mut node);
    assert!(!asked(&node, &fixture).is_empty());
}

#[test]
fn a_learner_whose_last_renewal_is_too_recent_waits() {
    let fixture = Fixture::strong();
    let mut node = learner(&fixture, 1);
    let earlier_life = fixture.proposal_of(1, vec![fixture.renew(1, 1, 3)]);
    let seen = |node: &mut Node| {
        for peer in [0, 2] {
            node.receive(peer, &status(0, 0));
        }
        pass_time(node);
    };
    node.receive(0, &earlier_life.wire());
    for voter in [0, 2, 3, 4] {
        let vote = fixture.prepare(voter, &earlier_life.header);
        node.receive(voter, &Wire::Prepare(vote));
    }
    node.executed(1);
    assert_eq!(
        node.core
            .configuration()
            .renewal(ReplicaId(1))
            .unwrap()
            .incarnation,
        1
    );
    seen(&mut node);
    assert_eq!(asked(&node, &fixture), []);
    node.executed(PAUSE);
    seen(&mut node);
    let next = Renew {
        incarnation: 2,
        nonce: LIFE,
    };
    assert_eq!(asked(&node, &fixture).first(), Some(&next));
}

#[test]
fn what_a_lost_log_still_holds_is_no_promise_of_a_learner() {
    let fixture = Fixture::conservative();
    let mut before = fixture.node(1);
    let proposal = fixture.proposal(1);
    before.receive(0, &proposal.wire());
    for voter in [0, 2, 3, 4] {
        let vote = fixture.prepare(voter, &proposal.header);
        before.receive(voter, &Wire::Prepare(vote));
    }
    before.fire(Timer::Heartbeat);
    before.wait(ms(250));
    before.fire(Timer::Heartbeat);
    assert_eq!(before.core.view(), View(1));
    let mut node = learner(&fixture, 1);
    for record in &before.records {
        node.core.restore(record.clone());
    }
    let lines = node.step(consensus::Event::Started);
    assert_eq!(node.core.view(), View(0), "{lines:?}");
    node.hear_stuck(2, &status(0, 0));
    let sent: Vec<_> = node.sent.iter().map(Wire::name).collect();
    assert!(
        !sent.contains(&"prepare") && !sent.contains(&"view-change"),
        "{sent:?}"
    );
    let votes = |voters: [u16; 4], node: &mut Node| {
        let cast = |voter| {
            let vote = fixture.prepare(voter, &proposal.header);
            node.receive(voter, &Wire::Prepare(vote))
        };
        voters.map(cast).concat()
    };
    let decided = |line: &String| line.starts_with("decided");
    let lines = votes([0, 2, 3, 4], &mut node);
    assert!(
        !lines.iter().any(decided),
        "q_F = 5, and it casts no vote: {lines:?}"
    );
}

#[test]
fn a_learner_that_is_restarted_is_still_the_same_learner() {
    let fixture = Fixture::strong();
    let mut before = learner(&fixture, 1);
    before.step(consensus::Event::Started);
    let mut node = fixture.node(1);
    for record in &before.records {
        node.core.restore(record.clone());
    }
    assert_eq!(node.core.role(), Role::Learner { nonce: LIFE });
    let again = node.step(consensus::Event::Started);
    assert_eq!(again[0], "became a learner", "recorded already");
}

/// The whole way: a replica is wiped, comes back and votes again.
fn wiped(fixture: &Fixture, id: u16) -> Net<'_> {
    let mut net = Net::new(fixture, &[]);
    for number in 1..=6 {
        net.request(0, fixture.request(0, number));
        net.run(long() / 20);
    }
    net.crash(id);
    net.start_wiped(id, 7);
    net.run(long() * 3);
    net
}

#[test]
fn a_renewed_replica_votes_from_the_next_epoch_on() {
    let fixture = Fixture::strong();
    for id in [4, 0] {
        let mut net = wiped(&fixture, id);
        for other in 0..5 {
            assert_eq!(net.core(other).epoch(), Epoch(1), "r{other}");
        }
        let from = Epoch(1);
        assert_eq!(net.core(id).role(), Role::Member { from });
        // q = 4 of 5: without its vote nothing would be decided now.
        let other = if id == 4 { 3 } else { 4 };
        net.crash(other);
        let end = net.core(id).last_executed();
        net.request(1, fixture.request(1, 1));
        net.run(long() * 2);
        assert!(net.executed(id, end.0 + 1), "with the vote of r{id}");
        assert_eq!(net.halts, NOTHING);
    }
}

#[test]
fn a_renewed_member_that_is_restarted_stays_one() {
    let fixture = Fixture::strong();
    let mut net = wiped(&fixture, 4);
    net.crash(4);
    net.start(4);
    assert_eq!(net.core(4).role(), Role::Member { from: Epoch(1) });
    net.crash(3);
    let end = net.core(0).last_executed();
    net.request(1, fixture.request(1, 1));
    net.run(long() * 2);
    assert!(net.executed(4, end.0 + 1));
}

#[test]
fn the_cluster_decides_without_the_learner_as_without_a_faulty_replica() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[4]);
    // Its RENEW is lost: it stays a learner.
    net.loses = Box::new(|from, _, wire| from == 4 && wire.name() == "forward");
    net.start_wiped(4, 7);
    for number in 1..=6 {
        net.request(0, fixture.request(0, number));
        net.run(long() / 20);
    }
    net.run(long());
    for id in 0..5 {
        assert!(net.executed(id, 6), "r{id}");
        assert_eq!(net.core(id).epoch(), Epoch(0));
    }
    assert_eq!(net.core(4).role(), Role::Learner { nonce: LIFE });
}

#[test]
fn an_old_renew_of_an_earlier_life_does_not_renew() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[4]);
    let old = fixture.renew(4, 1, 3);
    net.loses = Box::new(|from, _, wire| from == 4 && wire.name() == "forward");
    net.start_wiped(4, 7);
    net.run(long() / 4);
    for id in 0..4 {
        net.request(id, old.clone());
    }
    net.run(long());
    assert_eq!(
        net.core(4).epoch(),
        Epoch(1),
        "it takes effect all the same"
    );
    assert_eq!(net.core(4).role(), Role::Learner { nonce: LIFE });
    let batch = Batch::new(vec![fixture.renew(4, 1, 7)]);
    let mut configuration = net.core(4).configuration().clone();
    let renewed = configuration.execute(SeqNo(K + 1), Some(&batch));
    assert_eq!(renewed, [], "and its own of the same number no more");
}

#[test]
fn a_renewed_replica_that_crashed_before_it_recorded_its_vote_has_it_all_the_same() {
    let fixture = Fixture::strong();
    let later = fixture.in_epoch(1);
    let mut configuration = consensus::Configuration::genesis(&fixture.cluster);
    let batch = Batch::new(vec![fixture.renew(2, 1, 7)]);
    configuration.execute(SeqNo(2), Some(&batch));
    let base = fixture.stable(&[0, 2, 3, 4], K, state_at(K));
    let mut node = fixture.node(2);
    node.core
        .restore(Record::Role(Role::Learner { nonce: LIFE }));
    // The rest of the group is lost: the view, the certificate, and the new role.
    node.core.restore(Record::Epoch {
        epoch: Epoch(1),
        start: SeqNo(K),
        base: Some(base.clone()),
    });
    node.core
        .restore_state(SeqNo(K), state_at(K), configuration);
    let lines = node.step(consensus::Event::Started);
    let role = Role::Member { from: Epoch(1) };
    assert_eq!(node.core.role(), role);
    assert!(lines.contains(&format!("persist {role:?}")), "{lines:?}");
    let voted = node.receive(1, &later.proposal(5).wire());
    assert_eq!(voted[0], "persist vote s5");
    node.hear_stuck(3, &status(0, K));
    assert!(
        node.sent.contains(&Wire::Stable(base)),
        "nor is the certificate"
    );
}
