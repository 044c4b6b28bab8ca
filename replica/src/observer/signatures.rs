//! Whose signatures were checked, and how many of them were bad: the work that each source makes.
//!
//! A signature counts for whoever sent the message that it is in, at the other end of the channel for
//! peers, as the request claims for clients; the port has looked whether that client may speak there.
//! What the scheme remembers from before costs next to nothing, and counts all the same.

use consensus::ClientId;

use super::counters::Counter;
use super::status::ClientChecks;

/// The signatures of one source.
#[derive(Debug, Default)]
pub struct Signatures {
    /// All that were checked.
    pub checks: Counter,
    /// Those of them that were bad.
    pub bad: Counter,
}

impl Signatures {
    /// These were checked; how many of them were bad.
    pub fn checked(&self, verdicts: &[bool]) -> u64 {
        self.checks.add(verdicts.len() as u64);
        let bad = verdicts.iter().filter(|good| !**good).count() as u64;
        // Almost never, and an add costs more than a look.
        if bad > 0 {
            self.bad.add(bad);
        }
        bad
    }
}

/// The signatures of clients, by number: those of the configuration, and nobody else's.
#[derive(Debug)]
pub struct OfClients(Box<[Signatures]>);

impl OfClients {
    /// Of as many clients; they are numbered from 0.
    pub(super) fn new(clients: usize) -> Self {
        OfClients((0..clients).map(|_| Signatures::default()).collect())
    }

    /// Signatures of this client were checked.
    pub fn checked(&self, client: ClientId, verdicts: &[bool]) {
        if let Some(signatures) = self.0.get(client.0 as usize) {
            signatures.checked(verdicts);
        }
    }

    /// The sum over all.
    pub(super) fn total(&self, of: fn(&Signatures) -> &Counter) -> u64 {
        self.0.iter().map(|each| of(each).total()).sum()
    }

    /// The client with the most of these; `None` if nobody has any.
    pub(super) fn most(&self, of: fn(&Signatures) -> &Counter) -> Option<ClientChecks> {
        let counts = self.0.iter().map(|each| of(each).total());
        (0..)
            .zip(counts)
            .filter(|(_, checks)| *checks > 0)
            .max_by_key(|(_, checks)| *checks)
            .map(|(client, checks)| ClientChecks { client, checks })
    }
}
