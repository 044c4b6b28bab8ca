//! The `[[fault]]` entries, one by one; rules about all of them are in `fault_rules`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::scenario::fault::{Again, Choice, Fault, FaultKind, FaultTarget};
use crate::scenario::problem::Problem;
use crate::scenario::refusal::{Refusal, Words, integer, quantity};
use crate::scenario::section::Section;
use crate::scenario::tree::{Entry, Node, Table, Value};
use crate::scenario::units::Size;

/// Entries at most; each may strike many times.
const FAULTS_MAX: usize = 100;

/// Times of a fault: a run lasts a day at most.
pub(super) const TIMES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);

/// The shortest time between two strikes of one fault.
const EVERY_MIN: Duration = Duration::from_millis(100);

/// What a replica's memory may be capped at.
const CAPS: RangeInclusive<Size> = Size::of(1 << 20)..=Size::of(1 << 40);
/// The bound for every replica in every scenario (SECURITY.md).
const CAP_DEFAULT: Size = Size::of(256 << 20);

/// Reads all entries. `load` is how long the load is measured: where `until` is not written, it ends there.
pub(super) fn read(root: &mut Section<'_, '_>, load: Duration, n: u32) -> Vec<Fault> {
    let Some(Entry { node, .. }) = root.take("fault") else {
        return Vec::new();
    };
    let Value::Array(items) = node.value else {
        let refusal = Refusal::kind("a list of tables", &node.value, "[[fault]]");
        root.refuse("fault", node.place, refusal);
        return Vec::new();
    };
    if items.len() > FAULTS_MAX {
        let refusal = Refusal::new(
            format!("{} entries are too many", items.len()),
            format!("write {FAULTS_MAX} at most; `every` repeats one"),
        );
        root.refuse("fault", node.place, refusal);
        return Vec::new();
    }
    items
        .into_iter()
        .enumerate()
        .filter_map(|(index, item)| entry(root, index, item, load, n))
        .collect()
}

fn entry(
    root: &mut Section<'_, '_>,
    index: usize,
    Node { value, place }: Node,
    load: Duration,
    n: u32,
) -> Option<Fault> {
    let path = format!("fault.{index}");
    let table: Table = match value {
        Value::Table(table) => table,
        other => {
            root.refuse(&path, place, Refusal::kind("a table", &other, "[[fault]]"));
            return None;
        }
    };
    let needs_target = !table.get("kind").is_some_and(may_lack_a_target);
    for (key, example, needed) in [
        ("at", "at = \"5s\"", true),
        ("kind", "kind = \"kill\"", true),
        ("target", "target = \"primary\"", needs_target),
    ] {
        if needed && !table.contains_key(key) {
            let problem = Problem::new(format!("a fault has no `{key}`"))
                .help(format!("add a line such as {example}"));
            let problem = place.blame(root.reading.layers, problem, "this one");
            root.reading.problems.push(problem);
        }
    }
    root.subtable(&path, table, |table| {
        let at = table.quantity("at", Duration::ZERO, TIMES);
        let Some(word) = kind(table) else {
            // Its other keys belong to a kind that nobody knows here.
            table.ignore_rest();
            return None;
        };
        let (kind, target) = match word {
            Word::Partition | Word::Link => of_the_network(table, word, n)?,
            Word::Rebind => {
                let default = FaultTarget::Chosen(Choice::Primary);
                (FaultKind::Rebind, table.value("target", default, target))
            }
            Word::Client => {
                let client = super::client::read(table, load)?;
                return Some(Fault {
                    at,
                    kind: FaultKind::Client(client),
                    target: FaultTarget::Replicas(Vec::new()),
                    again: None,
                });
            }
            Word::Outsider => {
                let target = table.value("target", FaultTarget::Chosen(Choice::All), target);
                let until = table.optional("until", |value| quantity(value, "until", "8s", &TIMES));
                let fault = super::outsider::read(table, until)?;
                return Some(Fault {
                    at,
                    kind: FaultKind::Outsider(fault),
                    target,
                    again: None,
                });
            }
            _ => {
                let default = FaultTarget::Chosen(Choice::Primary);
                let target = table.value("target", default, target);
                (of_kind(table, word)?, target)
            }
        };
        Some(Fault {
            at,
            kind,
            target,
            again: again(table, load),
        })
    })
}

#[derive(Clone, Copy)]
enum Word {
    Kill,
    Pause,
    Restart,
    Upgrade,
    Partition,
    Link,
    Memory,
    Disk,
    Rebind,
    Client,
    Outsider,
}

/// Faults that may name links instead of a target, or have none.
fn may_lack_a_target(kind: &Entry) -> bool {
    matches!(&kind.node.value, Value::Text(word) if matches!(word.as_str(), "partition" | "link" | "client" | "outsider"))
}

