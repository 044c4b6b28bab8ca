//! Requests under way: what was asked, when it was meant to start, and by whom.

use crate::workload::Operation;

/// One request under way.
#[derive(Debug)]
pub(super) struct Request {
    /// Which of the worker's clients.
    pub(super) client: usize,
    /// Its operations.
    pub(super) operations: Vec<Operation>,
    /// When it was meant to start.
    pub(super) intended_ns: u64,
    /// When it was handed to the hub.
    pub(super) submitted_ns: u64,
}

/// Requests by token; tokens are reused, so it is as large as the most requests ever under way.
#[derive(Debug, Default)]
pub(super) struct Requests {
    slots: Vec<Option<Request>>,
    free: Vec<usize>,
}

impl Requests {
    /// Keeps a request; the token brings it back.
    pub(super) fn insert(&mut self, request: Request) -> u64 {
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at] = Some(request);
                at
            }
            None => {
                self.slots.push(Some(request));
                self.slots.len() - 1
            }
        };
        at as u64
    }

    /// Takes a request out; `None` for a token that is not under way.
    pub(super) fn take(&mut self, token: u64) -> Option<Request> {
        let at = usize::try_from(token).ok()?;
        let request = self.slots.get_mut(at)?.take()?;
        self.free.push(at);
        Some(request)
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_brings_its_request_back_once() {
        let request = |client| Request {
            client,
            operations: Vec::new(),
            intended_ns: 0,
            submitted_ns: 0,
        };
        let mut requests = Requests::default();
        let tokens: Vec<u64> = (0..3)
            .map(|client| requests.insert(request(client)))
            .collect();
        assert_eq!(requests.take(tokens[1]).map(|taken| taken.client), Some(1));
        assert!(requests.take(tokens[1]).is_none());
        let reused = requests.insert(request(9));
        assert_eq!(reused, tokens[1]);
        assert_eq!(requests.len(), 3);
        assert_eq!(requests.take(reused).map(|taken| taken.client), Some(9));
        assert!(requests.take(77).is_none());
    }
}
