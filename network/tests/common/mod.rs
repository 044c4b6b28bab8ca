//! Connected pairs of real endpoints on loopback.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crypto::tls::{Identity, PinnedPeers};
use crypto::{PublicKey, SecretKey};
use network::Class;
use quinn::{Connection, Endpoint};

pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub fn secret(number: u64) -> SecretKey {
    SecretKey::derive(&[7; 32], "test", number)
}

pub fn identity(number: u64) -> Identity {
    Identity::new(&secret(number)).unwrap()
}

pub fn key(number: u64) -> PublicKey {
    secret(number).public()
}

/// Accepts the holders of keys 0, 1, ...
pub fn accepts(keys: &[u64]) -> Arc<PinnedPeers<u64>> {
    Arc::new(PinnedPeers::new(keys.iter().map(|number| (key(*number), *number))).unwrap())
}

/// A listener with key 0 that accepts key 1, a dialer with key 1, and their connection. The
/// endpoints drive it for as long as they live.
pub struct Pair {
    pub listener: Endpoint,
    pub dialer: Endpoint,
    pub listening: Connection,
    pub dialing: Connection,
}

pub async fn pair(class: Class) -> Pair {
    pair_at(class, ANY_PORT).await
}

/// A pair whose listener is bound to `bind` and dialled over loopback.
pub async fn pair_at(class: Class, bind: SocketAddr) -> Pair {
    let listener = network::listen(bind, &identity(0), accepts(&[1]), class).unwrap();
    let dialer = network::dial_endpoint(ANY_PORT).unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = SocketAddr::new(ANY_PORT.ip(), port);
    let me = identity(1);
    let expected = key(0);
    let (listening, dialing) = tokio::join!(
        async { listener.accept().await.unwrap().await.unwrap() },
        async {
            network::dial(&dialer, address, &me, &expected, class)
                .await
                .unwrap()
        },
    );
    Pair {
        listener,
        dialer,
        listening,
        dialing,
    }
}
