//! A small HTTP server for pages that show something: bounded in connections, in the size of a request and in time, so that whoever
//! reaches the port can occupy it, but nothing else of the process.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at a time; the next ones wait in the system's queue.
pub const CONNECTIONS_MAX: usize = 16;
/// Bytes of a request's line and headers. Bodies are not read.
pub const REQUEST_BYTES_MAX: usize = 16 << 10;
/// A request's headers must be complete after this long.
const HEADERS_DEADLINE: Duration = Duration::from_secs(2);
/// One request to a connection, answered and read within this time.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(10);
/// Before the next attempt when a connection cannot be accepted: the process has no file handle left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until dropped.
pub async fn serve(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        // What has ended is forgotten, or the set would grow for ever.
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS_DEADLINE)
                .max_buf_size(REQUEST_BYTES_MAX)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            match tokio::time::timeout(CONNECTION_DEADLINE, served).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a request was not answered"),
                Err(_) => tracing::debug!("a request took too long"),
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::routing::get;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn started() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "hello" }));
        tokio::spawn(serve(listener, router));
        address
    }

    /// Everything that comes back for these bytes.
    async fn answer(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may hang up in the middle of what is too long.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    #[tokio::test(flavor = "current_thread")]
    async fn a_request_is_answered_and_one_that_is_too_long_is_refused() {
        let address = started().await;
        assert!(answer(address, REQUEST).await.ends_with("hello"));
        let long = format!(
            "GET /{} HTTP/1.1\r\n\r\n",
            "a".repeat(2 * REQUEST_BYTES_MAX)
        );
        let refused = answer(address, long.as_bytes()).await;
        assert!(!refused.contains("200 OK"), "{refused}");
        assert!(answer(address, REQUEST).await.ends_with("hello"));
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn silent_connections_take_every_place_and_lose_it_again() {
        let address = started().await;
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        // Answered although all of those are still open at this end: their time runs out, in virtual time.
        assert!(answer(address, REQUEST).await.ends_with("hello"));
    }
}
