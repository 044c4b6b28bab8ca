//! Damaged, lost and exchanged files: an opening must fail, or yield exactly what was committed.
//!
//! A crash is a copy of the directory made while the stores are open: what the operating system would
//! hold if the process ended there.

use std::fs;
use std::path::Path;

use replica::storage::{Basis, LoadedLog, StateDelta, Storage, StorageError};
use tempfile::TempDir;

use crate::support::{Whole, delta, group, open, record, state_in, truncation};

type Contents = (LoadedLog, Option<Whole>);

/// Storage with a little of everything, as a crash leaves it, and its contents.
fn crashed() -> (TempDir, Contents) {
    let directory = tempfile::tempdir().unwrap();
    let mut storage = open(directory.path()).unwrap();
    write_some(&mut storage, 1);
    storage.log.close().unwrap();
    storage.state.close().unwrap();
    let mut storage = open(directory.path()).unwrap();
    write_some(&mut storage, 20);
    let contents = load(&mut storage).unwrap();
    (copy(directory.path()), contents)
}

fn write_some(storage: &mut Storage, from: u64) {
    let body = "body ".repeat(1500);
    for seq in from..from + 12 {
        let records = [record(seq, 1, &body), record(seq, 2, "vote")];
        storage.log.append(&group(&records)).unwrap();
        if seq % 5 == 0 {
            storage
                .log
                .append(&group(&[record(0, 3, &format!("view {seq}"))]))
                .unwrap();
        }
    }
    storage
        .state
        .apply(&delta(from + 4, &[("key", Some("entry"))]))
        .unwrap();
    storage.log.append(&truncation(from + 4)).unwrap();
}

fn load(storage: &mut Storage) -> Result<Contents, StorageError> {
    Ok((storage.log.load()?, state_in(storage)?))
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    fs::create_dir(to.path().join("data")).unwrap();
    for directory in ["", "data"] {
        for file in fs::read_dir(from.join(directory)).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                let to = to.path().join(directory).join(file.file_name());
                fs::copy(file.path(), to).unwrap();
            }
        }
    }
    to
}

fn open_and_load(directory: &Path) -> Result<Contents, StorageError> {
    load(&mut open(directory)?)
}

fn damaged(directory: &Path, file: &str) {
    let error = open_and_load(directory).expect_err("damage must be noticed");
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains(file), "{error}");
}

#[test]
fn a_crashed_directory_opens_with_everything_that_was_committed() {
    let (directory, expected) = crashed();
    assert!(
        directory
            .path()
            .join("data/log.db-wal")
            .metadata()
            .unwrap()
            .len()
            > 0
    );
    let mut storage = open(directory.path()).unwrap();
    assert_eq!((storage.incarnation, storage.clean_stop), (3, false));
    assert_eq!(load(&mut storage).unwrap(), expected);
    assert!(expected.0.records.len() == 15 && expected.0.truncated_below == 24);
}

/// Flips single bits all over one file; returns how many flips were refused and how many harmless.
fn flip(file: &str, flips: u64) -> (u64, u64) {
    let (original, expected) = crashed();
    let length = original.path().join(file).metadata().unwrap().len();
    let (mut refused, mut harmless) = (0, 0);
    for turn in 0..flips {
        // Odd multiples of an odd step reach all kinds of offsets; the first ones hit the header.
        let offset = match turn {
            0..32 => turn * 3,
            _ => turn * length / flips + turn % 7,
        };
        let directory = copy(original.path());
        let path = directory.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        let at = usize::try_from(offset.min(length - 1)).unwrap();
        bytes[at] ^= 1 << (turn % 8);
        fs::write(&path, bytes).unwrap();
        match open_and_load(directory.path()) {
            Err(_) => refused += 1,
            Ok(contents) => {
                assert_eq!(
                    contents,
                    expected,
                    "bit {} of byte {at} of {file}",
                    turn % 8
                );
                harmless += 1;
            }
        }
    }
    (refused, harmless)
}

#[test]
fn a_flipped_bit_in_the_record_log_is_never_accepted_silently() {
    let (refused, harmless) = flip("data/log.db", 250);
    // Some pages are free or have a newer copy in the write-ahead log.
    assert!(refused > 20 && harmless > 20, "{refused} {harmless}");
}

