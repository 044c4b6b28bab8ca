//! R10.5 for sets of reports: which sets there are must not matter more than it has to.

use consensus::pbft::certificate::StableCertificate;
use consensus::pbft::message::{NewView, SlotRecord, ViewChange, Wire};
use consensus::pbft::new_view::compute_o;
use consensus::{Event, FastQuorum, Quorums, SeqNo, Timer, View};
use crypto::Digest;
use proptest::prelude::*;

use crate::fixture::{Fixture, ms, state_at};
use crate::node::Node;
use crate::refused_reports::DAMAGES;
use crate::signing_views::voted;

static FIXTURE: std::sync::LazyLock<Fixture> = std::sync::LazyLock::new(Fixture::strong);

fn value(seq: u64) -> Digest {
    Digest::of("test", &seq.to_le_bytes())
}

/// A replica that stands at `stable` and has voted for every slot above it up to `voted_upto`.
fn standing(replica: u16, view: u64, stable: u64, voted_upto: u64) -> ViewChange {
    let fixture = &*FIXTURE;
    let slots = stable + 1..=voted_upto.min(stable + 8);
    let records: Vec<SlotRecord> = slots
        .map(|seq| voted(&fixture.header(0, seq, value(seq))))
        .collect();
    let certificate = (stable > 0).then(|| certificate(stable));
    ViewChange {
        stable: certificate,
        ..fixture.report(replica, view, records)
    }
}

fn certificate(seq: u64) -> StableCertificate {
    FIXTURE.stable(&[0, 2, 3, 4], seq, state_at(seq))
}

/// Replica 1 at the checkpoint at 4, without the primary that it had.
fn primary_at_4() -> Node {
    let mut node = FIXTURE.node(1);
    crate::voting::decide(&FIXTURE, &mut node, 1..=4);
    node.state_saved(4, state_at(4));
    node.receive(0, &Wire::Stable(certificate(4)));
    node.step(Event::Started);
    node.wait(ms(250));
    node.fire(Timer::Heartbeat);
    node
}

fn opened(node: &Node) -> Option<NewView> {
    node.sent.iter().find_map(|wire| match wire {
        Wire::NewView(signed) => crypto::decode(&signed.bytes).ok(),
        _ => None,
    })
}

fn send(node: &mut Node, report: &ViewChange) {
    let wire = Wire::ViewChange(FIXTURE.sign_report(report));
    let _ = node.try_receive(report.replica.0, &wire);
}

