//! What every adapter promises. Each claim is one function over a place that can be opened again.

use std::collections::BTreeMap;

use bytes::Bytes;
use replica::storage::memory::MemoryDisk;
use replica::storage::{Basis, Pressure, Storage, StorageError, StoredRecord};

use crate::support::{delta, group, open, record, state_in, truncation};

/// Runs every claim on each adapter, as a test of its own.
macro_rules! contract {
    ($($claim:ident)*) => {
        mod memory {
            $(#[test] fn $claim() {
                let disk = super::MemoryDisk::new();
                super::$claim(&|| disk.open());
            })*
        }
        mod sqlite {
            $(#[test] fn $claim() {
                let directory = tempfile::tempdir().unwrap();
                super::$claim(&|| super::open(directory.path()).unwrap());
            })*
        }
    };
}

contract! {
    new_storage_is_empty
    records_come_back_in_order
    a_later_record_of_a_slot_supersedes_the_earlier_one
    truncation_discards_exactly_the_records_at_or_below_it
    truncation_never_moves_back
    records_below_the_truncation_are_dropped
    unbound_records_outlive_truncation_and_only_the_latest_of_a_kind_remains
    unbound_records_keep_their_place
    long_runs_with_truncation_match_a_plain_list
    deltas_accumulate_to_the_same_map
    a_whole_state_replaces_what_was_stored
    a_delta_must_not_go_back
    a_clean_stop_is_remembered_once_and_every_opening_counts
    half_a_clean_stop_is_none
    everything_survives_closing
    everything_survives_a_crash
    counters_count
}

type Place<'a> = &'a dyn Fn() -> Storage;

fn close(storage: Storage) {
    storage.log.close().unwrap();
    storage.state.close().unwrap();
}

fn new_storage_is_empty(place: Place<'_>) {
    let mut storage = place();
    assert_eq!((storage.incarnation, storage.clean_stop), (1, true));
    let log = storage.log.load().unwrap();
    assert!(log.records.is_empty());
    assert_eq!(log.truncated_below, 0);
    assert_eq!(state_in(&mut storage).unwrap(), None);
    assert_eq!(storage.state.durable_seq(), 0);
}

fn records_come_back_in_order(place: Place<'_>) {
    let mut storage = place();
    // Not ascending, two kinds of one number, empty: all of it is the caller's business.
    let first = [record(2, 1, "b"), record(1, 1, "a"), record(2, 2, "b")];
    let second = [record(5, 255, ""), record(1, 2, "c")];
    storage.log.append(&group(&first)).unwrap();
    storage.log.append(&group(&second)).unwrap();
    let expected: Vec<StoredRecord> = first.into_iter().chain(second).collect();
    assert_eq!(storage.log.load().unwrap().records, expected);
}

fn a_later_record_of_a_slot_supersedes_the_earlier_one(place: Place<'_>) {
    let mut storage = place();
    for view in 1..=40u64 {
        let vote = |seq| {
            record(
                seq,
                1,
                &format!("vote of view {view} {}", "x".repeat(70_000)),
            )
        };
        storage.log.append(&group(&[vote(1), vote(2)])).unwrap();
        storage
            .log
            .append(&group(&[vote(2), vote(3), vote(3)]))
            .unwrap();
        if view == 7 {
            storage
                .log
                .append(&group(&[record(2, 2, "prepared")]))
                .unwrap();
        }
        if view % 10 == 0 {
            drop(storage);
            storage = place();
        }
        let mut found: Vec<(u64, String)> = Vec::new();
        for record in storage.log.load().unwrap().records {
            if record.kind == 1 {
                let text = String::from_utf8_lossy(&record.bytes);
                found.push((record.seq, text.trim_end_matches('x').to_owned()));
            }
        }
        found.sort();
        let latest = format!("vote of view {view} ");
        assert_eq!(found, [1, 2, 3].map(|seq| (seq, latest.clone())));
    }
    let records = storage.log.load().unwrap().records;
    assert!(records.contains(&record(2, 2, "prepared")) && records.len() == 4);
    // A truncation does not bring back what was superseded.
    storage.log.append(&truncation(2)).unwrap();
    assert_eq!(storage.log.load().unwrap().records.len(), 1);
}

fn truncation_discards_exactly_the_records_at_or_below_it(place: Place<'_>) {
    let mut storage = place();
    let records = [
        record(1, 1, "one"),
        record(4, 1, "four"),
        record(2, 1, "two"),
        record(3, 1, "three"),
        record(2, 2, "two again"),
        record(5, 1, "five"),
    ];
    storage.log.append(&group(&records)).unwrap();
    storage.log.append(&truncation(2)).unwrap();
    let loaded = storage.log.load().unwrap();
    let expected = [
        record(4, 1, "four"),
        record(3, 1, "three"),
        record(5, 1, "five"),
    ];
    assert_eq!(loaded.records, expected);
    assert_eq!(loaded.truncated_below, 2);
}

