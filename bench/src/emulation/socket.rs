//! The UDP socket that QUIC gets instead of the real one.
//!
//! One call of QUIC may send several datagrams of equal size ("segments"); each is shaped for itself. A datagram on a
//! clear link goes past, segments and all, as if there were no shim. A shaped one is taken at once, for an emulated
//! network pushes back as little as a real one: what does not fit is dropped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::pump::Lane;
use super::shaper::{Datagram, LinkId};
use super::source::Source;

/// When the kernel's buffer is full, the pump tries again after this long ...
const FULL_PAUSE: Duration = Duration::from_micros(200);
/// ... this many times; then the datagram is lost, as at any full buffer.
const FULL_TRIES: u32 = 50;
/// Datagrams that have arrived and were not fetched; more are lost, as at a full socket buffer.
const ARRIVED_MAX: usize = 4_096;
/// Turns of one reading call over the real socket before others get theirs.
const RECEIVE_TURNS_MAX: usize = 16;

/// Which way datagrams are shaped, and how a link is found.
#[derive(Clone, Debug)]
pub enum Direction {
    /// What is sent, by destination; to strangers it leaves unshaped.
    ToReplicas {
        /// The others.
        links: BTreeMap<SocketAddr, LinkId>,
        /// Those of them whom this replica dials, so that they see another port when its own changes.
        dialled: BTreeSet<SocketAddr>,
    },
    /// What is sent and what is received, on one link in each direction, whoever is at the other end.
    BothWays,
}

/// A socket with an emulated network around it.
pub struct Socket {
    way_out: Arc<WayOut>,
    direction: Direction,
    outgoing: Arc<Lane>,
    incoming: Option<(Arc<Lane>, Arc<Arrived>)>,
}

/// The real sockets.
struct WayOut {
    first: Arc<dyn AsyncUdpSocket>,
    source: Arc<Source>,
    moves_for: BTreeSet<SocketAddr>,
}

impl WayOut {
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.source.moved() {
            Some(moved) if self.moves_for.contains(&transmit.destination) => {
                match moved.try_send(transmit) {
                    // QUIC would wait until the first socket is ready, which it is: the datagram is lost instead.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                    other => other,
                }
            }
            _ => self.first.try_send(transmit),
        }
    }
}

/// Datagrams that have arrived, and who waits for them.
#[derive(Debug, Default)]
struct Arrived(Mutex<(VecDeque<Datagram>, Option<Waker>)>);

impl Arrived {
    fn lock(&self) -> MutexGuard<'_, (VecDeque<Datagram>, Option<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, datagram: Datagram) {
        let mut held = self.lock();
        if held.0.len() < ARRIVED_MAX {
            held.0.push_back(datagram);
        }
        let waker = held.1.take();
        drop(held);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Fills as many buffers as there are datagrams; if there are none, wakes this task when one comes.
    fn fetch(&self, cx: &Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> usize {
        let mut held = self.lock();
        let mut count = 0;
        for (buffer, meta) in bufs.iter_mut().zip(meta) {
            let Some(datagram) = held.0.pop_front() else {
                break;
            };
            let len = datagram.contents.len().min(buffer.len());
            buffer[..len].copy_from_slice(&datagram.contents[..len]);
            meta.addr = datagram.address;
            meta.len = len;
            meta.stride = len;
            meta.ecn = datagram.ecn;
            meta.dst_ip = datagram.own_ip;
            count += 1;
        }
        if count == 0 {
            held.1 = Some(cx.waker().clone());
        }
        count
    }
}

impl Socket {
    /// Puts `outgoing`, and `incoming` if it is shaped both ways, around `real`.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(super) fn new(
        real: Arc<dyn AsyncUdpSocket>,
        direction: Direction,
        source: Arc<Source>,
        outgoing: Arc<Lane>,
        incoming: Option<Arc<Lane>>,
    ) -> io::Result<Self> {
        let moves_for = match &direction {
            Direction::ToReplicas { dialled, .. } => dialled.clone(),
            Direction::BothWays => BTreeSet::new(),
        };
        let way_out = Arc::new(WayOut {
            first: real,
            source,
            moves_for,
        });
        let out = Arc::clone(&way_out);
        outgoing.pump("shim-out", move |datagram| leave(&out, &datagram))?;
        let incoming = match incoming {
            Some(lane) => {
                let arrived = Arc::new(Arrived::default());
                let inbox = Arc::clone(&arrived);
                lane.pump("shim-in", move |datagram| inbox.put(datagram))?;
                Some((lane, arrived))
            }
            None => None,
        };
        Ok(Socket {
            way_out,
            direction,
            outgoing,
            incoming,
        })
    }

