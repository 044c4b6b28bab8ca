//! `[[fault]] kind = "client"`: which attack, by how many, until when, and the arguments of each.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::TIMES;
use crate::scenario::client::{CLIENT_ATTACKS, ClientAttack, ClientFault, GoodFor};
use crate::scenario::problem::Problem;
use crate::scenario::refusal::Words;
use crate::scenario::section::Section;
use crate::scenario::units::{Rate, Size};

/// Hostile clients of one entry.
const COUNT: RangeInclusive<u32> = 1..=1000;
/// What one client does in a second: a machine signs some 50,000 requests in it.
const RATES: (Rate, Rate) = (Rate::of(0.1), Rate::of(100_000.0));
/// Values that a flood writes: what the store takes.
const VALUES: RangeInclusive<Size> = Size::of(1)..=Size::of(60 << 10);
/// What a header can announce: four bytes.
const HEADERS: RangeInclusive<Size> = Size::of(1)..=Size::of(u32::MAX as u64);

/// Reads the keys of the kind; `None` if `attack` is missing or unknown, which was reported.
pub(super) fn read(table: &mut Section<'_, '_>, load: Duration) -> Option<ClientFault> {
    if !table.has("attack") {
        let problem = Problem::new("a fault of clients has no `attack`")
            .help("add a line such as attack = \"flood\"");
        let kind = table.path("kind");
        table.reading.blame(&[&kind], problem, "this one");
        table.ignore_rest();
        return None;
    }
    let why = "clients attack from `at` to `until`, and no replica in particular";
    table.inapplicable(
        &["target", "every", "restart_at", "resume_at", "wipe"],
        "kind",
        why,
        "remove it",
    );
    let names: Vec<(&'static str, usize)> = CLIENT_ATTACKS
        .iter()
        .enumerate()
        .map(|(index, entry)| (entry.name, index))
        .collect();
    let words = Words {
        now: &names,
        later: &[],
    };
    let chosen = table.value("attack", None, |value| words.read(value).map(Some));
    let Some(index) = chosen else {
        table.ignore_rest();
        return None;
    };
    let count = table.integer("count", 1, COUNT);
    let until = table.quantity("until", load, TIMES);
    table.derived("until", "default: the end of the load");
    let attack = table.table("args", |args| arguments(args, index));
    Some(ClientFault {
        attack,
        count,
        until,
    })
}

fn arguments(args: &mut Section<'_, '_>, index: usize) -> ClientAttack {
    let mut rate = |default: f64| args.quantity("rate", Rate::of(default), RATES.0..=RATES.1);
    match CLIENT_ATTACKS.get(index).map_or("", |entry| entry.name) {
        "equivocate" => ClientAttack::Equivocate { rate: rate(200.0) },
        "bad-signature" => ClientAttack::BadSignature {
            rate: rate(200.0),
            good_for: args.choice(
                "good_for",
                GoodFor::First,
                &Words {
                    now: &GoodFor::NAMES,
                    later: &[],
                },
            ),
        },
        "timestamp-jump" => ClientAttack::TimestampJump { rate: rate(500.0) },
        "half-sent" => ClientAttack::HalfSent { rate: rate(50.0) },
        "oversize" => ClientAttack::Oversize {
            rate: rate(50.0),
            header: args.quantity("header", Size::of(1 << 30), HEADERS),
        },
        "never-reads" => ClientAttack::NeverReads { rate: rate(500.0) },
        "ask-again" => ClientAttack::AskAgain { rate: rate(5000.0) },
        "hot-reads" => ClientAttack::HotReads { rate: rate(2000.0) },
        "pathological" => ClientAttack::Pathological { rate: rate(50.0) },
        _ => ClientAttack::Flood {
            rate: rate(20_000.0),
            value: args.quantity("value", Size::of(100), VALUES),
        },
    }
}