#[test]
fn a_flipped_bit_in_the_write_ahead_log_is_never_accepted_silently() {
    let (refused, _) = flip("data/log.db-wal", 250);
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_flipped_bit_in_the_anchor_is_always_refused() {
    assert_eq!(flip("log.anchor", 128), (128, 0));
}

#[test]
fn a_flipped_bit_in_the_states_write_ahead_log_is_never_accepted_silently() {
    let (refused, _) = flip("data/state.db-wal", 150);
    assert!(refused > 30, "{refused}");
}

/// Pages that hold nothing are read only when something is written to them.
#[test]
fn a_state_that_opens_can_be_written_to_whatever_page_was_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let mut storage = open(directory.path()).unwrap();
    let keys: Vec<String> = (0..600).map(|i| format!("key {i:05}")).collect();
    let value = "value ".repeat(60);
    let some: Vec<(&str, Option<&str>)> =
        keys.iter().map(|k| (k.as_str(), Some(&*value))).collect();
    storage.state.apply(&delta(5, &some)).unwrap();
    let whole = |seq, entries: &[(&str, Option<&str>)]| StateDelta {
        basis: Basis::Empty,
        ..delta(seq, entries)
    };
    // Most pages are free now.
    storage.state.apply(&whole(9, &some[..100])).unwrap();
    storage.log.close().unwrap();
    storage.state.close().unwrap();
    let held = state_in(&mut open(directory.path()).unwrap()).unwrap();
    let original = copy(directory.path());
    let file = original.path().join("data/state.db");
    let pages = usize::try_from(file.metadata().unwrap().len()).unwrap() / 4096;
    let (mut refused, mut harmless) = (0, 0);
    for page in 0..pages {
        let damaged = copy(original.path());
        let file = damaged.path().join("data/state.db");
        let mut bytes = fs::read(&file).unwrap();
        bytes[page * 4096..][..16]
            .iter_mut()
            .for_each(|byte| *byte ^= 0xa5);
        fs::write(&file, bytes).unwrap();
        let Ok(mut storage) = open(damaged.path()) else {
            refused += 1;
            continue;
        };
        match state_in(&mut storage) {
            Err(_) => refused += 1,
            Ok(found) => {
                assert_eq!(found, held, "page {page}");
                let grown = storage.state.apply(&whole(13, &some));
                let emptied = grown.and_then(|()| storage.state.apply(&whole(17, &[])));
                assert!(emptied.is_ok(), "page {page} of {pages}: {emptied:?}");
                harmless += 1;
            }
        }
    }
    assert!(refused > 10 && harmless > 10, "{refused} {harmless}");
}

#[test]
fn a_lost_write_ahead_log_is_noticed() {
    for name in ["log", "state"] {
        let (directory, _) = crashed();
        fs::remove_file(directory.path().join(format!("data/{name}.db-wal"))).unwrap();
        damaged(directory.path(), &format!("data/{name}.db"));
    }
}

#[test]
fn a_write_ahead_log_cut_anywhere_is_noticed() {
    let (original, _) = crashed();
    let length = original
        .path()
        .join("data/log.db-wal")
        .metadata()
        .unwrap()
        .len();
    for step in 0..40 {
        let directory = copy(original.path());
        let file = fs::File::options()
            .write(true)
            .open(directory.path().join("data/log.db-wal"))
            .unwrap();
        file.set_len(length - 1 - step * 512).unwrap();
        damaged(directory.path(), "data/log.db");
    }
}

#[test]
fn a_log_truncated_beyond_its_state_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut storage = open(directory.path()).unwrap();
    storage.log.append(&truncation(64)).unwrap();
    drop(storage);
    damaged(directory.path(), "data/state.db");
}

#[test]
fn lost_files_are_noticed() {
    for name in ["data/log.db", "log.anchor", "data/state.db", "state.anchor"] {
        let (directory, _) = crashed();
        fs::remove_file(directory.path().join(name)).unwrap();
        damaged(directory.path(), name);
    }
}

#[test]
fn a_refused_directory_is_refused_again_and_left_as_it_is() {
    let (directory, _) = crashed();
    let wal = directory.path().join("data/log.db-wal");
    let mut bytes = fs::read(&wal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&wal, &bytes).unwrap();
    for _ in 0..3 {
        damaged(directory.path(), "data/log.db");
        assert!(fs::read(&wal).unwrap() == bytes);
    }
}

#[test]
fn one_database_restored_from_an_older_copy_is_noticed() {
    for names in [
        ["data/log.db", "data/log.db-wal", "log.anchor"],
        ["data/state.db", "data/state.db-wal", "state.anchor"],
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut storage = open(directory.path()).unwrap();
        write_some(&mut storage, 1);
        let old = copy(directory.path());
        write_some(&mut storage, 20);
        drop(storage);
        drop(open(directory.path()).unwrap());
        for name in names {
            fs::copy(old.path().join(name), directory.path().join(name)).unwrap();
        }
        damaged(directory.path(), names[0]);
    }
}

#[test]
fn an_exchanged_row_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut storage = open(directory.path()).unwrap();
    for seq in 1..=5 {
        storage
            .log
            .append(&group(&[record(seq, 1, "vote")]))
            .unwrap();
    }
    storage.log.close().unwrap();
    drop(storage.state);
    let connection = rusqlite::Connection::open(directory.path().join("data/log.db")).unwrap();
    connection
        .execute("UPDATE log SET bytes = x'00' WHERE seq = 3", [])
        .unwrap();
    drop(connection);
    let error = open_and_load(directory.path()).unwrap_err().to_string();
    assert!(
        error.contains("data/log.db") && error.contains("row 3 of table log (sequence number 3)"),
        "{error}"
    );
}

