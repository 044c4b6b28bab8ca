//! A network thread: a single-threaded runtime around one endpoint.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use network::EndpointError;
use tokio::sync::watch;

use super::CLOSE_STOPPING;

/// How long a stopping endpoint waits for its last packets to be taken.
const DRAIN_MAX: Duration = Duration::from_millis(300);

/// Why a network thread did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port could not be opened.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The operating system refused a thread or a runtime.
    #[error("cannot start a network thread: {0}")]
    Thread(#[from] std::io::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// The port is taken, nobody is answered.
    Open,
    Serving,
    Stopping,
}

/// An endpoint with its thread. The port is open from the start, but nobody is answered before
/// [`Endpoint::serve`]: a replica that is still reading its disk has nothing to say.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    phase: watch::Sender<Phase>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Starts a thread, opens an endpoint in it with `listen`, and runs `serve` on it from
    /// [`Endpoint::serve`] until [`Endpoint::stop`].
    pub(super) fn start<S, F>(
        name: &str,
        listen: impl FnOnce() -> Result<quinn::Endpoint, EndpointError> + Send + 'static,
        serve: S,
    ) -> Result<Self, StartError>
    where
        S: FnOnce(quinn::Endpoint) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (phase, mut reached) = watch::channel(Phase::Open);
        let mut stopping = reached.clone();
        let (opened, opening) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    let endpoint = match listen() {
                        Ok(endpoint) => endpoint,
                        Err(error) => {
                            // Whoever started this thread waits for the answer.
                            let _ = opened.send(Err(StartError::from(error)));
                            return;
                        }
                    };
                    let address = endpoint.local_addr().map_err(StartError::from);
                    let _ = opened.send(address);
                    // Fails only when the `Endpoint` is gone, which is an order to stop as well.
                    let _ = reached.wait_for(|phase| *phase > Phase::Open).await;
                    tokio::select! {
                        biased;
                        _ = stopping.wait_for(|phase| *phase == Phase::Stopping) => {}
                        () = serve(endpoint.clone()) => {}
                    }
                    endpoint.close(CLOSE_STOPPING, b"the replica stops");
                    // What does not drain in time is lost, as it may be on any network.
                    let _ = tokio::time::timeout(DRAIN_MAX, endpoint.wait_idle()).await;
                });
            })?;
        let address = opening
            .recv()
            .unwrap_or_else(|_| Err(std::io::Error::other("the thread ended at once").into()))?;
        Ok(Endpoint {
            address,
            phase,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to dial and to answer.
    pub fn serve(&self) {
        self.phase.send_replace(Phase::Serving);
    }

    /// Closes every connection and ends the thread.
    pub fn stop(&mut self) {
        self.phase.send_replace(Phase::Stopping);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has stopped the process already (`run`).
            let _ = thread.join();
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop();
    }
}
