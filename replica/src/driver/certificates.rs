//! Certificates of states that are being fetched, until they go to disk with their states.

use std::collections::BTreeMap;

use consensus::SeqNo;

/// As many states as the protocol may wait for at a time; the oldest make room. A state without its
/// certificate is as good, but peers must send that again.
const CERTIFICATES_MAX: usize = 8;

/// Certificates by checkpoint, as records of the protocol.
#[derive(Debug)]
pub(super) struct Certificates<R>(BTreeMap<SeqNo, R>);

impl<R> Default for Certificates<R> {
    fn default() -> Self {
        Certificates(BTreeMap::new())
    }
}

impl<R> Certificates<R> {
    pub(super) fn keep(&mut self, seq: SeqNo, certificate: Option<R>) {
        self.0
            .extend(certificate.map(|certificate| (seq, certificate)));
        if self.0.len() > CERTIFICATES_MAX {
            self.0.pop_first();
        }
    }

    /// That of the state at `seq`; those below it are of no use any more.
    pub(super) fn take(&mut self, seq: SeqNo) -> Option<R> {
        let certificate = self.0.remove(&seq);
        self.0 = self.0.split_off(&seq);
        certificate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_taken_once_and_takes_the_older_ones_along() {
        let mut held = Certificates::default();
        for seq in 1..=20 {
            held.keep(SeqNo(seq), Some(seq));
        }
        assert_eq!(held.0.len(), CERTIFICATES_MAX);
        assert_eq!(held.take(SeqNo(5)), None);
        assert_eq!(held.take(SeqNo(15)), Some(15));
        assert_eq!(held.take(SeqNo(15)), None);
        assert_eq!(held.0.len(), 5);
    }
}
