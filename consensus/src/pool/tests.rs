#![allow(clippy::unwrap_used)]
use super::*;
use crate::byte_list::ByteList;
use crypto::{ClusterId, Digest, SecretKey, Signature, Signer};

const ALL: Asker = Asker::Client { room: usize::MAX };

fn id(client: u32, number: u64) -> RequestId {
    RequestId {
        client: ClientId(client),
        session: 1,
        number,
    }
}

fn request(id: RequestId, bytes: usize) -> Request {
    let key = SecretKey::from_seed(&[1; 32]);
    let ops = ByteList::from_iter([vec![7; bytes]]);
    Request::sign(&key, &ClusterId(Digest([0; 32])), id, 0, false, &ops)
}

fn offer(pool: &mut Pool, number: u64) {
    let request = request(id(1, number), 2);
    pool.offer(Instant(number), ALL, request, &mut Vec::new());
}

/// A pool in which client 1 has `numbers`.
fn flooded(policy: &Policy, numbers: std::ops::RangeInclusive<u64>) -> Pool {
    let mut pool = Pool::new(policy);
    numbers.for_each(|number| offer(&mut pool, number));
    pool
}

/// Numbers of a batch by client.
fn taken(pool: &mut Pool, limits: &Limits) -> Vec<(u32, u64)> {
    let batch = pool.take_batch(Instant(9), limits);
    let of = |request: &Request| (request.id.client.0, request.id.number);
    batch.iter().map(of).collect()
}

#[test]
fn whoever_floods_gives_way_to_whoever_asks_for_little() {
    let policy = Policy {
        pending_requests_max: 8,
        ..Policy::default()
    };
    let mut pool = flooded(&policy, 1..=9);
    assert_eq!(pool.len(), 8);
    let mut displaced = Vec::new();
    let mut offered = |client, number| {
        let request = request(id(client, number), 2);
        pool.offer(Instant(10), ALL, request, &mut displaced)
    };
    for client in 2..=3 {
        for number in 1..=4 {
            offered(client, number);
        }
    }
    assert_eq!(offered(1, 20), Offer::Full, "it holds most");
    assert_eq!(offered(4, 1), Offer::Queued);
    // 8 requests of 4 clients: 3 or 2 for each of those that want more.
    assert_eq!(displaced[..3], [id(1, 8), id(1, 7), id(1, 6)], "the newest");
    let mut held = [0; 5];
    pool.entries
        .keys()
        .for_each(|id| held[id.client.0 as usize] += 1);
    assert_eq!(held[1..].iter().sum::<usize>(), 8, "the bound holds");
    assert!(
        held[1..4].iter().all(|held| (2..=3).contains(held)),
        "{held:?}"
    );
    assert_eq!(held[4], 1);
}

#[test]
fn what_a_backup_will_hold_against_the_primary_finds_room_and_comes_first() {
    let policy = Policy {
        pending_per_client_max: 3,
        ..Policy::default()
    };
    let mut pool = flooded(&policy, 1..=3);
    let mut displaced = Vec::new();
    let mut offered = |asker, number| {
        let request = request(id(1, number), 2);
        pool.offer(Instant(10), asker, request, &mut displaced)
    };
    assert_eq!(offered(ALL, 4), Offer::Full);
    let backup = Asker::Replica { room: usize::MAX };
    assert_eq!(offered(backup, 9), Offer::Queued);
    assert_eq!(displaced, [id(1, 3)]);
    assert_eq!(
        taken(&mut pool, &Limits::default()),
        [(1, 9), (1, 1), (1, 2)]
    );
}