#[test]
fn replicas_at_any_checkpoints_open_a_view_that_starts_at_the_highest() {
    for (a, b, c) in [0, 4, 8].into_iter().flat_map(|a| {
        let rest = [0, 4, 8].map(|b| [0, 4, 8].map(|c| (a, b, c)));
        rest.into_iter().flatten().collect::<Vec<_>>()
    }) {
        let mut node = primary_at_4();
        for (replica, stable) in [(0, a), (2, b), (4, c)] {
            send(&mut node, &standing(replica, 1, stable, 10));
        }
        let new_view = opened(&node).expect("four reports open a view");
        let highest = a.max(b).max(c).max(4);
        let slots: Vec<SeqNo> = new_view
            .headers
            .iter()
            .map(|header| header.statement.seq)
            .collect();
        // Replicas at 0 could vote up to 8 only, and two of four votes are needed.
        let above_8 = [a, b, c].iter().filter(|stable| **stable > 0).count() >= 2;
        let last = if above_8 { 10 } else { 8 };
        let expected: Vec<SeqNo> = (highest + 1..=last).map(SeqNo).collect();
        assert_eq!(slots, expected, "checkpoints {a}, 4, {b}, {c}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_the_reports_changes_nothing(
        checkpoints in prop::array::uniform4(0..3u64),
        voted_upto in prop::array::uniform4(0..20u64),
        order in Just(vec![0usize, 1, 2, 3]).prop_shuffle(),
    ) {
        let reports: Vec<ViewChange> = (0..4u16)
            .map(|id| {
                let at = usize::from(id);
                standing(id, 1, checkpoints[at] * 4, voted_upto[at])
            })
            .collect();
        let quorums = *FIXTURE.cluster.quorums();
        let sorted: Vec<&ViewChange> = reports.iter().collect();
        let shuffled: Vec<&ViewChange> = order.iter().map(|at| &reports[*at]).collect();
        let first = compute_o(&quorums, SeqNo(0), &sorted, 0).unwrap();
        let second = compute_o(&quorums, SeqNo(0), &shuffled, 0).unwrap();
        prop_assert_eq!(first.digests, second.digests);
        prop_assert_eq!((first.min, first.max), (second.min, second.max));
    }

    #[test]
    fn an_invalid_report_at_any_time_changes_nothing(
        damages in prop::collection::vec((0..DAMAGES.len(), 0..4usize), 1..6),
        voted_upto in 4..13u64,
    ) {
        let valid = [(0, 4), (2, 0), (4, 8)];
        let open = |damages: &[(usize, usize)]| {
            let mut node = primary_at_4();
            for (step, (replica, stable)) in valid.into_iter().enumerate() {
                for (which, _) in damages.iter().filter(|(_, at)| *at == step) {
                    let (_, damage) = DAMAGES[*which];
                    // Replica 3 says it, and the damage is to what it might say.
                    let mut report = crate::refused_reports::right(&FIXTURE);
                    damage(&FIXTURE, &mut report);
                    send(&mut node, &report);
                }
                send(&mut node, &standing(replica, 1, stable, voted_upto));
            }
            opened(&node)
        };
        let with = open(&damages);
        prop_assert!(with.is_some());
        prop_assert_eq!(with, open(&[]));
    }

    #[test]
    fn every_n_minus_f_of_correct_replicas_settle_what_q_f_of_them_voted_for(
        (n, f) in prop::sample::select(vec![(4u16, 1u16), (5, 1), (6, 1), (7, 2), (9, 2)]),
        stables in prop::collection::vec(0..3u64, 9),
        silent in any::<prop::sample::Index>(),
        undecided in 0..4u64,
    ) {
        let quorums = Quorums::new(n, f, FastQuorum::Strong).unwrap();
        let stables: Vec<u64> = stables.iter().take(usize::from(n)).map(|at| at * 4).collect();
        let fast = quorums.fast().unwrap();
        // Decided is what q_F replicas have in their windows.
        let mut sorted = stables.clone();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let decided = sorted[fast - 1] + 8;
        let silent = silent.index(usize::from(n));
        let reports: Vec<ViewChange> = (0..n)
            .map(|id| {
                let stable = stables[usize::from(id)];
                let last = decided + if usize::from(id) == silent { 0 } else { undecided };
                standing(id, 1, stable, last)
            })
            .collect();
        for set in subsets(usize::from(n), quorums.view_change()) {
            let set: Vec<&ViewChange> = set.iter().map(|at| &reports[*at]).collect();
            let opening = compute_o(&quorums, SeqNo(0), &set, 0).expect("it can be opened");
            for seq in opening.min.0 + 1..=decided {
                prop_assert_eq!(opening.digest(SeqNo(seq)), Some(value(seq)));
            }
        }
    }
}

/// All sets of `size` of `0..of`.
fn subsets(of: usize, size: usize) -> Vec<Vec<usize>> {
    (0u32..1 << of)
        .filter(|set| set.count_ones() as usize == size)
        .map(|set| (0..of).filter(|at| set & (1 << at) != 0).collect())
        .collect()
}

#[test]
fn an_invalid_report_does_not_stand_in_the_way_of_the_right_one() {
    let fixture = &*FIXTURE;
    for (what, damage) in DAMAGES {
        let mut node = fixture.node(2);
        node.step(Event::Started);
        let mut report = crate::refused_reports::right(fixture);
        damage(fixture, &mut report);
        send(&mut node, &report);
        send(&mut node, &crate::refused_reports::right(fixture));
        let lines = node.receive(4, &fixture.leaves(4, 2));
        assert_eq!(node.core.view(), View(2), "{what}: {lines:?}");
    }
}
