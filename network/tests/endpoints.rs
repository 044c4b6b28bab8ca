//! Who may connect to whom, on real sockets.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{ANY_PORT, accepts, identity, key, pair, secret};
use consensus::{ClientId, Cluster, FastQuorum, Keyring, Limits};
use network::{
    Acceptor, Caps, Class, DialError, EndpointError, Rejection, SocketWrap, ToReplica, Version, Way,
};
use network::{dial, dial_endpoint, dial_over, listen, listen_over, remote_key};
use quinn::ConnectionError;

/// Longer than anything on loopback takes, shorter than a test runner's patience.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn pinned_keys_meet_and_each_side_knows_the_other() {
    for class in [Class::Peer, Class::Client] {
        let pair = pair(class).await;
        assert_eq!(remote_key(&pair.listening).unwrap(), key(1));
        assert_eq!(remote_key(&pair.dialing).unwrap(), key(0));
    }
}

#[tokio::test]
async fn members_and_clients_are_found_by_their_keys() {
    let replicas = (0..4).map(key).collect();
    let clients = (10..12).map(key).collect();
    let cluster =
        Cluster::genesis(1, FastQuorum::Off, Limits::default(), replicas, clients).unwrap();
    let peers = network::pinned_replicas(&cluster, consensus::ReplicaId(2));
    let from = |number| [identity(number).certificate().clone()];
    assert_eq!(peers.identify(&from(3)).unwrap(), consensus::ReplicaId(3));
    assert!(
        peers.identify(&from(2)).is_err(),
        "a replica does not accept itself"
    );
    assert!(peers.identify(&from(10)).is_err(), "a client is no peer");
    let clients = network::pinned_clients(&cluster);
    assert_eq!(clients.identify(&from(11)).unwrap(), ClientId(1));
    assert!(
        clients.identify(&from(1)).is_err(),
        "a replica is no client"
    );
}

