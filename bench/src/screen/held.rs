//! Lines for stderr that wait while the screen is in use.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// Bytes that wait at most; what comes after them is dropped, and that is said.
const BYTES_MAX: usize = 64 << 10;

static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// Writes to stderr, or keeps it for later while the screen is in use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held;

impl Write for Held {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !hold(bytes) {
            io::stderr().write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Keeps what was to go to stderr if the screen is in use; whether it is.
pub fn hold(bytes: &[u8]) -> bool {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(held) = held.as_mut() else {
        return false;
    };
    if held.len() + bytes.len() <= BYTES_MAX {
        held.extend_from_slice(bytes);
    } else if held.len() < BYTES_MAX {
        held.extend_from_slice(b"(more messages came than were kept)\n");
        held.resize(held.len().max(BYTES_MAX), b'\n');
    }
    true
}

/// From now on lines wait.
pub(super) fn begin() {
    *HELD.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
}

/// What has waited, without the blank lines at its end; lines no longer wait.
pub(super) fn end() -> Vec<u8> {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut held = held.unwrap_or_default();
    while held.ends_with(b"\n\n") {
        held.pop();
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_while_the_screen_is_in_use_and_are_bounded() {
        assert!(!hold(b"before"));
        begin();
        assert!(hold(b"one\n"));
        for _ in 0..BYTES_MAX / 100 {
            assert!(hold(&[b'x'; 101]));
        }
        let waited = String::from_utf8_lossy(&end()).into_owned();
        assert!(waited.starts_with("one\n") && waited.len() <= BYTES_MAX + 64);
        assert!(waited.ends_with("(more messages came than were kept)\n"));
        assert!(!hold(b"after") && end().is_empty());
    }
}
