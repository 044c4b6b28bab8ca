//! Byzantine members drawn at random: who, which behaviours of the catalogue, with which arguments,
//! when, and who acts together.

use byzantine::backup::{Bogus, Claimed, Corrupt, Doubling, Forged, Jump, Origin, Phases, Serving};
use byzantine::primary::Fault as Turn;
use byzantine::{Behaviour, Part, Plan, Span, Trigger};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Most behaviours of one member; more hide each other.
const BEHAVIOURS_MAX: usize = 3;
/// One behaviour in this many strikes in one part only, and as many by chance only.
const CHOOSY: u32 = 4;
/// One pair of members in this many acts alone, each for itself.
const STRANGERS: u32 = 4;

/// `count` members of n, each with a plan.
pub(crate) fn drawn_members(rng: &mut ChaCha8Rng, n: u16, count: u16) -> Vec<(u16, Plan)> {
    let mut ids: Vec<u16> = Vec::new();
    while ids.len() < usize::from(count.min(n)) {
        let id = rng.random_range(0..n);
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids.sort_unstable();
    let seed = rng.random();
    let together = !rng.random_ratio(1, STRANGERS);
    // Colluders have the first behaviour in common.
    let common = drawn_behaviour(rng);
    let plan = |id: u16, rng: &mut ChaCha8Rng| {
        let first = match together {
            true => common.clone(),
            false => drawn_behaviour(rng),
        };
        let mut plan = Plan {
            seed,
            colluders: ids
                .iter()
                .copied()
                .filter(|other| together && *other != id)
                .collect(),
            ..Plan::of(first)
        };
        for _ in 1..rng.random_range(1..=BEHAVIOURS_MAX) {
            let trigger = drawn_trigger(rng);
            plan = plan.and(drawn_behaviour(rng), trigger);
        }
        plan
    };
    ids.iter().map(|id| (*id, plan(*id, rng))).collect()
}

fn drawn_trigger(rng: &mut ChaCha8Rng) -> Trigger {
    let part = match rng.random_range(0..2 * CHOOSY) {
        0 => Some(Part::Primary),
        1 => Some(Part::Backup),
        _ => None,
    };
    let by_chance = rng.random_ratio(1, CHOOSY);
    Trigger {
        part,
        probability: by_chance.then(|| pick(rng, &[0.1, 0.5])),
        ..Trigger::default()
    }
}

/// A behaviour with arguments.
fn drawn_behaviour(rng: &mut ChaCha8Rng) -> Behaviour {
    let all = Behaviour::catalogue();
    let mut it = all[rng.random_range(0..all.len())].clone();
    match &mut it {
        Behaviour::DoubleVote(args) => {
            args.way = pick(
                rng,
                &[Doubling::Halves, Doubling::Both, Doubling::OtherView],
            );
        }
        Behaviour::WithholdVotes(args) => {
            args.phases = pick(rng, &[Phases::Prepare, Phases::Commit, Phases::Both]);
        }
        Behaviour::LyingCheckpoints(args) => {
            args.claim = pick(
                rng,
                &[
                    Claimed::WrongDigest,
                    Claimed::TwoDigests,
                    Claimed::NeverExecuted,
                    Claimed::FarFuture,
                ],
            );
        }
        Behaviour::BogusViewChange(args) => {
            args.lie = pick(rng, &[Bogus::Any, Bogus::OmitAll, Bogus::OmitPrepared]);
            args.split = rng.random_bool(0.5);
        }
        Behaviour::ViewChangeSpam(args) => {
            args.every = Span::millis(20);
            args.jump = pick(rng, &[Jump::Next, Jump::Last, Jump::Same, Jump::Random]);
        }
        Behaviour::ForgedNewView(args) => {
            args.lie = pick(
                rng,
                &[
                    Forged::WrongSlot,
                    Forged::OtherSlots,
                    Forged::TooFew,
                    Forged::Twice,
                    Forged::FalseReport,
                    Forged::TwoOpenings,
                    Forged::TwoOpenings,
                    Forged::Impostor,
                ],
            );
        }
        Behaviour::CorruptReply(args) => args.lie = pick(rng, &[Corrupt::Value, Corrupt::Any]),
        Behaviour::LyingTransfer(args) => {
            args.way = pick(
                rng,
                &[
                    Serving::WrongParts,
                    Serving::WrongManifest,
                    Serving::Endless,
                    Serving::Slow,
                    Serving::Old,
                    Serving::Unavailable,
                ],
            );
        }
        Behaviour::Replay(args) => {
            args.every = Span::millis(20);
            args.origin = pick(rng, &[Origin::All, Origin::Own]);
        }
        // A short schedule is over before the first two seconds of calm are.
        Behaviour::FlipFlop(args) => {
            args.calm = Span::millis(pick(rng, &[50, 200, 2_000]));
            args.fault = Span::millis(pick(rng, &[100, 500]));
            args.how = pick(rng, &[Turn::Silent, Turn::Equivocate, Turn::Slow]);
        }
        // As many as it can make would be all that a simulated second consists of.
        Behaviour::SignatureFlood(args) => args.per_second = 500,
        _ => {}
    }
    it
}

fn pick<T: Copy>(rng: &mut ChaCha8Rng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::Config;
    use byzantine::Behaviour;

    /// In both modes: valid plans, of no more than f members with the twins and those who are down, and
    /// all of the catalogue.
    #[test]
    fn plans_are_drawn_within_f_and_from_the_whole_catalogue() {
        for of in [Config::short as fn(u64) -> Config, Config::drawn] {
            let mut drawn = BTreeSet::new();
            for config in (0..1_500).map(of) {
                let ids: BTreeSet<u16> = config.byzantine.iter().map(|(id, _)| *id).collect();
                assert_eq!(ids.len(), config.byzantine.len());
                assert!(ids.iter().all(|id| *id < config.n));
                let faulty = ids.len() + usize::from(config.faults.twins + config.faults.silent);
                assert!(faulty <= usize::from(config.f), "seed {}", config.seed);
                for (_, plan) in &config.byzantine {
                    assert_eq!(plan.check(), Ok(()));
                    drawn.extend(plan.behaviours.iter().map(|(it, _)| it.name()));
                }
            }
            assert_eq!(drawn.len(), Behaviour::NAMES.len());
        }
    }
}
