//! One replica stepped by hand. Every step answers with its actions as lines, so that a test
//! reads as what goes in and what comes out.

use std::time::Duration;

use consensus::pbft::Pbft;
use consensus::pbft::message::Wire;
use consensus::pbft::record::Record;
use consensus::protocol::{When, admit_all};
use consensus::{
    Action, Destination, Event, Instant, Keyring, Misbehaviour, Outbox, Protocol, ReplicaId,
    Report, Request, SeqNo, Ticket, Timer,
};
use crypto::{Digest, Verified};

pub(crate) type Act = Action<Wire, Record>;
pub(crate) type Happened = Event<Verified<<Pbft as Protocol>::Message>>;

/// A replica with its clock, and the records that it asked to make durable.
pub(crate) struct Node {
    pub(crate) core: Pbft,
    pub(crate) now: Instant,
    /// Everything persisted, oldest first.
    pub(crate) records: Vec<Record>,
    /// Everything sent, oldest first.
    pub(crate) sent: Vec<Wire>,
    keyring: Keyring,
}

impl Node {
    pub(crate) fn new(core: Pbft, keyring: Keyring) -> Self {
        Node {
            core,
            now: Instant(0),
            records: Vec::new(),
            sent: Vec::new(),
            keyring,
        }
    }

    pub(crate) fn step(&mut self, event: Happened) -> Vec<String> {
        let mut out = Outbox::new();
        self.core.step(self.now, event, &mut out);
        let actions: Vec<Act> = out.drain().collect();
        for action in &actions {
            match action {
                Action::Persist(record) => self.records.push(record.clone()),
                Action::Send { wire, .. } => self.sent.push(wire.clone()),
                _ => {}
            }
        }
        actions.iter().map(line).collect()
    }

    /// Hands in a peer's message as a driver does: as bytes, decoded and admitted.
    pub(crate) fn try_receive(
        &mut self,
        from: u16,
        wire: &Wire,
    ) -> Result<Vec<String>, Misbehaviour> {
        let message = admit(&self.keyring, from, wire)?;
        Ok(self.step(Event::Received {
            from: ReplicaId(from),
            message,
        }))
    }

    pub(crate) fn receive(&mut self, from: u16, wire: &Wire) -> Vec<String> {
        self.try_receive(from, wire)
            .expect("the message is admitted")
    }

    /// Requests of clients whose signatures hold.
    /// A STATUS that shows no progress for so long that what is missing is sent again.
    pub(crate) fn hear_stuck(&mut self, from: u16, status: &Wire) -> Vec<String> {
        self.receive(from, status);
        self.wait(Duration::from_secs(2));
        self.receive(from, status)
    }

    /// The STATUS timer after a time without progress.
    pub(crate) fn status_after_waiting(&mut self) -> Vec<String> {
        self.fire(Timer::Status);
        self.wait(Duration::from_secs(2));
        self.fire(Timer::Status)
    }

    pub(crate) fn request(&mut self, requests: impl IntoIterator<Item = Request>) -> Vec<String> {
        let requests = requests.into_iter().map(Verified::own).collect();
        self.step(Event::Requested {
            from: None,
            requests,
        })
    }

    /// Everything that was persisted so far is durable.
    pub(crate) fn persisted(&mut self) -> Vec<String> {
        let upto = Ticket(self.records.len() as u64);
        self.step(Event::Persisted(upto))
    }

    pub(crate) fn fire(&mut self, timer: Timer) -> Vec<String> {
        self.step(Event::TimerFired(timer))
    }

    pub(crate) fn executed(&mut self, seq: u64) -> Vec<String> {
        self.step(Event::Executed(SeqNo(seq)))
    }

    pub(crate) fn state_saved(&mut self, seq: u64, digest: Digest) -> Vec<String> {
        let seq = SeqNo(seq);
        self.step(Event::StateSaved { seq, digest })
    }

    pub(crate) fn state_installed(&mut self, seq: u64, digest: Digest) -> Vec<String> {
        let configuration = consensus::Configuration::genesis(self.keyring.cluster());
        let seq = SeqNo(seq);
        self.step(Event::StateInstalled {
            seq,
            digest,
            configuration,
        })
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }
}

/// Through the codec and admission, alone in its batch.
pub(crate) fn admit(
    keyring: &Keyring,
    from: u16,
    wire: &Wire,
) -> Result<Verified<<Pbft as Protocol>::Message>, Misbehaviour> {
    let decoded: Wire = crypto::decode(&crypto::encode(wire)).expect("own encodings decode");
    assert_eq!(decoded, *wire, "the codec changes nothing");
    let (_, admitted) = admit_all::<Pbft>(keyring, vec![(ReplicaId(from), decoded)])
        .pop()
        .expect("one verdict for one message");
    admitted
}

