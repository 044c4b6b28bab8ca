//! A Byzantine primary (BP1 to BP16): one file for each family of attacks.

mod bodies;
mod censor;
mod checkpoints;
mod crafted;
mod equivocate;
mod fast_split;
mod flip_flop;
mod gaps;
mod huge;
mod invalid;
mod order;
mod repeat;
mod silent;
mod slow;
mod slow_batching;
mod stall;
mod views;

pub use bodies::SameDigest;
pub use censor::{Censor, Manner};
pub use checkpoints::WithholdCheckpoints;
pub use equivocate::Equivocate;
pub use fast_split::EquivocateFast;
pub use flip_flop::{Fault, FlipFlop};
pub use gaps::{Gap, LeaveGaps};
pub use huge::{Excess, HugeBatch};
pub use invalid::{Flaw, ForgeRequests, Forgery, InvalidBatch};
pub use order::UnfairOrder;
pub use repeat::RepeatRequests;
pub use silent::{Messages, Silent};
pub use slow::SlowPrimary;
pub use slow_batching::SlowBatching;
pub use stall::StallView;
pub use views::AbsurdViews;
