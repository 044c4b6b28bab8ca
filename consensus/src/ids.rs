//! Names of things that must not be mixed up.

use std::fmt;

use bincode::{Decode, Encode};

/// A replica's number in the configuration, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct ReplicaId(pub u16);

/// A client's number in the configuration, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct ClientId(pub u32);

/// A view: a period with one primary.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct View(pub u64);

/// A sequence number of the replicated log. The first is 1; 0 is "none yet".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct SeqNo(pub u64);

/// The number of a configuration.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Epoch(pub u64);

/// A view of an epoch: what decides who the primary is. Later terms are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Term {
    /// The epoch; each begins with view 0.
    pub epoch: Epoch,
    /// The view.
    pub view: View,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.view)
    }
}

/// Identity of a client request (docs/protocol.md R6): executed at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct RequestId {
    /// Who asks.
    pub client: ClientId,
    /// Grows at each start of the client; microseconds of wall-clock time by convention.
    pub session: u64,
    /// 1, 2, 3, … within the session.
    pub number: u64,
}

/// Client numbers from here on are no clients: each names the service of one replica, in whose
/// name the replica itself has requests ordered (RENEW, docs/protocol.md R16).
pub const SERVICES_FROM: u32 = 0x8000_0000;

impl ClientId {
    /// The service of a replica.
    pub fn of_service(replica: ReplicaId) -> ClientId {
        ClientId(SERVICES_FROM | u32::from(replica.0))
    }

    /// The replica whose service this is; `None` for clients, and for numbers of neither.
    pub fn service(self) -> Option<ReplicaId> {
        let number = self.0.checked_sub(SERVICES_FROM)?;
        u16::try_from(number).ok().map(ReplicaId)
    }

    /// Is this number reserved for services?
    pub fn is_service(self) -> bool {
        self.0 >= SERVICES_FROM
    }
}

impl Epoch {
    /// The epoch after this one; the last epoch is its own successor.
    pub fn next(self) -> Epoch {
        Epoch(self.0.saturating_add(1))
    }
}

impl ReplicaId {
    /// As an index into the configuration's members.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl View {
    /// The view after this one; the last view is its own successor.
    pub fn next(self) -> View {
        View(self.0.saturating_add(1))
    }
}

impl SeqNo {
    /// The sequence number after this one.
    pub fn next(self) -> SeqNo {
        self.plus(1)
    }

    /// The sequence number `distance` later, saturating.
    pub fn plus(self, distance: u64) -> SeqNo {
        SeqNo(self.0.saturating_add(distance))
    }
}

macro_rules! short_debug {
    ($($name:ident $prefix:literal),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )*};
}
short_debug!(ReplicaId "r", ClientId "c", View "v", SeqNo "s", Epoch "e");
