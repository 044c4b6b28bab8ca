//! Malicious clients: what they ask for (BC1, BC3). Who sends it, how often and over what kind of
//! connection is the business of the cluster around them, simulated or real.
//!
//! A client's key is its own, so whatever it signs is well signed; what lies here is the identity
//! of a request, which is all that replicas have to know two requests apart (docs/protocol.md R6).

use std::sync::Arc;

use consensus::read::READ_NUMBERS;
use consensus::{ByteList, ClientId, Grade, Read, Request, RequestId};
use crypto::{ClusterId, Signer};

/// Past the last request by so much a number is a gap, and within the window of any client.
const GAP: u64 = 100;

/// Signs for one malicious client.
pub struct Forge {
    signer: Arc<dyn Signer>,
    client: ClientId,
    cluster: ClusterId,
    /// Of the next request.
    pub session: u64,
    /// Of the last request.
    pub number: u64,
    /// READs made so far.
    reads: u64,
}

impl Forge {
    /// A client that begins with this session.
    pub fn new(
        signer: Arc<dyn Signer>,
        client: ClientId,
        cluster: ClusterId,
        session: u64,
    ) -> Self {
        Forge {
            signer,
            client,
            cluster,
            session,
            number: 0,
            reads: 0,
        }
    }

    /// The next READ of a quorum (docs/protocol.md R14).
    pub fn read(&mut self, ops: &ByteList) -> Read {
        self.reads = self.reads.saturating_add(1);
        let id = RequestId {
            client: self.client,
            session: self.session,
            number: READ_NUMBERS | self.reads,
        };
        Read::sign(&*self.signer, &self.cluster, id, Grade::Quorum, ops)
    }

    /// Whose key it is.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// The next request.
    pub fn next(&mut self, ops: &ByteList) -> Request {
        self.number = self.number.saturating_add(1);
        self.numbered(self.session, self.number, ops)
    }

    /// A request with this session and number. It acknowledges everything before it, so that no
    /// window holds it back.
    pub fn numbered(&self, session: u64, number: u64, ops: &ByteList) -> Request {
        let id = RequestId {
            client: self.client,
            session,
            number,
        };
        let ack = number.saturating_sub(1);
        Request::sign(&*self.signer, &self.cluster, id, ack, false, ops)
    }
}

/// BC1: two requests under one number, one for each [`half`] of the replicas.
pub fn equivocate(forge: &mut Forge, one: &ByteList, other: &ByteList) -> [Request; 2] {
    let one = forge.next(one);
    [one, forge.numbered(forge.session, forge.number, other)]
}

/// Which of two requests replica `id` of `n` gets. Who is in which half changes with every turn.
pub fn half(id: usize, n: usize, turn: u64) -> usize {
    usize::from((id < n / 2) != turn.is_multiple_of(2))
}

/// What a jump sends to everybody.
pub struct Jump {
    /// In this order.
    pub requests: Vec<Request>,
    /// Different ones among them that may execute.
    pub executable: u64,
}

/// BC3: the highest number there is, an older session, one request three times, a gap and then what
/// lies before it, in turn; from turn `last_after` on in the highest session, from which there is no
/// way back.
pub fn jump(forge: &mut Forge, turn: u64, last_after: u64, ops: &ByteList) -> Jump {
    if turn == last_after {
        (forge.session, forge.number) = (u64::MAX, 0);
    }
    let (requests, executable) = match turn % 4 {
        0 if turn < last_after => {
            let highest = forge.numbered(forge.session, u64::MAX, ops);
            (forge.session, forge.number) = (forge.session.saturating_add(1), 0);
            (vec![highest], 1)
        }
        1 => {
            let before = forge.session.saturating_sub(1);
            (vec![forge.numbered(before, 1, ops)], 1)
        }
        2 => (vec![forge.next(ops); 3], 1),
        _ => {
            let beyond = forge.number.saturating_add(GAP);
            let beyond = forge.numbered(forge.session, beyond, ops);
            (vec![beyond, forge.next(ops)], 2)
        }
    };
    Jump {
        requests,
        executable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use crypto::{Digest, SecretKey};

    fn forge() -> Forge {
        let key = SecretKey::from_seed(&[1; 32]);
        Forge::new(Arc::new(key), ClientId(3), ClusterId(Digest([0; 32])), 7)
    }

    fn ops(byte: u8) -> ByteList {
        ByteList::from_iter([[byte; 2]])
    }

    #[test]
    fn two_requests_have_one_name_and_each_half_of_the_replicas_gets_another() {
        let [one, other] = equivocate(&mut forge(), &ops(1), &ops(2));
        assert_eq!(one.id, other.id);
        assert_ne!(one.digest(), other.digest());
        for n in [4, 5, 9] {
            for turn in 0..2 {
                let halves: BTreeSet<usize> = (0..n).map(|id| half(id, n, turn)).collect();
                assert_eq!(halves.len(), 2, "{n} replicas, turn {turn}");
            }
            assert_ne!(half(0, n, 0), half(0, n, 1));
        }
    }

    #[test]
    fn jumps_go_to_the_ends_back_and_nowhere() {
        let mut forge = forge();
        let said: Vec<(u64, u64)> = (0..9)
            .flat_map(|turn| jump(&mut forge, turn, 8, &ops(1)).requests)
            .map(|request| (request.id.session, request.id.number))
            .collect();
        let rounds = [
            [
                (7, u64::MAX),
                (7, 1),
                (8, 1),
                (8, 1),
                (8, 1),
                (8, 101),
                (8, 2),
            ],
            [
                (8, u64::MAX),
                (8, 1),
                (9, 1),
                (9, 1),
                (9, 1),
                (9, 101),
                (9, 2),
            ],
        ];
        assert_eq!(said[..14], rounds.concat());
        assert_eq!(said[14..], [(u64::MAX, 100), (u64::MAX, 1)], "for good");
    }
}