fn of_the_network(
    table: &mut Section<'_, '_>,
    word: Word,
    n: u32,
) -> Option<(FaultKind, FaultTarget)> {
    let target = table.optional("target", target);
    let found = match word {
        Word::Link => super::partition::link(table, target, n)
            .map(|(fault, target)| (FaultKind::Link(fault), target)),
        _ => super::partition::partition(table, target, n)
            .map(|(partition, target)| (FaultKind::Partition(partition), target)),
    };
    if found.is_none() {
        table.ignore_rest();
    }
    found
}

fn kind(table: &mut Section<'_, '_>) -> Option<Word> {
    let words = Words {
        now: &[
            ("kill", Word::Kill),
            ("pause", Word::Pause),
            ("restart", Word::Restart),
            ("upgrade", Word::Upgrade),
            ("partition", Word::Partition),
            ("link", Word::Link),
            ("memory", Word::Memory),
            ("disk", Word::Disk),
            ("rebind", Word::Rebind),
            ("client", Word::Client),
            ("outsider", Word::Outsider),
        ],
        later: &[],
    };
    table.value("kind", None, |value| words.read(value).map(Some))
}

fn of_kind(table: &mut Section<'_, '_>, word: Word) -> Option<FaultKind> {
    Some(match word {
        Word::Kill
        | Word::Restart
        | Word::Partition
        | Word::Link
        | Word::Rebind
        | Word::Client
        | Word::Outsider => {
            table.inapplicable(
                &["resume_at"],
                "kind",
                "only a pause has it",
                "write restart_at, or kind = \"pause\"",
            );
            let restart_at = time(table, "restart_at");
            let wipe = table.flag("wipe", false);
            match word {
                Word::Kill => FaultKind::Kill { restart_at, wipe },
                _ => FaultKind::Restart { restart_at, wipe },
            }
        }
        Word::Pause => {
            table.inapplicable(
                &["restart_at", "wipe"],
                "kind",
                "a paused process is not started again",
                "write resume_at, or kind = \"kill\"",
            );
            FaultKind::Pause {
                resume_at: time(table, "resume_at"),
            }
        }
        Word::Upgrade => FaultKind::Upgrade {
            restart_at: time(table, "restart_at"),
        },
        Word::Memory => FaultKind::Memory {
            cap: table.quantity("cap", CAP_DEFAULT, CAPS),
            restart_at: time(table, "restart_at"),
        },
        Word::Disk => {
            let (attack, heal_at) = super::disk::read(table)?;
            FaultKind::Disk { attack, heal_at }
        }
    })
}

pub(super) fn time(table: &mut Section<'_, '_>, key: &'static str) -> Option<Duration> {
    table.optional(key, |value| quantity(value, key, "8s", &TIMES))
}

fn again(table: &mut Section<'_, '_>, load: Duration) -> Option<Again> {
    let bounds = EVERY_MIN..=*TIMES.end();
    let every = table.optional("every", |value| quantity(value, "every", "2s", &bounds));
    if every.is_none() {
        let why = "only a fault that strikes again has it";
        table.inapplicable(&["until"], "every", why, "remove it, or add every = \"2s\"");
        return None;
    }
    let until = table.quantity("until", load, TIMES);
    table.derived("until", "default: the end of the load");
    every.map(|every| Again { every, until })
}

fn target(value: &Value) -> Result<FaultTarget, Refusal> {
    let id = |value: &Value| integer(value, &(0..=u32::from(u16::MAX)), 0);
    match value {
        Value::Integer(_) => Ok(FaultTarget::Replicas(vec![id(value)?])),
        Value::Array(items) => {
            let mut ids = items
                .iter()
                .map(|item| id(&item.value))
                .collect::<Result<Vec<u32>, _>>()?;
            ids.sort_unstable();
            ids.dedup();
            if ids.is_empty() || ids.len() < items.len() {
                let what = if ids.is_empty() {
                    "the list is empty"
                } else {
                    "a replica is named twice"
                };
                return Err(Refusal::new(what, "for example target = [0, 1]"));
            }
            Ok(FaultTarget::Replicas(ids))
        }
        Value::Text(_) => {
            let words = Words {
                now: &Choice::NAMES,
                later: &[],
            };
            words
                .read(value)
                .map(FaultTarget::Chosen)
                .map_err(|refusal| {
                    let help = format!("{}, the number of a replica, or a list", refusal.help);
                    Refusal { help, ..refusal }
                })
        }
        other => Err(Refusal::kind(
            "a replica, a list of them or a word",
            other,
            "target = 3",
        )),
    }
}
