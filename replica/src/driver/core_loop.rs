//! The core thread: waits for input or the next timer, and takes turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use consensus::{Protocol, Transferable};

use super::ports::{Describe, Disk, Network};
use super::{Burst, Driver, Stop};
use crate::inbox::Inbox;

/// What the core thread waits on.
pub type CoreInbox<M> = Inbox<Burst<M>>;

/// Runs the driver until it must stop.
pub fn run<P, S, D, N>(
    driver: &mut Driver<P, S, D, N>,
    inbox: &Arc<CoreInbox<P::Message>>,
    observer: &crate::observer::Observer,
    clock: Clock,
) -> Stop
where
    P: Protocol,
    S: Transferable,
    D: Disk<P::Record, S::Change>,
    N: Network + Describe<P::Wire>,
{
    let outcome = driver.start(clock.now());
    if let Err(stop) = outcome {
        return stop;
    }
    loop {
        let until = driver.deadline().map(|deadline| clock.at(deadline));
        let Ok(burst) = inbox.take(until) else {
            return Stop::Asked;
        };
        let waiting = burst.messages.len() + burst.requests.len();
        observer.counters.core_queue_high.raise(waiting as u64);
        if let Err(stop) = driver.turn(clock.now(), burst) {
            return stop;
        }
    }
}

/// Protocol time: nanoseconds since it was started, by the machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Clock {
            start: Instant::now(),
        }
    }

    /// The time on it.
    pub fn now(&self) -> consensus::Instant {
        consensus::Instant::default() + self.start.elapsed()
    }

    fn at(&self, instant: consensus::Instant) -> Instant {
        self.start + Duration::from_nanos(instant.0)
    }
}
