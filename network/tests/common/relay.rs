//! A path that can forget: from some moment on it swallows every packet of the connections that it
//! has carried, and carries new ones. So the old connection of somebody who stood still looks, with
//! QUIC's next repetition ten seconds away.

#![allow(clippy::unwrap_used, unreachable_pub)]

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long our connection identifiers are, behind the first byte of a packet.
const IDENTIFIER: std::ops::Range<usize> = 1..9;

/// Between one dialer and one listener.
pub struct Relay {
    /// Where the dialer finds it.
    pub address: SocketAddr,
    memory: Arc<Memory>,
}

/// Identifiers of connections that were carried, and of those that are cut off.
#[derive(Default)]
struct Seen {
    known: BTreeSet<Vec<u8>>,
    dead: BTreeSet<Vec<u8>>,
}

#[derive(Default)]
struct Memory(Mutex<Seen>);

impl Memory {
    /// May the packet pass? Those of handshakes always do.
    fn passes(&self, packet: &[u8]) -> bool {
        let Some(identifier) = packet.get(IDENTIFIER) else {
            return true;
        };
        if packet[0] & 0x80 != 0 {
            return true;
        }
        let mut seen = self.0.lock().unwrap();
        seen.known.insert(identifier.to_vec());
        !seen.dead.contains(identifier)
    }
}

impl Relay {
    /// A relay to the listener at `to`.
    pub fn start(to: SocketAddr) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let back = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let address = front.local_addr().unwrap();
        let memory = Arc::new(Memory::default());
        let dialer = Arc::new(Mutex::new(None));
        for forth in [true, false] {
            let (from, onto) = match forth {
                true => (Arc::clone(&front), Arc::clone(&back)),
                false => (Arc::clone(&back), Arc::clone(&front)),
            };
            let (memory, dialer) = (Arc::downgrade(&memory), Arc::clone(&dialer));
            from.set_read_timeout(Some(Duration::from_millis(50)))
                .unwrap();
            std::thread::spawn(move || {
                let mut packet = vec![0; 1 << 16];
                while let Some(memory) = memory.upgrade() {
                    let Ok((length, sender)) = from.recv_from(&mut packet) else {
                        continue;
                    };
                    if forth {
                        *dialer.lock().unwrap() = Some(sender);
                    }
                    let target = if forth {
                        Some(to)
                    } else {
                        *dialer.lock().unwrap()
                    };
                    if let Some(target) = target.filter(|_| memory.passes(&packet[..length])) {
                        // A full buffer loses what QUIC sends again.
                        let _ = onto.send_to(&packet[..length], target);
                    }
                }
            });
        }
        Relay { address, memory }
    }

    /// Whatever is connected now is cut off, and does not learn of it.
    pub fn forget(&self) {
        let seen = &mut *self.memory.0.lock().unwrap();
        seen.dead.append(&mut seen.known);
    }
}
