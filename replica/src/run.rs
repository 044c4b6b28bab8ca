//! A replica as a process: signals, the admin port, and the line that says "ready".

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::admin::{self, AdminError};
use crate::config::Options;
use crate::fitting::{Control, Fitting, Honest};
use crate::replica::Replica;
use crate::stdin;
use crate::transport::StartError;

/// Why a replica ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// SIGTERM or SIGINT.
    Signal,
    /// Standard input ended, as asked for with `exit_with_stdin`.
    StdinEnded,
}

/// What follows the word `ready` on standard output, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The replica's number.
    pub replica: u16,
    /// Its process.
    pub pid: u32,
    /// Where it listens for peers.
    pub peer: SocketAddr,
    /// Where it listens for clients.
    pub client: SocketAddr,
    /// Where it serves its status page, if anywhere.
    pub admin: Option<SocketAddr>,
}

/// The first word of the line that says that both endpoints listen.
pub const READY: &str = "ready";

/// Exit code for a failed run: 6 if the environment is unfit (a port is taken), else 1
/// (docs/reading-results.md).
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let unfit = error
        .downcast_ref::<StartError>()
        .is_some_and(|error| matches!(error, StartError::Endpoint(_)))
        || error.downcast_ref::<AdminError>().is_some();
    if unfit { 6 } else { 1 }
}

/// Runs a replica until it is told to stop, or cannot go on.
///
/// # Errors
/// If it cannot start, halts, or its storage fails.
pub fn run(options: &Options) -> anyhow::Result<ExitReason> {
    run_fitted(options, Honest)
}

/// As [`run`], with what `fitting` puts around the replica.
///
/// # Errors
/// As [`run`].
pub fn run_fitted(options: &Options, fitting: impl Fitting) -> anyhow::Result<ExitReason> {
    end_process_on_panic();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(supervise(options, fitting));
    // The thread that reads standard input may still wait; nobody waits for it.
    runtime.shutdown_background();
    outcome
}

async fn supervise(options: &Options, mut fitting: impl Fitting) -> anyhow::Result<ExitReason> {
    // Before anything else, so that no signal finds the default handler half-way.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let admin = match options.admin {
        Some(address) => Some(admin::listen(address, "--admin").await?),
        None => None,
    };
    let core_stopped = Arc::new(Notify::new());
    let replica = Replica::start(options, &mut fitting, {
        let core_stopped = Arc::clone(&core_stopped);
        move || core_stopped.notify_one()
    })?;
    let ready = Ready {
        replica: replica.observer().status().replica,
        pid: std::process::id(),
        peer: replica.peer_address(),
        client: replica.client_address(),
        admin: admin
            .as_ref()
            .and_then(|listener| listener.local_addr().ok()),
    };
    announce(&ready)?;
    if let Some(listener) = admin {
        tokio::spawn(admin::serve(listener, Arc::clone(replica.observer())));
    }
    let stdin_ended = Arc::new(Notify::new());
    if options.exit_with_stdin {
        watch_stdin(fitting.control(), Arc::clone(&stdin_ended))?;
    }
    let reason = tokio::select! {
        _ = terminate.recv() => Some(ExitReason::Signal),
        _ = interrupt.recv() => Some(ExitReason::Signal),
        () = stdin_ended.notified() => Some(ExitReason::StdinEnded),
        () = core_stopped.notified() => None,
    };
    tracing::info!(?reason, "stopping");
    replica.stop()?;
    reason.ok_or_else(|| anyhow::anyhow!("the replica stopped by itself without a reason"))
}

fn announce(ready: &Ready) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{READY} {}", serde_json::to_string(ready)?)?;
    stdout.flush()?;
    Ok(())
}

fn watch_stdin(control: Control, ended: Arc<Notify>) -> std::io::Result<()> {
    let watch = move || {
        stdin::each_line(std::io::stdin().lock(), control);
        ended.notify_one();
    };
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(watch)
        .map(|_| ())
}

/// A replica with a dead thread would look alive and do nothing, or vote on half a state.
fn end_process_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        last_words("stopped by the panic above, which is a bug; its data is as after a crash");
        std::process::exit(1);
    }));
}

/// Writes a line to standard error if that is possible. The disk behind it may be full, or its
/// reader gone; a replica must not die of that, least of all while it says why it stops.
pub fn last_words(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "replica: {text}");
}
