//! A round trip over QUIC on loopback: endpoints, keys and limits as between replicas.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crypto::tls::{Identity, PinnedPeers};
use crypto::{Digest, SecretKey};
use network::{Class, dial, dial_endpoint, listen};
use quinn::{Connection, RecvStream, SendStream};

use super::quantile;

/// Messages that go there and back before anything is measured.
const WARM: usize = 50;
/// Bytes of one: about a vote.
const BYTES: usize = 200;
/// Longer than all of it takes on any machine that could be called working.
const DEADLINE: Duration = Duration::from_secs(10);

/// Times from a message to its echo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoundTrip {
    /// Bytes each way.
    pub bytes: usize,
    /// Messages measured.
    pub count: usize,
    /// Median, seconds.
    pub median_s: f64,
    /// 99th percentile, seconds.
    pub p99_s: f64,
}

/// Connects two endpoints of this process and lets messages go to and fro; `count` of them are measured.
///
/// # Errors
/// A sentence that says which step failed.
pub fn round_trip(count: usize) -> Result<RoundTrip, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(async {
        tokio::time::timeout(DEADLINE, measure(count))
            .await
            .unwrap_or_else(|_| Err(format!("{count} round trips took longer than {DEADLINE:?}")))
    })
}

async fn measure(count: usize) -> Result<RoundTrip, String> {
    let key = |number: u64| SecretKey::from_seed(&Digest::of("doctor", &number.to_le_bytes()).0);
    let identity = |number| Identity::new(&key(number)).map_err(|error| error.to_string());
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let accepted = Arc::new(PinnedPeers::only(key(1).public(), 1_u64));
    let listener =
        listen(any, &identity(0)?, accepted, Class::Peer).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let dialer = dial_endpoint(any).map_err(|error| error.to_string())?;
    let answering = tokio::spawn(async move {
        let connection = listener.accept().await.ok_or("nobody came")?.await;
        echo(connection.map_err(|error| error.to_string())?).await
    });
    let connection = dial(
        &dialer,
        address,
        &identity(1)?,
        &key(0).public(),
        Class::Peer,
    )
    .await
    .map_err(|error| error.to_string())?;
    let mut send = connection
        .open_uni()
        .await
        .map_err(|error| error.to_string())?;
    let mut times = Vec::with_capacity(count);
    let mut answers: Option<RecvStream> = None;
    for number in 0..WARM + count {
        let before = Instant::now();
        exchange(&connection, &mut send, &mut answers).await?;
        if number >= WARM {
            times.push(before.elapsed().as_secs_f64());
        }
    }
    drop(send);
    connection.close(0_u32.into(), b"");
    // It ended with the connection; what it says of that is no news.
    let _ended = answering.await;
    times.sort_unstable_by(f64::total_cmp);
    let at = |share| quantile(&times, share).ok_or("nothing was measured");
    Ok(RoundTrip {
        bytes: BYTES,
        count: times.len(),
        median_s: at(0.5)?,
        p99_s: at(0.99)?,
    })
}

async fn exchange(
    connection: &Connection,
    send: &mut SendStream,
    answers: &mut Option<RecvStream>,
) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut message = [0x5a_u8; BYTES];
    send.write_all(&message)
        .await
        .map_err(|error| text(&error))?;
    let answers = match answers {
        Some(answers) => answers,
        // The other side opens its stream when it has something to say.
        None => answers.insert(
            connection
                .accept_uni()
                .await
                .map_err(|error| text(&error))?,
        ),
    };
    answers
        .read_exact(&mut message)
        .await
        .map_err(|error| text(&error))
}

/// Sends back whatever comes, on a stream of its own: replicas use one-way streams.
async fn echo(connection: Connection) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut receive = connection
        .accept_uni()
        .await
        .map_err(|error| text(&error))?;
    let mut send = connection.open_uni().await.map_err(|error| text(&error))?;
    let mut message = [0_u8; BYTES];
    loop {
        receive
            .read_exact(&mut message)
            .await
            .map_err(|error| text(&error))?;
        send.write_all(&message)
            .await
            .map_err(|error| text(&error))?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_message_comes_back() {
        let measured = round_trip(20).unwrap();
        assert_eq!(measured.count, 20);
        assert!(measured.median_s > 0.0 && measured.p99_s >= measured.median_s);
    }
}