#[test]
fn large_requests_come_as_often_as_their_bytes_are_worth() {
    let limits = Limits::default();
    let mut pool = Pool::new(&Policy::default());
    let mut fill = |client, bytes| {
        for number in 1..=256 {
            let request = request(id(client, number), bytes);
            pool.offer(Instant(1), ALL, request, &mut Vec::new());
        }
    };
    fill(1, 60 << 10);
    fill(2, 100);
    fill(3, 100);
    let batch = taken(&mut pool, &limits);
    let of = |client| batch.iter().filter(|(of, _)| *of == client).count();
    // 60 KiB are four turns of 16 KiB, until only large ones are left.
    assert_eq!(
        batch[..9],
        [
            (2, 1),
            (3, 1),
            (2, 2),
            (3, 2),
            (2, 3),
            (3, 3),
            (1, 1),
            (2, 4),
            (3, 4)
        ]
    );
    assert!(of(2).abs_diff(of(3)) <= 1);
    assert!(of(1) <= 17 && of(2) > 60, "{} {}", of(1), of(2));
    pool.clear();
    assert!(pool.saved.is_empty() && pool.heaviest.is_empty());
}

#[test]
fn when_room_is_short_each_client_keeps_its_oldest_and_an_equal_part() {
    let mut pool = flooded(&Policy::default(), 1..=256);
    let request = |client, number| request(id(client, number), 2);
    pool.offer(Instant(1), ALL, request(2, 1), &mut Vec::new());
    let trimmed = pool.trim(100);
    assert_eq!(
        (trimmed.len(), trimmed[0], trimmed[205]),
        (206, id(1, 256), id(1, 51))
    );
    assert_eq!(pool.len(), 51);
    let short = Asker::Client { room: 100 };
    let mut offered = |asker, client, number| {
        pool.offer(Instant(2), asker, request(client, number), &mut Vec::new())
    };
    assert_eq!(offered(short, 2, 2), Offer::Queued);
    assert_eq!(offered(Asker::Replica { room: 100 }, 1, 300), Offer::Queued);
    assert_eq!(pool.len(), 52, "in the place of 50");
    for number in 3..=15 {
        pool.offer(Instant(2), short, request(2, number), &mut Vec::new());
    }
    assert_eq!(
        pool.offer(Instant(2), short, request(1, 301), &mut Vec::new()),
        Offer::Full
    );
    assert_eq!(
        pool.len(),
        65,
        "it has no more than four times what the other has"
    );
    assert!(pool.trim(usize::MAX).is_empty());
}

#[test]
fn while_others_are_served_nobody_has_much_more_in_flight_than_most() {
    let limits = Limits::default();
    let mut pool = flooded(&Policy::default(), 1..=256);
    for client in 2..=9 {
        for number in 1..=8 {
            let request = request(id(client, number), 2);
            pool.offer(Instant(1), ALL, request, &mut Vec::new());
        }
    }
    let batch = taken(&mut pool, &limits);
    let of = |batch: &[(u32, u64)], client| batch.iter().filter(|(of, _)| *of == client).count();
    assert!((2..=9).all(|client| of(&batch, client) == 8), "{batch:?}");
    let greedy = of(&batch, 1);
    assert!((16..=26).contains(&greedy), "{greedy}");
    // As long as they are in flight nothing more of it goes, and nothing waits for a batch.
    assert!(!pool.wants_batch(Instant(10)) && pool.waiting_since().is_none());
    assert!(taken(&mut pool, &limits).is_empty() && pool.queued() > 200);
    pool.offer(Instant(11), ALL, request(id(2, 9), 2), &mut Vec::new());
    assert!(pool.wants_batch(Instant(11)));
    assert_eq!(taken(&mut pool, &limits), [(2, 9)]);
    for (client, number) in &batch {
        pool.executed(&id(*client, *number), 0);
    }
    assert!(pool.wants_batch(Instant(12)));
    assert_eq!(pool.waiting_since(), Some(Instant(12)));
    pool.executed(&id(2, 9), 0);
    assert_eq!(
        taken(&mut pool, &limits).len(),
        256 - greedy,
        "alone it has all"
    );
}

#[test]
fn alone_a_large_request_waits_for_nobody() {
    let mut pool = Pool::new(&Policy::default());
    let large = request(id(1, 1), 60 << 10);
    pool.offer(Instant(1), ALL, large, &mut Vec::new());
    assert_eq!(taken(&mut pool, &Limits::default()), [(1, 1)]);
    pool.executed(&id(1, 1), 0);
    assert!(pool.is_empty() && pool.per_client.is_empty() && pool.heaviest.is_empty());
}

