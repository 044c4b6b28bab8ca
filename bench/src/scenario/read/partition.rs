//! The keys of network faults: `kind = "partition"` and `kind = "link"`.

use super::fault::time;
use super::link::{conditions, ids, replicas};
use crate::scenario::fault::FaultTarget;
use crate::scenario::link::LinkConditions;
use crate::scenario::partition::{LinkFault, OneWay, Partition};
use crate::scenario::problem::Problem;
use crate::scenario::refusal::{Refusal, Words};
use crate::scenario::section::Section;
use crate::scenario::tree::Value;

/// A partition, and whom it hits.
pub(super) fn partition(
    table: &mut Section<'_, '_>,
    target: Option<FaultTarget>,
    n: u32,
) -> Option<(Partition, FaultTarget)> {
    let groups = table
        .optional("groups", |value| groups(value, n))
        .unwrap_or_default();
    let partition = Partition {
        groups,
        bridge: replicas(table, "bridge", n),
        ring: table.optional("ring", |value| match value {
            Value::Bool(ring) => Ok(*ring),
            other => Err(Refusal::kind("true or false", other, "ring = true")),
        }) == Some(true),
        one_way: table.optional("one_way", |value| {
            let words = Words {
                now: &OneWay::NAMES,
                later: &[],
            };
            words.read(value)
        }),
        heal_at: time(table, "heal_at"),
    };
    let refused = |key: &str| table.reading.refused(&table.path(key));
    if ["groups", "bridge", "ring", "target"]
        .into_iter()
        .any(refused)
    {
        return None;
    }
    if let Some((message, help)) = contradiction(&partition, target.is_some()) {
        blame(table, message, help);
        return None;
    }
    let named = partition
        .groups
        .iter()
        .flatten()
        .chain(&partition.bridge)
        .count();
    if named == n as usize && partition.groups.len() + usize::from(!partition.bridge.is_empty()) < 2
    {
        blame(
            table,
            "nobody is left on the other side",
            "name fewer replicas, or a second group",
        );
        return None;
    }
    let target = target.unwrap_or_else(|| FaultTarget::Replicas(partition.cut_off(n)));
    Some((partition, target))
}

/// A link fault, and from whom it goes.
pub(super) fn link(
    table: &mut Section<'_, '_>,
    target: Option<FaultTarget>,
    n: u32,
) -> Option<(LinkFault, FaultTarget)> {
    let fault = LinkFault {
        from: replicas(table, "from", n),
        to: replicas(table, "to", n),
        conditions: conditions(table),
        heal_at: time(table, "heal_at"),
    };
    let refused = |key: &str| table.reading.refused(&table.path(key));
    if ["from", "to", "target"].into_iter().any(refused) {
        return None;
    }
    if target.is_some() && !fault.from.is_empty() {
        let help = "write target (also \"primary\") or from, not both";
        blame(table, "`target` and `from` both say who sends", help);
        return None;
    }
    if fault.conditions == LinkConditions::default() {
        let help = format!("write at least one of {}", LinkConditions::KEYS.join(", "));
        blame(table, "a link fault changes nothing about the link", &help);
        return None;
    }
    let from = || match fault.from.is_empty() {
        true => (0..n).collect(),
        false => fault.from.clone(),
    };
    let target = target.unwrap_or_else(|| FaultTarget::Replicas(from()));
    Some((fault, target))
}

fn contradiction(partition: &Partition, target: bool) -> Option<(&'static str, &'static str)> {
    let apart = !partition.groups.is_empty() || !partition.bridge.is_empty();
    let ways = [target, apart, partition.ring]
        .into_iter()
        .filter(|way| *way)
        .count();
    if ways != 1 {
        let message = match ways {
            0 => "a partition does not say who is cut off from whom",
            _ => "a partition says in several ways who is cut off from whom",
        };
        let help = "write one of groups = [[0, 1, 2, 3], [4]], bridge = 2, ring = true and target = \"primary\"";
        return Some((message, help));
    }
    if partition.one_way.is_some() && partition.ring {
        let help = "remove it, or write groups or a target";
        return Some((
            "`one_way` needs a side to look from, and a ring has none",
            help,
        ));
    }
    None
}

fn groups(value: &Value, n: u32) -> Result<Vec<Vec<u32>>, Refusal> {
    let example = "groups = [[0, 1, 2, 3], [4]]";
    let Value::Array(items) = value else {
        return Err(Refusal::kind("a list of lists of replicas", value, example));
    };
    let mut groups: Vec<Vec<u32>> = Vec::with_capacity(items.len());
    for item in items {
        if !matches!(item.value, Value::Array(_)) {
            return Err(Refusal::kind("a list of lists of replicas", value, example)
                .label(format!("{} inside", item.value.kind())));
        }
        let group = ids(&item.value, "groups", n).map_err(|refusal| Refusal {
            help: format!("{}, {example}", refusal.help),
            ..refusal
        })?;
        if group
            .iter()
            .any(|id| groups.iter().flatten().any(|other| other == id))
        {
            return Err(Refusal::new(
                "a replica is in two groups",
                format!("for example {example}; bridge = 2 is in both"),
            ));
        }
        groups.push(group);
    }
    match groups.is_empty() {
        true => Err(Refusal::new(
            "the list is empty",
            format!("for example {example}"),
        )),
        false => Ok(groups),
    }
}

fn blame(table: &mut Section<'_, '_>, message: &str, help: &str) {
    let kind = table.path("kind");
    table
        .reading
        .blame(&[&kind], Problem::new(message).help(help), "this one");
}
