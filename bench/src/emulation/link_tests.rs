//! Links without a clock: shares, times and order of many datagrams.

use std::time::Duration;

use super::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

fn link(settings: LinkSettings) -> Link {
    Link::new(settings, 42, 5)
}

/// The fates of `count` datagrams of 1,000 bytes, one every `every_ns`.
fn fates(settings: LinkSettings, count: u64, every_ns: u64) -> Vec<(u64, Fate)> {
    let mut link = link(settings);
    (0..count)
        .map(|index| (index * every_ns, link.send(index * every_ns, 1_000)))
        .collect()
}

fn passages(fates: &[(u64, Fate)]) -> Vec<(u64, Passage)> {
    let passed = |(sent, fate): &(u64, Fate)| match fate {
        Fate::Passes(passage) => Some((*sent, *passage)),
        Fate::Dropped(_) => None,
    };
    fates.iter().filter_map(passed).collect()
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

fn near(found: f64, wanted: f64, by: f64) {
    assert!(
        (found - wanted).abs() <= by,
        "{found} is not {wanted} +- {by}"
    );
}

#[test]
fn a_clear_link_does_nothing() {
    let fates = fates(LinkSettings::default(), 1_000, MS);
    for (sent, fate) in fates {
        let passage = Passage {
            at_ns: sent,
            copy_at_ns: None,
            flipped_bit: None,
        };
        assert_eq!(fate, Fate::Passes(passage));
    }
}

#[test]
fn loss_takes_its_share_and_the_same_datagrams_every_time() {
    for loss in [0.01, 0.05, 0.2] {
        let settings = LinkSettings {
            loss,
            ..LinkSettings::default()
        };
        let once = fates(settings, 100_000, MS);
        near(
            share(once.len() - passages(&once).len(), once.len()),
            loss,
            0.005,
        );
        assert_eq!(once, fates(settings, 100_000, MS));
        let mut other = Link::new(settings, 43, 5);
        let elsewhere: Vec<Fate> = (0..100_000).map(|index| other.send(index, 1_000)).collect();
        assert!(once.iter().zip(elsewhere).any(|((_, one), two)| {
            matches!(one, Fate::Dropped(_)) != matches!(two, Fate::Dropped(_))
        }));
    }
}

#[test]
fn what_is_lost_does_not_depend_on_other_impairments() {
    let settings = LinkSettings {
        loss: 0.1,
        ..LinkSettings::default()
    };
    let more = LinkSettings {
        duplicate: 0.5,
        corrupt: 0.5,
        delay: Duration::from_millis(9),
        ..settings
    };
    let lost = |settings| -> Vec<bool> {
        let fates = fates(settings, 5_000, MS);
        let lost = fates
            .iter()
            .map(|(_, fate)| *fate == Fate::Dropped(Cause::Loss));
        lost.collect()
    };
    assert_eq!(lost(settings), lost(more));
}

#[test]
fn copies_and_flipped_bits_have_their_share_and_bits_are_within_the_datagram() {
    let settings = LinkSettings {
        duplicate: 0.5,
        corrupt: 0.1,
        ..LinkSettings::default()
    };
    let all = passages(&fates(settings, 50_000, MS));
    let copies = all.iter().filter(|(_, one)| one.copy_at_ns.is_some());
    near(share(copies.count(), all.len()), 0.5, 0.01);
    let flipped: Vec<usize> = all.iter().filter_map(|(_, one)| one.flipped_bit).collect();
    near(share(flipped.len(), all.len()), 0.1, 0.01);
    assert!(flipped.iter().all(|bit| *bit < 8_000));
    assert!(flipped.iter().any(|bit| *bit < 800) && flipped.iter().any(|bit| *bit > 7_200));
}

#[test]
fn jitter_moves_arrivals_and_overtakes_nobody() {
    let settings = LinkSettings {
        delay: Duration::from_millis(100),
        jitter: Duration::from_millis(50),
        ..LinkSettings::default()
    };
    let all = passages(&fates(settings, 200_000, MS));
    let delays: Vec<f64> = all
        .iter()
        .map(|(sent, one)| (one.at_ns - sent) as f64 / MS as f64)
        .collect();
    let mean = delays.iter().sum::<f64>() / delays.len() as f64;
    // Keeping the order makes some of them late.
    near(mean, 100.0, 6.0);
    assert!(delays.iter().any(|one| *one < 60.0) && delays.iter().any(|one| *one > 140.0));
    assert!(all.is_sorted_by_key(|(_, one)| one.at_ns));
}

#[test]
fn a_share_is_overtaken_within_the_time_that_was_asked_for() {
    let settings = LinkSettings {
        delay: Duration::from_millis(10),
        reorder: 0.5,
        reorder_within: Duration::from_millis(100),
        ..LinkSettings::default()
    };
    let all = passages(&fates(settings, 20_000, MS));
    let extra: Vec<u64> = all
        .iter()
        .map(|(sent, one)| one.at_ns - sent - 10 * MS)
        .collect();
    let late = extra.iter().filter(|extra| **extra > 0);
    near(share(late.count(), all.len()), 0.5, 0.02);
    assert!(extra.iter().all(|extra| *extra <= 100 * MS));
    let mean = extra.iter().sum::<u64>() as f64 / extra.len() as f64;
    near(mean / MS as f64, 25.0, 1.0);
    let overtaken = all
        .windows(2)
        .filter(|pair| pair[1].1.at_ns < pair[0].1.at_ns);
    assert!(overtaken.count() > 5_000);
}

#[test]
fn bandwidth_is_met_exactly_and_what_does_not_fit_the_queue_is_dropped() {
    // 1 Mbit/s carries 125 datagrams of 1,000 bytes a second; 1,000 are sent.
    let settings = LinkSettings {
        bandwidth: Some(1_000_000),
        queue: 20_000,
        ..LinkSettings::default()
    };
    let all = fates(settings, 10_000, MS);
    let passed = passages(&all);
    let arrived = passed.iter().filter(|(_, one)| one.at_ns < 10 * SECOND);
    near(arrived.count() as f64, 1_250.0, 2.0);
    // 20,000 bytes take 160 ms.
    let longest = passed.iter().map(|(sent, one)| one.at_ns - sent).max();
    assert!(
        longest.is_some_and(|wait| (150 * MS..=160 * MS).contains(&wait)),
        "{longest:?}"
    );
    let causes = all
        .iter()
        .filter(|(_, fate)| *fate == Fate::Dropped(Cause::Queue));
    assert_eq!(causes.count(), all.len() - passed.len());
    // One after the other: 8 ms each.
    let gaps = passed
        .windows(2)
        .map(|pair| pair[1].1.at_ns - pair[0].1.at_ns);
    assert!(gaps.skip(1).all(|gap| gap >= 8 * MS));
}

#[test]
fn an_idle_link_saves_up_no_more_than_its_burst() {
    // 8 Mbit/s: 1,000 bytes a millisecond.
    let mut link = link(LinkSettings {
        bandwidth: Some(8_000_000),
        queue: 1 << 20,
        ..LinkSettings::default()
    });
    let mut at = |now| match link.send(now, 1_000) {
        Fate::Passes(passage) => passage.at_ns,
        Fate::Dropped(cause) => panic!("{cause:?}"),
    };
    let now = 60 * SECOND;
    assert_eq!([at(now), at(now), at(now)], [now, now + MS, now + 2 * MS]);
}

#[test]
fn a_datagram_that_is_larger_than_the_queue_passes_when_nothing_waits() {
    let mut link = link(LinkSettings {
        bandwidth: Some(1_000_000),
        queue: 100,
        ..LinkSettings::default()
    });
    assert!(matches!(link.send(SECOND, 1_000), Fate::Passes(_)));
    assert_eq!(
        link.send(SECOND + 5 * MS, 1_000),
        Fate::Dropped(Cause::Queue)
    );
}

#[test]
fn only_larger_datagrams_fall_into_the_hole_and_a_cut_link_passes_none() {
    let mut hole = link(LinkSettings {
        mtu: Some(1_200),
        ..LinkSettings::default()
    });
    assert!(matches!(hole.send(0, 1_200), Fate::Passes(_)));
    assert_eq!(hole.send(0, 1_201), Fate::Dropped(Cause::Mtu));
    hole.change(LinkSettings {
        cut: true,
        ..LinkSettings::default()
    });
    assert_eq!(hole.send(1, 1), Fate::Dropped(Cause::Cut));
    hole.change(LinkSettings::default());
    assert!(matches!(hole.send(2, 6_500), Fate::Passes(_)));
}

#[test]
fn after_a_change_new_datagrams_do_not_wait_for_old_ones() {
    let mut link = link(LinkSettings {
        delay: Duration::from_secs(1),
        ..LinkSettings::default()
    });
    link.send(0, 100);
    link.change(LinkSettings::default());
    let Fate::Passes(passage) = link.send(MS, 100) else {
        panic!("nothing drops it");
    };
    assert_eq!(passage.at_ns, MS);
}
