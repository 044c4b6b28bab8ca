//! What hostile clients did, and what they were told.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

macro_rules! counts {
    ($( $(#[doc = $meaning:literal])+ $name:ident )*) => {
        /// What all hostile clients of one fault did, counted as it happens.
        #[derive(Debug, Default)]
        pub struct Counts {
            $( pub(super) $name: AtomicU64, )*
        }

        /// What all hostile clients of one fault did.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct AttackCounts {
            $( $(#[doc = $meaning])+ pub $name: u64, )*
        }

        impl Counts {
            /// The counts up to now.
            pub fn total(&self) -> AttackCounts {
                AttackCounts {
                    $( $name: self.$name.load(Ordering::Relaxed), )*
                }
            }
        }
    };
}

counts! {
    /// Requests handed to the network, once for each replica that they went to.
    sent
    /// READs handed to the network (docs/protocol.md R14), once for each replica.
    reads_sent
    /// Different requests among them that a replica may execute: well signed, and within the limits.
    executable
    /// Bytes handed to the network.
    bytes_sent
    /// Replies that say that a request was executed, of all replicas.
    executed_replies
    /// Answers to READs, of all replicas.
    read_answers
    /// Replies that say "busy".
    busy_replies
    /// Replies that refuse a request for good.
    refused_replies
    /// Processor time of the thread that they share, milliseconds; 0 where the system does not tell.
    cpu_ms
    /// Connections that stood.
    connections
    /// Connections that a replica closed, or would not open.
    closed
}

pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
