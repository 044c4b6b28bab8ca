//! A Byzantine backup, attack by attack (ATTACKS BB1 to BB16): what must hold, with every oracle on, and
//! the witness that it did what it is there for.

use std::time::Duration;

use byzantine::backup::{
    BitFlips, Bogus, BogusViewChange, Claimed, Corrupt, CorruptReply, DoubleVote, Forged,
    ForgedNewView, Impersonate, Jump, LateVotes, LyingCheckpoints, LyingTransfer, Mutate,
    NeverServe, Replay, Serving, SignatureFlood, TorsionVotes, ViewChangeSpam, WithholdVotes,
};
use byzantine::{Behaviour, Plan};
use consensus::{FastQuorum, Limits};
use simulator::{Config, Faults, Signatures, Stats, run};

/// The member that misbehaves where there is one: never the first primary.
const MEMBER: u16 = 3;

/// Five replicas of which one misbehaves, on a good network, and nothing else fails.
fn calm(behaviour: Behaviour) -> Config {
    Config {
        byzantine: vec![(MEMBER, Plan::of(behaviour))],
        heal_at: Duration::from_millis(1_500),
        restart_all: false,
        ..Config::default()
    }
}

/// The same in a network that keeps falling apart, with windows so small that who is away for a moment
/// needs the state.
fn torn(seed: u64, behaviour: Behaviour) -> Config {
    let base = calm(behaviour);
    Config {
        seed,
        limits: Limits {
            checkpoint_interval: 4,
            log_window: 8,
            ..base.limits.clone()
        },
        think: Duration::from_millis(1)..Duration::from_millis(100),
        heal_at: Duration::from_secs(3),
        faults: Faults {
            partitions: true,
            every: Duration::from_millis(100)..Duration::from_millis(300),
            lasting: Duration::from_millis(300)..Duration::from_millis(1_500),
            ..Faults::none()
        },
        ..base
    }
}

/// Runs without a violation, and the member did something.
fn holds(configs: impl IntoIterator<Item = Config>) -> Stats {
    let mut total = Stats::default();
    for config in configs {
        let outcome = run(&config);
        let what = format!("seed {}: {:?}", config.seed, config.byzantine);
        assert_eq!(outcome.violations, Vec::<String>::new(), "{what}");
        total.add(&outcome.stats);
    }
    assert!(total.byzantine_deeds > 0, "nothing was done");
    total
}

#[test]
fn bb1_two_votes_of_one_replica_count_once_and_are_proof() {
    let stats = holds([calm(Behaviour::DoubleVote(DoubleVote::default()))]);
    assert!(stats.equivocations > 0);
    assert_eq!(stats.views_entered, 0, "a backup's doing moves no view");
}

#[test]
fn bb2_without_one_vote_the_slow_path_decides() {
    let config = Config {
        fast: FastQuorum::Exactly(5),
        ..calm(Behaviour::WithholdVotes(WithholdVotes::default()))
    };
    let stats = holds([config]);
    assert!(stats.slow > 0 && stats.slots > 0);
    // Only the member itself has its vote.
    assert!(stats.fast <= stats.slots);
    assert_eq!(stats.views_entered, 0);
}

#[test]
fn bb3_votes_that_come_late_move_no_view() {
    let config = Config {
        fast: FastQuorum::Exactly(5),
        ..calm(Behaviour::LateVotes(LateVotes::default()))
    };
    assert_eq!(holds([config]).views_entered, 0);
}

#[test]
fn bb4_lies_about_the_state_stop_no_checkpoint() {
    for claim in [
        Claimed::WrongDigest,
        Claimed::TwoDigests,
        Claimed::NeverExecuted,
        Claimed::FarFuture,
    ] {
        let stats = holds([calm(Behaviour::LyingCheckpoints(LyingCheckpoints {
            claim,
        }))]);
        assert!(stats.checkpoints > 0, "{claim:?}");
        assert_eq!(stats.views_entered, 0, "{claim:?}");
    }
}

#[test]
fn bb5_false_reports_on_leaving_a_view_lose_nothing_that_was_decided() {
    for lie in [
        Bogus::InvalidProof,
        Bogus::MixedDigests,
        Bogus::DuplicateSigners,
        Bogus::UnsignedVotes,
        Bogus::StaleCheckpoint,
        Bogus::FalseCheckpoint,
        Bogus::OmitPrepared,
        Bogus::OmitAll,
        Bogus::Disordered,
    ] {
        for split in [false, true] {
            let behaviour = Behaviour::BogusViewChange(BogusViewChange { lie, split });
            let stats = holds((1..3).map(|seed| torn(seed, behaviour.clone())));
            assert!(stats.views_entered > 0, "{lie:?}");
        }
    }
}

#[test]
fn bb6_a_stream_of_view_changes_of_one_replica_moves_no_view() {
    for jump in [Jump::Next, Jump::Last, Jump::Same, Jump::Random] {
        let spam = ViewChangeSpam {
            jump,
            ..ViewChangeSpam::default()
        };
        let stats = holds([calm(Behaviour::ViewChangeSpam(spam))]);
        assert_eq!(stats.views_entered, 0, "{jump:?}");
    }
}

#[test]
fn bb7_an_impostor_opens_no_view() {
    let impostor = ForgedNewView {
        lie: Forged::Impostor,
        ..ForgedNewView::default()
    };
    let stats = holds([calm(Behaviour::ForgedNewView(impostor))]);
    assert_eq!(stats.views_entered, 0);
    assert!(stats.byzantine_refused > 0);
}

