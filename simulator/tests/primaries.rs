//! What must hold under a Byzantine primary (BP1 to BP16), each claim with the witness that the attack
//! reached what it is for: a proof of equivocation, a fast decision before the view change, a view that
//! was left. T is the view-change timeout.

use std::time::Duration;

use byzantine::collusion::Twins;
use byzantine::primary::{
    AbsurdViews, Censor, Equivocate, EquivocateFast, Excess, Fault, Flaw, FlipFlop, ForgeRequests,
    Forgery, Gap, HugeBatch, InvalidBatch, LeaveGaps, Manner, Messages, RepeatRequests, SameDigest,
    Silent, SlowBatching, SlowPrimary, StallView, UnfairOrder, WithholdCheckpoints,
};
use byzantine::{Behaviour, Plan, Span};
use consensus::client::Pace;
use simulator::{Config, Stats, run};

const T: Duration = Duration::from_millis(500);
const SEEDS: std::ops::Range<u64> = 1..7;

/// A cluster of n replicas whose network is good from the beginning, so that every request is bound to be
/// answered in time, and `members` which are not.
fn cluster(n: u16, f: u16, members: &[(u16, Behaviour)]) -> Config {
    Config {
        n,
        f,
        byzantine: members
            .iter()
            .map(|(id, behaviour)| (*id, Plan::of(behaviour.clone())))
            .collect(),
        // A client waits for T before it asks all replicas.
        pace: Pace {
            retransmit_after: T,
            ..Pace::default()
        },
        heal_at: Duration::from_millis(1),
        restart_all: false,
        ..Config::default()
    }
}

/// What many seeds reach, none of which breaks a promise, or leaves a request open for longer than this.
fn reached(config: &Config, within: Duration) -> Stats {
    let mut reached = Stats::default();
    for seed in SEEDS {
        let outcome = run(&Config {
            seed,
            ..config.clone()
        });
        let plan = &config.byzantine;
        assert!(
            outcome.violations.is_empty(),
            "{plan:?}, seed {seed}: {:?}",
            outcome.violations
        );
        reached.add(&outcome.stats);
    }
    let waited = reached.longest_wait;
    assert!(waited <= within, "{:?}: {waited:?}", config.byzantine);
    reached
}

/// The same for five replicas whose primary is the Byzantine one.
fn led_by(behaviour: Behaviour, within: Duration) -> Stats {
    let stats = reached(&cluster(5, 1, &[(0, behaviour)]), within);
    assert!(stats.byzantine_deeds > 0, "it did something");
    stats
}

#[test]
fn an_equivocating_primary_is_proven_and_replaced() {
    for equivocate in [
        Equivocate::default(),
        Equivocate {
            ways: 3,
            ..Equivocate::default()
        },
        Equivocate {
            ways: 4,
            votes: false,
            ..Equivocate::default()
        },
        Equivocate {
            split: vec![vec![1], vec![2, 3, 4]],
            ..Equivocate::default()
        },
        Equivocate {
            split: vec![vec![1, 2, 3], vec![4]],
            ..Equivocate::default()
        },
    ] {
        let stats = led_by(Behaviour::Equivocate(equivocate), 2 * T);
        assert!(stats.equivocations > 0 && stats.left_by_equivocation > 0);
        assert!(stats.views_entered > 0);
    }
}

#[test]
fn what_one_replica_has_decided_fast_survives_the_view_change() {
    for (n, f) in [(5, 1), (9, 2)] {
        for lies in [false, true] {
            let plan = EquivocateFast {
                lies,
                ..EquivocateFast::default()
            };
            let member = Behaviour::EquivocateFast(plan);
            let stats = reached(&cluster(n, f, &[(0, member)]), 4 * T);
            assert!(stats.byzantine_deeds > 0);
            assert!(stats.fast_then_view_change > 0, "n = {n}, lies: {lies}");
        }
    }
}

