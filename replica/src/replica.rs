//! One replica put together: storage, core, verification and both endpoints, with their threads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use consensus::Keyring;
use consensus::pbft::Pbft;
use consensus::pbft::admission::Message;
use crypto::tls::Identity;
use network::Class;

use crate::config::{Membership, Options, durability_name};
use crate::driver::core_loop::{self, Clock, CoreInbox};
use crate::driver::ports::Describe as _;
use crate::driver::{Driver, Stop};
use crate::evidence::Witness;
use crate::fitting::Fitting;
use crate::observer::status::StorageStatus;
use crate::observer::{Logs, Observer};
use crate::pbft_ports::{QuicNetwork, SharedWriter, StorageDisk};
use crate::startup::{self, Standing};
use crate::storage::sqlite::Home;
use crate::transport::clients::{self, ClientsConfig};
use crate::transport::peers::{self, PeersConfig};
use crate::transport::{Endpoint, StartError};
use crate::verify::{self, VerifyInbox};

/// A running replica. Dropping it stops it without the mark of a clean stop.
pub struct Replica {
    observer: Arc<Observer>,
    core_inbox: Arc<CoreInbox<Message>>,
    verify_inbox: Arc<VerifyInbox>,
    writer: SharedWriter,
    peers: Endpoint,
    clients: Endpoint,
    core: Option<JoinHandle<Stop>>,
    workers: Vec<JoinHandle<()>>,
    /// Last: nobody else may have the directory while anything here runs.
    _home: Home,
}

impl Replica {
    /// Opens the storage, binds both ports and starts the threads. `stopped` is called once, on
    /// the core thread, when the replica takes no further step, for whatever reason.
    ///
    /// # Errors
    /// If the directory, the data on disk or a port is unfit; names it and the remedy.
    pub fn start(
        options: &Options,
        fitting: &mut impl Fitting,
        stopped: impl FnOnce() + Send + 'static,
    ) -> anyhow::Result<Self> {
        let who = Membership::read(&options.directory)?;
        let peer_address = options
            .listen
            .or_else(|| who.peer_address())
            .context("this replica has no address in cluster.toml")?;
        let identity = Identity::new(&who.key)?;
        let keyring = Keyring::new(Arc::clone(&who.cluster));
        let writer = SharedWriter::default();
        let observer = observer(options, &who, &writer)?;
        let witness = options
            .evidence
            .as_deref()
            .map(|folder| Witness::start(Arc::clone(&who.cluster), folder))
            .transpose()?
            .map(Arc::new);
        let verify_inbox = Arc::new(VerifyInbox::new());
        let core_inbox = Arc::new(CoreInbox::<Message>::new());

        // The ports first: an occupied one must not cost the data an incarnation.
        let (peers, peer_sender) = peers::start(
            PeersConfig {
                me: who.me,
                cluster: Arc::clone(&who.cluster),
                identity: identity.clone(),
                listen: peer_address,
                addresses: who.peer_addresses.clone(),
            },
            fitting.socket(&who, Class::Peer),
            Arc::clone(&verify_inbox),
            Arc::clone(&observer),
        )?;
        let (clients, client_sender) = clients::start(
            ClientsConfig {
                me: who.me,
                keyring: keyring.clone(),
                identity,
                listen: options.client_listen.unwrap_or(who.client_address),
            },
            fitting.socket(&who, Class::Client),
            Arc::clone(&verify_inbox),
            Arc::clone(&observer),
        )?;
        let restored = startup::restore(options, &who)?;
        if let Standing::Learner(loss) = &restored.standing {
            tracing::error!("{loss}: this replica has no vote until it is renewed");
        }
        let (executor, protocol) = (&restored.executor, &restored.protocol);
        observer.restored(executor.last_executed(), protocol.stable(), protocol.term());
        let storage = fitting.storage(&who, restored.storage);
        writer.start(storage, Arc::clone(&core_inbox));
        let workers = verify::start::<Pbft, QuicNetwork>(
            options.verify_workers.max(1),
            &keyring,
            &verify_inbox,
            &core_inbox,
            &observer,
            witness,
        )
        .map_err(StartError::Thread)?;
        peers.serve();
        clients.serve();
        let network = QuicNetwork {
            peers: peer_sender,
            clients: client_sender,
        };
        let clock = Clock::start();
        let first_run = restored.first_run;
        let driver = Driver::new(
            who.me,
            &who.cluster,
            fitting.protocol(&who, restored.protocol),
            restored.executor,
            StorageDisk::new(writer.clone(), restored.stable),
            fitting.network(&who, clock, network),
            Arc::clone(&observer),
        );
        let mut driver = match first_run {
            true => driver.first_run(),
            false => driver,
        };
        let core = std::thread::Builder::new()
            .name("core".to_owned())
            .spawn({
                let (inbox, observer) = (Arc::clone(&core_inbox), Arc::clone(&observer));
                move || {
                    let stop = core_loop::run(&mut driver, &inbox, &observer, clock);
                    // Nobody takes from the inbox any more, so nobody may wait for room in it.
                    inbox.close();
                    observer.counters.stopped.set(1);
                    stopped();
                    stop
                }
            })
            .map_err(StartError::Thread)?;
        Ok(Replica {
            observer,
            core_inbox,
            verify_inbox,
            writer,
            peers,
            clients,
            core: Some(core),
            workers,
            _home: restored.home,
        })
    }