#[test]
fn nothing_is_left_of_what_was_forgotten() {
    let mut pool = Pool::new(&Policy::default());
    for number in 1..=3 {
        offer(&mut pool, number);
    }
    pool.take_batch(Instant(4), &Limits::default());
    pool.clear();
    assert_eq!((pool.oldest(), pool.len(), pool.queued()), (None, 0, 0));
    // One proposed request that a new view queues again: what was forgotten stays so.
    offer(&mut pool, 9);
    pool.take_batch(Instant(5), &Limits::default());
    pool.requeue(Instant(6));
    assert_eq!(pool.queued(), 1);
    let batch = pool.take_batch(Instant(7), &Limits::default());
    let numbers: Vec<u64> = batch.iter().map(|request| request.id.number).collect();
    assert_eq!((numbers, pool.queued()), (vec![9], 0));
}

#[test]
fn how_long_a_flood_waits_for_its_own_turns_is_not_told() {
    let mut pool = flooded(&Policy::default(), 1..=20);
    assert_eq!(pool.executed(&id(1, 1), 0), Some(Instant(1)));
    assert_eq!(pool.executed(&id(1, 8), 0), Some(Instant(8)));
    assert_eq!(pool.executed(&id(1, 9), 0), None);
}

/// The pool does not look at signatures, and making many takes its time.
fn unsigned(id: RequestId) -> Request {
    struct Nobody;
    impl Signer for Nobody {
        fn sign(&self, _: &Digest) -> Signature {
            Signature([0; 64])
        }
    }
    let ops = ByteList::from_iter([[7; 2]]);
    Request::sign(&Nobody, &ClusterId(Digest([0; 32])), id, 0, false, &ops)
}

/// Eight clients with eight requests each, whose requests are on their way to and from the primary
/// for most of the time, beside one that always has as many waiting as it may, for 400 batches; what
/// those eight had executed, and what the ninth had.
fn beside_a_flood(flood: bool) -> (usize, usize) {
    const ON_THE_WAY: u64 = 4;
    let (limits, mut pool) = (Limits::default(), Pool::new(&Policy::default()));
    let mut arrives: Vec<(u64, RequestId)> = (1..=8)
        .flat_map(|client| (1..=8).map(move |number| (u64::from(client) % 5, id(client, number))))
        .collect();
    let (mut theirs, mut its) = (0, 0);
    let mut next = 0;
    for turn in 0..400 {
        let now = Instant(turn * 10_000_000);
        let (here, later) = arrives.into_iter().partition(|(at, _)| *at <= turn);
        arrives = later;
        let offered = |pool: &mut Pool, id| pool.offer(now, ALL, unsigned(id), &mut Vec::new());
        for (_, id) in here {
            assert_eq!(offered(&mut pool, id), Offer::Queued, "{id:?}");
        }
        for _ in 0..100 * u32::from(flood) {
            next += 1;
            offered(&mut pool, id(9, next));
        }
        for request in pool.take_batch(now, &limits) {
            pool.executed(&request.id, 0);
            let RequestId { client, number, .. } = request.id;
            if client == ClientId(9) {
                its += 1;
            } else {
                theirs += 1;
                arrives.push((turn + ON_THE_WAY, id(client.0, number + 8)));
            }
        }
    }
    (theirs, its)
}

#[test]
fn a_flood_has_no_more_than_its_share_while_the_others_come_and_go() {
    let (alone, _) = beside_a_flood(false);
    let (theirs, its) = beside_a_flood(true);
    assert_eq!(alone, theirs, "what they ask for fits in");
    // A ninth is fair; whoever floods starts anew once a second.
    assert!(its * 4 <= theirs, "{its} of the flood beside {theirs}");
}

/// Client 2 has one request and client 1 as many as it may.
fn beside_one_other() -> Pool {
    let mut pool = Pool::new(&Policy::default());
    pool.offer(Instant(0), ALL, request(id(2, 1), 2), &mut Vec::new());
    for number in 1..=256 {
        let most = pool.offer(Instant(1), ALL, request(id(1, number), 2), &mut Vec::new());
        assert_eq!(most, Offer::Queued);
    }
    pool
}

