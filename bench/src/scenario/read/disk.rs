//! `[[fault]] kind = "disk"`: the keys of each attack.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::scenario::disk::{DataFile, DiskAttack, Extent, Store};
use crate::scenario::problem::Problem;
use crate::scenario::refusal::{Words, integer, quantity};
use crate::scenario::section::Section;

use super::fault::TIMES;

/// Flipped bits of one attack.
const FLIPS: RangeInclusive<u32> = 1..=64;
/// What a slow disk may take for one sync.
const DELAYS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);

const STORES: [(&str, Store); 2] = [("log", Store::Log), ("state", Store::State)];
const EXTENTS: [(&str, Extent); 3] = [
    ("data", Extent::Data),
    ("databases", Extent::Databases),
    ("everything", Extent::Everything),
];
const FILES: [(&str, DataFile); 7] = [
    ("log", DataFile::Log),
    ("log-wal", DataFile::LogWal),
    ("state", DataFile::State),
    ("state-wal", DataFile::StateWal),
    ("log-anchor", DataFile::LogAnchor),
    ("key", DataFile::Key),
    ("any", DataFile::Any),
];
/// All attacks, and the keys that each has beside `heal_at`.
const ATTACKS: [(&str, &[&str]); 11] = [
    ("fsync-error", &["store"]),
    ("fsync-lies", &["files", "cut_at"]),
    ("torn-write", &["file"]),
    ("bit-flip", &["file", "flips"]),
    ("disk-full", &[]),
    ("wiped", &["files"]),
    ("stale-restore", &["files", "cut_at"]),
    ("slow-disk", &["delay"]),
    ("swapped", &["from"]),
    ("read-only", &[]),
    ("file-times", &[]),
];
/// The attack, and when the disk is well again. `None`: `attack` is missing or unknown, and was reported.
pub(super) fn read(table: &mut Section<'_, '_>) -> Option<(DiskAttack, Option<Duration>)> {
    let names: Vec<(&'static str, usize)> = ATTACKS
        .iter()
        .enumerate()
        .map(|(index, (name, _))| (*name, index))
        .collect();
    if !table.has("attack") {
        missing(table, "attack", "attack = \"bit-flip\"");
        table.ignore_rest();
        return None;
    }
    let words = Words {
        now: &names,
        later: &[],
    };
    let chosen = table.value("attack", None, |value| words.read(value).map(Some));
    let Some((name, own)) = chosen.and_then(|index| ATTACKS.get(index)) else {
        table.ignore_rest();
        return None;
    };
    for key in ["store", "files", "file", "flips", "delay", "from", "cut_at"] {
        if !own.contains(&key) {
            let why = format!("attack = \"{name}\" does not have it");
            table.inapplicable(&[key], "attack", &why, "remove it");
        }
    }
    let attack = attack(table, name)?;
    let heal_at = if attack.cut_at().is_some() {
        let why = "a disk that lied or is old is found out at cut_at, and stays what it is";
        table.inapplicable(&["heal_at"], "attack", why, "remove it");
        None
    } else {
        table.optional("heal_at", |value| quantity(value, "heal_at", "8s", &TIMES))
    };
    Some((attack, heal_at))
}

fn attack(table: &mut Section<'_, '_>, name: &str) -> Option<DiskAttack> {
    let store = |table: &mut Section<'_, '_>| table.choice("store", Store::Log, &now(&STORES));
    let files = |table: &mut Section<'_, '_>| table.choice("files", Extent::Data, &now(&EXTENTS));
    let file = |table: &mut Section<'_, '_>, default| table.choice("file", default, &now(&FILES));
    Some(match name {
        "fsync-error" => DiskAttack::FsyncError {
            store: store(table),
        },
        "fsync-lies" => DiskAttack::FsyncLies {
            files: files(table),
            cut_at: cut_at(table)?,
        },
        "torn-write" => DiskAttack::TornWrite {
            file: file(table, DataFile::LogWal),
        },
        "bit-flip" => DiskAttack::BitFlip {
            file: file(table, DataFile::Any),
            flips: table.integer("flips", 1, FLIPS),
        },
        "disk-full" => DiskAttack::DiskFull,
        "wiped" => DiskAttack::Wiped {
            files: files(table),
        },
        "stale-restore" => DiskAttack::StaleRestore {
            files: files(table),
            cut_at: cut_at(table)?,
        },
        "slow-disk" => DiskAttack::SlowDisk {
            delay: table.quantity("delay", Duration::from_millis(500), DELAYS),
        },
        "swapped" => DiskAttack::Swapped {
            from: table.value("from", 0, |value| {
                integer(value, &(0..=u32::from(u16::MAX)), 0)
            }),
        },
        "read-only" => DiskAttack::ReadOnly,
        _ => DiskAttack::FileTimes,
    })
}

fn cut_at(table: &mut Section<'_, '_>) -> Option<Duration> {
    if !table.has("cut_at") {
        missing(table, "cut_at", "cut_at = \"8s\"");
        return None;
    }
    Some(table.quantity("cut_at", Duration::from_secs(8), TIMES))
}

const fn now<'w, T>(words: &'w [(&'static str, T)]) -> Words<'w, T> {
    Words {
        now: words,
        later: &[],
    }
}

fn missing(table: &mut Section<'_, '_>, key: &str, example: &str) {
    let problem = Problem::new(format!("a disk fault has no `{key}`"))
        .help(format!("add a line such as {example}"));
    let (kind, attack) = (table.path("kind"), table.path("attack"));
    table.reading.blame(&[&attack, &kind], problem, "this one");
}