/// One action as one line.
pub(crate) fn line(action: &Act) -> String {
    match action {
        Action::Persist(record) => match record {
            Record::Bodies { seq, batches } => {
                format!("persist {} bodies of {seq:?}", batches.len())
            }
            Record::Vote { statement, .. } => format!("persist vote {:?}", statement.seq),
            Record::Prepared(held) => format!("persist prepared {:?}", held.statement.seq),
            Record::Stable(held) => format!("persist stable {:?}", held.seq),
            Record::View { view, mode, .. } => format!("persist view {view:?} {mode:?}"),
            Record::Epoch { epoch, .. } => format!("persist epoch {epoch:?}"),
            Record::Role(role) => format!("persist {role:?}"),
        },
        Action::Send { to, wire, when } => {
            let to = match to {
                Destination::Others => "all".to_owned(),
                Destination::One(id) => format!("{id:?}"),
            };
            let when = match when {
                When::Now => "",
                When::Durable => " once durable",
            };
            format!("send {} to {to}{when}", title(wire))
        }
        Action::Execute {
            seq,
            batch,
            checkpoint,
            ..
        } => {
            let requests = batch.as_ref().map_or(0, |batch| batch.requests().len());
            let checkpoint = if *checkpoint { " checkpoint" } else { "" };
            format!("execute {seq:?} ({requests}){checkpoint}")
        }
        Action::FetchState { seq, .. } => format!("fetch state {seq:?}"),
        Action::State { from, .. } => format!("state transfer with {from:?}"),
        Action::Busy { id, .. } => format!("busy {:?}#{}", id.client, id.number),
        Action::Truncate(seq) => format!("truncate {seq:?}"),
        Action::SetTimer { timer, after } => format!("set {timer:?} {after:?}"),
        Action::CancelTimer(timer) => format!("cancel {timer:?}"),
        Action::Report(report) => told(report),
        Action::Halt(why) => format!("halt: {why}"),
    }
}

fn told(report: &Report) -> String {
    match report {
        Report::Proposed { seq, requests } => format!("proposed {seq:?} ({requests})"),
        Report::Decided { seq, path, .. } => format!("decided {seq:?} {}", path.name()),
        Report::FellBack { seq, missing } => format!("fell back {seq:?} missing {missing:?}"),
        Report::EagerCommits(eager) => format!("eager commits {eager}"),
        Report::Stable { seq, .. } => format!("stable {seq:?}"),
        Report::LeftView { to, why } => format!("leave for {to:?}: {}", why.name()),
        Report::OpenedView {
            view,
            slots,
            excluded,
        } => format!("open {view:?} with {slots} slots, {excluded} excluded"),
        Report::Equivocation { culprit, seq } => format!("equivocation {culprit:?} {seq:?}"),
        Report::Dropped { from, why } => format!("dropped {from:?}: {why}"),
        Report::Retransmitted { to, messages } => format!("retransmitted {messages} to {to:?}"),
        Report::Behind { stable, .. } => format!("behind {stable:?}"),
        Report::TransferStarted { seq } => format!("transfer {seq:?}"),
        Report::TransferDone { seq, .. } => format!("transferred {seq:?}"),
        Report::EnteredView(view) => format!("entered {view:?}"),
        Report::EpochEntered(epoch) => format!("entered {epoch:?}"),
        Report::BecameLearner => "became a learner".to_owned(),
        Report::BecameMember(epoch) => format!("member from {epoch:?}"),
    }
}

/// A message's kind in capitals, with its slot where it has one.
pub(crate) fn title(wire: &Wire) -> String {
    let name = wire.name().to_uppercase();
    let seq = match wire {
        Wire::PrePrepare(header, _) => Some(header.statement.seq),
        Wire::Prepare(vote) => Some(vote.statement.seq),
        Wire::Commit(vote) => Some(vote.statement.seq),
        Wire::Checkpoint(claim) => Some(claim.seq),
        Wire::Stable(certificate) => Some(certificate.seq),
        Wire::Decision(decision) => Some(decision.certificate.statement.seq),
        Wire::FetchBatch(seq, _) => Some(*seq),
        _ => None,
    };
    seq.map_or(name.clone(), |seq| format!("{name} {seq:?}"))
}
