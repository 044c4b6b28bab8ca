#![allow(clippy::unwrap_used)]

use super::super::seed::{Purpose, random_stream};
use super::*;

const DRAWS: u64 = 400_000;

fn frequencies(distribution: KeyDistribution, records: u64) -> Vec<u64> {
    let space = KeySpace::new(records);
    let mut chooser = KeyChooser::new(distribution, records, 7, 0, 1).unwrap();
    let mut random = random_stream(7, 0, Purpose::Keys);
    let mut counts = vec![0; usize::try_from(records).unwrap()];
    for _ in 0..DRAWS {
        counts[usize::try_from(chooser.choose(&space, &mut random)).unwrap()] += 1;
    }
    counts
}

/// Whether `count` is within five standard deviations of a binomial with `DRAWS` draws of chance `p`.
fn plausible(count: u64, p: f64) -> bool {
    let draws = DRAWS as f64;
    (count as f64 - draws * p).abs() <= 5.0 * (draws * p * (1.0 - p)).sqrt() + 1.0
}

#[test]
fn zipfian_frequencies_follow_the_theory_for_every_rank() {
    for theta in [0.5, 0.99, 1.0, 1.2] {
        let records = 1000_u64;
        let mut counts = frequencies(KeyDistribution::Zipfian { theta }, records);
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let zeta: f64 = (1..=records).map(|rank| (rank as f64).powf(-theta)).sum();
        // The most popular ranks are far enough apart that sorting by count restores their order; the tail is compared by its sum.
        for rank in 1..=10_u32 {
            let p = f64::from(rank).powf(-theta) / zeta;
            // Sorting favours high counts among near equals; five deviations leave room for it.
            assert!(
                plausible(counts[rank as usize - 1], p),
                "theta {theta} rank {rank}: {} of {DRAWS}, p = {p}",
                counts[rank as usize - 1]
            );
        }
        let tail: f64 = (101..=records)
            .map(|rank| (rank as f64).powf(-theta) / zeta)
            .sum();
        let seen: u64 = counts[100..].iter().sum();
        assert!(
            (seen as f64 / DRAWS as f64 - tail).abs() < 0.01,
            "theta {theta}: tail {seen}, expected share {tail}"
        );
    }
}

#[test]
fn zipfian_popularity_is_scattered_and_stays_put_while_the_space_grows() {
    let space = KeySpace::new(1000);
    let mut chooser =
        KeyChooser::new(KeyDistribution::Zipfian { theta: 0.99 }, 1000, 7, 0, 1).unwrap();
    let mut random = random_stream(7, 0, Purpose::Keys);
    let mut hottest = || {
        let mut counts = std::collections::BTreeMap::<u64, u64>::new();
        for _ in 0..20_000 {
            *counts
                .entry(chooser.choose(&space, &mut random))
                .or_default() += 1;
        }
        let mut by_count: Vec<_> = counts
            .into_iter()
            .map(|(key, count)| (count, key))
            .collect();
        by_count.sort_unstable_by(|a, b| b.cmp(a));
        by_count
            .into_iter()
            .take(3)
            .map(|(_, key)| key)
            .collect::<Vec<_>>()
    };
    let before = hottest();
    assert_ne!(before, [0, 1, 2]);
    for _ in 0..500 {
        let number = space.create();
        space.settled(&key_name(number));
    }
    assert_eq!(before, hottest());
}

#[test]
fn uniform_reaches_every_key_alike() {
    for count in frequencies(KeyDistribution::Uniform, 100) {
        assert!(plausible(count, 0.01), "{count}");
    }
}

#[test]
fn hotspot_gives_the_hot_keys_their_share() {
    let mut counts = frequencies(
        KeyDistribution::Hotspot {
            hot_fraction: 0.1,
            hot_share: 0.8,
        },
        1000,
    );
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let hot: u64 = counts[..100].iter().sum();
    assert!(plausible(hot, 0.8), "{hot}");
    assert!(counts[100..].iter().all(|count| *count < counts[99]));
}

#[test]
fn hotspot_accepts_the_edges_of_its_range() {
    for (hot_fraction, hot_share) in [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (0.001, 1.0)]
    {
        assert_eq!(
            frequencies(
                KeyDistribution::Hotspot {
                    hot_fraction,
                    hot_share
                },
                50
            )
            .iter()
            .sum::<u64>(),
            DRAWS
        );
    }
}

#[test]
fn latest_prefers_new_keys_and_follows_creates_only_once_they_are_settled() {
    let counts = frequencies(KeyDistribution::Latest { theta: 0.99 }, 1000);
    assert!(counts[999] > counts[998] && counts[998] > counts[990] && counts[990] > counts[0]);

    let space = KeySpace::new(1000);
    let (first, second) = (space.create(), space.create());
    assert_eq!((first, second, space.visible()), (1000, 1001, 1000));
    space.settled(&key_name(second));
    assert_eq!(space.visible(), 1000, "key 1000 is still on its way");
    space.settled(&key_name(first));
    assert_eq!(space.visible(), 1002);
    space.settled(b"somebody else's key");
    assert_eq!(space.visible(), 1002);
}

#[test]
fn forgotten_creates_do_not_freeze_the_space() {
    let space = KeySpace::new(10);
    for _ in 0..UNSETTLED_CREATES_MAX + 5 {
        space.create();
    }
    assert_eq!(space.visible(), 15);
}

#[test]
fn sequential_clients_walk_the_whole_space_from_different_places() {
    let space = KeySpace::new(8);
    let mut random = random_stream(7, 0, Purpose::Keys);
    let mut walk = |client| {
        let mut chooser = KeyChooser::new(KeyDistribution::Sequential, 8, 7, client, 2).unwrap();
        (0..9)
            .map(|_| chooser.choose(&space, &mut random))
            .collect::<Vec<_>>()
    };
    assert_eq!(walk(0), [0, 1, 2, 3, 4, 5, 6, 7, 0]);
    assert_eq!(walk(1), [4, 5, 6, 7, 0, 1, 2, 3, 4]);
}

#[test]
fn one_seed_gives_one_sequence_of_keys() {
    let run = |seed| {
        let space = KeySpace::new(5000);
        let mut chooser =
            KeyChooser::new(KeyDistribution::Zipfian { theta: 0.99 }, 5000, seed, 3, 4).unwrap();
        let mut random = random_stream(seed, 3, Purpose::Keys);
        (0..500)
            .map(|_| chooser.choose(&space, &mut random))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn key_names_sort_as_their_numbers_and_parse_back() {
    let names: Vec<_> = [0, 9, 10, 99_999, 100_000, 9_999_999_999]
        .map(key_name)
        .into();
    assert!(names.is_sorted());
    assert_eq!(names[3], "user0000099999");
    assert_eq!(key_number(&names[3]), Some(99_999));
    assert_eq!(
        key_number(&key_name(123_456_789_012)),
        Some(123_456_789_012)
    );
    for stranger in [
        &b"user12"[..],
        b"user00000000x1",
        b"",
        b"user99999999999999999999999",
    ] {
        assert_eq!(key_number(stranger), None);
    }
}

#[test]
fn parameters_outside_their_range_are_refused_by_name() {
    let error = KeyChooser::new(KeyDistribution::Zipfian { theta: -1.0 }, 10, 7, 0, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "workload: workload.key.theta is -1; it must be between 0 and 10 (YCSB: 0.99)"
    );
    assert!(
        KeyDistribution::Hotspot {
            hot_fraction: 1.5,
            hot_share: 0.5
        }
        .check()
        .is_err()
    );
    assert!(KeyDistribution::Latest { theta: f64::NAN }.check().is_err());
}
