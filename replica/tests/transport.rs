//! Both endpoints over loopback, without a core behind them.

#![allow(clippy::unwrap_used)]

#[path = "../../network/tests/common/relay.rs"]
mod relay;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use consensus::{
    ByteList, ClientId, Cluster, Destination, Epoch, FastQuorum, Keyring, Limits, Misbehaviour,
    Outcome, ReplicaId, Reply, Request, RequestId, SeqNo, Term, View,
};
use crypto::SecretKey;
use crypto::codec::Blob;
use crypto::tls::Identity;
use network::{Class, FrameReader, FrameWriter, SocketWrap, StreamKind, ToClient, ToReplica};
use quinn::{Connection, ConnectionError};
use replica::driver::ports::{Lane, Outgoing};
use replica::observer::conduct::{BAN_MIN, OFFENCES_MAX};
use replica::observer::status::StorageStatus;
use replica::observer::{Logs, Observer};
use replica::transport::Endpoint;
use replica::transport::clients::{self, BAD_REQUESTS_MAX, ClientSender, ClientsConfig};
use replica::transport::peers::{self, PeerSender, PeersConfig};
use replica::verify::VerifyInbox;

const PATIENCE: Duration = Duration::from_secs(20);

fn key(label: &str, index: u64) -> SecretKey {
    SecretKey::derive(&[7; 32], label, index)
}

fn cluster() -> Arc<Cluster> {
    let keys = |label: &str, count| (0..count).map(|i| key(label, i).public()).collect();
    let (replicas, clients) = (keys("replica", 4), keys("client", 3));
    Cluster::genesis(1, FastQuorum::Strong, Limits::default(), replicas, clients)
        .map(Arc::new)
        .unwrap()
}

fn identity(label: &str, index: u64) -> Identity {
    Identity::new(&key(label, index)).unwrap()
}

struct Peer {
    endpoint: Endpoint,
    sender: PeerSender,
    inbox: Arc<VerifyInbox>,
    observer: Arc<Observer>,
}

fn observer(me: u16) -> Arc<Observer> {
    let figures = Box::new(StorageStatus::default);
    Arc::new(Observer::new(ReplicaId(me), cluster(), &[], figures, &Logs::default()).unwrap())
}

