//! R10.4: when and with what the primary of a new view opens it.

use consensus::pbft::message::{
    Header, MisbehaviourProof, Mode, NewView, SlotRecord, ViewChange, Wire,
};
use consensus::{Event, FastQuorum, ReplicaId, Timer, View};
use crypto::Digest;

use crate::fixture::{Fixture, Proposal, ms};
use crate::node::Node;
use crate::signing_views::{sent_report, voted};

/// The NEW-VIEW that this replica sent, if it did.
fn opened(node: &Node) -> Option<(Wire, NewView, Vec<ViewChange>)> {
    let sent = node.sent.iter().find_map(|wire| match wire {
        Wire::NewView(signed) => Some(signed.clone()),
        _ => None,
    })?;
    let new_view: NewView = crypto::decode(&sent.bytes).expect("own encodings decode");
    let reports = new_view.view_changes.iter();
    let reports = reports.map(|one| crypto::decode(&one.bytes).expect("it was valid"));
    let reports = reports.collect();
    Some((Wire::NewView(sent), new_view, reports))
}

fn senders(reports: &[ViewChange]) -> Vec<u16> {
    reports.iter().map(|report| report.replica.0).collect()
}

fn gives_up(node: &mut Node) {
    node.step(Event::Started);
    node.wait(ms(250));
    node.fire(Timer::Heartbeat);
}

#[test]
fn a_view_is_opened_with_n_minus_f_reports_neither_fewer_nor_more() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    gives_up(&mut node);
    for replica in [4, 0] {
        node.receive(replica, &fixture.leaves(replica, 1));
        assert!(opened(&node).is_none());
    }
    let lines = node.receive(2, &fixture.leaves(2, 1));
    assert_eq!(
        lines[..5],
        [
            "set NewView 1s",
            "open v1 with 0 slots, 0 excluded",
            "persist view v1 Normal",
            "send NEW-VIEW to all once durable",
            "entered v1",
        ]
    );
    let (_, new_view, reports) = opened(&node).unwrap();
    assert_eq!(senders(&reports), [0, 1, 2, 4]);
    assert_eq!((new_view.view, new_view.headers.len()), (View(1), 0));
    // A view is opened once.
    node.sent.clear();
    node.receive(3, &fixture.leaves(3, 1));
    assert!(opened(&node).is_none());
}

#[test]
fn only_the_primary_of_the_view_opens_it() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(2);
    gives_up(&mut node);
    for replica in [0, 1, 3, 4] {
        node.receive(replica, &fixture.leaves(replica, 1));
    }
    assert!(opened(&node).is_none());
    assert_eq!(node.core.mode(), Mode::ViewChange);
}

#[test]
fn what_a_primary_opens_is_what_backups_accept_and_go_on_with() {
    let fixture = Fixture::strong();
    let mut primary = fixture.node(1);
    let proposal = fixture.proposal(2);
    primary.receive(0, &proposal.wire());
    gives_up(&mut primary);
    for replica in [2, 3] {
        let report = fixture.report(replica, 1, vec![voted(&proposal.header)]);
        primary.receive(replica, &Wire::ViewChange(fixture.sign_report(&report)));
    }
    primary.receive(4, &fixture.leaves(4, 1));
    let (wire, new_view, _) = opened(&primary).unwrap();
    let digests: Vec<_> = new_view
        .headers
        .iter()
        .map(|header| header.statement.digest)
        .collect();
    let null = consensus::batch::null_digest();
    assert_eq!(digests, [null, proposal.batch.digest()]);
    let lines = fixture.node(3).receive(1, &wire);
    assert_eq!(lines[..2], ["persist view v1 Normal", "entered v1"]);
}

#[test]
fn proven_replicas_are_left_out_and_the_proof_is_shown() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    gives_up(&mut node);
    let proof = fixture.double_pre_prepare(4, 1);
    node.receive(0, &Wire::Evidence(proof));
    for replica in [2, 3, 4] {
        node.receive(replica, &fixture.leaves(replica, 1));
    }
    assert!(opened(&node).is_none(), "four reports, one of them of r4");
    node.receive(0, &fixture.leaves(0, 1));
    let (wire, new_view, reports) = opened(&node).unwrap();
    assert_eq!(senders(&reports), [0, 1, 2, 3]);
    assert_eq!(new_view.excluded, [proof]);
    // Backups learn of the proof from it.
    let mut backup = fixture.node(3);
    let lines = backup.receive(1, &wire);
    assert!(
        lines.contains(&"equivocation r4 s1".to_owned()),
        "{lines:?}"
    );
    assert_eq!(backup.core.view(), View(1));
}

