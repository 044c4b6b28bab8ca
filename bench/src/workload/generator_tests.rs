#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::workload::{Preset, tag_of, verify_padding};

fn plan(mix: Mix, keys: KeyDistribution) -> LoadPlan {
    LoadPlan {
        mix,
        keys,
        sizes: SizeDistribution::Constant { bytes: 40 },
        scan_items_max: 100,
        records: 1000,
        clients: 2,
        seed: 7,
    }
}

fn preset(preset: Preset) -> LoadPlan {
    plan(preset.mix(), preset.keys())
}

fn stream(plan: &LoadPlan, client: u64) -> ClientLoad {
    ClientLoad::new(plan, Arc::new(KeySpace::new(plan.records)), client).unwrap()
}

/// The operations of one client, each create settled at once.
fn operations(plan: &LoadPlan, client: u64, count: usize) -> Vec<Operation> {
    let mut stream = stream(plan, client);
    (0..count)
        .map(|_| {
            let operation = stream.next_operation();
            if let Operation::Create { key, .. } = &operation {
                stream.space.settled(key);
            }
            operation
        })
        .collect()
}

fn shares(plan: &LoadPlan) -> BTreeMap<OperationKind, f64> {
    let mut shares = BTreeMap::new();
    for operation in operations(plan, 0, 60_000) {
        *shares.entry(operation.kind()).or_default() += 1.0 / 60_000.0;
    }
    shares
}

#[test]
fn presets_have_the_proportions_of_ycsb() {
    use OperationKind::{Create, Read, Scan, Update};
    let expected = [
        (Preset::A, vec![(Read, 0.5), (Update, 0.5)]),
        (Preset::B, vec![(Read, 0.95), (Update, 0.05)]),
        (Preset::C, vec![(Read, 1.0)]),
        (Preset::D, vec![(Read, 0.95), (Create, 0.05)]),
        (Preset::E, vec![(Scan, 0.95), (Create, 0.05)]),
        (Preset::F, vec![(Read, 2.0 / 3.0), (Update, 1.0 / 3.0)]),
    ];
    for (name, expected) in expected {
        let shares = shares(&preset(name));
        assert_eq!(shares.len(), expected.len(), "{name:?}: {shares:?}");
        for (kind, share) in expected {
            assert!(
                (shares[&kind] - share).abs() < 0.01,
                "{name:?} {kind:?}: {}",
                shares[&kind]
            );
        }
    }
}

#[test]
fn a_mix_of_all_kinds_keeps_its_shares() {
    let each = OperationKind::ALL.map(|kind| (kind, 0.125));
    for share in shares(&plan(Mix::new(&each).unwrap(), KeyDistribution::Uniform)).values() {
        assert!((share - 0.125).abs() < 0.008, "{share}");
    }
}

#[test]
fn preset_f_updates_the_key_it_has_just_read() {
    let operations = operations(&preset(Preset::F), 0, 3000);
    for pair in operations.windows(2) {
        if pair[1].kind() == OperationKind::Update {
            assert_eq!(pair[0].kind(), OperationKind::Read);
            assert_eq!(pair[0].key(), pair[1].key());
        }
    }
}