/// Replica `me` at `listen`, with everybody else at `others`.
fn peer(me: u16, listen: SocketAddr, others: SocketAddr) -> Peer {
    let config = PeersConfig {
        me: ReplicaId(me),
        cluster: cluster(),
        identity: identity("replica", u64::from(me)),
        listen,
        addresses: vec![others; 4],
    };
    let (inbox, observer) = (Arc::new(VerifyInbox::new()), observer(me));
    let (endpoint, sender) = peers::start(
        config,
        SocketWrap::default(),
        Arc::clone(&inbox),
        Arc::clone(&observer),
    )
    .unwrap();
    endpoint.serve();
    Peer {
        endpoint,
        sender,
        inbox,
        observer,
    }
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// An address where nobody answers.
fn nowhere() -> SocketAddr {
    "127.0.0.1:9".parse().unwrap()
}

impl Peer {
    fn send(&self, to: u16, lane: Lane, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.sender.send(vec![Outgoing {
            to: Destination::One(ReplicaId(to)),
            lane,
            kind: 0,
            bytes,
        }]);
    }

    /// The frames that arrive next, with their senders.
    fn receive(&self) -> Vec<(u16, Bytes)> {
        let backlog = self.inbox.take(Some(Instant::now() + PATIENCE)).unwrap();
        backlog
            .peers
            .into_iter()
            .flat_map(|arrived| {
                arrived
                    .frames
                    .into_iter()
                    .map(move |frame| (arrived.from.0, frame))
            })
            .collect()
    }

    fn wait_connected(&self, to: u16, connected: bool) {
        let until = Instant::now() + PATIENCE;
        while (self.observer.peer(ReplicaId(to)).connected.value() > 0) != connected {
            assert!(
                Instant::now() < until,
                "peer {to} is not connected: {connected}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn the_higher_id_dials_and_messages_go_both_ways_on_both_lanes() {
    let low = peer(0, any_port(), nowhere());
    let high = peer(1, any_port(), low.endpoint.address());
    low.wait_connected(1, true);
    high.wait_connected(0, true);
    low.send(1, Lane::Main, "vote");
    assert_eq!(high.receive(), [(0, Bytes::from_static(b"vote"))]);
    high.send(0, Lane::Bulk, "state");
    assert_eq!(low.receive(), [(1, Bytes::from_static(b"state"))]);
}

#[test]
fn a_peer_that_went_away_is_dialled_until_it_is_back() {
    let mut low = peer(0, any_port(), nowhere());
    let address = low.endpoint.address();
    let high = peer(1, any_port(), address);
    low.wait_connected(1, true);
    low.endpoint.stop();
    high.wait_connected(0, false);
    high.send(0, Lane::Main, "kept for a short absence");
    let low = peer(0, address, nowhere());
    assert_eq!(
        low.receive(),
        [(1, Bytes::from_static(b"kept for a short absence"))]
    );
    assert!(high.observer.peer(ReplicaId(0)).connections.total() >= 2);
}

#[test]
fn a_silent_peer_is_dialled_anew_beside_the_old_connection() {
    let low = peer(0, any_port(), nowhere());
    let relay = relay::Relay::start(low.endpoint.address());
    let high = peer(1, any_port(), relay.address);
    high.wait_connected(0, true);
    low.wait_connected(1, true);
    // The relay cuts off what it has seen, and a connection that has carried nothing yet it has not.
    low.send(1, Lane::Main, "there");
    assert_eq!(high.receive(), [(0, Bytes::from_static(b"there"))]);
    high.send(0, Lane::Main, "and back");
    assert_eq!(low.receive(), [(1, Bytes::from_static(b"and back"))]);
    relay.forget();
    let counters = high.observer.peer(ReplicaId(0));
    let until = Instant::now() + PATIENCE;
    while counters.connections.total() < 2 {
        // If QUIC's idle time-out were what ends the old one, there would be none for a while.
        assert_eq!(counters.connected.value(), 1, "the old one is given up");
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(2));
    }
    high.send(0, Lane::Main, "over the new one");
    assert_eq!(
        low.receive(),
        [(1, Bytes::from_static(b"over the new one"))]
    );
}

/// What the other end said when it closed the connection.
async fn close_code(connection: &Connection) -> u64 {
    match tokio::time::timeout(PATIENCE, connection.closed())
        .await
        .unwrap()
    {
        ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        other => panic!("not closed by the other end: {other}"),
    }
}

async fn dial(to: SocketAddr, who: &Identity, expected: &SecretKey, class: Class) -> Connection {
    let endpoint = network::dial_endpoint(any_port()).unwrap();
    network::dial(&endpoint, to, who, &expected.public(), class)
        .await
        .unwrap()
}

// Two threads: the test waits for the transport without yielding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_connections_of_a_pair_the_newest_wins() {
    let low = peer(0, any_port(), nowhere());
    let (address, me) = (low.endpoint.address(), identity("replica", 1));
    let first = dial(address, &me, &key("replica", 0), Class::Peer).await;
    low.wait_connected(1, true);
    let second = dial(address, &me, &key("replica", 0), Class::Peer).await;
    assert_eq!(close_code(&first).await, 3, "superseded");
    let mut writer = FrameWriter::open(&second, StreamKind::Messages)
        .await
        .unwrap();
    writer
        .write_all(&[Bytes::from_static(b"from the second")])
        .await
        .unwrap();
    assert_eq!(low.receive(), [(1, Bytes::from_static(b"from the second"))]);
    assert!(second.close_reason().is_none());
}

// Two threads: the test waits for the transport without yielding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_breaks_the_rules_again_and_again_is_cut_off_for_a_while() {
    let low = peer(0, any_port(), nowhere());
    let (address, me) = (low.endpoint.address(), identity("replica", 1));
    let connect = || async { dial(address, &me, &key("replica", 0), Class::Peer).await };
    let first = connect().await;
    low.wait_connected(1, true);
    for _ in 0..OFFENCES_MAX {
        low.observer.checked(ReplicaId(1), &[true, false]);
    }
    let mut writer = FrameWriter::open(&first, StreamKind::Messages)
        .await
        .unwrap();
    writer
        .write_all(&[Bytes::from_static(b"one more")])
        .await
        .unwrap();
    assert_eq!(close_code(&first).await, 5, "cut off");
    let second = connect().await;
    assert_eq!(close_code(&second).await, 5, "still cut off");
    assert_eq!(low.observer.peer(ReplicaId(1)).bans.total(), 1);
    tokio::time::sleep(BAN_MIN).await;
    let third = connect().await;
    low.wait_connected(1, true);
    assert!(third.close_reason().is_none());
}

#[test]
fn messages_of_another_configuration_are_no_offence() {
    let observer = observer(0);
    let count = |why| {
        observer.misbehaved(ReplicaId(1), &why);
        observer.peer(ReplicaId(1)).offences.total()
    };
    assert_eq!(count(Misbehaviour::WrongEpoch), 0);
    assert_eq!(count(Misbehaviour::Unknown), 0);
    assert_eq!(count(Misbehaviour::Malformed("nonsense".to_owned())), 1);
    assert_eq!(count(Misbehaviour::Impersonation), 2);
}

#[tokio::test]
async fn who_is_no_member_or_dials_the_wrong_way_is_refused() {
    let middle = peer(1, any_port(), nowhere());
    let (address, server) = (middle.endpoint.address(), key("replica", 1));
    let lower = dial(address, &identity("replica", 0), &server, Class::Peer).await;
    assert_eq!(close_code(&lower).await, 2, "the higher id dials");
    // The server refuses the key after its own half of the handshake, so that it shows here.
    let stranger = dial(address, &identity("client", 0), &server, Class::Peer).await;
    let reason = tokio::time::timeout(PATIENCE, stranger.closed())
        .await
        .unwrap();
    assert!(
        matches!(reason, ConnectionError::ConnectionClosed(_)),
        "{reason}"
    );
    for id in [0, 2, 3] {
        assert_eq!(middle.observer.peer(ReplicaId(id)).connections.total(), 0);
    }
}

#[tokio::test]
async fn a_peer_that_announces_too_much_is_cut_off_and_counted() {
    let low = peer(0, any_port(), nowhere());
    let me = identity("replica", 2);
    let connection = dial(low.endpoint.address(), &me, &key("replica", 0), Class::Peer).await;
    let mut stream = connection.open_uni().await.unwrap();
    stream
        .write_all(&[1, 0xff, 0xff, 0xff, 0xff])
        .await
        .unwrap();
    assert_eq!(close_code(&connection).await, 2);
    assert_eq!(low.observer.peer(ReplicaId(2)).misbehaviour.total(), 1);
}

struct ClientPort {
    endpoint: Endpoint,
    sender: ClientSender,
    inbox: Arc<VerifyInbox>,
    observer: Arc<Observer>,
}

fn client_port() -> ClientPort {
    let config = ClientsConfig {
        me: ReplicaId(0),
        keyring: Keyring::new(cluster()),
        identity: identity("replica", 0),
        listen: any_port(),
    };
    let (inbox, observer) = (Arc::new(VerifyInbox::new()), observer(0));
    let (endpoint, sender) = clients::start(
        config,
        SocketWrap::default(),
        Arc::clone(&inbox),
        Arc::clone(&observer),
    )
    .unwrap();
    endpoint.serve();
    ClientPort {
        endpoint,
        sender,
        inbox,
        observer,
    }
}

/// A client's end of a connection.
struct Visitor {
    connection: Connection,
    reader: FrameReader,
    writer: FrameWriter,
}

impl Visitor {
    async fn connect(port: &ClientPort, client: u64) -> Self {
        let me = identity("client", client);
        let server = key("replica", 0);
        let connection = dial(port.endpoint.address(), &me, &server, Class::Client).await;
        let writer = FrameWriter::open(&connection, StreamKind::Messages)
            .await
            .unwrap();
        let (_, stream) = FrameReader::accept(&connection, PATIENCE).await.unwrap();
        let reader = FrameReader::new(stream, 1 << 20, PATIENCE);
        let mut visitor = Visitor {
            connection,
            reader,
            writer,
        };
        let hello = visitor.next().await;
        assert_eq!(
            hello,
            ToClient::Hello {
                replica: ReplicaId(0),
                term: Term::default()
            }
        );
        visitor
    }

    async fn next(&mut self) -> ToClient {
        let frame = tokio::time::timeout(PATIENCE, self.reader.next())
            .await
            .unwrap();
        ToClient::from_frame(&frame.unwrap().unwrap()).unwrap()
    }

    async fn send(&mut self, message: &ToReplica) {
        let frame = Bytes::from(crypto::encode(message));
        self.writer.write_all(&[frame]).await.unwrap();
    }
}

fn request(client: u64, number: u64) -> Request {
    let id = RequestId {
        client: ClientId(client as u32),
        session: 1,
        number,
    };
    let ops: ByteList = [b"op"].into_iter().collect();
    Request::sign(&key("client", client), cluster().id(), id, 0, false, &ops)
}

fn requests(requests: &[Request]) -> ToReplica {
    ToReplica::Requests(
        requests
            .iter()
            .map(|request| Blob(request.raw().clone()))
            .collect(),
    )
}

fn reply(client: u32) -> Reply {
    let id = RequestId {
        client: ClientId(client),
        session: 1,
        number: 1,
    };
    let (term, replica) = (Term::default(), ReplicaId(0));
    Reply {
        term,
        replica,
        id,
        seq: SeqNo(1),
        outcome: Outcome::Denied,
    }
}

// Two threads: the test waits for the transport without yielding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_go_to_every_connection_of_a_client_and_to_no_other() {
    let port = client_port();
    let mut one = Visitor::connect(&port, 0).await;
    let mut other = Visitor::connect(&port, 1).await;
    let cluster = cluster();
    let attach = network::wire_client::attach(
        &other.connection,
        cluster.id(),
        ClientId(2),
        &key("client", 2),
    );
    other.send(&attach.unwrap()).await;
    other.send(&requests(&[request(2, 1), request(1, 1)])).await;
    let arrived = port.inbox.take(Some(Instant::now() + PATIENCE)).unwrap();
    let count: usize = arrived
        .clients
        .iter()
        .map(|piece| piece.requests.len())
        .sum();
    assert_eq!(count, 2, "own and attached");

    port.sender.reply(vec![reply(2), reply(0), reply(1)]);
    assert_eq!(one.next().await, ToClient::Replies(vec![reply(0)]));
    assert_eq!(
        other.next().await,
        ToClient::Replies(vec![reply(2), reply(1)])
    );
    let term = Term {
        epoch: Epoch(1),
        view: View(4),
    };
    port.sender.hint(term);
    assert_eq!(one.next().await, ToClient::Hint { term });
    assert_eq!(other.next().await, ToClient::Hint { term });
}