/// Client 1 asks for so many things more, all of which are refused; those that gave way.
fn refused(pool: &mut Pool, now: Instant, count: u64) -> usize {
    let mut told = Vec::new();
    for number in 0..count {
        let over = unsigned(id(1, 1000 + now.0 + number));
        assert_eq!(pool.offer(now, ALL, over, &mut told), Offer::Full);
    }
    told.len()
}

#[test]
fn a_window_of_refusals_at_once_is_no_flood_nor_are_a_few_now_and_then() {
    let mut pool = beside_one_other();
    assert_eq!(refused(&mut pool, Instant(1), 256), 0);
    for moment in 1..=100 {
        let now = Instant(moment * 100_000_000);
        assert_eq!(refused(&mut pool, now, 6), 0, "in a tenth of a second");
    }
    assert!(!pool.fairness.is_flooding(ClientId(1)));
    // They are forgotten in time: as many at once again.
    let later = Instant(20_000_000_000);
    assert_eq!(refused(&mut pool, later, 256), 0);
    assert_eq!(refused(&mut pool, later, 1), 248);
}

#[test]
fn whoever_floods_keeps_little_and_is_forgiven_when_it_stops() {
    let mut pool = beside_one_other();
    assert_eq!(refused(&mut pool, Instant(1), 256), 0);
    assert_eq!(refused(&mut pool, Instant(1), 1), 248, "one too many");
    assert_eq!(pool.len(), 9, "the oldest stay");
    assert!(pool.holds(&id(1, 8)) && pool.holds(&id(2, 1)));
    assert_eq!(
        taken(&mut pool, &Limits::default()).len(),
        4,
        "one or two of it"
    );
    assert_eq!(pool.executed(&id(1, 1), 0), Some(Instant(1)));
    let mut told = Vec::new();
    // What it asks for meanwhile waits for its own turns.
    pool.offer(Instant(2), ALL, request(id(1, 300), 2), &mut told);
    assert_eq!(pool.executed(&id(1, 300), 0), None);
    let later = Instant(2_000_000_000);
    for number in 301..=400 {
        let again = pool.offer(later, ALL, request(id(1, number), 2), &mut told);
        assert_eq!(again, Offer::Queued);
    }
}

#[test]
fn however_often_a_flood_was_refused_it_is_forgotten_as_soon() {
    let mut pool = beside_one_other();
    refused(&mut pool, Instant(1), 10_000);
    assert!(pool.fairness.is_flooding(ClientId(1)));
    pool.clear();
    assert!(!pool.fairness.is_flooding(ClientId(1)), "nothing is left");
    let mut pool = beside_one_other();
    refused(&mut pool, Instant(1), 10_000);
    let later = Instant(5_000_000_000);
    for number in 0..248 {
        let again = pool.offer(later, ALL, unsigned(id(1, 2000 + number)), &mut Vec::new());
        assert_eq!(again, Offer::Queued);
    }
    assert_eq!(refused(&mut pool, later, 256), 0, "4.1 s are over");
}

#[test]
fn a_flood_that_goes_on_floods_again_as_soon_as_its_time_is_over() {
    let mut pool = beside_one_other();
    assert_eq!(refused(&mut pool, Instant(1), 257), 248);
    for moment in 1..100 {
        refused(&mut pool, Instant(moment * 10_000_000), 1);
    }
    let over = Instant(1_010_000_000);
    for number in 0..248 {
        let again = pool.offer(over, ALL, unsigned(id(1, 2000 + number)), &mut Vec::new());
        assert_eq!(again, Offer::Queued, "for a moment");
    }
    assert_eq!(refused(&mut pool, over, 1), 248);
}

#[test]
fn clients_that_all_ask_for_too_much_are_no_flood() {
    let mut pool = Pool::new(&Policy::default());
    let mut told = Vec::new();
    for client in 1..=4 {
        for number in 1..=300 {
            let asked = request(id(client, number), 2);
            pool.offer(Instant(1), Asker::Client { room: 256 }, asked, &mut told);
        }
    }
    let floods = |client| pool.fairness.is_flooding(ClientId(client));
    assert!(!(1..=4).any(floods), "the others hold as much");
}