#[test]
fn a_silent_primary_is_replaced_and_one_that_is_silent_to_a_few_is_not_needed_by_them() {
    let silent = |count, messages| {
        Behaviour::Silent(Silent {
            count,
            messages,
            ..Silent::default()
        })
    };
    let stats = led_by(silent(0, Messages::All), 2 * T);
    assert!(stats.left_by_silence > 0);
    let stats = led_by(silent(0, Messages::Proposals), 3 * T);
    assert!(stats.left_by_request_timeout > 0, "its heartbeat went on");
    let stats = led_by(silent(3, Messages::All), 2 * T);
    assert!(stats.left_by_silence > 0, "two replicas are no quorum");
    // One has them and passes them on, but that takes longer than a primary may.
    let stats = led_by(silent(3, Messages::Proposals), 2 * T);
    assert!(stats.views_entered > 0);
    let stats = led_by(silent(1, Messages::Proposals), 2 * T);
    assert_eq!(stats.views_entered, 0, "nobody lacks progress for long");
    let stats = led_by(silent(0, Messages::Votes), 2 * T);
    assert_eq!(stats.views_entered, 0, "the others' votes suffice");
}

#[test]
fn an_unfair_order_costs_its_victims_what_is_held_back_and_no_more() {
    let stats = led_by(Behaviour::UnfairOrder(UnfairOrder::default()), 2 * T);
    assert!(stats.views_entered > 0, "it is given up");
    assert!(
        stats.longest_wait >= Duration::from_millis(200),
        "they did wait"
    );
}

#[test]
fn a_censored_client_is_served_by_the_next_primary() {
    for manner in [Manner::Drop, Manner::Reject] {
        for only_writes in [false, true] {
            let clients = vec![0, 1];
            let plan = Censor {
                clients,
                manner,
                only_writes,
            };
            // One that says that it is busy is believed for two first waits of the client.
            let within = match manner {
                Manner::Drop => 3 * T,
                Manner::Reject => 6 * T,
            };
            let stats = led_by(Behaviour::Censor(plan), within);
            assert!(stats.left_by_request_timeout > 0, "{manner:?}");
        }
    }
}

#[test]
fn a_slow_primary_within_the_time_outs_keeps_every_promise() {
    for share in [50, 90, 99] {
        let delay = Span(T * share / 100);
        let plan = SlowPrimary {
            delay,
            ..SlowPrimary::default()
        };
        led_by(Behaviour::SlowPrimary(plan), 4 * T);
    }
    let drawn = SlowPrimary {
        delay: Span::millis(10),
        delay_max: Span::millis(450),
        gap: Span::millis(100),
    };
    led_by(Behaviour::SlowPrimary(drawn), 4 * T);
    for gap in [Span::default(), Span::millis(40)] {
        led_by(Behaviour::SlowBatching(SlowBatching { gap }), 4 * T);
    }
}

#[test]
fn nobody_votes_for_a_batch_with_any_flaw() {
    for flaw in [
        Flaw::BadSignature,
        Flaw::UnknownClient,
        Flaw::Twice,
        Flaw::OversizedOp,
        Flaw::WrongDigest,
        Flaw::Empty,
        Flaw::Null,
    ] {
        let plan = InvalidBatch { flaw: Some(flaw) };
        let stats = led_by(Behaviour::InvalidBatch(plan), 2 * T);
        assert!(stats.left_by_bad_primary > 0, "{flaw:?}");
    }
}

#[test]
fn a_batch_that_is_too_large_is_refused() {
    for excess in [
        Excess::Over,
        Excess::Exactly,
        Excess::TinyOps,
        Excess::ManyRequests,
    ] {
        let plan = HugeBatch {
            excess: Some(excess),
        };
        let stats = led_by(Behaviour::HugeBatch(plan), 2 * T);
        assert!(stats.left_by_bad_primary > 0, "{excess:?}");
    }
    let plan = HugeBatch {
        excess: Some(Excess::Claim),
    };
    let stats = led_by(Behaviour::HugeBatch(plan), 2 * T);
    assert!(stats.byzantine_refused > 0, "nobody decodes it");
    assert_eq!(stats.views_entered, 0, "it says nothing of the primary");
}

#[test]
fn requests_that_are_proposed_again_are_executed_once() {
    let honest = reached(&cluster(5, 1, &[]), 2 * T);
    let plan = RepeatRequests { count: 8 };
    let stats = led_by(Behaviour::RepeatRequests(plan), 2 * T);
    assert_eq!(stats.views_entered, 0);
    assert_eq!(
        stats.requests, honest.requests,
        "the same number of requests took effect"
    );
}