#[test]
fn scans_have_every_length_up_to_the_bound() {
    let lengths: HashSet<u32> = operations(&preset(Preset::E), 0, 5000)
        .into_iter()
        .filter_map(|operation| {
            if let Operation::Scan { limit, .. } = operation {
                Some(limit)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(lengths, (1..=100).collect());
}

#[test]
fn one_seed_gives_each_client_one_stream_however_clients_interleave() {
    let plan = plan(
        Mix::new(&[
            (OperationKind::Read, 0.5),
            (OperationKind::Put, 0.3),
            (OperationKind::Scan, 0.2),
        ])
        .unwrap(),
        Preset::A.keys(),
    );
    let alone = operations(&plan, 0, 500);
    assert_eq!(alone, operations(&plan, 0, 500));
    assert_ne!(alone, operations(&plan, 1, 500));
    assert_ne!(
        alone,
        operations(
            &LoadPlan {
                seed: 8,
                ..plan.clone()
            },
            0,
            500
        )
    );

    let space = Arc::new(KeySpace::new(plan.records));
    let mut first = ClientLoad::new(&plan, Arc::clone(&space), 0).unwrap();
    let mut second = ClientLoad::new(&plan, space, 1).unwrap();
    let interleaved: Vec<_> = (0..500)
        .map(|turn| {
            for _ in 0..turn % 3 {
                second.next_operation();
            }
            first.next_operation()
        })
        .collect();
    assert_eq!(alone, interleaved);
}

#[test]
fn value_sizes_do_not_disturb_the_keys() {
    let small = preset(Preset::A);
    let large = LoadPlan {
        sizes: SizeDistribution::Uniform {
            min_bytes: 10,
            max_bytes: 500,
        },
        ..small.clone()
    };
    let keys = |plan| {
        operations(plan, 0, 300)
            .iter()
            .map(|operation| operation.key().cloned())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&small), keys(&large));
}

#[test]
fn creates_of_all_clients_take_new_keys_and_every_value_is_unique() {
    let plan = preset(Preset::D);
    let space = Arc::new(KeySpace::new(plan.records));
    let mut streams: Vec<_> = (0..2)
        .map(|client| ClientLoad::new(&plan, Arc::clone(&space), client).unwrap())
        .collect();
    let mut keys: HashSet<Bytes> = HashSet::new();
    let mut values: HashSet<Bytes> = HashSet::new();
    let loads = (0..2).flat_map(|client| Loader::new(&plan, client).collect::<Vec<_>>());
    let runs = (0..20_000)
        .map(|turn| streams[turn % 2].next_operation())
        .collect::<Vec<_>>();
    for operation in loads.chain(runs) {
        if let Operation::Create { key, value } = operation {
            assert!(verify_padding(&value).is_ok());
            assert!(keys.insert(key) && values.insert(value));
        }
    }
    assert!(keys.len() > 1800, "{}", keys.len());
}

#[test]
fn the_load_phase_creates_every_record_once() {
    let plan = LoadPlan {
        clients: 3,
        ..preset(Preset::A)
    };
    let mut keys: Vec<Bytes> = (0..3)
        .flat_map(|client| Loader::new(&plan, client))
        .map(|create| create.key().unwrap().clone())
        .collect();
    keys.sort_unstable();
    assert_eq!(keys, (0..1000).map(key_name).collect::<Vec<_>>());
}

#[test]
fn a_cas_expects_what_was_seen_last_and_before_that_what_was_loaded() {
    let plan = LoadPlan {
        records: 1,
        ..plan(
            Mix::new(&[(OperationKind::Cas, 1.0)]).unwrap(),
            KeyDistribution::Uniform,
        )
    };
    let mut stream = stream(&plan, 0);
    let mut expectation = |seen: Option<&'static str>| {
        stream.observe(&key_name(0), seen.map(Bytes::from));
        let Operation::Cas { expect, .. } = stream.next_operation() else {
            panic!("only cas in this mix")
        };
        tag_of(&expect).unwrap().to_owned()
    };
    assert_eq!(expectation(None), "r0-0");
    assert_eq!(expectation(Some("c1-5")), "c1-5");
    assert_eq!(expectation(None), "r0-0");
}

#[test]
fn what_a_client_remembers_is_bounded() {
    let mut known = KnownValues::default();
    for number in 0..10_000 {
        known.set(&key_name(number), Some(Bytes::from_static(b"c0-0")));
        known.set(&key_name(number / 2), None);
    }
    assert!(known.values.len() <= KNOWN_VALUES_MAX && known.order.len() <= KNOWN_VALUES_MAX);
}

#[test]
fn a_transaction_counts_the_same_in_both_branches() {
    let plan = plan(
        Mix::new(&[(OperationKind::Txn, 1.0)]).unwrap(),
        KeyDistribution::Uniform,
    );
    for operation in operations(&plan, 0, 100) {
        assert_eq!(operation.operations(), TXN_OPERATIONS as u64);
        let Operation::Txn {
            guards,
            then,
            otherwise,
        } = operation
        else {
            panic!("only transactions in this mix")
        };
        assert_eq!((guards.len(), then.len()), (1, otherwise.len()));
        assert_eq!(
            then.iter().map(Operation::key).collect::<Vec<_>>(),
            otherwise.iter().map(Operation::key).collect::<Vec<_>>()
        );
    }
}