fn truncation_never_moves_back(place: Place<'_>) {
    let mut storage = place();
    storage.log.append(&group(&[record(9, 1, "nine")])).unwrap();
    storage.log.append(&truncation(8)).unwrap();
    storage.log.append(&truncation(3)).unwrap();
    let loaded = storage.log.load().unwrap();
    assert_eq!(loaded.truncated_below, 8);
    assert_eq!(loaded.records, [record(9, 1, "nine")]);
}

fn records_below_the_truncation_are_dropped(place: Place<'_>) {
    let mut storage = place();
    storage.log.append(&truncation(10)).unwrap();
    let late = [record(10, 1, "late"), record(11, 1, "in time")];
    storage.log.append(&group(&late)).unwrap();
    let mut both = group(&[record(12, 1, "gone at once"), record(13, 1, "stays")]);
    both.truncate_below = Some(12);
    storage.log.append(&both).unwrap();
    assert_eq!(
        storage.log.load().unwrap().records,
        [record(13, 1, "stays")]
    );
}

fn unbound_records_outlive_truncation_and_only_the_latest_of_a_kind_remains(place: Place<'_>) {
    let mut storage = place();
    storage
        .log
        .append(&group(&[record(0, 1, "view 1")]))
        .unwrap();
    storage
        .log
        .append(&group(&[record(0, 2, "proof")]))
        .unwrap();
    for seq in 1..=500 {
        storage
            .log
            .append(&group(&[record(seq, 1, "vote")]))
            .unwrap();
    }
    storage
        .log
        .append(&group(&[record(0, 1, "view 2")]))
        .unwrap();
    storage.state.apply(&delta(500, &[])).unwrap();
    storage.log.append(&truncation(500)).unwrap();
    let expected = [record(0, 2, "proof"), record(0, 1, "view 2")];
    assert_eq!(storage.log.load().unwrap().records, expected);
    drop(storage);
    assert_eq!(place().log.load().unwrap().records, expected);
}

fn unbound_records_keep_their_place(place: Place<'_>) {
    let mut storage = place();
    let records = [
        record(1, 1, "vote in view 0"),
        record(0, 1, "view 1"),
        record(2, 1, "vote in view 1"),
        record(0, 2, "new view 1"),
        record(3, 1, "vote in view 1"),
    ];
    storage.log.append(&group(&records)).unwrap();
    assert_eq!(storage.log.load().unwrap().records, records);
    // Without the state that it relies on, a truncated log would be refused at the next opening.
    storage.state.apply(&delta(1, &[])).unwrap();
    storage.log.append(&truncation(1)).unwrap();
    drop(storage);
    assert_eq!(place().log.load().unwrap().records, records[1..]);
}

/// A plain list, kept by the obvious rules, is the reference for a long and varied run.
fn long_runs_with_truncation_match_a_plain_list(place: Place<'_>) {
    let mut storage = place();
    let mut list: Vec<StoredRecord> = Vec::new();
    let mut below = 0;
    for step in 1..=600u64 {
        let mut records = Vec::new();
        for part in 0..step % 4 {
            // Sequence numbers jump ahead by up to the part, as pipelining makes them do.
            records.push(record(
                step + part * 7,
                1,
                &format!("{step}.{part}").repeat(30),
            ));
        }
        if step % 37 == 0 {
            records.push(record(
                0,
                u8::try_from(step % 3).unwrap(),
                &format!("view {step}"),
            ));
        }
        let mut group = group(&records);
        if step % 64 == 0 {
            group.truncate_below = Some(step - 64);
            below = step - 64;
        }
        storage.log.append(&group).unwrap();
        storage.log.tidy(Pressure::Idle).unwrap();
        for record in records {
            list.retain(|old| (old.seq, old.kind) != (record.seq, record.kind));
            list.push(record);
        }
        list.retain(|record| record.seq == 0 || record.seq > below);
        if step % 100 == 0 {
            drop(storage);
            storage = place();
        }
        if step % 64 == 63 {
            storage.state.apply(&delta(step, &[])).unwrap();
        }
    }
    assert_eq!(storage.log.load().unwrap().records, list);
    assert_eq!(storage.log.load().unwrap().truncated_below, below);
}

