//! R2: quorum sizes, for every n and f.

use consensus::{Cluster, ConfigError, FastQuorum, Limits, Quorums};
use crypto::{Digest, SecretKey};

/// n, f, q, q_F strong, its t, q_F conservative, its t, n − f, T_0: the table of R2, all rows.
const TABLE: [[u16; 9]; 32] = [
    [4, 1, 3, 4, 0, 4, 0, 3, 2],
    [5, 1, 4, 4, 1, 5, 0, 4, 2],
    [6, 1, 4, 4, 2, 5, 1, 5, 2],
    [7, 1, 5, 5, 2, 6, 1, 6, 3],
    [7, 2, 5, 7, 0, 7, 0, 5, 3],
    [8, 1, 5, 5, 3, 6, 2, 7, 3],
    [8, 2, 6, 7, 1, 8, 0, 6, 3],
    [9, 2, 6, 7, 2, 8, 1, 7, 3],
    [10, 2, 7, 8, 2, 9, 1, 8, 4],
    [10, 3, 7, 10, 0, 10, 0, 7, 4],
    [11, 2, 7, 8, 3, 9, 2, 9, 4],
    [11, 3, 8, 10, 1, 11, 0, 8, 4],
    [12, 2, 8, 9, 3, 10, 2, 10, 5],
    [12, 3, 8, 10, 2, 11, 1, 9, 4],
    [13, 3, 9, 11, 2, 12, 1, 10, 5],
    [13, 4, 9, 13, 0, 13, 0, 9, 5],
    [14, 3, 9, 11, 3, 12, 2, 11, 5],
    [14, 4, 10, 13, 1, 14, 0, 10, 5],
    [15, 3, 10, 12, 3, 13, 2, 12, 6],
    [15, 4, 10, 13, 2, 14, 1, 11, 5],
    [16, 3, 10, 12, 4, 13, 3, 13, 6],
    [16, 5, 11, 16, 0, 16, 0, 11, 6],
    [17, 4, 11, 14, 3, 15, 2, 13, 6],
    [17, 5, 12, 16, 1, 17, 0, 12, 6],
    [18, 4, 12, 15, 3, 16, 2, 14, 7],
    [18, 5, 12, 16, 2, 17, 1, 13, 6],
    [19, 4, 12, 15, 4, 16, 3, 15, 7],
    [19, 6, 13, 19, 0, 19, 0, 13, 7],
    [20, 4, 13, 16, 4, 17, 3, 16, 8],
    [20, 6, 14, 19, 1, 20, 0, 14, 7],
    [21, 5, 14, 18, 3, 19, 2, 16, 8],
    [21, 6, 14, 19, 2, 20, 1, 15, 7],
];

fn quorums(n: u16, f: u16, fast: FastQuorum) -> Quorums {
    Quorums::new(n, f, fast).expect("the tests ask for possible quorums")
}

/// Every possible (n, f) with n ≤ 128.
fn all() -> impl Iterator<Item = (u16, u16)> {
    (4..=128).flat_map(|n| (1..=(n - 1) / 3).map(move |f| (n, f)))
}

#[test]
fn every_row_of_the_table_is_what_the_code_computes() {
    for row in &TABLE {
        let [n, f, ..] = *row;
        let strong = quorums(n, f, FastQuorum::Strong);
        let conservative = quorums(n, f, FastQuorum::Conservative);
        let computed = [
            strong.n(),
            strong.f(),
            strong.slow(),
            strong.fast().unwrap(),
            strong.fast_slack().unwrap(),
            conservative.fast().unwrap(),
            conservative.fast_slack().unwrap(),
            strong.view_change(),
            strong.vote_threshold(0).unwrap(),
        ];
        assert_eq!(computed, row.map(usize::from), "n = {n}, f = {f}");
    }
}

