//! BB8: clients are told what is not true. Colluders tell the same lie, because it follows from the
//! truth alone.

use consensus::{ByteList, Outcome, Reply, ResultBody, SeqNo, View};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::double_vote::something_else;
use crate::attack::{Attack, Hand, Leaving, Recipe};

/// What is wrong with the reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Corrupt {
    /// Another result.
    #[default]
    Value,
    /// Another place in the log.
    Seq,
    /// For another request.
    Number,
    /// Of a view that does not exist: the client would take somebody else for the primary.
    View,
    /// The request is said to have been refused.
    Denied,
    /// One of all these, by the request.
    Any,
}

/// See [`crate::Behaviour::CorruptReply`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CorruptReply {
    /// What is wrong with the reply.
    pub lie: Corrupt,
}

impl Recipe for CorruptReply {
    fn attack(&self) -> Box<dyn Attack> {
        Box::new(Corrupting(self.lie))
    }
}

struct Corrupting(Corrupt);

impl Attack for Corrupting {
    fn replying(
        &mut self,
        hand: &mut Hand<'_>,
        mut reply: Leaving<Reply>,
        leaves: &mut Vec<Leaving<Reply>>,
    ) {
        if hand.strikes(Some(reply.what.seq)) {
            hand.did();
            falsify(self.0, &mut reply.what);
        }
        leaves.push(reply);
    }
}

fn falsify(lie: Corrupt, reply: &mut Reply) {
    match lie {
        Corrupt::Value => {
            reply.outcome = match &reply.outcome {
                Outcome::Executed(ResultBody::Full(results)) => {
                    Outcome::Executed(ResultBody::Full(changed(results)))
                }
                Outcome::Executed(ResultBody::Hash(digest)) => {
                    Outcome::Executed(ResultBody::Hash(something_else(digest)))
                }
                Outcome::Read { body, versions } => {
                    let body = match body {
                        ResultBody::Full(results) => ResultBody::Full(changed(results)),
                        ResultBody::Hash(digest) => ResultBody::Hash(something_else(digest)),
                    };
                    let versions = versions.clone();
                    Outcome::Read { body, versions }
                }
                _ => Outcome::Executed(ResultBody::Full(ByteList::from_iter([[0_u8]]))),
            };
        }
        Corrupt::Seq => {
            reply.seq = SeqNo(reply.seq.0.wrapping_add(1));
            // A read says so by its versions: a right value, of another time.
            if let Outcome::Read { versions, .. } = &mut reply.outcome {
                for version in versions {
                    version.0 = version.0.wrapping_sub(1);
                }
            }
        }
        Corrupt::Number => reply.id.number = reply.id.number.wrapping_add(1),
        Corrupt::View => reply.term.view = View(reply.term.view.0 | 1 << 40),
        Corrupt::Denied => reply.outcome = Outcome::Denied,
        Corrupt::Any => {
            let each = [
                Corrupt::Value,
                Corrupt::Seq,
                Corrupt::Number,
                Corrupt::View,
                Corrupt::Denied,
            ];
            let turn = usize::try_from(reply.id.number % each.len() as u64).unwrap_or(0);
            falsify(each[turn], reply);
        }
    }
}

/// The results with one bit of each flipped.
fn changed(results: &ByteList) -> ByteList {
    let flipped = results.iter().map(|result| {
        let mut bytes = result.to_vec();
        match bytes.last_mut() {
            Some(last) => *last ^= 1,
            None => bytes.push(1),
        }
        bytes
    });
    flipped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::{ClientId, ReplicaId, RequestId, Term};

    /// Every lie about a read differs from the truth in what clients compare (R14): a client that
    /// believes n − f equal answers believes none of them.
    #[test]
    fn no_lie_about_a_read_matches_the_truth() {
        let truth = Reply {
            term: Term::default(),
            replica: ReplicaId(1),
            id: RequestId {
                client: ClientId(0),
                session: 1,
                number: consensus::read::READ_NUMBERS | 4,
            },
            seq: SeqNo(9),
            outcome: Outcome::Read {
                body: ResultBody::Full(ByteList::from_iter([b"value"])),
                versions: vec![SeqNo(5)],
            },
        };
        for lie in [
            Corrupt::Value,
            Corrupt::Seq,
            Corrupt::Number,
            Corrupt::Denied,
        ] {
            let mut told = truth.clone();
            falsify(lie, &mut told);
            let same = told.outcome.digest() == truth.outcome.digest();
            assert!(!same || told.id != truth.id, "{lie:?}");
        }
    }
}
