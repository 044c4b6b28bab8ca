//! What a Byzantine member remembers of what has passed it: the material of forgeries. Bounded; the
//! oldest is forgotten.

use std::collections::VecDeque;
use std::sync::Arc;

use consensus::pbft::admission::Message;
use consensus::{Batch, Request};

/// Requests remembered.
const REQUESTS_MAX: usize = 64;

/// Everything in it once held: signatures were verified before it came.
#[derive(Debug, Default)]
pub struct Memory {
    requests: VecDeque<Request>,
}

impl Memory {
    /// Clients' requests with valid signatures, oldest first; executed or not.
    pub fn requests(&self) -> impl DoubleEndedIterator<Item = &Request> {
        self.requests.iter()
    }

    pub(crate) fn note_request(&mut self, request: &Request) {
        if self.requests.iter().any(|known| known.id == request.id) {
            return;
        }
        if self.requests.len() == REQUESTS_MAX {
            self.requests.pop_front();
        }
        self.requests.push_back(request.clone());
    }

    pub(crate) fn note(&mut self, message: &Message) {
        let batch: Option<&Arc<Batch>> = match message {
            Message::PrePrepare(_, batch) => batch.as_ref(),
            Message::Decision(_, batch) => batch.as_ref(),
            Message::Batch(batch) => Some(batch),
            _ => None,
        };
        for request in batch.iter().flat_map(|batch| batch.requests()) {
            self.note_request(request);
        }
    }

    /// Another batch that may be voted for, a different one for each `variant` from 1 on: the same
    /// requests in another order as long as there are such, then a known request that is not among
    /// them. `None` if nothing else is known.
    pub fn rival(&self, requests: &[Request], variant: usize) -> Option<Batch> {
        if variant < requests.len() {
            let mut turned = requests.to_vec();
            turned.rotate_left(variant);
            return Some(Batch::new(turned));
        }
        let strange = |known: &&Request| requests.iter().all(|here| here.id != known.id);
        let skipped = variant.saturating_sub(requests.len().max(1));
        let other = self.requests.iter().rev().filter(strange).nth(skipped)?;
        Some(Batch::new(vec![other.clone()]))
    }
}