#[test]
fn facts_f1_to_f6_hold_for_every_n_up_to_128_every_f_and_every_allowed_fast_quorum() {
    for (n, f) in all() {
        let (wide_n, wide_f) = (usize::from(n), usize::from(f));
        let least = quorums(n, f, FastQuorum::Strong).fast().unwrap();
        for asked in u16::try_from(least).unwrap()..=n {
            let these = quorums(n, f, FastQuorum::Exactly(asked));
            let (q, fast) = (these.slow(), these.fast().unwrap());
            assert!(2 * q - wide_n > wide_f, "F1 at n = {n}, f = {f}");
            assert!(q <= wide_n - wide_f, "F2 at n = {n}, f = {f}");
            assert!(fast >= q, "F3 at n = {n}, f = {f}");
            for excluded in 0..=wide_f {
                let threshold = these.vote_threshold(excluded).unwrap();
                assert!(threshold > wide_f - excluded, "F4 at n = {n}, f = {f}");
            }
            assert!(
                2 * fast + 1 >= wide_n + 3 * wide_f,
                "F5 at n = {n}, f = {f}"
            );
            assert!(q > 2 * wide_f, "F6 at n = {n}, f = {f}");
        }
    }
}

#[test]
fn two_slow_quorums_share_a_correct_replica_and_q_minus_one_would_not_do() {
    for (n, f) in all() {
        let q = quorums(n, f, FastQuorum::Off).slow();
        let shared = |quorum: usize| (2 * quorum).saturating_sub(n.into());
        assert!(shared(q) > f.into());
        assert!(
            shared(q - 1) <= f.into(),
            "q is not minimal at n = {n}, f = {f}"
        );
    }
}

/// Safe: a fast quorum is a slow one (F3), its reports outnumber hidden liars (F4), and no tie is
/// left once an equivocator is excluded (F5).
fn is_safe(n: u16, f: u16, fast: usize) -> bool {
    let (n, f) = (usize::from(n), usize::from(f));
    let q = (n + f) / 2 + 1;
    fast >= q && fast > 3 * f && 2 * fast + 1 >= n + 3 * f
}

#[test]
fn the_strong_fast_quorum_is_the_smallest_safe_one() {
    for (n, f) in all() {
        let strong = quorums(n, f, FastQuorum::Strong).fast().unwrap();
        let smallest = (1..=usize::from(n)).find(|fast| is_safe(n, f, *fast));
        assert_eq!(Some(strong), smallest, "n = {n}, f = {f}");
    }
}

#[test]
fn at_4f_plus_1_the_fast_path_survives_half_the_faults_rounded_up_and_all_of_them_up_to_f_2() {
    for f in 1..=31 {
        let these = quorums(4 * f + 1, f, FastQuorum::Strong);
        assert_eq!(these.fast_slack(), Some(usize::from((f + 2) / 2)));
        assert_eq!(these.prepared_is_decided(), f == 1);
    }
}

#[test]
fn the_conservative_quorum_costs_one_vote_more_where_n_allows() {
    for (n, f) in all() {
        let strong = quorums(n, f, FastQuorum::Strong).fast().unwrap();
        let conservative = quorums(n, f, FastQuorum::Conservative).fast().unwrap();
        let extra = conservative - strong;
        assert!(extra <= 1 && conservative <= usize::from(n));
    }
}

#[test]
fn off_has_no_fast_quorum_and_nothing_that_follows_from_it() {
    let off = quorums(5, 1, FastQuorum::Off);
    assert_eq!(off.fast(), None);
    assert_eq!(off.fast_slack(), None);
    assert_eq!(off.vote_threshold(0), None);
    assert!(!off.prepared_is_decided());
}

#[test]
fn clients_need_f_plus_1_replies_or_2f_plus_1_with_quorum_reads() {
    for (n, f) in all() {
        let these = quorums(n, f, FastQuorum::Strong);
        let (n, f) = (usize::from(n), usize::from(f));
        assert_eq!(these.write_replies(false), f + 1);
        assert_eq!(these.write_replies(true), 2 * f + 1);
        // R14: a write quorum and a read quorum share a correct replica that answers the read.
        assert!(these.write_replies(true) + these.read_replies() > n + f);
    }
}

fn refusal(n: u16, f: u16, fast: FastQuorum) -> String {
    Quorums::new(n, f, fast)
        .expect_err("an impossible configuration")
        .to_string()
}

