//! The keys of `[[fault]] kind = "outsider"`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::outsider::{Holds, OutsiderAttack};
use crate::scenario::outsider::OutsiderFault;
use crate::scenario::problem::Problem;
use crate::scenario::refusal::{Words, integer};
use crate::scenario::section::Section;

/// Reads what belongs to this kind; `None` if it is not known what to do.
pub(super) fn read(table: &mut Section<'_, '_>, until: Option<Duration>) -> Option<OutsiderFault> {
    table.inapplicable(
        &["restart_at", "resume_at", "wipe", "every"],
        "kind",
        "an outsider attacks once, from `at` to `until`",
        "remove it, or write a second [[fault]]",
    );
    if !table.has("attack") {
        let problem = Problem::new(format!("`{}` is missing", table.path("attack")))
            .help("for example attack = \"connection-flood\"; `bench fault list` shows all");
        table.reading.problems.push(problem);
        table.ignore_rest();
        return None;
    }
    let all: Vec<(&str, Option<OutsiderAttack>)> = OutsiderAttack::ALL
        .iter()
        .map(|attack| (attack.name(), Some(*attack)))
        .collect();
    let words = Words {
        now: &all,
        later: &[],
    };
    let Some(attack) = table.choice("attack", None, &words) else {
        table.ignore_rest();
        return None;
    };
    let mut key_of = table.optional("key_of", |value| {
        integer(value, &(0..=u32::from(u16::MAX)), 0)
    });
    if key_of.is_some() && attack.holds() == Holds::Nothing {
        let message = format!("`{}`: {} uses no key", table.path("key_of"), attack.name());
        let help = "remove it, or choose an attack by somebody who has a key".to_owned();
        let path = table.path("key_of");
        table
            .reading
            .blame(&[&path], Problem::new(message).help(help), "");
        key_of = None;
    }
    let args = table.table("args", |args| {
        let mut written = BTreeMap::new();
        for knob in attack.knobs() {
            let value = args.optional(knob.name, |value| {
                integer(value, &(1..=knob.most), knob.default)
            });
            written.extend(value.map(|value| (knob.name.to_owned(), value)));
        }
        written
    });
    Some(OutsiderFault {
        attack,
        until,
        args,
        key_of,
    })
}
