//! The thread that lets datagrams arrive when their time has come.
//!
//! A thread and not a timer of the runtime, whose timers count milliseconds: half a millisecond of distance would be one.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::settings::LinkSettings;
use super::shaper::{Datagram, LinkId, Shaper};

/// Datagrams that leave the line in one turn; then whoever sends may enter.
const TURN_MAX: usize = 64;

/// A shaper with the clock that it runs by, shared by those who send, the pump, and whoever changes the links.
#[derive(Debug)]
pub(super) struct Lane {
    shaper: Mutex<Shaper>,
    sooner: Condvar,
    zero: Instant,
    closed: AtomicBool,
}

impl Lane {
    pub(super) fn new(shaper: Shaper) -> Arc<Self> {
        Arc::new(Lane {
            shaper: Mutex::new(shaper),
            sooner: Condvar::new(),
            zero: Instant::now(),
            closed: AtomicBool::new(false),
        })
    }

    pub(super) fn change(&self, to: LinkId, settings: LinkSettings) {
        self.shaper().change(to, settings);
    }

    /// Runs `send` with the shaper and the time, and wakes the pump if something arrives earlier than all before.
    pub(super) fn with<T>(&self, send: impl FnOnce(&mut Shaper, u64) -> T) -> T {
        let mut shaper = self.shaper();
        let before = shaper.next_at_ns();
        let result = send(&mut shaper, self.now_ns());
        let after = shaper.next_at_ns();
        drop(shaper);
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.sooner.notify_one();
        }
        result
    }

    /// Ends the pump; what is under way is lost.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        // With the lock, so that the pump is either before its look at the flag or waiting.
        drop(self.shaper());
        self.sooner.notify_one();
    }

    pub(super) fn shaper(&self) -> MutexGuard<'_, Shaper> {
        self.shaper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Starts the thread, which gives every datagram that arrives to `deliver`.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(super) fn pump(
        self: &Arc<Self>,
        name: &str,
        mut deliver: impl FnMut(Datagram) + Send + 'static,
    ) -> io::Result<()> {
        let lane = Arc::clone(self);
        let run = move || {
            let mut turn = Vec::with_capacity(TURN_MAX);
            while lane.wait(&mut turn) {
                turn.drain(..).for_each(&mut deliver);
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        thread.map(|_| ())
    }

    /// Waits until something arrives; `false` when the lane is closed.
    fn wait(&self, turn: &mut Vec<Datagram>) -> bool {
        let mut shaper = self.shaper();
        loop {
            if self.closed.load(Ordering::Relaxed) {
                return false;
            }
            let now_ns = self.now_ns();
            while turn.len() < TURN_MAX
                && let Some((_, datagram)) = shaper.arrived(now_ns)
            {
                turn.push(datagram);
            }
            if !turn.is_empty() {
                return true;
            }
            shaper = match shaper.next_at_ns() {
                Some(next_ns) => {
                    let left = Duration::from_nanos(next_ns.saturating_sub(now_ns));
                    let waited = self.sooner.wait_timeout(shaper, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.sooner.wait(shaper);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}
