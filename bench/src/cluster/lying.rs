//! A replica that lies: the wrapper of the crate `byzantine` around the honest protocol, its other half where messages
//! leave, and the thread that lets out what was kept back there and says what was done.
//!
//! ```text
//!   verify ─► core ─► Byzantine(Pbft) ─► Bent(QuicNetwork) ─► QUIC
//!                          │ pulse           │ kept back
//!   begin ─────────────────┤                 ▼
//!                          └─────────► thread "lies" ─► stdout: deeds {"counts":[3],"detected":true}
//! ```

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use byzantine::attack::Parcel;
use byzantine::bend::Due;
use byzantine::{Bend, Byzantine, Cabal, Forge, Plan, Pulse};
use consensus::pbft::Pbft;
use consensus::pbft::message::Wire;
use consensus::{Destination, Keyring, ReplicaId, Reply, Term};
use crypto::Signer;
use network::genesis::REPLICA_KEY;
use network::{Class, SocketWrap};
use replica::config::Membership;
use replica::driver::core_loop::Clock;
use replica::driver::ports::{Describe, Lane, Milestone, Network, Outgoing};
use replica::fitting::{Control, Fitting, QuicNetwork};
use replica::storage::Storage;

use super::control::{ControlLine, Deeds};
use super::fitting::Surroundings;

/// Between two reports of what was done.
const REPORT: Duration = Duration::from_millis(100);

/// A replica that lies.
pub(super) struct Lying {
    around: Surroundings,
    plan: Plan,
    /// Of all Byzantine replicas of the run, this one included.
    keys: Vec<(ReplicaId, Arc<dyn Signer>)>,
    pulse: Pulse,
}

impl Lying {
    /// `directory` is that of the replica; those of its colluders stand beside it.
    ///
    /// # Errors
    /// If the key of a colluder cannot be read.
    pub(super) fn new(
        mut around: Surroundings,
        plan: Plan,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let mut keys: Vec<(ReplicaId, Arc<dyn Signer>)> = Vec::new();
        for colluder in &plan.colluders {
            let beside = directory.with_file_name(format!("replica-{colluder}"));
            let key = crypto::files::read_secret(&beside.join(REPLICA_KEY))?;
            keys.push((ReplicaId(*colluder), Arc::new(key)));
        }
        let pulse = Pulse::default();
        if around.was_restarted() {
            pulse.note_restarted();
        }
        let begun = pulse.clone();
        around.listen(Box::new(move |line| {
            if let ControlLine::Begin { ago_ms } = line {
                begin(begun.clone(), *ago_ms);
            }
        }));
        Ok(Lying {
            around,
            plan,
            keys,
            pulse,
        })
    }

    fn forge(&self, who: &Membership) -> Forge {
        let own: Arc<dyn Signer> = Arc::new(who.key.clone());
        let keys = self.keys.iter().cloned().chain([(who.me, own)]);
        Forge {
            me: who.me,
            keyring: Keyring::new(Arc::clone(&who.cluster)),
            // Signatures that no honest signer makes take the key itself (BB14).
            cabal: Arc::new(Cabal::new(keys, self.plan.seed).with_secret(who.me, who.key.clone())),
        }
    }
}

/// Lets the measured phase begin when it does.
fn begin(pulse: Pulse, ago_ms: i64) {
    if let Ok(ago) = u64::try_from(ago_ms) {
        return pulse.began(Duration::from_millis(ago));
    }
    let wait = Duration::from_millis(ago_ms.unsigned_abs());
    std::thread::spawn(move || {
        std::thread::sleep(wait);
        pulse.begin();
    });
}

impl Fitting for Lying {
    type Protocol = Byzantine;
    type Network = Bent;

    fn socket(&mut self, who: &Membership, class: Class) -> SocketWrap {
        self.around.socket(who, class)
    }

    fn storage(&mut self, _who: &Membership, opened: Storage) -> Storage {
        self.around.storage(opened)
    }

    fn protocol(&mut self, who: &Membership, honest: Pbft) -> Byzantine {
        Byzantine::new(honest, self.forge(who), &self.plan, self.pulse.clone())
    }

    fn network(&mut self, who: &Membership, clock: Clock, honest: QuicNetwork) -> Bent {
        let out = Arc::new(Out {
            bend: Mutex::new(Bend::new(self.forge(who), &self.plan, self.pulse.clone())),
            changed: Condvar::new(),
            clock,
        });
        let bent = Bent {
            honest,
            out: Arc::clone(&out),
        };
        let mut late = bent.clone();
        let (pulse, count) = (self.pulse.clone(), self.plan.behaviours.len());
        let lies = move || {
            let mut told = Deeds::default();
            loop {
                late.release(REPORT);
                told = say(&pulse, count, told);
            }
        };
        let thread = std::thread::Builder::new().name("lies".to_owned());
        if let Err(error) = thread.spawn(lies) {
            tracing::error!("no thread for what is kept back, which stays here: {error}");
        }
        bent
    }

