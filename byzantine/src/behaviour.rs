//! The catalogue of behaviours: one enum from which scenario files are read, their schema is made,
//! `bench fault list` and `describe` are printed, and a test is driven that runs every one.
//!
//! A line is: what it does in one sentence; the variant with its arguments; its name; its number in
//! the catalogue of attacks; the part in which it strikes; what must hold all the same.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Recipe};
use crate::{backup, collusion, primary};

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
    /// Votes twice where a replica has one vote: for two digests, or in a view that was left.
    DoubleVote(backup::DoubleVote) = "double-vote", "BB1", Either,
        "a replica counts once for each view and slot; two signed votes are proof";
    /// Withholds its votes, so that the fast quorum fails.
    WithholdVotes(backup::WithholdVotes) = "withhold-votes", "BB2", Either,
        "the slow path keeps up, and the fast path comes back when the votes do";
    /// Votes just before the others give its vote up.
    LateVotes(backup::LateVotes) = "late-votes", "BB3", Either,
        "the fast timer adapts, within its bounds";
    /// Lies about the state at checkpoints, also at those that nobody has reached.
    LyingCheckpoints(backup::LyingCheckpoints) = "lying-checkpoints", "BB4", Either,
        "a checkpoint is stable with a quorum of equal claims; memory is bounded for each replica";
    /// Sends VIEW-CHANGEs with false proofs, or without what it promised.
    BogusViewChange(backup::BogusViewChange) = "bogus-view-change", "BB5", Either,
        "a false report is refused as a whole, the others open the view, and nothing decided is lost";
    /// Sends one VIEW-CHANGE after the other, each for another view.
    ViewChangeSpam(backup::ViewChangeSpam) = "view-change-spam", "BB6", Either,
        "one is kept for each replica, nobody joins before f + 1 have left, and no view is changed";
    /// Opens views with a NEW-VIEW that does not follow from its reports, or that are not its own.
    ForgedNewView(backup::ForgedNewView) = "forged-new-view", "BB7", Either,
        "an impostor is ignored; of the right primary it opens nothing, and the next view does";
    /// Gives clients false results; colluders give the same ones.
    CorruptReply(backup::CorruptReply) = "corrupt-reply", "BB8", Either,
        "a client believes f + 1 equal replies only";
    /// Serves whoever fetches the state with wrong, endless, slow, huge or old answers.
    LyingTransfer(backup::LyingTransfer) = "lying-transfer", "BB9", Either,
        "each part is checked against the certified digest; others are asked";
    /// Sends old messages again: its own, others', and of another cluster.
    Replay(backup::Replay) = "replay", "BB10", Either,
        "they are ignored: cluster, epoch, view and slot are signed";
    /// Flips bits in its messages.
    BitFlips(backup::BitFlips) = "bit-flips", "BB11", Either,
        "they are dropped and counted; no signature, no effect";
    /// Changes a number or a digest in its messages and signs them anew.
    Mutate(backup::Mutate) = "mutate", "BB12", Either,
        "no two batches are committed for one slot, and progress is made";
    /// Speaks in another replica's name.
    Impersonate(backup::Impersonate) = "impersonate", "BB13", Either,
        "a name counts only with its key and on its channel, and nobody else is blamed";
    /// Signs its votes with a component of small order, about which verification rules disagree.
    TorsionVotes(backup::TorsionVotes) = "torsion-votes", "BB14", Either,
        "all correct replicas give the same verdict, alone and in batches";
    /// Answers no question of those who lag behind, or those of one replica only.
    NeverServe(backup::NeverServe) = "never-serve", "BB15", Either,
        "others are asked, in bounded time";
    /// Floods the others with signatures that do not hold.
    SignatureFlood(backup::SignatureFlood) = "signature-flood", "BB16", Either,
        "verification has a budget for each peer; who sends bad signatures is cut off";

    // Collusion.
    /// Runs twice with one key, each instance dealing with a part of the replicas.
    Twins(collusion::Twins) = "twins", "C1", Either,
        "no two correct replicas commit different batches, whatever each half is told";
    /// Makes exactly one correct replica decide fast, falls silent, and denies it in the view change.
    HideFastCommit(collusion::HideFastCommit) = "hide-fast-commit", "C2", Either,
        "what one correct replica has decided survives the view change";
    /// Leaves correct replicas out of everything and serves them an old state when they fetch.
    Mislead(collusion::Mislead) = "mislead", "C3", Either,
        "only a certified state is accepted, and those who were left out catch up";
    /// Falls silent whenever a correct replica is down.
    StallWithTheCrashed(collusion::StallWithTheCrashed) = "stall-with-the-crashed", "C4", Either,
        "the cluster may stop, decides nothing twice, and goes on when the replica is back";
    /// Is correct until it has been restarted and then denies what it promised.
    Turncoat(collusion::Turncoat) = "turncoat", "C5", Either,
        "every acknowledged write survives, also when all replicas went down together";
}

impl Behaviour {
    /// The behaviour of this name with its default arguments.
    pub fn named(name: &str) -> Option<Behaviour> {
        Self::catalogue().into_iter().find(|it| it.name() == name)
    }
}
