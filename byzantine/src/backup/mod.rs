//! A Byzantine backup (BB1 to BB16): one file for each family of attacks.

pub(crate) mod beat;
mod checkpoints;
pub(crate) mod double_vote;
mod flips;
mod flood;
mod impersonate;
mod late;
mod mutate;
mod never_serve;
mod new_views;
mod replay;
mod replies;
mod torsion;
pub(crate) mod transfers;
pub(crate) mod view_changes;
mod view_spam;
mod withhold;

pub use checkpoints::{Claimed, LyingCheckpoints};
pub use double_vote::{DoubleVote, Doubling};
pub use flips::BitFlips;
pub use flood::SignatureFlood;
pub use impersonate::Impersonate;
pub use late::LateVotes;
pub use mutate::Mutate;
pub use never_serve::NeverServe;
pub use new_views::{Forged, ForgedNewView};
pub use replay::{Origin, Replay};
pub use replies::{Corrupt, CorruptReply};
pub use torsion::{TorsionVotes, torsion_signature};
pub use transfers::{LyingTransfer, Serving};
pub use view_changes::{Bogus, BogusViewChange};
pub use view_spam::{Jump, ViewChangeSpam};
pub use withhold::{Phases, WithholdVotes};