#[test]
fn absurd_views_change_nothing() {
    let absurd = Behaviour::AbsurdViews(AbsurdViews { rounds: 4 });
    for member in [0, 3] {
        let stats = reached(&cluster(5, 1, &[(member, absurd.clone())]), 2 * T);
        assert!(stats.byzantine_deeds > 0);
        assert_eq!(stats.views_entered, 0);
    }
}

#[test]
fn a_gap_is_filled_by_the_next_primary_and_what_is_outside_the_window_is_ignored() {
    for (gap, changes) in [
        (Gap::Skip, true),
        (Gap::Jump, true),
        (Gap::Above, false),
        (Gap::Below, false),
    ] {
        for by in [1, 3, 40] {
            let stats = led_by(Behaviour::LeaveGaps(LeaveGaps { gap, by }), 3 * T);
            assert_eq!(stats.views_entered > 0, changes, "{gap:?} by {by}");
        }
    }
}

#[test]
fn no_request_is_executed_that_its_client_has_not_signed() {
    for forgery in [
        Forgery::OwnKey,
        Forgery::OtherOperation,
        Forgery::OtherClient,
    ] {
        let plan = || {
            Behaviour::ForgeRequests(ForgeRequests {
                forgery: Some(forgery),
            })
        };
        let stats = led_by(plan(), 2 * T);
        assert!(stats.left_by_bad_primary > 0, "{forgery:?}");
        let stats = reached(&cluster(5, 1, &[(3, plan())]), 2 * T);
        assert!(stats.byzantine_deeds > 0, "passed on to the primary");
        assert_eq!(stats.views_entered, 0, "which proposes none of them");
    }
}

#[test]
fn another_body_under_the_same_header_is_noticed_by_whoever_gets_it() {
    for bodies in [2, 4] {
        let stats = led_by(Behaviour::SameDigest(SameDigest { bodies }), 2 * T);
        assert!(stats.left_by_bad_primary > 0);
        assert_eq!(stats.equivocations, 0, "one header is no proof");
    }
}

#[test]
fn a_primary_that_is_honest_now_and_then_costs_no_more_than_a_time_out_each_time() {
    for how in [Fault::Silent, Fault::Equivocate, Fault::Slow] {
        let plan = FlipFlop {
            calm: Span::millis(400),
            fault: Span::millis(700),
            how,
        };
        led_by(Behaviour::FlipFlop(plan), 3 * T);
    }
}

#[test]
fn primaries_in_a_row_that_do_not_open_their_views_cost_a_time_out_each() {
    let dead = Behaviour::Silent(Silent::default());
    let stall = |delay| Behaviour::StallView(StallView { delay });
    for delay in [Span::default(), Span::millis(490)] {
        let two = [(0, dead.clone()), (1, stall(delay))];
        let stats = reached(&cluster(9, 2, &two), 4 * T);
        assert!(stats.left_by_silence > 0);
        let three = [(0, dead.clone()), (1, stall(delay)), (2, stall(delay))];
        let stats = reached(&cluster(13, 3, &three), 8 * T);
        assert!(!delay.0.is_zero() || stats.left_by_new_view_timeout > 0);
    }
}

#[test]
fn checkpoints_that_one_member_withholds_move_the_window_all_the_same() {
    for delay in [Span::default(), Span::millis(800)] {
        let plan = WithholdCheckpoints { delay };
        let stats = led_by(Behaviour::WithholdCheckpoints(plan), 2 * T);
        assert_eq!(stats.views_entered, 0);
        assert!(stats.checkpoints > 4 * 6, "the others' suffice");
    }
}

#[test]
fn a_primary_that_runs_twice_splits_nobody() {
    for (n, f, members) in [(5, 1, vec![0]), (9, 2, vec![0, 4])] {
        let twins = |split| {
            Behaviour::Twins(Twins {
                split,
                ..Twins::default()
            })
        };
        for split in [Vec::new(), vec![vec![1, 2], vec![3, 4]]] {
            let members: Vec<_> = members
                .iter()
                .map(|id| (*id, twins(split.clone())))
                .collect();
            let stats = reached(&cluster(n, f, &members), 12 * T);
            assert!(
                stats.byzantine_deeds > 0 && stats.equivocations > 0,
                "n = {n}"
            );
        }
    }
}
