//! Message sequence charts: what a run looks like, line by line.
//!
//! ```text
//!    51.204 ms  r0   ──▶ all  pre-prepare v0 s3 9f31c0de…
//!    51.377 ms  r2   crashes, 1 records undurable
//! ```

use std::collections::VecDeque;

use consensus::pbft::message::{NewView, ViewChange, Wire};
use consensus::{Destination, Instant, SeqNo};

use crate::config::Config;
use crate::network::Packet;
use crate::world::{Outcome, World, run_recorded};

/// What a chart shows.
#[derive(Clone, Debug)]
pub struct ChartBounds {
    /// The chart, and the run, end when somebody has executed this slot.
    pub until: Option<SeqNo>,
    /// Lines kept: the last ones, because what a run ends with is what is looked for.
    pub lines_max: usize,
    /// Also STATUS messages, which are most of an idle run.
    pub heartbeats: bool,
}

impl Default for ChartBounds {
    fn default() -> Self {
        ChartBounds {
            until: None,
            lines_max: 2_000,
            heartbeats: false,
        }
    }
}

/// A run as a chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What the run came to. If [`ChartBounds::until`] ended it, only what it came to by then.
    pub outcome: Outcome,
    /// Earlier lines that were left out.
    pub omitted: u64,
    /// The lines, in the order in which things happened.
    pub lines: Vec<String>,
}

/// Runs a seed again and draws it. The run is the same as without the chart.
pub fn chart(config: &Config, bounds: ChartBounds) -> Chart {
    let recorder = Recorder {
        bounds,
        lines: VecDeque::new(),
        omitted: 0,
    };
    let (outcome, recorder) = run_recorded(config, Some(recorder));
    let (lines, omitted) = recorder.map_or((VecDeque::new(), 0), |recorder| {
        (recorder.lines, recorder.omitted)
    });
    Chart {
        outcome,
        omitted,
        lines: lines.into(),
    }
}

/// Keeps the last lines of a chart.
pub(crate) struct Recorder {
    bounds: ChartBounds,
    lines: VecDeque<String>,
    omitted: u64,
}

impl Recorder {
    /// Is the slot executed at which the chart ends?
    pub(crate) fn is_over(&self, end: SeqNo) -> bool {
        self.bounds.until.is_some_and(|until| end >= until)
    }

    pub(crate) fn line(&mut self, now: Instant, text: &str) {
        if self.lines.len() >= self.bounds.lines_max {
            self.lines.pop_front();
            self.omitted += 1;
        }
        let millis = now.0 / 1_000_000;
        let micros = now.0 / 1_000 % 1_000;
        self.lines
            .push_back(format!("{millis:>7}.{micros:03} ms  {text}"));
    }
}

impl World<'_> {
    /// A message leaves.
    pub(crate) fn chart_message(&mut self, at: usize, to: Destination, packet: &Packet) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        if packet.label.is_empty()
            || packet.label.starts_with("status") && !recorder.bounds.heartbeats
        {
            return;
        }
        let to = match to {
            Destination::One(id) => format!("{id:?}"),
            Destination::Others => "all".to_owned(),
        };
        self.chart(|world| format!("{:<4} ──▶ {to:<4} {}", world.name(at), packet.label));
    }
}

/// A message as a chart names it.
pub(crate) fn label(wire: &Wire) -> String {
    let name = wire.name();
    match wire {
        Wire::PrePrepare(header, batch) => {
            let requests = batch.as_ref().map_or(0, |batch| batch.len());
            let said = &header.statement;
            format!(
                "{name} {:?} {:?} {:?}, {requests} requests",
                said.view, said.seq, said.digest
            )
        }
        Wire::Prepare(vote) => {
            let said = &vote.statement;
            format!("{name} {:?} {:?} {:?}", said.view, said.seq, said.digest)
        }
        Wire::Commit(vote) => {
            let said = &vote.statement;
            format!("{name} {:?} {:?} {:?}", said.view, said.seq, said.digest)
        }
        Wire::Checkpoint(claim) => format!("{name} {:?} {:?}", claim.seq, claim.digest),
        Wire::Stable(certificate) => {
            format!("{name} {:?} {:?}", certificate.seq, certificate.digest)
        }
        Wire::Status(status) => format!(
            "{name} {:?} {:?} stable {:?} executed {:?}",
            status.view, status.mode, status.stable, status.last_executed
        ),
        Wire::Decision(decision) => {
            let said = &decision.certificate.statement;
            format!("{name} {:?} {:?} {:?}", said.view, said.seq, said.digest)
        }
        Wire::FetchBatch(seq, digest) => format!("{name} {seq:?} {digest:?}"),
        Wire::FetchDecisions(first, last) => format!("{name} {first:?} to {last:?}"),
        Wire::Batch(batch) => format!("{name} of {} requests", batch.len()),
        Wire::Forward(requests) => format!("{name} {} requests", requests.len()),
        Wire::ViewChange(signed) => match crypto::decode::<ViewChange>(&signed.bytes) {
            Ok(report) => format!(
                "{name} to {:?}, {} slots",
                report.new_view,
                report.records.len()
            ),
            Err(_) => name.to_owned(),
        },
        Wire::NewView(signed) => match crypto::decode::<NewView>(&signed.bytes) {
            Ok(opening) => format!("{name} {:?}, {} slots", opening.view, opening.headers.len()),
            Err(_) => name.to_owned(),
        },
        Wire::State(message) => format!("{name}: {message}"),
        _ => name.to_owned(),
    }
}
