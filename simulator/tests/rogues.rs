//! Byzantine clients in simulated clusters: correct clients get what they ask for, and replicas agree about what
//! the others asked for. A client that never had anything executed has shown nothing, so each test has its witness.

use std::time::Duration;

use simulator::{Config, Faults, Outcome, Trick, run};

const ALL: [Trick; 4] = [
    Trick::Equivocate,
    Trick::Jump,
    Trick::SignBadly,
    Trick::Flood,
];

fn with(rogues: Vec<Trick>, seed: u64) -> Config {
    Config {
        seed,
        rogues,
        heal_at: Duration::from_secs(2),
        ..Config::default()
    }
}

/// A network that loses messages and falls apart, and replicas that crash.
fn hard(config: Config) -> Config {
    Config {
        faults: Faults {
            loss: 0.05,
            client_loss: 0.1,
            partitions: true,
            crashes: true,
            ..Faults::none()
        },
        ..config
    }
}

fn good(config: &Config, what: &str) -> Outcome {
    let outcome = run(config);
    assert_eq!(outcome.violations, Vec::<String>::new(), "{what}");
    outcome
}

#[test]
fn no_trick_breaks_a_promise_on_a_good_network_and_no_view_is_left_for_it() {
    for trick in ALL {
        for seed in 1..4 {
            let mut config = with(vec![trick], seed);
            config.restart_all = false;
            let stats = good(&config, &format!("{trick:?}, seed {seed}")).stats;
            assert!(stats.rogue_executed > 0, "{trick:?} had nothing executed");
            let refused = stats.rogue_refused > 0;
            assert!(refused || trick != Trick::Jump, "no jump was too far");
            let spoiled = stats.rogue_bad_signatures > 0;
            assert_eq!(spoiled, trick == Trick::SignBadly, "{trick:?}");
            assert_eq!(stats.views_entered, 0, "{trick:?}, seed {seed}");
        }
    }
}

#[test]
fn all_tricks_at_once_break_no_promise_while_things_fail() {
    let (mut executed, mut partitions, mut crashes) = (0, 0, 0);
    for seed in 1..6 {
        let config = hard(with(ALL.to_vec(), seed));
        let stats = good(&config, &format!("seed {seed}")).stats;
        executed += stats.rogue_executed;
        partitions += stats.partitions;
        crashes += stats.crashes;
    }
    assert!(executed > 0 && partitions > 0 && crashes > 0);
}

#[test]
fn a_flood_is_told_that_there_is_no_room_and_the_others_find_some() {
    for seed in 1..4 {
        let mut config = with(vec![Trick::Flood, Trick::Flood], seed);
        config.policy.pending_per_client_max = 8;
        config.policy.pending_requests_max = 16;
        let stats = good(&config, &format!("seed {seed}")).stats;
        assert!(stats.rogue_busy > 0, "there was room for all of it");
        assert!(
            stats.longest_wait < Duration::from_secs(2),
            "{:?}",
            stats.longest_wait
        );
    }
}

/// Most of the requests by which backups judge the primary are late, and all of these are the client's own doing.
#[test]
fn bc2_a_client_that_signs_badly_for_the_primary_alone_does_not_make_it_look_slow() {
    for seed in 1..4 {
        let mut config = with(vec![Trick::SignBadly], seed);
        config.heal_at = Duration::from_secs(12);
        config.restart_all = false;
        let stats = good(&config, &format!("seed {seed}")).stats;
        assert!(stats.rogue_bad_signatures > 100 && stats.rogue_executed > 100);
        assert_eq!(stats.views_entered, 0, "seed {seed}");
    }
}

/// The planted bug: replicas that take a request for another one of the same name. No correct client
/// shows it, whatever fails; one that equivocates does.
#[test]
fn requests_taken_for_others_of_the_same_name_are_found_by_a_client_that_equivocates() {
    let planted = |rogues: &[Trick], seed| {
        let mut config = hard(with(rogues.to_vec(), seed));
        config.faults.by_number = true;
        run(&config).violations
    };
    for seed in 1..4 {
        assert_eq!(planted(&[], seed), Vec::<String>::new(), "seed {seed}");
        let found = planted(&[Trick::Equivocate], seed);
        let kind = found.first().and_then(|first| first.split(':').next());
        let kinds = ["state", "results", "reply", "halt"];
        assert!(kind.is_some_and(|kind| kinds.contains(&kind)), "{found:?}");
    }
}