#[tokio::test]
async fn an_unknown_key_is_refused_by_the_listener() {
    let listener = listen(ANY_PORT, &identity(0), accepts(&[1]), Class::Peer).unwrap();
    let address = listener.local_addr().unwrap();
    let dialer = dial_endpoint(ANY_PORT).unwrap();
    let (accepted, dialed) =
        tokio::join!(async { listener.accept().await.unwrap().await }, async {
            dial(&dialer, address, &identity(9), &key(0), Class::Peer).await
        },);
    accepted.unwrap_err();
    // The dialer's side stands for a moment, until the listener's verdict on its key arrives.
    if let Ok(connection) = dialed {
        let reason = tokio::time::timeout(PATIENCE, connection.closed())
            .await
            .unwrap();
        assert!(
            matches!(reason, ConnectionError::ConnectionClosed(_)),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn a_dialer_refuses_a_listener_with_another_key() {
    let listener = listen(ANY_PORT, &identity(5), accepts(&[1]), Class::Peer).unwrap();
    let address = listener.local_addr().unwrap();
    let dialer = dial_endpoint(ANY_PORT).unwrap();
    let (accepted, dialed) =
        tokio::join!(async { listener.accept().await.unwrap().await }, async {
            dial(&dialer, address, &identity(1), &key(0), Class::Peer).await
        },);
    accepted.unwrap_err();
    assert!(matches!(dialed.unwrap_err(), DialError::Handshake { .. }));
}

#[tokio::test]
async fn a_dialer_without_certificate_is_refused() {
    let listener = listen(ANY_PORT, &identity(0), accepts(&[1]), Class::Peer).unwrap();
    let address = listener.local_addr().unwrap();
    let dialer = dial_endpoint(ANY_PORT).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(accepts(&[0]))
        .with_no_client_auth();
    tls.alpn_protocols = vec![network::transport::ALPN_PEER.to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let (accepted, dialed) =
        tokio::join!(async { listener.accept().await.unwrap().await }, async {
            dialer
                .connect_with(config, address, "quintet")
                .unwrap()
                .await
        },);
    accepted.unwrap_err();
    if let Ok(connection) = dialed {
        let reason = tokio::time::timeout(PATIENCE, connection.closed())
            .await
            .unwrap();
        assert!(
            matches!(reason, ConnectionError::ConnectionClosed(_)),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn a_client_does_not_get_in_by_the_peers_door() {
    let listener = listen(ANY_PORT, &identity(0), accepts(&[1]), Class::Peer).unwrap();
    let address = listener.local_addr().unwrap();
    let dialer = dial_endpoint(ANY_PORT).unwrap();
    let (accepted, dialed) =
        tokio::join!(async { listener.accept().await.unwrap().await }, async {
            dial(&dialer, address, &identity(1), &key(0), Class::Client).await
        },);
    accepted.unwrap_err();
    dialed.unwrap_err();
}

/// The configuration of a member whose program speaks this protocol.
fn speaking(number: u64, expected: u64, protocol: &[u8]) -> quinn::ClientConfig {
    let tls = crypto::tls::client_config(&identity(number), key(expected), protocol).unwrap();
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    quinn::ClientConfig::new(Arc::new(crypto))
}

/// P10: one member has been upgraded, the others have not. Its key is right, and it is refused before any byte of the
/// protocol, with the reason; the listener goes on.
#[tokio::test]
async fn a_member_of_another_version_is_refused_and_told_why() {
    let listener = listen(ANY_PORT, &identity(0), accepts(&[1, 2]), Class::Peer).unwrap();
    let address = listener.local_addr().unwrap();
    let mut acceptor = Acceptor::new(listener, Caps::of(Class::Peer, 2));
    let dialer = dial_endpoint(ANY_PORT).unwrap();
    let newer = speaking(1, 0, b"quintet-peer/2");
    let (accepted, dialed) = tokio::join!(acceptor.next(), async {
        dialer
            .connect_with(newer, address, "quintet")
            .unwrap()
            .await
    });
    let rejection = accepted.unwrap().unwrap_err();
    assert!(matches!(rejection, Rejection::OtherProtocol), "{rejection}");
    assert!(rejection.to_string().contains("another version"));
    dialed.unwrap_err();

    let (accepted, dialed) = tokio::join!(acceptor.next(), async {
        dial(&dialer, address, &identity(2), &key(0), Class::Peer).await
    });
    assert_eq!(accepted.unwrap().unwrap().key, key(2));
    dialed.unwrap();
}

/// The other way round: the older member dials.
#[tokio::test]
async fn who_dials_a_member_of_another_version_learns_it() {
    let tls = crypto::tls::server_config(&identity(0), accepts(&[1]), b"quintet-peer/2").unwrap();
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let newer = quinn::Endpoint::server(config, ANY_PORT).unwrap();
    let address = newer.local_addr().unwrap();
    let dialer = dial_endpoint(ANY_PORT).unwrap();
    let (accepted, dialed) = tokio::join!(async { newer.accept().await.unwrap().await }, async {
        dial(&dialer, address, &identity(1), &key(0), Class::Peer).await
    },);
    accepted.unwrap_err();
    let error = dialed.unwrap_err();
    assert!(
        matches!(error, DialError::OtherProtocol { remote } if remote == address),
        "{error}"
    );
}

/// An endpoint that is told to speak another version does so in both directions, and with nobody else.
#[tokio::test]
async fn an_endpoint_of_another_version_is_understood_by_its_like_alone() {
    let newer = || SocketWrap::default().speaking(Version(2));
    let me = identity(0);
    let listener = listen_over(newer(), ANY_PORT, &me, accepts(&[1]), Class::Peer).unwrap();
    let address = listener.local_addr().unwrap();
    let mut acceptor = Acceptor::new(listener, Caps::of(Class::Peer, 2));
    let dialer = dial_endpoint(ANY_PORT).unwrap();
    for (version, understood) in [(Version::PRESENT, false), (Version(2), true)] {
        let way = Way {
            version,
            ..newer().way(address.ip())
        };
        let (me, listens) = (identity(1), key(0));
        let (accepted, dialed) = tokio::join!(
            acceptor.next(),
            dial_over(way, &dialer, address, &me, &listens, Class::Peer)
        );
        assert_eq!(
            (accepted.unwrap().is_ok(), dialed.is_ok()),
            (understood, understood)
        );
    }
}

#[tokio::test]
async fn an_occupied_port_is_named_with_its_remedy() {
    let first = listen(ANY_PORT, &identity(0), accepts(&[1]), Class::Peer).unwrap();
    let address = first.local_addr().unwrap();
    let error = listen(address, &identity(0), accepts(&[1]), Class::Peer).unwrap_err();
    assert!(matches!(error, EndpointError::PortTaken { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("stop the process"),
        "{text}"
    );
}

#[tokio::test]
async fn an_address_of_another_machine_is_named() {
    let address = "192.0.2.1:7100".parse().unwrap();
    let error = listen(address, &identity(0), accepts(&[1]), Class::Peer).unwrap_err();
    assert!(matches!(error, EndpointError::NotHere { .. }), "{error}");
}

#[tokio::test]
async fn sockets_get_larger_buffers_than_the_default() {
    let plain = std::net::UdpSocket::bind(ANY_PORT).unwrap();
    let ours = network::socket::bind(ANY_PORT).unwrap();
    let before = network::socket::buffers(&plain).unwrap();
    let after = network::socket::buffers(&ours).unwrap();
    assert!(after.receive >= before.receive && after.send >= before.send);
}

/// Relays datagrams to `server` until it has passed on `limit` of the client's, then falls silent.
async fn silent_after(limit: usize, server: std::net::SocketAddr) -> std::net::SocketAddr {
    let front = tokio::net::UdpSocket::bind(ANY_PORT).await.unwrap();
    let back = tokio::net::UdpSocket::bind(ANY_PORT).await.unwrap();
    let address = front.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
        let mut passed = 0;
        let mut client = None;
        loop {
            tokio::select! {
                Ok((len, from)) = front.recv_from(&mut up) => {
                    client = Some(from);
                    if passed < limit {
                        passed += 1;
                        back.send_to(&up[..len], server).await.unwrap();
                    }
                }
                Ok((len, _)) = back.recv_from(&mut down) => {
                    front.send_to(&down[..len], client.unwrap()).await.unwrap();
                }
            }
        }
    });
    address
}

#[tokio::test]
async fn a_dialer_that_falls_silent_loses_its_place_after_the_deadline() {
    let listener = listen(ANY_PORT, &identity(0), accepts(&[1]), Class::Peer).unwrap();
    // On loopback the first packet only fetches what the second proves the address with.
    let address = silent_after(2, listener.local_addr().unwrap()).await;
    let deadline = Duration::from_millis(300);
    let caps = Caps {
        handshake_deadline: deadline,
        ..Caps::of(Class::Peer, 1)
    };
    let mut acceptor = Acceptor::new(listener, caps);
    let dialer = dial_endpoint(ANY_PORT).unwrap();
    let dialing =
        tokio::spawn(
            async move { dial(&dialer, address, &identity(1), &key(0), Class::Peer).await },
        );
    let started = Instant::now();
    let rejected = tokio::time::timeout(PATIENCE, acceptor.next())
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(rejected, Err(network::acceptor::Rejection::Deadline(_))),
        "{rejected:?}"
    );
    assert!(started.elapsed() >= deadline);
    dialing.abort();
}

#[tokio::test]
async fn one_key_cannot_take_every_place() {
    let listener = listen(ANY_PORT, &identity(0), accepts(&[1, 2]), Class::Client).unwrap();
    let address = listener.local_addr().unwrap();
    let caps = Caps {
        per_key_max: 2,
        ..Caps::of(Class::Client, 2)
    };
    let mut acceptor = Acceptor::new(listener, caps);
    let dialer = dial_endpoint(ANY_PORT).unwrap();
    let mut kept = Vec::new();
    let mut dialed = Vec::new();
    for (number, welcome) in [(1, true), (1, true), (1, false), (2, true)] {
        let me = identity(number);
        let expected = key(0);
        let (accepted, connection) = tokio::join!(
            acceptor.next(),
            dial(&dialer, address, &me, &expected, Class::Client)
        );
        let accepted = accepted.unwrap();
        assert_eq!(accepted.is_ok(), welcome, "key {number}: {accepted:?}");
        kept.extend(accepted);
        dialed.extend(connection);
    }
    // A place that is given back can be taken again.
    kept.remove(0);
    let me = identity(1);
    let expected = key(0);
    let (accepted, connection) = tokio::join!(
        acceptor.next(),
        dial(&dialer, address, &me, &expected, Class::Client)
    );
    assert_eq!(accepted.unwrap().unwrap().key, key(1));
    connection.unwrap();
}

#[tokio::test]
async fn above_the_threshold_an_address_must_prove_itself_and_still_gets_in() {
    let listener = listen(ANY_PORT, &identity(0), accepts(&[1]), Class::Client).unwrap();
    let address = listener.local_addr().unwrap();
    let caps = Caps {
        retry_above: 0,
        ..Caps::of(Class::Client, 1)
    };
    let mut acceptor = Acceptor::new(listener, caps);
    let dialer = dial_endpoint(ANY_PORT).unwrap();
    let me = identity(1);
    let expected = key(0);
    let (accepted, connection) = tokio::join!(
        acceptor.next(),
        dial(&dialer, address, &me, &expected, Class::Client)
    );
    assert_eq!(accepted.unwrap().unwrap().key, key(1));
    connection.unwrap();
}

#[tokio::test]
async fn a_restarted_listener_ends_old_connections_at_once() {
    let socket = std::net::UdpSocket::bind(ANY_PORT).unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    // The first life has a runtime of its own, which dies with everything in it, as a killed
    // process does: nobody says goodbye.
    let first_life = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (listener, connection) = runtime.block_on(async {
            let listener = listen(address, &identity(0), accepts(&[1]), Class::Peer).unwrap();
            let connection = listener.accept().await.unwrap().await.unwrap();
            (listener, connection)
        });
        // Without their tasks the handles cannot send a farewell when they are dropped.
        runtime.shutdown_timeout(PATIENCE);
        drop((listener, connection));
    });
    let dialer = dial_endpoint(ANY_PORT).unwrap();
    let connection = loop {
        let dialed = dial(&dialer, address, &identity(1), &key(0), Class::Peer).await;
        if let Ok(connection) = dialed {
            break connection;
        }
    };
    tokio::task::spawn_blocking(|| first_life.join().unwrap())
        .await
        .unwrap();
    let second_life = loop {
        match listen(address, &identity(0), accepts(&[1]), Class::Peer) {
            Ok(listener) => break listener,
            Err(EndpointError::PortTaken { .. }) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    let mut stream = connection.open_uni().await.unwrap();
    let restarted = Instant::now();
    stream.write_all(&[0; 100]).await.unwrap();
    let reason = tokio::time::timeout(PATIENCE, connection.closed())
        .await
        .unwrap();
    assert!(matches!(reason, ConnectionError::Reset), "{reason}");
    assert!(restarted.elapsed() < network::transport::PEER_IDLE_TIMEOUT / 2);
    drop(second_life);
}

#[tokio::test]
async fn an_attachment_holds_on_its_own_connection_only() {
    let replicas = (20..24).map(key).collect();
    let cluster = Cluster::genesis(
        1,
        FastQuorum::Off,
        Limits::default(),
        replicas,
        vec![key(1), key(2)],
    )
    .unwrap();
    let keyring = Keyring::new(Arc::new(cluster));
    let id = keyring.cluster().id();
    let (here, there) = (pair(Class::Client).await, pair(Class::Client).await);
    let client = ClientId(1);
    let message = network::wire_client::attach(&here.dialing, id, client, &secret(2)).unwrap();
    let ToReplica::Attach { client, signature } =
        ToReplica::from_frame(&crypto::encode(&message)).unwrap()
    else {
        panic!("an attachment was encoded");
    };
    let holds = |connection, client| {
        network::wire_client::attachment_holds(connection, &keyring, client, signature).unwrap()
    };
    assert!(holds(&here.listening, client));
    assert!(
        !holds(&there.listening, client),
        "not on another connection"
    );
    assert!(
        !holds(&here.listening, ClientId(0)),
        "not for another client"
    );
    assert!(
        !holds(&here.listening, ClientId(7)),
        "not for an unknown client"
    );
}

/// N10: a router forgets what it translated, and a dialer is seen at another port.
#[tokio::test]
async fn a_connection_survives_another_port_of_whoever_dialled() {
    for class in [Class::Peer, Class::Client] {
        let pair = pair(class).await;
        let before = pair.listening.remote_address();
        let moved = std::net::UdpSocket::bind(ANY_PORT).unwrap();
        let after = moved.local_addr().unwrap();
        pair.dialer.rebind(moved).unwrap();
        let sent = async {
            let mut stream = pair.dialing.open_uni().await.unwrap();
            stream.write_all(b"still here").await.unwrap();
            stream.finish().unwrap();
        };
        let received = async {
            let mut stream = pair.listening.accept_uni().await.unwrap();
            stream.read_to_end(64).await.unwrap()
        };
        let both = async { tokio::join!(sent, received) };
        let ((), text) = tokio::time::timeout(PATIENCE, both).await.unwrap();
        assert_eq!(text, b"still here");
        assert_ne!(before, after);
        assert_eq!(pair.listening.remote_address(), after);
    }
}
