//! The campaign of short schedules: safe and live, each, and together they reach what they are for.
//!
//! `SCHEDULES=A..B cargo test --release -p simulator --test campaign -- --nocapture` runs a longer
//! one; a failing schedule is printed with the command that repeats it.

use std::ops::Range;

use byzantine::Behaviour;
use simulator::campaign::campaign;
use simulator::{Config, run};

/// Schedules of an ordinary `cargo test`.
const SCHEDULES: Range<u64> = if cfg!(debug_assertions) {
    0..300
} else {
    0..4_000
};

/// Campaigns of at least this many schedules reach every witness; shorter ones prove nothing by it.
const REACHES_ALL: u64 = 4_000;
/// What a campaign is for: each of these has to happen.
const WITNESSES: [&str; 32] = [
    "slots",
    "fast",
    "slow",
    "transferred",
    "state_transfers",
    "fallbacks",
    "checkpoints",
    "views_entered",
    "left_by_request_timeout",
    "left_by_new_view_timeout",
    "left_by_silence",
    "left_by_equivocation",
    "left_by_join",
    "left_by_restart",
    "views_with_slots",
    "views_with_excluded",
    "fast_then_view_change",
    "equivocations",
    "crashes_in_sync",
    "crashes_in_broadcast",
    "power_cuts",
    "pauses",
    "renewed_votes",
    "twin_messages",
    "byzantine_deeds",
    "byzantine_refused",
    "left_by_bad_primary",
    "rogue_requests",
    "rogue_executed",
    "rogue_busy",
    "rogue_refused",
    "rogue_bad_signatures",
];
/// Behaviours that few short schedules have room for, or none: real signatures are rare in them.
const RARE: [&str; 2] = ["lying-transfer", "torsion-votes"];

fn schedules() -> Range<u64> {
    let Ok(text) = std::env::var("SCHEDULES") else {
        return SCHEDULES;
    };
    let (from, to) = text.split_once("..").expect("SCHEDULES has the form A..B");
    from.parse().expect("a number")..to.parse().expect("a number")
}

#[test]
fn every_short_schedule_is_safe_and_live_and_the_campaign_reaches_what_it_is_for() {
    let began = std::time::Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let seeds = schedules();
    let campaign = campaign(seeds.clone(), cores);
    let stats = &campaign.stats;
    println!("{stats:#?}");
    println!(
        "{} schedules in {:.1?}: {:.0} a second of a core; each {:.1} slots, {:.0} messages, {:.0} \
         ms of virtual time",
        campaign.schedules,
        began.elapsed(),
        campaign.per_second(),
        campaign.each(stats.slots as f64),
        campaign.each(stats.delivered as f64),
        campaign.each(stats.virtual_time.as_secs_f64() * 1e3),
    );
    println!(
        "{} views entered, {} replicas that entered one after a fast decision; {} conflicts in \
         SELECT, {} proofs of equivocation",
        stats.views_entered,
        stats.fast_then_view_change,
        stats.views_with_excluded,
        stats.equivocations
    );
    let failures: Vec<String> = campaign
        .failures
        .iter()
        .map(|(seed, violations)| {
            format!(
                "SCHEDULES={seed}..{} cargo test --release -p simulator --test campaign\n{}",
                seed + 1,
                violations.join("\n")
            )
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    if seeds.end - seeds.start < REACHES_ALL {
        return;
    }
    let counts = stats.counts();
    for behaviour in Behaviour::catalogue() {
        let name = behaviour.name();
        let acted = stats.behaviours.get(name).map_or(0, |tally| tally.acted);
        assert!(
            acted > 0 || RARE.contains(&name),
            "{name} never did anything"
        );
    }
    for what in WITNESSES {
        let reached = counts
            .iter()
            .any(|(name, times)| *name == what && *times > 0);
        assert!(
            reached,
            "no schedule ever saw {what}: the campaign proves nothing about it"
        );
    }
}

/// The campaign's own oracle: a replica that forgets its promises is found within few schedules.
#[test]
fn short_schedules_find_replicas_that_forget_what_they_signed() {
    let forgetful = |seed| {
        let mut config = Config::short(seed);
        config.faults.amnesia = true;
        config.faults.crashes = true;
        run(&config).violations
    };
    let found = (0..60).map(forgetful).filter(|found| !found.is_empty());
    assert!(found.count() > 0);
}

/// Schedules that have failed once. 83380: a primary that had just opened its view sent NEW-VIEW and
/// proposal again, to a peer whose STATUS asked for them, before either was durable; it crashed, and
/// opened the same view with another proposal. 1280558: after a crash an older certificate took the place of
/// the one that the epoch rests on. 1333299: after a power cut two replicas held the states of 4 and of 6, and
/// no checkpoint that both had reached was known for it any more.
const FIXED: [u64; 3] = [83_380, 1_280_558, 1_333_299];

#[test]
fn schedules_that_have_failed_once_fail_no_more() {
    for seed in FIXED {
        let violations = run(&Config::short(seed)).violations;
        assert_eq!(violations, Vec::<String>::new(), "schedule {seed}");
    }
}

#[test]
fn the_same_schedule_gives_the_same_trace() {
    let trace = |seed| run(&Config::short(seed)).trace;
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}
