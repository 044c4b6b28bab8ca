//! Where a run keeps its keys in a store that holds other records, too.
//!
//! A history is checked from an empty map, and creates of the load phase must not meet the records of an earlier run. On a cluster that somebody else
//! started, every key therefore gets a prefix of its own on its way to the store, and loses it on the way back; scans end where the prefix does.

use bytes::Bytes;
use crypto::codec::Blob;

/// The prefix of a run's keys in the store; empty if the store is the run's own.
#[derive(Clone, Debug, Default)]
pub struct Namespace {
    prefix: Bytes,
    /// The first key behind all that have the prefix.
    end: Option<Blob>,
}

impl Namespace {
    /// Keys begin with `prefix`, which is text.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let end = prefix.as_bytes().split_last().map(|(last, before)| {
            // Bytes of text are at most 0xf4.
            Blob::from([before, &[last.saturating_add(1)]].concat())
        });
        Self {
            prefix: Bytes::copy_from_slice(prefix.as_bytes()),
            end,
        }
    }

    /// Keys are what they are, and scans end before `end`: from there on the store is somebody else's.
    #[must_use]
    pub fn before(end: &str) -> Self {
        Self {
            prefix: Bytes::new(),
            end: Some(Blob::from(end.as_bytes().to_vec())),
        }
    }

    /// The store's name for a key of the run.
    pub(super) fn stored(&self, key: &Bytes) -> Blob {
        if self.prefix.is_empty() {
            return Blob(key.clone());
        }
        Blob::from([&self.prefix[..], key].concat())
    }

    /// Where a scan ends; `None`: at the end of the store.
    pub(super) fn end(&self) -> Option<Blob> {
        self.end.clone()
    }

    /// The run's name for a key of the store; a key of somebody else stays what it is.
    pub(super) fn own(&self, key: Bytes) -> Bytes {
        if key.starts_with(&self.prefix) {
            key.slice(self.prefix.len()..)
        } else {
            key
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gets_its_name_back_and_scans_end_behind_the_last() {
        let key = Bytes::from_static(b"user7");
        let namespace = Namespace::new("run-1/");
        let stored = namespace.stored(&key);
        assert_eq!(stored.0, "run-1/user7");
        assert_eq!(namespace.own(stored.0.clone()), key);
        assert_eq!(
            namespace.end().map(|end| end.0),
            Some(Bytes::from("run-10"))
        );
        assert!(namespace.end() > Some(stored));
    }

    #[test]
    fn beside_somebody_else_keys_keep_their_names_and_scans_end_in_time() {
        let key = Bytes::from_static(b"user7");
        let namespace = Namespace::before("~hostile/");
        assert_eq!(namespace.stored(&key).0, key);
        assert_eq!(namespace.own(key.clone()), key);
        assert!(namespace.end().is_some_and(|end| end.0 > key));
    }

    #[test]
    fn in_a_store_of_its_own_a_run_has_no_prefix() {
        let key = Bytes::from_static(b"user7");
        let namespace = Namespace::new("");
        assert_eq!(namespace.stored(&key).0, key);
        assert_eq!(namespace.own(key.clone()), key);
        assert_eq!(namespace.end(), None);
    }
}
