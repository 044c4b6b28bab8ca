//! Faults of the network: `[[fault]] kind = "partition"` and `kind = "link"`.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::{JsonSchema as _, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::link::{LinkConditions, time};
use super::network::{ids, links_between};

/// A partition: links on which nothing gets through. Exactly one of `groups`, `bridge` (with or without groups), `ring` and
/// a target is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Partition {
    /// Who still reaches whom; replicas that are not named are one more group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Vec<u32>>,
    /// Replicas that all groups reach; without groups, the others are two halves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bridge: Vec<u32>,
    /// Each replica reaches only the one before and the one after it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ring: bool,
    /// In one direction only, seen from the target or the first group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_way: Option<OneWay>,
    /// When all is as before; `None`: never.
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub heal_at: Option<Duration>,
}

/// Which direction is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OneWay {
    /// What the target or the first group sends is lost: it hears and is not heard.
    Out,
    /// What is sent to it is lost: it is heard and does not hear.
    In,
}

impl OneWay {
    /// The words of scenarios.
    pub(super) const NAMES: [(&'static str, Self); 2] = [("out", Self::Out), ("in", Self::In)];
}

/// Links that are worse for a while. From whom is the fault's target or `from`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LinkFault {
    /// Who sends; empty: the target, or everyone if `to` is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<u32>,
    /// Who receives; empty: everyone else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<u32>,
    /// What is different.
    #[serde(flatten)]
    pub conditions: LinkConditions,
    /// When all is as before; `None`: never.
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub heal_at: Option<Duration>,
}

impl Partition {
    /// Whether it cuts off its target, and nothing else.
    pub fn is_of_target(&self) -> bool {
        self.groups.is_empty() && self.bridge.is_empty() && !self.ring
    }

    /// The groups of this partition among `n` replicas, bridges left out.
    fn all_groups(&self, n: u32, target: &[u32]) -> Vec<Vec<u32>> {
        let mut groups = match self.is_of_target() {
            true => vec![target.to_vec()],
            false => self.groups.clone(),
        };
        let named = |id: &u32| {
            groups
                .iter()
                .flatten()
                .chain(&self.bridge)
                .any(|one| one == id)
        };
        let mut rest: Vec<u32> = (0..n).filter(|id| !named(id)).collect();
        if groups.is_empty() {
            groups.push(rest.drain(..rest.len() / 2).collect());
        }
        if !rest.is_empty() {
            groups.push(rest);
        }
        groups
    }

    /// The directed links on which nothing gets through.
    pub fn cuts(&self, n: u32, target: &[u32]) -> BTreeSet<(usize, usize)> {
        let all = links_between(n, &[], &[]);
        if self.ring {
            let n = n as usize;
            let near = |from: usize, to: usize| (from + 1) % n == to || (to + 1) % n == from;
            return all.filter(|(from, to)| !near(*from, *to)).collect();
        }
        let groups = self.all_groups(n, target);
        let group = |id: usize| {
            groups
                .iter()
                .position(|ids| ids.iter().any(|one| *one as usize == id))
        };
        let is_cut = |(from, to): &(usize, usize)| {
            let (Some(from), Some(to)) = (group(*from), group(*to)) else {
                return false;
            };
            from != to
                && match self.one_way {
                    None => true,
                    Some(OneWay::Out) => from == 0,
                    Some(OneWay::In) => to == 0,
                }
        };
        all.filter(is_cut).collect()
    }