    /// Where it listens for peers.
    pub fn peer_address(&self) -> SocketAddr {
        self.peers.address()
    }

    /// Where it listens for clients.
    pub fn client_address(&self) -> SocketAddr {
        self.clients.address()
    }

    /// What it knows of itself.
    pub fn observer(&self) -> &Arc<Observer> {
        &self.observer
    }

    /// Stops taking input, writes what is queued with the mark of a clean stop, and closes the
    /// connections.
    ///
    /// # Errors
    /// If the replica had stopped by itself, and why; or if its last writes failed.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let stop = self.stop_core();
        let written = match &stop {
            Stop::Asked => self.writer.stop().map_err(anyhow::Error::from),
            Stop::Halted(_) | Stop::Disk(_) => {
                self.writer.abandon();
                Ok(())
            }
        };
        self.close();
        match stop {
            Stop::Asked => {}
            halted => return Err(halted.into()),
        }
        written?;
        self.observer.close()?;
        Ok(())
    }

    fn stop_core(&mut self) -> Stop {
        self.core_inbox.put(|burst| burst.stop = true);
        let core = self.core.take();
        core.map_or(Stop::Asked, |core| {
            core.join()
                .unwrap_or_else(|_| Stop::Halted("the core thread panicked".to_owned()))
        })
    }

    fn close(&mut self) {
        self.peers.stop();
        self.clients.stop();
        self.core_inbox.close();
        self.verify_inbox.close();
        for worker in self.workers.drain(..) {
            // A panic of a worker has stopped the process already (`run`).
            let _ = worker.join();
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if self.core.is_some() {
            self.stop_core();
            self.writer.abandon();
            self.close();
        }
    }
}

fn observer(
    options: &Options,
    who: &Membership,
    writer: &SharedWriter,
) -> anyhow::Result<Arc<Observer>> {
    let engine = options.engine.name().to_owned();
    let durability = durability_name(options.durability).to_owned();
    let writer = writer.clone();
    let figures = move || {
        let stats = writer.stats();
        StorageStatus {
            engine: engine.clone(),
            durability: durability.clone(),
            log_commits: stats.log.commits,
            log_fsyncs: stats.log.fsyncs,
            log_bytes: stats.log.bytes_written,
            state_commits: stats.state.commits,
            state_fsyncs: stats.state.fsyncs,
            state_bytes: stats.state.bytes_written,
        }
    };
    let observer = Observer::new(
        who.me,
        Arc::clone(&who.cluster),
        QuicNetwork::KINDS,
        Box::new(figures),
        &Logs {
            committed: options.committed_log.as_deref(),
            executed: options.executed_log.as_deref(),
        },
    )?;
    Ok(Arc::new(observer))
}