#[test]
fn impossible_configurations_are_refused_with_the_bound_they_break() {
    assert_eq!(
        refusal(5, 0, FastQuorum::Strong),
        "f = 0 tolerates no fault: f must be at least 1"
    );
    assert_eq!(
        refusal(3, 1, FastQuorum::Strong),
        "n = 3 replicas cannot tolerate f = 1 faulty ones: n must be at least 4"
    );
    assert_eq!(
        refusal(u16::MAX, u16::MAX, FastQuorum::Strong),
        "n = 65535 replicas cannot tolerate f = 65535 faulty ones: n must be at least 196606"
    );
    assert_eq!(
        refusal(257, 1, FastQuorum::Strong),
        "n = 257 is more than 256 replicas"
    );
    assert_eq!(
        refusal(9, 2, FastQuorum::Exactly(6)),
        "fast quorum 6 is outside 7..=9 for n = 9, f = 2"
    );
}

#[test]
fn every_n_below_3f_plus_1_is_refused() {
    for f in 1..=64 {
        for n in 0..=3 * f {
            let refused = Quorums::new(n, f, FastQuorum::Off);
            let least = 3 * u32::from(f) + 1;
            assert_eq!(refused, Err(ConfigError::TooFewReplicas { n, f, least }));
        }
    }
}

#[test]
fn an_exact_fast_quorum_is_taken_from_the_smallest_safe_one_to_n_and_nowhere_else() {
    for (n, f) in all().filter(|(n, _)| *n <= 32) {
        let least = quorums(n, f, FastQuorum::Strong).fast().unwrap();
        for asked in 0..=n + 1 {
            let taken = Quorums::new(n, f, FastQuorum::Exactly(asked)).is_ok();
            let allowed = (least..=usize::from(n)).contains(&usize::from(asked));
            assert_eq!(taken, allowed, "n = {n}, f = {f}, asked = {asked}");
        }
    }
}

#[test]
fn a_cluster_needs_possible_quorums_and_distinct_keys() {
    let key = |index: u8| SecretKey::from_seed(&Digest::of("key", &[index]).0).public();
    let genesis = |f, replicas: &[u8], clients: &[u8]| {
        let keys = |ids: &[u8]| ids.iter().map(|id| key(*id)).collect::<Vec<_>>();
        Cluster::genesis(
            f,
            FastQuorum::Strong,
            Limits::default(),
            keys(replicas),
            keys(clients),
        )
        .map(|cluster| *cluster.id())
    };
    let refusal = |f, replicas: &[u8], clients: &[u8]| {
        genesis(f, replicas, clients)
            .expect_err("an impossible cluster")
            .to_string()
    };
    assert_eq!(
        refusal(2, &[1, 2, 3, 4, 5, 6], &[]),
        "n = 6 replicas cannot tolerate f = 2 faulty ones: n must be at least 7"
    );
    assert_eq!(
        refusal(1, &[1, 2, 3, 2], &[]),
        "replica 1 and replica 3 have the same key"
    );
    assert_eq!(
        refusal(1, &[1, 2, 3, 4], &[5, 1]),
        "replica 0 and client 1 have the same key"
    );
    // The cluster's name covers members, their order, and clients.
    let ids = [
        genesis(1, &[1, 2, 3, 4, 5], &[6]),
        genesis(1, &[2, 1, 3, 4, 5], &[6]),
        genesis(1, &[1, 2, 3, 4, 5], &[7]),
        genesis(1, &[1, 2, 3, 4], &[5, 6]),
    ]
    .map(|id| id.expect("a possible cluster"));
    for (at, id) in ids.iter().enumerate() {
        assert!(!ids[..at].contains(id));
    }
}

#[test]
fn limits_that_cannot_work_are_refused_by_name() {
    let refusal = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
            .validate()
            .expect_err("impossible limits")
            .to_string()
    };
    assert_eq!(Limits::default().validate(), Ok(()));
    assert_eq!(
        refusal(|limits| limits.log_window = 127),
        "log_window must be between 2 x checkpoint_interval and 4194304"
    );
    for (name, change) in [
        (
            "checkpoint_interval",
            (|l| l.checkpoint_interval = 0) as fn(&mut Limits),
        ),
        ("batch_requests_max", |l| l.batch_requests_max = 0),
        ("batch_bytes_max", |l| l.batch_bytes_max = 1),
        ("request_ops_max", |l| l.request_ops_max = 0),
        ("op_bytes_max", |l| l.op_bytes_max = l.batch_bytes_max + 1),
        ("result_bytes_max", |l| l.result_bytes_max = 0),
        ("client_window", |l| l.client_window = 0),
    ] {
        let text = refusal(change);
        assert!(text.starts_with(name), "{name}: {text}");
    }
}