    /// Replicas that are as good as faulty meanwhile: those outside the largest set in which everyone reaches everyone.
    /// Empty if that depends on the target.
    pub fn cut_off(&self, n: u32) -> Vec<u32> {
        if self.is_of_target() {
            return Vec::new();
        }
        if self.ring {
            // A replica and its two neighbours do not even reach each other if there are more than three.
            return (2..n).collect();
        }
        let groups = self.all_groups(n, &[]);
        let largest = groups.iter().enumerate().max_by_key(|(index, ids)| {
            // The earlier one of two that are equal.
            (ids.len(), usize::MAX - index)
        });
        let largest = largest.map_or(0, |(index, _)| index);
        let others = groups
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != largest);
        let mut ids: Vec<u32> = others.flat_map(|(_, ids)| ids.clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// In a few words: `0 1 2 3 | 4`.
    pub fn spoken(&self, n: u32, target: &[u32]) -> String {
        if self.ring {
            return "each reaches its neighbours only".to_owned();
        }
        let list = |ids: &Vec<u32>| {
            let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
            ids.join(" ")
        };
        let groups: Vec<String> = self.all_groups(n, target).iter().map(list).collect();
        let (first, rest) = groups
            .split_first()
            .map_or((String::new(), String::new()), |(first, rest)| {
                (first.clone(), rest.join(" | "))
            });
        let sign = match self.one_way {
            None => "|",
            Some(OneWay::Out) => "is not heard by",
            Some(OneWay::In) => "does not hear",
        };
        let bridge = match self.bridge.is_empty() {
            true => String::new(),
            false => format!(", bridge {}", list(&self.bridge)),
        };
        format!("{first} {sign} {rest}{bridge}")
    }
}

impl LinkFault {
    /// The directed links that it is about.
    pub fn links(&self, n: u32, target: &[u32]) -> BTreeSet<(usize, usize)> {
        let from = if self.from.is_empty() {
            target
        } else {
            &self.from
        };
        links_between(n, from, &self.to).collect()
    }
}

/// Adds the keys of these faults to the JSON Schema of a fault.
pub(super) fn describe(fault: &mut Schema, generator: &mut SchemaGenerator) {
    let list = ids(generator);
    let own = json_schema!({
        "groups": { "type": "array", "minItems": 1, "description": "partition: who still reaches whom.",
                    "items": { "type": "array", "minItems": 1, "items": { "type": "integer", "minimum": 0 } } },
        "bridge": list,
        "ring": { "type": "boolean", "description": "partition: each replica reaches its neighbours only." },
        "one_way": { "enum": OneWay::NAMES.map(|(name, _)| name), "description": "partition: in one direction only." },
        "from": list,
        "to": list,
    });
    let conditions = LinkConditions::json_schema(generator);
    let properties = fault.get_mut("properties").and_then(Value::as_object_mut);
    let Some(properties) = properties else { return };
    let link = conditions.get("properties").and_then(Value::as_object);
    let own = own.as_object().into_iter().chain(link);
    properties.extend(
        own.flatten()
            .map(|(key, schema)| (key.clone(), schema.clone())),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(partition: &Partition, target: &[u32]) -> usize {
        let cuts = partition.cuts(5, target);
        assert!(cuts.iter().all(|(from, to)| from != to));
        cuts.len()
    }

    #[test]
    fn groups_reach_nobody_outside_and_the_unnamed_are_a_group() {
        let split = Partition {
            groups: vec![vec![0, 4]],
            ..Partition::default()
        };
        let found = split.cuts(5, &[]);
        assert_eq!(found.len(), 2 * 2 * 3);
        assert!(found.contains(&(0, 1)) && found.contains(&(1, 0)));
        assert!(!found.contains(&(0, 4)) && !found.contains(&(1, 2)));
        assert_eq!(split.cut_off(5), [0, 4]);
        assert_eq!(split.spoken(5, &[]), "0 4 | 1 2 3");
        let three = Partition {
            groups: vec![vec![0], vec![1], vec![2, 3, 4]],
            ..Partition::default()
        };
        assert_eq!(cuts(&three, &[]), 2 * (1 + 3 + 3));
        assert_eq!(three.cut_off(5), [0, 1]);
    }

    #[test]
    fn a_bridge_reaches_both_halves() {
        let bridge = Partition {
            bridge: vec![2],
            ..Partition::default()
        };
        let found = bridge.cuts(5, &[]);
        assert_eq!(found.len(), 2 * 2 * 2);
        assert!(found.contains(&(0, 3)) && found.contains(&(4, 1)));
        assert!(found.iter().all(|(from, to)| *from != 2 && *to != 2));
        assert_eq!(bridge.cut_off(5), [3, 4]);
        assert_eq!(bridge.spoken(5, &[]), "0 1 | 3 4, bridge 2");
    }

    #[test]
    fn one_way_cuts_one_direction_and_a_ring_all_but_neighbours() {
        let way = |one_way| Partition {
            one_way: Some(one_way),
            ..Partition::default()
        };
        let out = way(OneWay::Out);
        assert!(out.cuts(5, &[1]).iter().all(|(from, _)| *from == 1));
        assert_eq!(cuts(&out, &[1]), 4);
        let deaf = way(OneWay::In);
        assert!(deaf.cuts(5, &[1]).iter().all(|(_, to)| *to == 1));
        assert_eq!(deaf.spoken(5, &[1]), "1 does not hear 0 2 3 4");
        let ring = Partition {
            ring: true,
            ..Partition::default()
        };
        assert_eq!(cuts(&ring, &[]), 10);
        assert!(!ring.cuts(5, &[]).contains(&(4, 0)));
        assert_eq!(ring.cut_off(5), [2, 3, 4]);
    }

    #[test]
    fn a_link_fault_begins_at_its_target_unless_it_says_where() {
        let uplink = LinkFault::default();
        let expected: BTreeSet<_> = [(3, 0), (3, 1), (3, 2), (3, 4)].into();
        assert_eq!(uplink.links(5, &[3]), expected);
        let one = LinkFault {
            from: vec![0],
            to: vec![1],
            ..LinkFault::default()
        };
        assert_eq!(one.links(5, &[3]), [(0, 1)].into());
        let to = LinkFault {
            to: vec![1],
            ..LinkFault::default()
        };
        assert_eq!(to.links(5, &[]).len(), 4);
    }
}