#[test]
fn bb7_a_primary_with_a_wrong_opening_opens_nothing_and_the_next_one_does() {
    for lie in [
        Forged::WrongSlot,
        Forged::OtherSlots,
        Forged::TooFew,
        Forged::Twice,
        Forged::FalseReport,
    ] {
        let silent = Behaviour::named("silent").expect("it is in the catalogue");
        let forging = Behaviour::ForgedNewView(ForgedNewView {
            lie,
            ..ForgedNewView::default()
        });
        let config = Config {
            n: 9,
            f: 2,
            byzantine: vec![(0, Plan::of(silent)), (1, Plan::of(forging))],
            ..calm(Behaviour::Mutate(Mutate::default()))
        };
        let stats = holds([config]);
        let forged = stats.behaviours["forged-new-view"];
        assert!(forged.deeds > 0, "{lie:?}");
        assert!(stats.views_entered > 0 && stats.slots > 0, "{lie:?}");
    }
}

#[test]
fn bb7_a_primary_that_opens_a_view_in_two_valid_ways_splits_nobody() {
    let forging = Behaviour::ForgedNewView(ForgedNewView {
        lie: Forged::TwoOpenings,
        ..ForgedNewView::default()
    });
    // One seed in fifteen lets it open a view that it can open in two ways; six of these.
    let stats = holds((96..126).map(|seed| torn(seed, forging.clone())));
    let forged = stats.behaviours["forged-new-view"];
    assert!(forged.deeds > 5, "{} deeds", forged.deeds);
    assert!(stats.views_with_slots > 0);
}

#[test]
fn bb8_clients_believe_no_liars_however_well_they_agree() {
    for lie in [
        Corrupt::Value,
        Corrupt::Seq,
        Corrupt::Number,
        Corrupt::View,
        Corrupt::Denied,
    ] {
        let plan = Plan::of(Behaviour::CorruptReply(CorruptReply { lie }));
        let config = Config {
            n: 9,
            f: 2,
            byzantine: vec![(0, plan.clone()), (4, plan)],
            ..calm(Behaviour::Mutate(Mutate::default()))
        };
        holds([config]);
    }
}

#[test]
fn bb9_a_lying_source_only_delays_those_who_fetch() {
    for way in [
        Serving::WrongParts,
        Serving::WrongManifest,
        Serving::Endless,
        Serving::Slow,
        Serving::Huge,
        Serving::Old,
        Serving::Unavailable,
    ] {
        let lying = LyingTransfer {
            way,
            ..LyingTransfer::default()
        };
        // Each with the same faults: somebody fetches.
        let behaviour = Behaviour::LyingTransfer(lying);
        let stats = holds((1..33).map(|seed| torn(seed, behaviour.clone())));
        assert!(stats.state_transfers > 0, "{way:?}");
    }
}

#[test]
fn bb10_old_messages_change_nothing() {
    let stats = holds([calm(Behaviour::Replay(Replay::default()))]);
    assert_eq!(stats.views_entered, 0);
    assert!(
        stats.byzantine_refused > 0,
        "others' votes, another cluster's"
    );
}

#[test]
fn bb11_flipped_bits_are_refused_and_move_no_view() {
    let flips = BitFlips {
        share: 0.5,
        ..BitFlips::default()
    };
    let stats = holds([calm(Behaviour::BitFlips(flips))]);
    assert!(stats.byzantine_refused > 0);
    assert_eq!(stats.views_entered, 0);
}

#[test]
fn bb12_small_changes_signed_anew_split_nobody() {
    let all = Mutate { share: 1.0 };
    let stats = holds((1..5).map(|seed| torn(seed, Behaviour::Mutate(all.clone()))));
    assert!(stats.slots > 0);
}

#[test]
fn bb13_nobody_speaks_in_anothers_name_and_nobody_else_is_blamed() {
    let stats = holds([calm(Behaviour::Impersonate(Impersonate::default()))]);
    assert!(stats.byzantine_refused > 0);
    assert_eq!((stats.equivocations, stats.views_entered), (0, 0));
}

#[test]
fn bb14_votes_with_torsion_count_like_any_others_at_every_replica() {
    let config = Config {
        // All four votes are needed to decide fast.
        n: 4,
        signatures: Signatures::Ed25519,
        heal_at: Duration::from_millis(500),
        requests: 4,
        ..calm(Behaviour::TorsionVotes(TorsionVotes::default()))
    };
    let stats = holds([config]);
    assert!(stats.fast > 0);
    assert_eq!((stats.byzantine_refused, stats.views_entered), (0, 0));
}

#[test]
fn bb15_who_lags_behind_asks_others_than_the_one_that_never_answers() {
    for only in [None, Some(1)] {
        let behaviour = Behaviour::NeverServe(NeverServe { only });
        let stats = holds((1..5).map(|seed| torn(seed, behaviour.clone())));
        assert!(stats.transferred + stats.state_transfers > 0);
    }
}

#[test]
fn bb16_a_flood_of_bad_signatures_has_no_effect_but_its_cost() {
    let flood = SignatureFlood { per_second: 5_000 };
    let stats = holds([calm(Behaviour::SignatureFlood(flood))]);
    assert!(stats.byzantine_refused > 1_000);
    assert_eq!(stats.views_entered, 0);
}