#[test]
fn with_more_than_f_proven_replicas_nothing_can_be_promised_any_more() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    for seq in [1, 2] {
        node.receive(2, &Wire::Evidence(fixture.double_pre_prepare(3, seq)));
    }
    let lines = node.receive(2, &Wire::Evidence(fixture.double_pre_prepare(4, 1)));
    assert_eq!(
        lines,
        [
            "equivocation r4 s1",
            "send EVIDENCE to all",
            "halt: 2 replicas are proven Byzantine, more than f = 1",
        ]
    );
}

/// Two batches for slot 1 under the signature of primary(0), and who voted for which: replica 0,
/// which is faulty, says the second. The others are real, and leave.
struct Split {
    fixture: Fixture,
    first: Proposal,
    second: Proposal,
    nodes: Vec<Node>,
}

impl Split {
    fn new(voters_of_first: &[u16], voters_of_second: &[u16]) -> Self {
        let fixture = Fixture::strong();
        let (first, second) = (fixture.proposal(1), fixture.other_proposal(1));
        let mut nodes: Vec<Node> = (0..5).map(|id| fixture.node(id)).collect();
        for (voters, proposal) in [(voters_of_first, &first), (voters_of_second, &second)] {
            for voter in voters {
                nodes[usize::from(*voter)].receive(0, &proposal.wire());
            }
        }
        for node in &mut nodes[1..] {
            gives_up(node);
        }
        Split {
            fixture,
            first,
            second,
            nodes,
        }
    }

    /// The report of a replica arrives at replica 1, the primary of view 1.
    fn report(&mut self, from: u16) -> Vec<String> {
        let wire = if from == 0 {
            let vote = voted(&self.second.header);
            Wire::ViewChange(
                self.fixture
                    .sign_report(&self.fixture.report(0, 1, vec![vote])),
            )
        } else {
            sent_report(&self.nodes[usize::from(from)]).0
        };
        self.nodes[1].receive(from, &wire)
    }

    /// Everybody else gets the NEW-VIEW: slot 1 is voted for if it is assigned.
    fn enter(&mut self) -> (NewView, Vec<Header>) {
        let (wire, new_view, _) = opened(&self.nodes[1]).expect("the view is open");
        let mut votes = Vec::new();
        for node in &mut self.nodes[2..] {
            node.sent.clear();
            node.receive(1, &wire);
            assert_eq!(node.core.mode(), Mode::Normal);
            assert_eq!(node.core.view(), View(1));
            // Bodies that a replica lacks are fetched.
            for proposal in [&self.first, &self.second] {
                node.receive(1, &Wire::Batch(proposal.batch.to_raw()));
            }
            votes.extend(node.sent.iter().filter_map(|wire| match wire {
                Wire::Prepare(vote) => Some(vote.header()),
                _ => None,
            }));
        }
        (new_view, votes)
    }
}

#[test]
fn v3_and_v4_a_tie_convicts_the_primary_and_without_it_the_first_value_wins() {
    let mut split = Split::new(&[1, 2, 4], &[3]);
    // V3: A A B B. Both headers are in the reports, and nowhere else.
    let mut lines = split.report(2);
    lines.extend(split.report(0));
    lines.extend(split.report(3));
    assert!(
        lines.contains(&"equivocation r0 s1".to_owned()),
        "{lines:?}"
    );
    assert!(lines.contains(&"send EVIDENCE to all".to_owned()));
    assert!(opened(&split.nodes[1]).is_none(), "three reports are left");
    // V4: A A B A without replica 0.
    let lines = split.report(4);
    assert!(
        lines.contains(&"open v1 with 1 slots, 1 excluded".to_owned()),
        "{lines:?}"
    );
    let (new_view, votes) = split.enter();
    let digest = split.first.batch.digest();
    assert_eq!(new_view.headers[0].statement.digest, digest);
    assert!(matches!(
        new_view.excluded[..],
        [MisbehaviourProof::DoublePrePrepare(..)]
    ));
    assert_eq!(votes.len(), 3, "also replica 3, which had voted otherwise");
    assert!(votes.iter().all(|vote| vote.statement.digest == digest));
}

