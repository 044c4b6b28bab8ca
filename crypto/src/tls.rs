//! TLS identities.
