//! BP7 and BP12: batches that nobody may vote for, and requests that no client has made.

use consensus::batch::null_digest;
use consensus::pbft::message::Wire;
use consensus::{ByteList, RawBatch};
use crypto::codec::Blob;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::crafted;
use crate::attack::{Attack, Hand, Outgoing, Recipe};
use crate::retold::{Retold, Version, own_proposal, proposal_of};
use crate::trigger::Part;

/// A client number that no configuration has.
const NO_CLIENT: u32 = 0x7fff_ffff;

/// What is wrong with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// A client's signature that does not hold.
    BadSignature,
    /// A request of a client that does not exist.
    UnknownClient,
    /// One request twice.
    Twice,
    /// An operation that is longer than operations may be.
    OversizedOp,
    /// Another digest in the header than that of the body.
    WrongDigest,
    /// No request.
    Empty,
    /// The null batch, which is not for a primary to propose.
    Null,
}

const FLAWS: [Flaw; 7] = [
    Flaw::BadSignature,
    Flaw::UnknownClient,
    Flaw::Twice,
    Flaw::OversizedOp,
    Flaw::WrongDigest,
    Flaw::Empty,
    Flaw::Null,
];

/// See [`crate::Behaviour::InvalidBatch`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InvalidBatch {
    /// What is wrong; absent: one flaw after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flaw: Option<Flaw>,
}

impl Recipe for InvalidBatch {
    fn attack(&self) -> Box<dyn Attack> {
        let plan = self.clone();
        Box::new(Proposing::new(move |hand, count, proposal| {
            let flaw = plan.flaw.unwrap_or(FLAWS[count % FLAWS.len()]);
            flawed(hand, flaw, proposal)
        }))
    }
}

fn flawed(hand: &Hand<'_>, flaw: Flaw, (header, raw): &Version) -> Option<Version> {
    let first = &Blob(raw.iter().next()?);
    let limits = hand.scene.forge.keyring.cluster().limits();
    let op = |bytes: usize| ByteList::from_iter([vec![0u8; bytes]]);
    let body = match flaw {
        Flaw::BadSignature => vec![crafted::with_bad_signature(first)],
        Flaw::UnknownClient => {
            vec![Blob(
                crafted::request(hand, NO_CLIENT, 1, &op(1))?.raw().clone(),
            )]
        }
        Flaw::Twice => vec![first.clone(), first.clone()],
        Flaw::OversizedOp => {
            let bytes = limits.op_bytes_max as usize + 1;
            vec![Blob(
                crafted::request(hand, 0, 1, &op(bytes))?.raw().clone(),
            )]
        }
        Flaw::WrongDigest => raw.iter().map(Blob).collect(),
        Flaw::Empty | Flaw::Null => Vec::new(),
    };
    let body: RawBatch = body.iter().collect();
    let digest = match flaw {
        Flaw::WrongDigest => crypto::Digest::of("another", header.statement.digest.as_bytes()),
        Flaw::Null => null_digest(),
        _ => crafted::digest_of(hand, &body),
    };
    Some(proposal_of(hand, header, body, digest))
}

/// How a client's name is abused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Forgery {
    /// In a client's name, signed with the replica's own key.
    OwnKey,
    /// A client's request with another operation in it.
    OtherOperation,
    /// A client's request in the name of another client.
    OtherClient,
}

const FORGERIES: [Forgery; 3] = [
    Forgery::OwnKey,
    Forgery::OtherOperation,
    Forgery::OtherClient,
];

/// See [`crate::Behaviour::ForgeRequests`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ForgeRequests {
    /// How; absent: one way after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forgery: Option<Forgery>,
}

impl Recipe for ForgeRequests {
    fn attack(&self) -> Box<dyn Attack> {
        let plan = self.clone();
        let kind = move |count: usize| plan.forgery.unwrap_or(FORGERIES[count % FORGERIES.len()]);
        Box::new(Forging {
            proposing: Proposing::new(move |hand, count, (header, raw)| {
                let forged = forged(hand, kind(count), count, &Blob(raw.iter().next()?))?;
                // Between real ones it is less likely to be noticed.
                let mut body: Vec<Blob> = raw.iter().map(Blob).collect();
                *body.first_mut()? = forged;
                let body: RawBatch = body.iter().collect();
                let digest = crafted::digest_of(hand, &body);
                Some(proposal_of(hand, header, body, digest))
            }),
            kind: Box::new(kind),
            count: 0,
        })
    }
}

fn forged(hand: &Hand<'_>, forgery: Forgery, count: usize, real: &Blob) -> Option<Blob> {
    Some(match forgery {
        Forgery::OwnKey => {
            let ops = ByteList::from_iter([b"forged"]);
            let number = 1_000_000 + count as u64;
            Blob(crafted::request(hand, 0, number, &ops)?.raw().clone())
        }
        Forgery::OtherOperation => crafted::with_other_operation(real),
        Forgery::OtherClient => crafted::with_other_client(real),
    })
}

/// Forgeries in its own proposals, and as a backup on the way to the primary.
struct Forging {
    proposing: Proposing,
    kind: Box<dyn Fn(usize) -> Forgery + Send>,
    count: usize,
}

impl Attack for Forging {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        let heartbeat = matches!(sent.wire, Wire::Status(_));
        if heartbeat && hand.scene.part() == Part::Backup && hand.strikes(None) {
            let real = hand.scene.memory.requests().next_back();
            let real = real.map(|request| Blob(request.raw().clone()));
            self.count += 1;
            let kind = (self.kind)(self.count);
            if let Some(forged) = real.and_then(|real| forged(hand, kind, self.count, &real)) {
                hand.did();
                let standing = hand.scene.standing;
                let primary = hand.scene.forge.primary(standing.epoch, standing.view);
                leaves.push(Outgoing::forged(primary, Wire::Forward(vec![forged])));
            }
        }
        self.proposing.leaving(hand, sent, leaves);
    }
}

type Craft = dyn FnMut(&Hand<'_>, usize, &Version) -> Option<Version> + Send;

/// Proposes something else than the honest code does, to everybody alike, and votes for it.
pub(super) struct Proposing {
    craft: Box<Craft>,
    told: Retold,
    count: usize,
}

impl Proposing {
    pub(super) fn new(
        craft: impl FnMut(&Hand<'_>, usize, &Version) -> Option<Version> + Send + 'static,
    ) -> Self {
        Proposing {
            craft: Box::new(craft),
            told: Retold::default(),
            count: 0,
        }
    }
}

impl Attack for Proposing {
    fn leaving(&mut self, hand: &mut Hand<'_>, sent: Outgoing, leaves: &mut Vec<Outgoing>) {
        if let Some(proposal) = own_proposal(hand, &sent)
            && let at = proposal.0.statement
            && !self.told.holds(&at)
            && hand.strikes(Some(at.seq))
            && let Some(version) = (self.craft)(hand, self.count, &proposal)
        {
            hand.did();
            self.count += 1;
            self.told.insert(at, vec![version]);
        }
        if let Some(sent) = self.told.tell(hand, sent, |_| 0, |_| true, leaves) {
            leaves.push(sent);
        }
    }
}