#[test]
fn removed_rows_at_the_end_and_removed_promises_are_noticed() {
    for statement in [
        "DELETE FROM log WHERE id = (SELECT max(id) FROM log)",
        "DELETE FROM promises",
        "DELETE FROM base",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut storage = open(directory.path()).unwrap();
        let records = [
            record(0, 1, "view"),
            record(1, 1, "vote"),
            record(2, 1, "vote"),
        ];
        storage.log.append(&group(&records)).unwrap();
        storage.log.close().unwrap();
        drop(storage.state);
        let connection = rusqlite::Connection::open(directory.path().join("data/log.db")).unwrap();
        assert_eq!(connection.execute(statement, []).unwrap(), 1);
        drop(connection);
        damaged(directory.path(), "data/log.db");
    }
}

/// A crash in the middle of a commit: the write-ahead log has a part of it, the anchor knows nothing of it.
#[test]
fn a_transferred_state_is_installed_as_a_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let mut storage = open(directory.path()).unwrap();
    let entries = |from: u64, value: &str| -> Vec<(String, String)> {
        let entry = |i| (format!("key {i:05}"), format!("{value} {i} ").repeat(12));
        (from..from + 300).map(entry).collect()
    };
    let state = |seq, basis, entries: &[(String, String)]| {
        let changes = entries.iter().map(|(k, v)| (k.as_str(), Some(v.as_str())));
        StateDelta {
            basis,
            ..delta(seq, &changes.collect::<Vec<_>>())
        }
    };
    let old = state(64, Basis::Stored, &entries(0, "old"));
    storage.state.apply(&old).unwrap();
    let before = copy(directory.path());
    let held = state_in(&mut storage).unwrap();
    let new = state(640, Basis::Empty, &entries(200, "new"));
    storage.state.apply(&new).unwrap();
    let installed = state_in(&mut storage).unwrap();
    assert_eq!(installed.as_ref().unwrap().1.len(), 300);

    let wal = fs::read(directory.path().join("data/state.db-wal")).unwrap();
    let first = fs::read(before.path().join("data/state.db-wal"))
        .unwrap()
        .len();
    let (mut as_before, mut as_after) = (0, 0);
    // Whole frames of a page and its header, and a few that are torn.
    let cuts = (first..wal.len())
        .step_by(4096 + 24)
        .chain((first..wal.len()).step_by(9999));
    for cut in cuts.chain([wal.len() - 1, wal.len()]) {
        let crashed = copy(before.path());
        fs::write(crashed.path().join("data/state.db-wal"), &wal[..cut]).unwrap();
        let found = state_in(&mut open(crashed.path()).unwrap()).unwrap();
        if found == held {
            as_before += 1;
        } else {
            assert_eq!(found, installed, "cut at {cut} of {}", wal.len());
            as_after += 1;
        }
    }
    assert!(as_before > 10 && as_after > 0, "{as_before} {as_after}");
}

/// A power cut while a group was on its way: nothing had been acknowledged, and the anchor had not
/// moved. Every sector boundary of the last 64 KiB.
#[test]
fn a_torn_tail_is_cut_and_nothing_before_it_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let mut storage = open(directory.path()).unwrap();
    write_some(&mut storage, 1);
    let before = copy(directory.path());
    let held = storage.log.load().unwrap();
    let body = "body ".repeat(12_000);
    let records = [
        record(30, 1, &body),
        record(31, 1, "vote"),
        record(0, 3, "view 2"),
    ];
    storage.log.append(&group(&records)).unwrap();
    let appended = storage.log.load().unwrap();
    let old = fs::read(before.path().join("data/log.db-wal")).unwrap();
    let new = fs::read(directory.path().join("data/log.db-wal")).unwrap();
    let first = new.len().saturating_sub(64 << 10).max(old.len()) / 512 * 512;
    let (mut cut_off, mut whole) = (0, 0);
    for torn in (first..new.len()).step_by(512).chain([new.len()]) {
        for lost in ["missing", "zeros", "noise"] {
            let mut wal = new[..torn].to_vec();
            match lost {
                "zeros" => wal.resize(new.len(), 0),
                "noise" => wal.extend((torn..new.len()).map(|at| (at * 37 % 251) as u8)),
                _ => {}
            }
            let crashed = copy(before.path());
            fs::write(crashed.path().join("data/log.db-wal"), wal).unwrap();
            let found = open(crashed.path()).unwrap().log.load().unwrap();
            match found == held {
                true => cut_off += 1,
                false => {
                    assert_eq!(found, appended, "torn at {torn}, {lost}");
                    whole += 1;
                }
            }
        }
    }
    assert!(cut_off > 200 && whole >= 3, "{cut_off} {whole}");
}
