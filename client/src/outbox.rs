//! Requests and reads of one turn of the hub on their way to one replica: as few frames as possible.

use bytes::Bytes;
use consensus::Limits;
use crypto::codec::Blob;
use network::ToReplica;
use network::wire_client::{REQUESTS_PER_FRAME_MAX, to_replica_max};

/// Bytes of a frame beside the requests: the message's variant and count, and a length for each.
const MESSAGE_OVERHEAD: usize = 16;
const REQUEST_OVERHEAD: usize = 4;

/// Collects what is signed and turns it into frames.
#[derive(Debug)]
pub(crate) struct Outbox {
    message: fn(Vec<Blob>) -> ToReplica,
    requests: Vec<Blob>,
    bytes: usize,
    bytes_max: usize,
    full: Vec<Bytes>,
}

impl Outbox {
    /// Of requests.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self::of(ToReplica::Requests, limits)
    }

    /// Of what `message` carries.
    pub(crate) fn of(message: fn(Vec<Blob>) -> ToReplica, limits: &Limits) -> Self {
        let bytes_max = to_replica_max(limits);
        Outbox {
            message,
            requests: Vec::new(),
            bytes: MESSAGE_OVERHEAD,
            bytes_max,
            full: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, raw: Bytes) {
        let bytes = raw.len().saturating_add(REQUEST_OVERHEAD);
        if self.requests.len() >= REQUESTS_PER_FRAME_MAX
            || self.bytes.saturating_add(bytes) > self.bytes_max
        {
            self.close_frame();
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.requests.push(Blob(raw));
    }

    /// The frames of everything pushed since the last call.
    pub(crate) fn frames(&mut self) -> impl Iterator<Item = Bytes> + '_ {
        self.close_frame();
        self.full.drain(..)
    }

    fn close_frame(&mut self) {
        if self.requests.is_empty() {
            return;
        }
        let mut frame = Vec::with_capacity(self.bytes);
        let message = (self.message)(std::mem::take(&mut self.requests));
        crypto::codec::encode_into(&message, &mut frame);
        self.full.push(frame.into());
        if let ToReplica::Requests(mut requests) | ToReplica::Reads(mut requests) = message {
            requests.clear();
            self.requests = requests;
        }
        self.bytes = MESSAGE_OVERHEAD;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn requests_in(frame: &Bytes) -> usize {
        match ToReplica::from_frame(frame).unwrap() {
            ToReplica::Requests(requests) => requests.len(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_requests_of_one_turn_share_a_frame_and_no_frame_is_over_the_limit() {
        let limits = Limits::default();
        let mut outbox = Outbox::new(&limits);
        assert_eq!(outbox.frames().count(), 0);
        for _ in 0..100 {
            outbox.push(Bytes::from_static(b"request"));
        }
        assert_eq!(
            outbox
                .frames()
                .map(|frame| requests_in(&frame))
                .collect::<Vec<_>>(),
            [100]
        );
        let large = Bytes::from(vec![0; limits.batch_bytes_max as usize / 2]);
        for _ in 0..3 {
            outbox.push(large.clone());
        }
        let frames: Vec<_> = outbox.frames().collect();
        assert_eq!(frames.iter().map(requests_in).collect::<Vec<_>>(), [2, 1]);
        assert!(
            frames
                .iter()
                .all(|frame| frame.len() <= to_replica_max(&limits))
        );
    }
}