fn deltas_accumulate_to_the_same_map(place: Place<'_>) {
    let mut storage = place();
    let mut map = BTreeMap::new();
    for seq in 1..=20u64 {
        let keys: Vec<String> = (0..40).map(|i| format!("key {}", i * seq % 97)).collect();
        let value = format!("value of {seq}");
        let mut changes = Vec::new();
        for (i, key) in keys.iter().enumerate() {
            let entry = (i as u64 % 5 != seq % 5).then_some(value.as_str());
            changes.push((key.as_str(), entry));
            match entry {
                Some(entry) => map.insert(Bytes::from(key.clone()), Bytes::from(entry.to_owned())),
                None => map.remove(key.as_bytes()),
            };
        }
        storage.state.apply(&delta(seq * 64, &changes)).unwrap();
        assert_eq!(storage.state.durable_seq(), seq * 64);
        let (_, entries) = state_in(&mut storage).unwrap().unwrap();
        assert_eq!(entries, map.clone().into_iter().collect::<Vec<_>>());
    }
    drop(storage);
    let mut storage = place();
    assert_eq!(storage.state.durable_seq(), 20 * 64);
    let (loaded, entries) = state_in(&mut storage).unwrap().unwrap();
    assert_eq!(entries, map.into_iter().collect::<Vec<_>>());
    let last = delta(20 * 64, &[]);
    assert_eq!(
        (loaded.seq, loaded.digest, loaded.sessions, loaded.meta),
        (last.seq, last.digest, last.sessions, last.meta)
    );
}

fn a_whole_state_replaces_what_was_stored(place: Place<'_>) {
    let mut storage = place();
    // Changes of several checkpoints, wherever a store keeps them.
    for seq in [62, 63, 64] {
        let changes = [("a", Some("1")), ("b", Some("1")), ("c", Some("1"))];
        storage.state.apply(&delta(seq, &changes)).unwrap();
    }
    let mut whole = delta(64, &[("b", Some("2"))]);
    whole.basis = Basis::Empty;
    storage.state.apply(&whole).unwrap();
    let (_, entries) = state_in(&mut storage).unwrap().unwrap();
    assert_eq!(entries, [(Bytes::from("b"), Bytes::from("2"))]);
}

fn a_delta_must_not_go_back(place: Place<'_>) {
    let mut storage = place();
    storage.state.apply(&delta(128, &[])).unwrap();
    for seq in [0, 64, 128] {
        let refused = storage.state.apply(&delta(seq, &[])).unwrap_err();
        assert!(matches!(
            refused,
            StorageError::OutOfOrder { held: 128, .. }
        ));
    }
    storage.state.apply(&delta(129, &[])).unwrap();
}

fn a_clean_stop_is_remembered_once_and_every_opening_counts(place: Place<'_>) {
    let incarnation = |storage: &Storage| (storage.incarnation, storage.clean_stop);
    let storage = place();
    assert_eq!(incarnation(&storage), (1, true));
    close(storage);
    let storage = place();
    assert_eq!(incarnation(&storage), (2, true));
    drop(storage);
    let storage = place();
    assert_eq!(incarnation(&storage), (3, false));
    close(storage);
    assert_eq!(incarnation(&place()), (4, true));
}

fn half_a_clean_stop_is_none(place: Place<'_>) {
    let storage = place();
    storage.state.close().unwrap();
    drop(storage.log);
    assert!(!place().clean_stop);
}

fn everything_survives_closing(place: Place<'_>) {
    fill_and_compare(place, close);
}

fn everything_survives_a_crash(place: Place<'_>) {
    fill_and_compare(place, drop);
}

fn fill_and_compare(place: Place<'_>, end: fn(Storage)) {
    let mut storage = place();
    storage
        .log
        .append(&group(&[record(1, 1, "vote"), record(0, 9, "view")]))
        .unwrap();
    storage
        .state
        .apply(&delta(1, &[("key", Some("entry"))]))
        .unwrap();
    storage.log.append(&group(&[record(2, 1, "vote")])).unwrap();
    let before = (storage.log.load().unwrap(), state_in(&mut storage).unwrap());
    end(storage);
    let mut storage = place();
    assert_eq!(
        (storage.log.load().unwrap(), state_in(&mut storage).unwrap()),
        before
    );
    // And it can be written.
    storage.log.append(&group(&[record(3, 1, "vote")])).unwrap();
    assert_eq!(storage.log.load().unwrap().records.len(), 4);
}

fn counters_count(place: Place<'_>) {
    let mut storage = place();
    assert_eq!(storage.log.stats().commits, 0);
    storage
        .log
        .append(&group(&[record(1, 1, "four"), record(2, 1, "five5")]))
        .unwrap();
    storage.log.append(&truncation(1)).unwrap();
    let stats = storage.log.stats();
    assert_eq!(
        (stats.commits, stats.items_written, stats.bytes_written),
        (2, 2, 9)
    );
    let mut change = delta(1, &[("key", Some("entry")), ("gone", None)]);
    change.sessions = Bytes::from("s");
    change.meta = Bytes::from("mm");
    storage.state.apply(&change).unwrap();
    let stats = storage.state.stats();
    assert_eq!(
        (stats.commits, stats.items_written, stats.bytes_written),
        (1, 2, 15)
    );
}