    fn link(&self, destination: SocketAddr) -> Option<LinkId> {
        match &self.direction {
            Direction::ToReplicas { links, .. } => links.get(&destination).copied(),
            Direction::BothWays => Some(LinkId::Clients),
        }
    }
}

/// Sends through the real socket, from a thread that may wait a little.
fn leave(real: &WayOut, datagram: &Datagram) {
    let transmit = Transmit {
        destination: datagram.address,
        ecn: datagram.ecn,
        contents: &datagram.contents,
        segment_size: None,
        src_ip: datagram.own_ip,
    };
    for _ in 0..FULL_TRIES {
        match real.try_send(&transmit) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(FULL_PAUSE);
            }
            // Other errors concern this datagram alone; QUIC sends again what it needs.
            Ok(()) | Err(_) => return,
        }
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        // Asked only after `try_send` has said that it would block, which only the real socket says.
        Arc::clone(&self.way_out.first).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(link) = self.link(transmit.destination) else {
            return self.way_out.try_send(transmit);
        };
        // No datagram is empty.
        let size = transmit
            .segment_size
            .unwrap_or(transmit.contents.len())
            .max(1);
        let taken = self.outgoing.with(|shaper, now_ns| {
            if shaper.is_clear(link) {
                return false;
            }
            for segment in transmit.contents.chunks(size) {
                let datagram = Datagram {
                    address: transmit.destination,
                    own_ip: transmit.src_ip,
                    ecn: transmit.ecn,
                    contents: segment.to_vec(),
                };
                shaper.send(now_ns, link, datagram);
            }
            true
        });
        if taken {
            return Ok(());
        }
        self.way_out.try_send(transmit)?;
        let segments = transmit.contents.len().div_ceil(size) as u64;
        self.outgoing
            .with(|shaper, _| shaper.passed_by(link, segments));
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let Some((lane, arrived)) = &self.incoming else {
            return match self.way_out.source.poll_recv(cx, bufs, meta) {
                Poll::Ready(Ok(count)) => Poll::Ready(Ok(count)),
                // A port that fails is a port that is closed; the first one is still there.
                Poll::Ready(Err(_)) | Poll::Pending => self.way_out.first.poll_recv(cx, bufs, meta),
            };
        };
        for _ in 0..RECEIVE_TURNS_MAX {
            // First, because it leaves the waker behind: nothing can arrive unnoticed between here and the end.
            let count = arrived.fetch(cx, bufs, meta);
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
            let count = match self.way_out.first.poll_recv(cx, bufs, meta) {
                Poll::Ready(Ok(count)) => count,
                other => return other,
            };
            let held_up = lane.with(|shaper, now_ns| {
                if shaper.is_clear(LinkId::Clients) {
                    return false;
                }
                for (buffer, meta) in bufs.iter().zip(meta.iter()).take(count) {
                    for segment in buffer[..meta.len].chunks(meta.stride.max(1)) {
                        let datagram = Datagram {
                            address: meta.addr,
                            own_ip: meta.dst_ip,
                            ecn: meta.ecn,
                            contents: segment.to_vec(),
                        };
                        shaper.send(now_ns, LinkId::Clients, datagram);
                    }
                }
                true
            });
            if !held_up {
                return Poll::Ready(Ok(count));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.way_out.first.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.way_out.first.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.way_out.first.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.way_out.first.may_fragment()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.outgoing.close();
        if let Some((lane, _)) = &self.incoming {
            lane.close();
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("direction", &self.direction)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
