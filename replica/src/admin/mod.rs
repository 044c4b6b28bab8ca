//! The admin port: plain HTTP for operators, off unless asked for, on loopback unless another address is named. It only shows;
//! nothing can be changed through it.
//!
//! | path | answers |
//! |---|---|
//! | `/status` | the status page, JSON |
//! | `/metrics` | the same for Prometheus (docs/metrics.md) |
//! | `/health` | 200 if this replica does its part, 503 if not; JSON says why |
//! | `/healthz` | 200 as long as the process answers |

pub mod exposition;
mod health;
mod metrics;
pub mod server;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;

use crate::observer::Observer;
use crate::observer::status::ReplicaStatus;
pub use health::{Health, HealthStatus};

/// How long `replica status` waits for an answer.
const FETCH_DEADLINE: Duration = Duration::from_secs(5);

/// The admin port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot open the admin port {address}: {source}; stop the process that has it or choose another address with {option}"
)]
pub struct AdminError {
    address: SocketAddr,
    option: &'static str,
    source: std::io::Error,
}

/// Reads `ADDR` of the command line: `127.0.0.1:9000`, or a port alone, which is then one of loopback.
///
/// # Errors
/// A sentence with an example.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| {
        format!("{text:?} is no address: give a port, such as 9000, which is then open on this machine only, or address and port, such as 127.0.0.1:9000")
    })
}

/// Opens the port; `option` is the one that asked for it. Says so if other machines can reach it.
///
/// # Errors
/// If it is taken or not of this machine.
pub async fn listen(address: SocketAddr, option: &'static str) -> Result<TcpListener, AdminError> {
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "{option} is plain HTTP without authentication, and this address is open to other machines: see that only those who may see it can"
        );
    }
    TcpListener::bind(address)
        .await
        .map_err(|source| AdminError {
            address,
            option,
            source,
        })
}

/// Answers until dropped.
pub async fn serve(listener: TcpListener, observer: Arc<Observer>) {
    server::serve(listener, router(observer)).await;
}

fn router(observer: Arc<Observer>) -> Router {
    Router::new()
        .route(
            "/status",
            get(|State(observer): State<Arc<Observer>>| async move { Json(observer.status()) }),
        )
        .route("/metrics", get(show_metrics))
        .route("/health", get(show_health))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(observer)
}

async fn show_metrics(State(observer): State<Arc<Observer>>) -> impl IntoResponse {
    exposition::response(&metrics::Replica(observer))
}

async fn show_health(State(observer): State<Arc<Observer>>) -> impl IntoResponse {
    let health = health::look(&observer);
    let code = match health.status {
        HealthStatus::Ready => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(health))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_open_on_this_machine_only() {
        let parsed = |text: &str| parse_address(text).map(|address| address.to_string());
        assert_eq!(parsed("9000"), Ok("127.0.0.1:9000".to_owned()));
        assert_eq!(parsed("[::1]:9000"), Ok("[::1]:9000".to_owned()));
        assert_eq!(parsed("0.0.0.0:9000"), Ok("0.0.0.0:9000".to_owned()));
        for wrong in ["", "70000", "localhost", "127.0.0.1", ":9000"] {
            let complaint = parsed(wrong).unwrap_err();
            assert!(complaint.contains("127.0.0.1:9000"), "{complaint}");
        }
    }
}
