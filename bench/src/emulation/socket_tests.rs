//! The socket with real datagrams and real QUIC on loopback. Times are only bounded from below: the machine may be busy.

#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::{AsyncUdpSocket, Runtime as _, TokioRuntime};

use super::*;
use crate::emulation::settings::LinkSettings;
use crate::emulation::shaper::Shaper;

const TO: LinkId = LinkId::Replica(0);

fn delayed(ms: u64) -> LinkSettings {
    LinkSettings {
        delay: Duration::from_millis(ms),
        ..LinkSettings::default()
    }
}

fn bound() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    (socket, address)
}

/// A socket whose way to `peer` has these settings.
async fn to(peer: SocketAddr, settings: LinkSettings) -> (Socket, Arc<Lane>, Arc<Source>) {
    let lane = Lane::new(Shaper::new(7, 1));
    lane.change(TO, settings);
    let source = Arc::new(Source::default());
    let (socket, _) = bound();
    let real = TokioRuntime.wrap_udp_socket(socket).unwrap();
    let direction = Direction::ToReplicas {
        links: [(peer, TO)].into(),
        dialled: [peer].into(),
    };
    let socket = Socket::new(
        real,
        direction,
        Arc::clone(&source),
        Arc::clone(&lane),
        None,
    );
    look_around().await;
    (socket.unwrap(), lane, source)
}

/// Lets the runtime find out which sockets can be written to.
async fn look_around() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn transmit(destination: SocketAddr, contents: &[u8], segment: Option<usize>) -> Transmit<'_> {
    Transmit {
        destination,
        ecn: None,
        contents,
        segment_size: segment,
        src_ip: None,
    }
}

#[tokio::test]
async fn segments_are_shaped_one_by_one_and_none_comes_before_its_time() {
    let (receiver, address) = bound();
    let (socket, lane, _) = to(address, delayed(30)).await;
    let begin = Instant::now();
    // Three datagrams of 4, 4 and 2 bytes in one call.
    socket
        .try_send(&transmit(address, b"aaaabbbbcc", Some(4)))
        .unwrap();
    let mut buffer = [0; 64];
    let got: Vec<Vec<u8>> = (0..3)
        .map(|_| {
            let len = receiver.recv(&mut buffer).unwrap();
            buffer[..len].to_vec()
        })
        .collect();
    assert!(begin.elapsed() >= Duration::from_millis(30));
    assert_eq!(got, [b"aaaa".to_vec(), b"bbbb".to_vec(), b"cc".to_vec()]);
    assert_eq!(lane.shaper().counts()[&TO].sent, 3);
}

#[tokio::test]
async fn on_a_clear_link_all_segments_go_past_and_to_strangers_nothing_is_shaped() {
    let (receiver, address) = bound();
    let (socket, lane, _) = to(address, LinkSettings::default()).await;
    let mut buffer = [0; 64];
    socket.try_send(&transmit(address, b"past", None)).unwrap();
    assert_eq!(receiver.recv(&mut buffer).unwrap(), 4);
    assert_eq!(lane.shaper().next_at_ns(), None);
    assert_eq!(lane.shaper().counts()[&TO].sent, 1);
    lane.change(
        TO,
        LinkSettings {
            cut: true,
            ..LinkSettings::default()
        },
    );
    let (stranger, elsewhere) = bound();
    socket.try_send(&transmit(address, b"cut", None)).unwrap();
    socket
        .try_send(&transmit(elsewhere, b"stranger", None))
        .unwrap();
    assert_eq!(stranger.recv(&mut buffer).unwrap(), 8);
    assert_eq!(lane.shaper().counts()[&TO].cut, 1);
}

#[tokio::test]
async fn what_clients_send_is_held_up_where_it_arrives() {
    let lanes = [Lane::new(Shaper::new(7, 1)), Lane::new(Shaper::new(8, 1))];
    lanes[1].change(LinkId::Clients, delayed(30));
    let (socket, address) = bound();
    let real = TokioRuntime.wrap_udp_socket(socket).unwrap();
    let [outgoing, incoming] = lanes;
    let source = Arc::new(Source::default());
    let socket = Socket::new(real, Direction::BothWays, source, outgoing, Some(incoming)).unwrap();
    let (client, from) = bound();
    let begin = Instant::now();
    client.send_to(b"request", address).unwrap();
    let mut buffer = [0; 64];
    let mut metas = [RecvMeta::default()];
    let count = std::future::poll_fn(|cx| {
        let mut bufs = [IoSliceMut::new(&mut buffer)];
        socket.poll_recv(cx, &mut bufs, &mut metas)
    })
    .await
    .unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(30));
    assert_eq!(
        (count, metas[0].len, metas[0].stride, metas[0].addr),
        (1, 7, 7, from)
    );
    assert_eq!(&buffer[..7], b"request");
}

#[tokio::test]
async fn after_a_move_others_see_another_port_and_both_are_listened_to() {
    let (peer, address) = bound();
    let (socket, _, source) = to(address, LinkSettings::default()).await;
    let first = socket.local_addr().unwrap();
    let mut buffer = [0; 64];
    socket.try_send(&transmit(address, b"one", None)).unwrap();
    assert_eq!(peer.recv_from(&mut buffer).unwrap().1, first);
    source.move_to(1, first).unwrap();
    source.move_to(1, first).unwrap();
    // The endpoint takes the new port over when it reads next.
    peer.send_to(b"to the first", first).unwrap();
    let receive = async |socket: &Socket| {
        let mut bytes = [0; 64];
        let mut metas = [RecvMeta::default()];
        let received = std::future::poll_fn(|cx| {
            let mut bufs = [IoSliceMut::new(&mut bytes)];
            socket.poll_recv(cx, &mut bufs, &mut metas)
        });
        received.await.unwrap();
        bytes[..metas[0].len].to_vec()
    };
    assert_eq!(receive(&socket).await, b"to the first");
    look_around().await;
    socket.try_send(&transmit(address, b"two", None)).unwrap();
    let (_, second) = peer.recv_from(&mut buffer).unwrap();
    assert_ne!(second.port(), first.port());
    peer.send_to(b"to the second", second).unwrap();
    assert_eq!(receive(&socket).await, b"to the second");
}
