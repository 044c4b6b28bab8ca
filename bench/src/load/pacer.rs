//! The clock of the open loop: a thread of its own, because a runtime's timers are a millisecond
//! coarse, and a load generator that is late measures itself.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::Clock;
use crate::workload::Arrivals;

/// An arrival that is due: a client of the worker, and when its request was meant to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) client: usize,
    pub(super) intended_ns: u64,
}

/// Shortest sleep: bounds the wake-ups, and what arrivals that are close together wait for each
/// other.
const SLEEP_MIN: Duration = Duration::from_micros(100);
/// Longest sleep, so that a stop is noticed soon.
const SLEEP_MAX: Duration = Duration::from_millis(20);
/// Groups of arrivals that may wait for the worker. When it is so far behind, the pacer waits; the
/// intended starts stay what they are.
pub(super) const GROUPS_MAX: usize = 256;

/// Sends arrivals in groups as they come due, from `start_ns` until `end_ns` or the stop.
pub(super) fn pace(
    clock: Clock,
    mut schedules: Vec<Arrivals>,
    start_ns: u64,
    end_ns: u64,
    stop: &Arc<AtomicBool>,
    out: &mpsc::Sender<Vec<Due>>,
) {
    let mut next: BinaryHeap<Reverse<(u64, usize)>> = schedules
        .iter_mut()
        .enumerate()
        .filter_map(|(client, arrivals)| Some(Reverse((start_ns + arrivals.next()?, client))))
        .collect();
    while !stop.load(Ordering::Relaxed) {
        let now = clock.now_ns();
        let mut due = Vec::new();
        while let Some(Reverse((at, client))) = next.peek().copied() {
            if at > now || at >= end_ns {
                break;
            }
            next.pop();
            due.push(Due {
                client,
                intended_ns: at,
            });
            if let Some(following) = schedules.get_mut(client).and_then(Iterator::next) {
                next.push(Reverse((start_ns + following, client)));
            }
        }
        if !due.is_empty() && out.blocking_send(due).is_err() {
            return;
        }
        let Some(Reverse((at, _))) = next.peek().copied() else {
            return;
        };
        if at >= end_ns {
            return;
        }
        let wait = Duration::from_nanos(at.saturating_sub(clock.now_ns()));
        std::thread::sleep(wait.clamp(SLEEP_MIN, SLEEP_MAX));
    }
}
