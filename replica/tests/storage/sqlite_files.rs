//! The SQLite adapter's directory: whose it is, who has it open, how large it grows.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use replica::storage::{
    Durability, Group, Identity, Pressure, Storage, StorageError, StoredRecord, sqlite,
};

use crate::support::{OPTIONS, US, delta, group, open, open_as, record};

/// The error of an opening that must fail.
fn refused(opened: Result<Storage, StorageError>) -> StorageError {
    opened.err().expect("this directory must be refused")
}

#[test]
fn another_replicas_directory_is_refused_with_both_names() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let neighbour = Identity { replica: 4, ..US };
    let error = refused(open_as(directory.path(), neighbour, OPTIONS));
    assert!(matches!(error, StorageError::Foreign { .. }));
    let text = error.to_string();
    assert!(text.contains("replica 3 of cluster 07070707"), "{text}");
    assert!(text.contains("replica 4 of cluster 07070707"), "{text}");
    // The refusal left it usable for its owner.
    assert_eq!(open(directory.path()).unwrap().incarnation, 2);
}

#[test]
fn another_clusters_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let other = Identity {
        cluster: [8; 32],
        ..US
    };
    let error = refused(open_as(directory.path(), other, OPTIONS));
    assert!(matches!(error, StorageError::Foreign { .. }), "{error}");
}

#[test]
fn a_directory_in_use_is_refused_by_name_and_free_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap();
    let error = refused(open(directory.path()));
    assert!(matches!(error, StorageError::AlreadyInUse { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&directory.path().display().to_string()),
        "{text}"
    );
    assert!(
        text.contains(&format!("process {}", std::process::id())),
        "{text}"
    );
    drop(first);
    open(directory.path()).unwrap();
}

#[test]
fn the_directory_stays_in_use_until_both_stores_are_gone() {
    let directory = tempfile::tempdir().unwrap();
    let Storage { log, state, .. } = open(directory.path()).unwrap();
    drop(state);
    assert!(open(directory.path()).is_err());
    drop(log);
    open(directory.path()).unwrap();
}

#[test]
fn an_unwritable_place_is_named() {
    // A path through a file: refused to every user, root included.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    let error = refused(open(&file.join("data")));
    assert!(matches!(error, StorageError::Unwritable { .. }), "{error}");
    assert!(error.to_string().contains("file/data"), "{error}");
}

#[test]
fn a_newer_format_is_refused_by_version_and_a_wrong_number_alone_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let connection = rusqlite::Connection::open(directory.path().join("data/state.db")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = refused(open(directory.path()));
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");

    let connection = rusqlite::Connection::open(directory.path().join("data/state.db")).unwrap();
    connection
        .execute("UPDATE owner SET digest = zeroblob(32)", [])
        .unwrap();
    drop(connection);
    let error = refused(open(directory.path()));
    assert!(
        matches!(error, StorageError::Version { found: 99, .. }),
        "{error}"
    );
}

#[test]
fn a_full_database_poisons_its_store_and_the_committed_part_survives() {
    let directory = tempfile::tempdir().unwrap();
    let small = sqlite::Options {
        database_bytes_max: Some(256 << 10),
        ..OPTIONS
    };
    let mut storage = open_as(directory.path(), US, small).unwrap();
    let body = "x".repeat(20_000);
    let mut committed = Vec::new();
    let error = loop {
        let record = record(committed.len() as u64 + 1, 1, &body);
        match storage.log.append(&group(std::slice::from_ref(&record))) {
            Ok(()) => committed.push(record),
            Err(error) => break error,
        }
        assert!(committed.len() < 100, "the limit must be reached");
    };
    assert!(matches!(error, StorageError::Full { .. }), "{error}");
    assert!(committed.len() > 3);
    let poisoned = |result: Result<(), StorageError>| {
        assert!(matches!(result.unwrap_err(), StorageError::Poisoned { .. }));
    };
    poisoned(storage.log.append(&group(&[record(900, 1, "tiny")])));
    poisoned(storage.log.tidy(Pressure::Busy));
    poisoned(storage.log.load().map(drop));
    poisoned(storage.log.close());
    drop(storage.state);

    let mut storage = open(directory.path()).unwrap();
    assert!(!storage.clean_stop);
    assert_eq!(storage.log.load().unwrap().records, committed);
}

#[test]
fn a_group_that_does_not_fit_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let small = sqlite::Options {
        database_bytes_max: Some(256 << 10),
        ..OPTIONS
    };
    let mut storage = open_as(directory.path(), US, small).unwrap();
    storage
        .log
        .append(&group(&[record(1, 1, "before")]))
        .unwrap();
    let large = "x".repeat(400_000);
    let parts = [
        record(2, 1, "small part"),
        record(0, 5, "view"),
        record(3, 1, &large),
    ];
    storage.log.append(&group(&parts)).unwrap_err();
    drop(storage);
    let records = open(directory.path()).unwrap().log.load().unwrap().records;
    assert_eq!(records, [record(1, 1, "before")]);
}