#[tokio::test]
async fn a_connection_that_speaks_for_others_is_charged_and_then_closed() {
    let port = client_port();
    let mut visitor = Visitor::connect(&port, 0).await;
    for number in 1..=u64::from(BAD_REQUESTS_MAX) {
        visitor.send(&requests(&[request(1, number)])).await;
    }
    assert_eq!(close_code(&visitor.connection).await, 2);
    assert_eq!(port.observer.counters.clients_expelled.total(), 1);
    assert!(
        port.inbox
            .take(Some(Instant::now()))
            .unwrap()
            .clients
            .is_empty()
    );
}

#[tokio::test]
async fn an_attachment_signed_for_another_connection_does_not_hold() {
    let port = client_port();
    let first = Visitor::connect(&port, 0).await;
    let mut second = Visitor::connect(&port, 0).await;
    let cluster = cluster();
    let replayed = network::wire_client::attach(
        &first.connection,
        cluster.id(),
        ClientId(1),
        &key("client", 1),
    );
    second.send(&replayed.unwrap()).await;
    assert_eq!(close_code(&second.connection).await, 2);
    assert!(first.connection.close_reason().is_none());
}

#[tokio::test]
async fn an_observer_gets_the_status_page() {
    let port = client_port();
    let mut visitor = Visitor::connect(&port, 0).await;
    visitor
        .send(&ToReplica::Observe { from_seq: SeqNo(1) })
        .await;
    let ToClient::Observation(seen) = visitor.next().await else {
        panic!("an observation was asked for");
    };
    let status: replica::observer::status::ReplicaStatus =
        serde_json::from_slice(&seen.status_json).unwrap();
    assert_eq!(
        (status.replica, status.n, status.clients.connections),
        (0, 4, 1)
    );
    assert_eq!((seen.committed.len(), seen.next_seq), (0, SeqNo(1)));
}
