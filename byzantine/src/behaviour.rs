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
    /// Lets one replica see a fast quorum for a batch, gives the rest a rival, and falls silent.
    EquivocateFast(primary::EquivocateFast) = "equivocate-fast", "BP2", Primary,
        "what one replica has decided on the fast path survives the view change";
    /// Sends nothing, or no proposals, or no votes, to all or to some.
    Silent(primary::Silent) = "silent", "BP3", Either,
        "the view is changed if a correct replica lacks progress; those who are left out fetch";
    /// Orders requests as it likes: those of some clients wait, the last that came is first.
    UnfairOrder(primary::UnfairOrder) = "unfair-order", "BP4", Primary,
        "every request is executed once and soon; the victims' latency is bounded";
    /// Does not serve some clients: drops their requests, or tells them that there is no room.
    Censor(primary::Censor) = "censor", "BP5", Primary,
        "backups hold the request and time it: the view is changed and the victim is served";
    /// Delays its proposals, or makes one in a while, just fast enough to avoid every timeout.
    SlowPrimary(primary::SlowPrimary) = "slow-primary", "BP6", Primary,
        "it is found out by what is expected of a primary, and goodput comes back";
    /// Puts one request into a batch, and proposes one batch after the other.
    SlowBatching(primary::SlowBatching) = "slow-batching", "BP6", Primary,
        "it is found out by what is expected of a primary, and goodput comes back";
    /// Proposes batches that nobody may vote for: bad signatures, unknown clients, wrong digests.
    InvalidBatch(primary::InvalidBatch) = "invalid-batch", "BP7", Primary,
        "nobody votes for them, and the view is changed";
    /// Proposes batches of too many bytes, operations or requests, or that say so.
    HugeBatch(primary::HugeBatch) = "huge-batch", "BP8", Primary,
        "they are refused before memory is spent on them, and the view is changed";
    /// Proposes requests again that were executed long ago, across batches and views.
    RepeatRequests(primary::RepeatRequests) = "repeat-requests", "BP9", Primary,
        "each request is executed once; its client gets the result of then";
    /// Sends proposals and votes of views that are over, far away, or the last there is.
    AbsurdViews(primary::AbsurdViews) = "absurd-views", "BP10", Either,
        "they are ignored, no state is kept for them, and no view changes because of them";
    /// Leaves slots out, jumps over some, or proposes outside the window.
    LeaveGaps(primary::LeaveGaps) = "leave-gaps", "BP11", Primary,
        "nothing behind a gap is executed; an old gap changes the view, and null batches fill it";
    /// Makes requests up in clients' names, and passes them on or proposes them.
    ForgeRequests(primary::ForgeRequests) = "forge-requests", "BP12", Either,
        "no request is executed that its client has not signed";
    /// Sends each replica another body under one and the same header.
    SameDigest(primary::SameDigest) = "same-digest", "BP13", Primary,
        "digests are computed from what was received, so no two replicas execute different bodies";
    /// Is honest for a while, then faulty for a moment, again and again.
    FlipFlop(primary::FlipFlop) = "flip-flop", "BP14", Primary,
        "patience is not lost at once, and the bad primary does not come back quickly";
    /// Does not open the view that it is the primary of, or just before it is given up.
    StallView(primary::StallView) = "stall-view", "BP15", Primary,
        "the next view is opened within a view-change timeout that grows with each failure";
    /// Withholds or delays checkpoints while everything else is on time.
    WithholdCheckpoints(primary::WithholdCheckpoints) = "withhold-checkpoints", "BP16", Either,
        "the checkpoints of the others move the watermarks";

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