#[test]
fn v5_without_the_equivocator_two_against_two_is_free() {
    let mut split = Split::new(&[1, 2], &[3, 4]);
    for from in [2, 3, 4] {
        split.report(from);
    }
    let (new_view, votes) = split.enter();
    assert_eq!(new_view.excluded.len(), 1);
    assert_eq!((new_view.headers.len(), votes.len()), (0, 0));
}

#[test]
fn the_own_report_convicts_as_well_even_if_it_is_made_last() {
    // n = 4: the report that makes the primary join completes the set with its own one.
    let fixture = Fixture::new(4, 1, FastQuorum::Strong);
    let mut node = fixture.node(1);
    node.receive(0, &fixture.proposal(1).wire());
    let other = fixture.report(2, 1, vec![voted(&fixture.other_proposal(1).header)]);
    node.receive(2, &Wire::ViewChange(fixture.sign_report(&other)));
    let lines = node.receive(3, &fixture.leaves(3, 1));
    assert!(
        lines.contains(&"leave for v1: join".to_owned()),
        "{lines:?}"
    );
    let (_, new_view, reports) = opened(&node).expect("three of four have left");
    assert_eq!(senders(&reports), [1, 2, 3]);
    let culprits: Vec<ReplicaId> = new_view
        .excluded
        .iter()
        .map(|proof| proof.culprit(&fixture.keyring))
        .collect();
    assert_eq!(culprits, [ReplicaId(0)]);
}

#[test]
fn the_reports_of_a_later_view_do_not_open_this_one() {
    let fixture = Fixture::strong();
    let mut node = fixture.node(1);
    gives_up(&mut node);
    node.receive(2, &fixture.leaves(2, 1));
    node.receive(3, &fixture.leaves(3, 1));
    let lines = node.receive(4, &fixture.leaves(4, 2));
    // It says that the view is late, though.
    assert_eq!(lines, ["set NewView 1s"]);
    assert!(opened(&node).is_none());
}

/// Every slot of the window is prepared everywhere: nothing that a view opens with is larger.
#[test]
fn a_full_window_passes_through_codec_and_admission_and_is_no_larger_than_frames_allow_for() {
    for (n, f, log_window) in [(5, 1, 256), (13, 3, 256), (5, 1, 1024)] {
        let limits = consensus::Limits {
            log_window,
            ..consensus::Limits::default()
        };
        let policy = consensus::Policy::default();
        let fixture = Fixture::with(n, f, FastQuorum::Strong, limits, policy);
        let signers: Vec<u16> = (0..n).take(fixture.cluster.quorums().slow()).collect();
        let digests: Vec<Digest> = (1..=log_window)
            .map(|seq| Digest::of("test", &seq.to_le_bytes()))
            .collect();
        let records: Vec<SlotRecord> = (1..)
            .zip(&digests)
            .map(|(seq, digest)| fixture.prepared(&fixture.header(0, seq, *digest), &signers))
            .collect();
        let reports: Vec<ViewChange> = (0..n - f)
            .map(|replica| fixture.report(replica, 1, records.clone()))
            .collect();
        let report = Wire::ViewChange(fixture.sign_report(&reports[0]));
        let new_view = fixture.new_view(&reports, Vec::new(), 1, &digests);
        let opening = Wire::NewView(fixture.sign_new_view(&new_view));
        let mut node = fixture.node(2);
        node.receive(0, &report);
        let lines = node.receive(1, &opening);
        assert!(lines.contains(&"entered v1".to_owned()), "n = {n}");
        let (bytes, most) = (
            crypto::encode(&opening).len() as u64,
            fixture.cluster.new_view_bytes_max(),
        );
        assert!(
            bytes <= most,
            "n = {n}, L = {log_window}: {bytes} of {most}"
        );
        assert!(
            bytes > most / 2,
            "n = {n}, L = {log_window}: {bytes} of {most}"
        );
    }
}
