//! The attacks as `bench fault list` shows them.

use super::attack::OutsiderAttack;

/// One attack in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its rows in the catalogue of attacks: `Q4`.
    pub id: &'static str,
    /// Its word in scenarios, under `attack`.
    pub name: &'static str,
    /// What it does.
    pub what: &'static str,
    /// What a correct replica does about it.
    pub must: &'static str,
    /// Its `args`: name, default and meaning.
    pub args: Vec<(&'static str, u32, &'static str)>,
    /// A fault of a scenario that uses it.
    pub example: String,
}

/// Every attack of outsiders, in the order of the catalogue.
pub fn catalogue() -> Vec<Entry> {
    let entry = |attack: &OutsiderAttack| Entry {
        id: attack.id(),
        name: attack.name(),
        what: attack.what(),
        must: attack.must(),
        args: attack
            .knobs()
            .iter()
            .map(|knob| (knob.name, knob.default, knob.meaning))
            .collect(),
        example: format!(
            "[[fault]]\nat = \"4s\"\nkind = \"outsider\"\nattack = \"{}\"\ntarget = \"all\"\nuntil = \"8s\"\n",
            attack.name()
        ),
    };
    OutsiderAttack::ALL.iter().map(entry).collect()
}