    fn control(&mut self) -> Control {
        self.around.control()
    }
}

/// Says what was done if that is news.
fn say(pulse: &Pulse, count: usize, told: Deeds) -> Deeds {
    let mut counts = pulse.deeds();
    counts.truncate(count);
    let deeds = Deeds {
        counts,
        detected: pulse.detected(),
    };
    if deeds != told {
        // Nobody listens once the run is over.
        let _ = writeln!(std::io::stdout().lock(), "{}", deeds.to_line());
    }
    deeds
}

/// What the core and the thread "lies" share.
struct Out {
    bend: Mutex<Bend>,
    /// Something was kept back.
    changed: Condvar,
    clock: Clock,
}

impl Out {
    fn bend(&self) -> MutexGuard<'_, Bend> {
        self.bend.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way out of a replica that lies.
#[derive(Clone)]
pub(super) struct Bent {
    honest: QuicNetwork,
    out: Arc<Out>,
}

impl Bent {
    /// Waits for what was kept back, `most` at the longest, and sends what is due.
    fn release(&mut self, most: Duration) {
        let (messages, replies) = {
            let bend = self.out.bend();
            let now = self.out.clock.now();
            let wait = bend.deadline().map_or(most, |due| due.since(now).min(most));
            let woken = self.out.changed.wait_timeout(bend, wait);
            let (mut bend, _) = woken.unwrap_or_else(PoisonError::into_inner);
            let (mut messages, mut replies) = (Vec::new(), Vec::new());
            for due in bend.due(self.out.clock.now()) {
                match due {
                    Due::Parcel(to, parcel) => messages.push(packed(to, parcel)),
                    Due::Reply(reply) => replies.push(reply),
                }
            }
            (messages, replies)
        };
        if !messages.is_empty() {
            self.honest.send(messages);
        }
        if !replies.is_empty() {
            self.honest.reply(replies);
        }
    }
}

fn packed(to: Destination, parcel: Parcel) -> Outgoing {
    match parcel {
        Parcel::Wire(wire) => Outgoing {
            to,
            lane: QuicNetwork::lane(&wire),
            kind: QuicNetwork::kind(&wire),
            bytes: Bytes::from(crypto::encode(&*wire)),
        },
        Parcel::Bytes(bytes) => Outgoing {
            to,
            lane: Lane::Main,
            kind: usize::MAX,
            bytes: Bytes::from(bytes),
        },
    }
}

impl Network for Bent {
    fn send(&mut self, messages: Vec<Outgoing>) {
        let mut leaves = Vec::with_capacity(messages.len());
        let mut bend = self.out.bend();
        let now = self.out.clock.now();
        for sent in messages {
            match crypto::decode::<Wire>(&sent.bytes) {
                Ok(wire) => {
                    let parcels = bend.message(now, sent.to, wire);
                    leaves.extend(parcels.into_iter().map(|(to, parcel)| packed(to, parcel)));
                }
                // Larger than what a receiver decodes; it leaves as it is.
                Err(_) => leaves.push(sent),
            }
        }
        drop(bend);
        self.out.changed.notify_one();
        if !leaves.is_empty() {
            self.honest.send(leaves);
        }
    }

    fn reply(&mut self, replies: Vec<Reply>) {
        let mut bend = self.out.bend();
        let now = self.out.clock.now();
        let leaves: Vec<Reply> = replies
            .into_iter()
            .flat_map(|reply| bend.reply(now, reply))
            .collect();
        drop(bend);
        self.out.changed.notify_one();
        if !leaves.is_empty() {
            self.honest.reply(leaves);
        }
    }

    fn hint(&mut self, term: Term) {
        self.honest.hint(term);
    }
}

impl Describe<Wire> for Bent {
    const KINDS: &'static [&'static str] = QuicNetwork::KINDS;

    fn kind(wire: &Wire) -> usize {
        QuicNetwork::kind(wire)
    }

    fn lane(wire: &Wire) -> Lane {
        QuicNetwork::lane(wire)
    }

    fn milestone(wire: &Wire) -> Option<Milestone<'_>> {
        QuicNetwork::milestone(wire)
    }
}
