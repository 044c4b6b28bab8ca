//! Conditions on links: the same keys in `[network]`, `[[network.link]]` and `[[fault]] kind = "link"`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::emulation::{DELAY_MAX, Spread};
use crate::scenario::link::LinkConditions;
use crate::scenario::problem::Problem;
use crate::scenario::refusal::{Refusal, Words, integer, quantity};
use crate::scenario::section::Section;
use crate::scenario::tree::Value;
use crate::scenario::units::{Bandwidth, Share, Size};

const TIMES: RangeInclusive<Duration> = Duration::ZERO..=DELAY_MAX;
const SHARES: RangeInclusive<Share> = Share::of(0.0)..=Share::of(1.0);
const BANDWIDTHS: RangeInclusive<Bandwidth> =
    Bandwidth::of(8_000)..=Bandwidth::of(1_000_000_000_000);
const QUEUES: RangeInclusive<Size> = Size::of(1 << 10)..=Size::of(8 << 20);
/// From what every network carries (RFC 9000 14) to the largest datagram that is ever sent here.
const MTUS: RangeInclusive<u16> =
    network::transport::MTU_NETWORK..=network::transport::MTU_LOOPBACK;

/// Reads the conditions of this table.
pub(super) fn conditions(table: &mut Section<'_, '_>) -> LinkConditions {
    let conditions = LinkConditions {
        delay: time(table, "delay", "50ms"),
        jitter: time(table, "jitter", "5ms"),
        distribution: table.optional("distribution", |value| {
            let words = Words {
                now: &Spread::NAMES,
                later: &[],
            };
            words.read(value)
        }),
        loss: share(table, "loss"),
        duplicate: share(table, "duplicate"),
        reorder: share(table, "reorder"),
        reorder_within: time(table, "reorder_within", "100ms"),
        bandwidth: table.optional("bandwidth", |value| {
            quantity(value, "bandwidth", "200Mbit", &BANDWIDTHS)
        }),
        queue: table.optional("queue", |value| quantity(value, "queue", "64KiB", &QUEUES)),
        mtu: table.optional("mtu", |value| integer(value, &MTUS, *MTUS.start())),
        corrupt: share(table, "corrupt"),
    };
    // A spread without anything to spread is a slip of the pen; so is a mean that the spread turns negative.
    let long = conditions.jitter > Some(conditions.delay.unwrap_or_default());
    if long
        && conditions.delay.is_some()
        && conditions.distribution.unwrap_or_default() == Spread::Uniform
    {
        let path = table.path("jitter");
        let problem = Problem::new(format!(
            "`{path}` is longer than the delay: what would be negative is 0, and the mean is longer than `delay`"
        ));
        let help = "write a delay of at least the jitter";
        table
            .reading
            .warn(&[&path], problem.help(help), "longer than the delay");
    }
    conditions
}

/// Replicas: a number, or a list of them; absent is empty.
pub(super) fn replicas(table: &mut Section<'_, '_>, key: &'static str, n: u32) -> Vec<u32> {
    let read = |value: &Value| ids(value, key, n);
    table.optional(key, read).unwrap_or_default()
}

/// A replica, or a list of them in which none is named twice.
pub(super) fn ids(value: &Value, key: &str, n: u32) -> Result<Vec<u32>, Refusal> {
    let id = |value: &Value| {
        let id = integer(value, &(0..=u32::from(u16::MAX)), 0)?;
        match id < n {
            true => Ok(id),
            false => Err(Refusal::new(
                format!("there is no replica {id} among {n}"),
                format!("replicas are 0 to {}", n - 1),
            )),
        }
    };
    let example = format!("for example {key} = [0, 1]");
    match value {
        Value::Array(items) => {
            let mut ids = items
                .iter()
                .map(|item| id(&item.value))
                .collect::<Result<Vec<u32>, _>>()?;
            ids.sort_unstable();
            ids.dedup();
            match ids.len() {
                0 => Err(Refusal::new("the list is empty", example)),
                kept if kept < items.len() => {
                    Err(Refusal::new("a replica is named twice", example))
                }
                _ => Ok(ids),
            }
        }
        Value::Integer(_) => Ok(vec![id(value)?]),
        other => Err(Refusal::kind(
            "a replica or a list of them",
            other,
            &format!("{key} = [0, 1]"),
        )),
    }
}

fn time(table: &mut Section<'_, '_>, key: &'static str, example: &str) -> Option<Duration> {
    table.optional(key, |value| quantity(value, key, example, &TIMES))
}

fn share(table: &mut Section<'_, '_>, key: &'static str) -> Option<Share> {
    table.optional(key, |value| quantity(value, key, "1%", &SHARES))
}
