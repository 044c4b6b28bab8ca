//! Questions for observations on one connection: answered one after the other, for answers do not name their questions, and
//! at a pace of their own, so that requests behind them on the stream do not wait.

use std::time::Duration;

use consensus::SeqNo;
use network::wire_client::OBSERVATIONS_MAX;
use tokio::sync::mpsc;

/// Shortest time between two answers.
const INTERVAL_MIN: Duration = Duration::from_millis(5);

/// Questions that wait for their turn; more are dropped. Nobody who heeds [`OBSERVATIONS_MAX`] has as many.
const WAITING_MAX: usize = 4 * OBSERVATIONS_MAX;

#[derive(Debug)]
pub(super) struct Observations(mpsc::Sender<SeqNo>);

impl Observations {
    /// Each question is answered by `answer`, until the connection is gone and this with it.
    pub(super) fn answered(mut answer: impl FnMut(SeqNo) + Send + 'static) -> Self {
        let (asked, mut questions) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            while let Some(from_seq) = questions.recv().await {
                answer(from_seq);
                tokio::time::sleep(INTERVAL_MIN).await;
            }
        });
        Observations(asked)
    }

    /// Somebody asks for what was committed from here on.
    pub(super) fn ask(&self, from_seq: SeqNo) {
        // Too many of them: whoever asks so is answered as often as anybody.
        let _ = self.0.try_send(from_seq);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn questions_are_answered_in_their_order_at_a_pace_and_only_so_many_wait() {
        let (answered, mut answers) = mpsc::channel(100);
        let observations = Observations::answered(move |from_seq| {
            answered.try_send((from_seq, Instant::now())).expect("room");
        });
        for from_seq in 1..=100 {
            observations.ask(SeqNo(from_seq));
        }
        drop(observations);
        let (mut seen, mut last) = (Vec::new(), None);
        while let Some((SeqNo(from_seq), at)) = answers.recv().await {
            seen.push(from_seq);
            let before = last.replace(at);
            assert!(before.is_none_or(|before| at - before >= INTERVAL_MIN));
        }
        let kept: Vec<u64> = (1..=WAITING_MAX as u64).collect();
        assert_eq!(seen, kept);
    }
}
