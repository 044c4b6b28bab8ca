//! From outcomes to replies: who sends a large result in full (docs/protocol.md R6).

use consensus::reply::{FULL_RESULT_MAX, designated};
use consensus::{Outcome, ReplicaId, Reply, RequestId, ResultBody, SeqNo, Term};

/// Why a reply is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// The request was executed just now: every replica answers, one of them with a large body.
    Execution,
    /// The client asked again: it may lack the body, so everybody sends it.
    Retransmission,
}

/// Makes this replica's replies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answers {
    pub(super) me: ReplicaId,
    pub(super) n: usize,
    pub(super) term: Term,
}

impl Answers {
    pub(super) fn reply(
        &self,
        id: RequestId,
        seq: SeqNo,
        outcome: Outcome,
        occasion: Occasion,
    ) -> Reply {
        let outcome = match outcome {
            Outcome::Executed(body @ ResultBody::Full(_))
                if occasion == Occasion::Execution && !self.sends_body(&body, seq, id.number) =>
            {
                Outcome::Executed(ResultBody::Hash(body.digest()))
            }
            other => other,
        };
        Reply {
            term: self.term,
            replica: self.me,
            id,
            seq,
            outcome,
        }
    }

    fn sends_body(&self, body: &ResultBody, seq: SeqNo, number: u64) -> bool {
        let small = match body {
            ResultBody::Full(results) => results.as_bytes().len() <= FULL_RESULT_MAX,
            ResultBody::Hash(_) => true,
        };
        small || designated(seq, number, self.n) == self.me
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::ClientId;

    #[test]
    fn one_replica_sends_a_large_result_and_a_retransmission_brings_it_from_all() {
        let large = Outcome::Executed(ResultBody::Full([vec![7u8; 5000]].into_iter().collect()));
        let id = RequestId {
            client: ClientId(1),
            session: 1,
            number: 3,
        };
        let full = |occasion| {
            (0..5)
                .filter(|me| {
                    let answers = Answers {
                        me: ReplicaId(*me),
                        n: 5,
                        term: Term::default(),
                    };
                    let reply = answers.reply(id, SeqNo(9), large.clone(), occasion);
                    assert_eq!(reply.outcome.digest(), large.digest(), "all replies match");
                    reply.outcome == large
                })
                .count()
        };
        assert_eq!(full(Occasion::Execution), 1);
        assert_eq!(full(Occasion::Retransmission), 5);
    }
}