#[test]
fn files_stay_bounded_under_truncation() {
    let directory = tempfile::tempdir().unwrap();
    let options = sqlite::Options {
        durability: Durability::Off,
        ..OPTIONS
    };
    let mut storage = open_as(directory.path(), US, options).unwrap();
    let body = Bytes::from(vec![5u8; 16 << 10]);
    let mut largest = 0;
    for seq in 1..=3000u64 {
        let records = vec![
            StoredRecord {
                seq,
                kind: 1,
                bytes: body.clone(),
            },
            record(seq, 2, "vote"),
        ];
        let truncate_below = (seq % 64 == 0).then(|| seq - 64);
        storage
            .log
            .append(&Group {
                records,
                truncate_below,
            })
            .unwrap();
        storage.log.tidy(Pressure::Busy).unwrap();
        if seq % 64 == 0 {
            largest = largest.max(bytes_in(directory.path()));
        }
    }
    // 48 MB went through. Two windows of 1 MiB, their lag, and the write-ahead log at its bound.
    assert!(largest < 24 << 20, "{largest}");
    assert!(storage.log.stats().wal_checkpoints > 0);
}

/// Checkpoints do not become stable, and view after view votes anew in every slot of the window,
/// with batches of every size, prepares some and reports all of them in its VIEW-CHANGE.
#[test]
fn files_stay_bounded_when_views_change_for_ever_and_no_checkpoint_becomes_stable() {
    const WINDOW: u64 = 64;
    let directory = tempfile::tempdir().unwrap();
    let options = sqlite::Options {
        durability: Durability::Off,
        ..OPTIONS
    };
    let mut storage = open_as(directory.path(), US, options).unwrap();
    let body = |seq: u64, view: u64| {
        let size = [60 << 10, 200, 10, 30 << 10][((seq + view / 9) % 4) as usize];
        Bytes::from(vec![view as u8; size])
    };
    let window_bytes: u64 = (1..=WINDOW).map(|seq| body(seq, 0).len() as u64).sum();
    let mut expected = 0;
    for view in 1..=120u64 {
        for seqs in (1..=WINDOW).collect::<Vec<_>>().chunks(5) {
            let mut records: Vec<StoredRecord> = Vec::new();
            for &seq in seqs {
                records.push(StoredRecord {
                    seq,
                    kind: 1,
                    bytes: body(seq, view),
                });
                // What was prepared early and never again stays in front of all that follows.
                if (seq + view) % 3 == 0 && (view <= 3 || seq > 9) {
                    records.push(record(seq, 2, &"certificate ".repeat(30)));
                }
            }
            storage.log.append(&group(&records)).unwrap();
            storage.log.tidy(Pressure::Idle).unwrap();
        }
        let report = record(0, 4, &format!("view {view} {}", "y".repeat(20_000)));
        storage.log.append(&group(&[report])).unwrap();
        expected = (1..=WINDOW)
            .map(|seq| body(seq, view).len() as u64)
            .sum::<u64>();
    }
    // 190 MB went through. Two windows, what is not worth reclaiming, and the write-ahead log.
    let database = directory
        .path()
        .join("data/log.db")
        .metadata()
        .unwrap()
        .len();
    assert!(
        database < 2 * window_bytes + (2 << 20),
        "{database} of {window_bytes}"
    );
    let bytes = bytes_in(directory.path());
    assert!(
        bytes < 2 * window_bytes + (18 << 20),
        "{bytes} of {window_bytes}"
    );
    drop(storage);
    let mut storage = open(directory.path()).unwrap();
    let records = storage.log.load().unwrap().records;
    let votes = records.iter().filter(|record| record.kind == 1);
    assert_eq!(votes.clone().count() as u64, WINDOW);
    let found: u64 = votes.map(|vote| vote.bytes.len() as u64).sum();
    assert_eq!(found, expected);
    assert_eq!(records.len() as u64, 2 * WINDOW + 1);
}

fn bytes_in(directory: &Path) -> u64 {
    let files = fs::read_dir(directory.join("data")).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}

#[test]
fn what_was_not_synced_survives_the_end_of_the_process_and_closing_syncs_it() {
    let directory = tempfile::tempdir().unwrap();
    let options = sqlite::Options {
        durability: Durability::Off,
        ..OPTIONS
    };
    let mut storage = open_as(directory.path(), US, options).unwrap();
    storage.log.append(&group(&[record(1, 1, "vote")])).unwrap();
    storage
        .state
        .apply(&delta(1, &[("key", Some("entry"))]))
        .unwrap();
    assert_eq!(storage.log.stats().fsyncs, 0);
    drop(storage);
    let mut storage = open_as(directory.path(), US, options).unwrap();
    assert!(!storage.clean_stop);
    assert_eq!(storage.log.load().unwrap().records.len(), 1);
    storage.log.close().unwrap();
    storage.state.close().unwrap();
    assert!(open(directory.path()).unwrap().clean_stop);
}
