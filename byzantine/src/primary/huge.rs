//! BP8: batches that are too large, or say that they are.

use consensus::pbft::message::Wire;
use consensus::{ByteList, RawBatch};
use crypto::codec::Blob;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::crafted;
use super::invalid::Proposing;
use crate::attack::{Attack, Hand, Leaving, Outgoing, Parcel, Recipe};
use crate::retold::{Version, proposal_of};

/// In which way a batch is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Excess {
    /// One byte more than a batch may have.
    Over,
    /// As many bytes as it may have, under a signature that does not hold.
    Exactly,
    /// As many operations in one request as its count can say, of no bytes each.
    TinyOps,
    /// As many requests as no batch may have, of no bytes each.
    ManyRequests,
    /// A few bytes that announce 2^62 requests.
    Claim,
}

const EXCESSES: [Excess; 5] = [
    Excess::Over,
    Excess::Exactly,
    Excess::TinyOps,
    Excess::ManyRequests,
    Excess::Claim,
];

/// See [`crate::Behaviour::HugeBatch`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HugeBatch {
    /// In which way; absent: one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excess: Option<Excess>,
}

impl Recipe for HugeBatch {
    fn attack(&self) -> Box<dyn Attack> {
        let kind = self.excess;
        Box::new(Bloating {
            proposing: Proposing::new(move |hand, count, proposal| {
                bloated(
                    hand,
                    kind.unwrap_or(EXCESSES[count % EXCESSES.len()]),
                    proposal,
                )
            }),
            claims: kind.is_none_or(|kind| kind == Excess::Claim),
        })
    }
}

/// A request of exactly this many bytes.
fn request_of_bytes(hand: &Hand<'_>, bytes: usize) -> Option<Blob> {
    let limits = hand.scene.forge.keyring.cluster().limits();
    let op_max = limits.op_bytes_max as usize;
    let mut rest = bytes.checked_sub(consensus::request::REQUEST_OVERHEAD)?;
    let mut ops = Vec::new();
    while rest > 4 {
        // What would be left may not be too short for an operation's length.
        let mut op = (rest - 4).min(op_max);
        if (1..5).contains(&(rest - 4 - op)) {
            op -= 5;
        }
        ops.push(vec![0u8; op]);
        rest -= op + 4;
    }
    let ops = ByteList::from_iter(ops);
    Some(Blob(crafted::request(hand, 0, 1, &ops)?.raw().clone()))
}

fn bloated(hand: &Hand<'_>, excess: Excess, (header, _): &Version) -> Option<Version> {
    let limits = hand.scene.forge.keyring.cluster().limits();
    let most = limits.batch_bytes_max as usize;
    let body = match excess {
        Excess::Over => vec![request_of_bytes(hand, most + 1)?],
        Excess::Exactly => vec![request_of_bytes(hand, most)?],
        Excess::TinyOps => {
            let ops = ByteList::from_iter(vec![Vec::<u8>::new(); ByteList::COUNT_MAX]);
            vec![Blob(crafted::request(hand, 0, 1, &ops)?.raw().clone())]
        }
        Excess::ManyRequests => {
            let count = limits.batch_requests_max as usize + 65_536;
            vec![Blob::from(Vec::new()); count]
        }
        // Made at the bend.
        Excess::Claim => return None,
    };
    let body: RawBatch = body.iter().collect();
    let digest = crafted::digest_of(hand, &body);
    Some(proposal_of(hand, header, body, digest))
}

struct Bloating {
    proposing: Proposing,
    claims: bool,
}

impl Attack for Bloating {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        self.proposing.leaving(hand, sent, leaves);
    }

    fn parting(
        &mut self,
        hand: &mut Hand<'_>,
        parcel: Leaving<Parcel>,
        leaves: &mut Vec<Leaving<Parcel>>,
    ) {
        if let Parcel::Wire(wire) = &parcel.what
            && let Wire::PrePrepare(header, Some(_)) = &**wire
            && self.claims
            && hand.strikes(Some(header.statement.seq))
        {
            hand.did();
            // A body is there, and it has so many requests.
            let mut bytes = crypto::encode(&Wire::PrePrepare(*header, None));
            bytes.pop();
            bytes.push(1);
            bytes.extend_from_slice(&(1u64 << 62).to_le_bytes());
            leaves.push(Leaving {
                what: Parcel::Bytes(bytes),
                ..parcel.clone()
            });
        }
        leaves.push(parcel);
    }
}
