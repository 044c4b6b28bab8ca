//! The admin port: plain HTTP for operators on a trusted network, off unless asked for. It only
//! shows; nothing can be changed through it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;

use crate::observer::Observer;
use crate::observer::status::ReplicaStatus;

/// How long `replica status` waits for an answer.
const FETCH_DEADLINE: Duration = Duration::from_secs(5);

/// The admin port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot open the admin port {address}: {source}; stop the process that has it or choose another address with --admin"
)]
pub struct AdminError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Opens the port.
///
/// # Errors
/// If it is taken or not of this machine.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, AdminError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| AdminError { address, source })
}

/// Answers `GET /status` (JSON) and `GET /healthz` until dropped.
///
/// # Errors
/// If the port fails.
pub async fn serve(listener: TcpListener, observer: Arc<Observer>) -> std::io::Result<()> {
    let router = Router::new()
        .route(
            "/status",
            get(|State(observer): State<Arc<Observer>>| async move { Json(observer.status()) }),
        )
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(observer);
    axum::serve(listener, router).await
}

/// Asks a replica's admin port for its status page.
///
/// # Errors
/// If nobody answers there, or not with a status page.
pub fn fetch(address: &str) -> anyhow::Result<ReplicaStatus> {
    let url = format!("http://{address}/status");
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(FETCH_DEADLINE))
        .build()
        .into();
    let text = agent
        .get(&url)
        .call()
        .and_then(|mut response| response.body_mut().read_to_string())
        .with_context(|| {
            format!("no status from {url}; is the replica running with --admin {address}?")
        })?;
    serde_json::from_str(&text).with_context(|| format!("{url} is no status page of a replica"))
}
