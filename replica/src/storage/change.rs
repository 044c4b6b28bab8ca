//! What a checkpoint changes, key by key.
//!
//! A whole state can be on its way to disk. As the application holds it, it shares its bytes with
//! the live state; encoded, it would be a second copy of everything. So a change is encoded when it
//! is written, alone, and dropped before the next one.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// A changed key of the application, in whatever form that keeps it.
pub trait Encodable: Send + Sync {
    /// The key under which the entry is stored.
    fn key(&self) -> Bytes;
    /// The new encoded entry, or `None` if the key is gone.
    fn entry(&self) -> Option<Bytes>;
}

/// A changed key. Clones share it.
#[derive(Clone)]
pub struct Change(Arc<dyn Encodable>);

impl Change {
    /// A change that is encoded whenever somebody asks for it.
    pub fn new(change: impl Encodable + 'static) -> Self {
        Change(Arc::new(change))
    }

    /// A change that is encoded already.
    pub fn encoded(key: Bytes, entry: Option<Bytes>) -> Self {
        Change::new((key, entry))
    }

    /// See [`Encodable::key`].
    pub fn key(&self) -> Bytes {
        self.0.key()
    }

    /// See [`Encodable::entry`].
    pub fn entry(&self) -> Option<Bytes> {
        self.0.entry()
    }
}

impl Encodable for (Bytes, Option<Bytes>) {
    fn key(&self) -> Bytes {
        self.0.clone()
    }

    fn entry(&self) -> Option<Bytes> {
        self.1.clone()
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Change").field(&self.key()).finish()
    }
}
