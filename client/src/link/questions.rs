//! Questions for observations on one connection. Their answers come in the order in which they were asked and do not name
//! them, so no more are open than a replica answers without dropping any; the others wait.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use consensus::SeqNo;
use network::Observation;
use network::wire_client::OBSERVATIONS_MAX;
use tokio::sync::{Notify, oneshot};

/// Questions that wait to be asked; more are refused, and their askers hear it at once.
const WAITING_MAX: usize = 16;

#[derive(Default)]
pub(super) struct Questions {
    state: Mutex<State>,
    answered: Notify,
}

#[derive(Default)]
struct State {
    /// Asked. Who has given up waiting counts: its answer is still to come.
    open: VecDeque<oneshot::Sender<Observation>>,
    /// Not asked yet.
    waiting: VecDeque<(SeqNo, oneshot::Sender<Observation>)>,
}

impl Questions {
    /// Somebody wants to know.
    pub(super) fn add(&self, from_seq: SeqNo, answer: oneshot::Sender<Observation>) {
        let mut state = self.lock();
        state.waiting.retain(|(_, answer)| !answer.is_closed());
        if state.waiting.len() < WAITING_MAX {
            state.waiting.push_back((from_seq, answer));
        }
    }

    /// The next question that may be asked now, and from here on is.
    pub(super) fn next(&self) -> Option<SeqNo> {
        let mut state = self.lock();
        while state.open.len() < OBSERVATIONS_MAX {
            let (from_seq, answer) = state.waiting.pop_front()?;
            if !answer.is_closed() {
                state.open.push_back(answer);
                return Some(from_seq);
            }
        }
        None
    }

    /// Hands an answer to whoever asked first; false if nobody did.
    pub(super) fn answer(&self, observation: Observation) -> bool {
        let Some(asker) = self.lock().open.pop_front() else {
            return false;
        };
        // Whoever asked may have stopped waiting.
        let _ = asker.send(observation);
        self.answered.notify_one();
        true
    }

    /// Comes after an answer: another question may be asked. One listener.
    pub(super) async fn room(&self) {
        self.answered.notified().await;
    }

    /// The queues are whole at every moment, so a panic elsewhere does not spoil them.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ask(questions: &Questions, from_seq: u64) -> oneshot::Receiver<Observation> {
        let (answer, observation) = oneshot::channel();
        questions.add(SeqNo(from_seq), answer);
        observation
    }

    fn observation(next_seq: u64) -> Observation {
        Observation {
            status_json: Vec::new().into(),
            committed: Vec::new(),
            next_seq: SeqNo(next_seq),
            checkpoints: Vec::new(),
        }
    }

    #[test]
    fn what_would_be_dropped_waits_and_each_has_its_own_answer() {
        let questions = Questions::default();
        let mut askers: Vec<_> = (0..6).map(|from| ask(&questions, from)).collect();
        let asked: Vec<_> = std::iter::from_fn(|| questions.next()).collect();
        assert_eq!(asked, [0, 1, 2, 3].map(SeqNo));
        // One of those that are asked and one of those that wait give up.
        askers[0].close();
        askers[4].close();
        assert!(questions.answer(observation(0)));
        assert_eq!(questions.next(), Some(SeqNo(5)));
        assert_eq!(questions.next(), None);
        for from in [1, 2, 3, 5] {
            assert!(questions.answer(observation(from)));
            let heard = askers[usize::try_from(from).unwrap()].try_recv();
            assert_eq!(heard.unwrap().next_seq, SeqNo(from));
        }
        assert!(!questions.answer(observation(6)), "nobody asked");
    }

    #[test]
    fn only_so_many_wait_and_those_that_gave_up_take_no_place() {
        let questions = Questions::default();
        let mut askers: Vec<_> = (0..WAITING_MAX as u64)
            .map(|from| ask(&questions, from))
            .collect();
        assert!(ask(&questions, 100).try_recv().is_err());
        let mut refused = ask(&questions, 101);
        let closed = oneshot::error::TryRecvError::Closed;
        assert_eq!(refused.try_recv().unwrap_err(), closed, "at once");
        askers[3].close();
        let mut waits = ask(&questions, 102);
        let empty = oneshot::error::TryRecvError::Empty;
        assert_eq!(waits.try_recv().unwrap_err(), empty);
    }
}
