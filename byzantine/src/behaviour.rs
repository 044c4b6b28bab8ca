//! The catalogue of behaviours: one enum from which scenario files are read, their schema is made,
//! `bench fault list` and `describe` are printed, and a test is driven that runs every one.
//!
//! A line is: what it does in one sentence; the variant with its arguments; its name; its number in
//! the catalogue of attacks; the part in which it strikes; what must hold all the same.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Recipe};
use crate::{backup, primary};

/// In which part a behaviour strikes. In the other it does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plays {
    /// As the primary of a view.
    Primary,
    /// As a backup.
    Backup,
    /// As both.
    Either,
}

macro_rules! catalogue {
    ($(
        #[doc = $sentence:literal]
        $variant:ident($recipe:ty) = $name:literal, $id:literal, $plays:ident, $must:literal;
    )*) => {
        /// A way to misbehave with its arguments. In files: `behavior = "…"` and `args = { … }`, all of
        /// which have defaults.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "behavior", content = "args")]
        pub enum Behaviour {
            $(
                #[doc = $sentence]
                #[serde(rename = $name)]
                $variant($recipe),
            )*
        }

        impl Behaviour {
            /// Every behaviour with its default arguments, in the order of the catalogue.
            pub fn catalogue() -> Vec<Behaviour> {
                vec![$(Behaviour::$variant(Default::default()),)*]
            }

            /// The names, in the order of the catalogue.
            pub const NAMES: &'static [&'static str] = &[$($name,)*];

            /// Its name in files.
            pub fn name(&self) -> &'static str {
                match self { $(Behaviour::$variant(_) => $name,)* }
            }

            /// Its number in the catalogue of attacks, such as `BP1`.
            pub fn id(&self) -> &'static str {
                match self { $(Behaviour::$variant(_) => $id,)* }
            }

            /// In which part it strikes.
            pub fn plays(&self) -> Plays {
                match self { $(Behaviour::$variant(_) => Plays::$plays,)* }
            }

            /// What it does, as a sentence.
            pub fn sentence(&self) -> &'static str {
                match self { $(Behaviour::$variant(_) => $sentence.trim_ascii(),)* }
            }

            /// What must hold all the same.
            pub fn must(&self) -> &'static str {
                match self { $(Behaviour::$variant(_) => $must,)* }
            }

            /// A fresh attack.
            pub fn attack(&self) -> Box<dyn Attack> {
                match self { $(Behaviour::$variant(recipe) => recipe.attack(),)* }
            }
        }
    };
}

catalogue! {
    // Byzantine primary.
    /// Proposes different batches for one slot to different replicas, and votes for each of them.
    Equivocate(primary::Equivocate) = "equivocate", "BP1", Primary,
        "no two of them are committed; two signed proposals are proof, and the view is changed";
    /// Sends nothing, or no proposals, or no votes, to all or to some.
    Silent(primary::Silent) = "silent", "BP3", Either,
        "the view is changed if a correct replica lacks progress; those who are left out fetch";
    /// Delays its proposals, or makes one in a while, just fast enough to avoid every timeout.
    SlowPrimary(primary::SlowPrimary) = "slow-primary", "BP6", Primary,
        "it is found out by what is expected of a primary, and goodput comes back";

    // Byzantine backup.
    /// Withholds its votes, so that the fast quorum fails.
    WithholdVotes(backup::WithholdVotes) = "withhold-votes", "BB2", Either,
        "the slow path keeps up, and the fast path comes back when the votes do";
}

impl Behaviour {
    /// The behaviour of this name with its default arguments.
    pub fn named(name: &str) -> Option<Behaviour> {
        Self::catalogue().into_iter().find(|it| it.name() == name)
    }
}
