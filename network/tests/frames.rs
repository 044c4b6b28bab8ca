//! Frames between real endpoints, from honest and from lying peers.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{ANY_PORT, Pair, pair, pair_at};
use network::frame::{FRAME_MAX, PEER_FRAME_DEADLINE};
use network::{Class, FrameError, FrameReader, FrameWriter, StreamKind};

/// A stream from the dialer to the listener, as bytes at one end and frames at the other.
async fn raw_to_frames(
    pair: &Pair,
    most: usize,
    deadline: Duration,
) -> (quinn::SendStream, FrameReader) {
    let mut raw = pair.dialing.open_uni().await.unwrap();
    raw.write_all(&[StreamKind::Messages as u8]).await.unwrap();
    let (kind, stream) = FrameReader::accept(&pair.listening, PEER_FRAME_DEADLINE)
        .await
        .unwrap();
    assert_eq!(kind, StreamKind::Messages);
    (raw, FrameReader::new(stream, most, deadline))
}

/// Bytes that differ from frame to frame and along a frame.
fn pattern(len: usize, salt: usize) -> Bytes {
    (0..len)
        .map(|i| (i.wrapping_mul(31) ^ (i >> 8) ^ salt) as u8)
        .collect::<Vec<_>>()
        .into()
}

#[tokio::test]
async fn frames_of_every_size_arrive_whole_and_in_order() {
    // Bound to every address a listener uses a network's options, its dialer those of loopback.
    let everywhere = "0.0.0.0:0".parse().unwrap();
    for (class, bind) in [
        (Class::Peer, ANY_PORT),
        (Class::Client, ANY_PORT),
        (Class::Peer, everywhere),
    ] {
        let pair = pair_at(class, bind).await;
        let sizes = [
            0,
            1,
            3,
            4,
            5,
            4096,
            4097,
            16 << 10,
            0,
            1 << 20,
            1,
            70_000,
            0,
        ];
        let frames: Vec<Bytes> = sizes
            .iter()
            .enumerate()
            .map(|(salt, len)| pattern(*len, salt))
            .collect();
        let sending = {
            let frames = frames.clone();
            let connection = pair.dialing.clone();
            tokio::spawn(async move {
                let mut writer = FrameWriter::open(&connection, StreamKind::Messages)
                    .await
                    .unwrap();
                writer.write_all(&frames).await.unwrap();
                for frame in &frames {
                    writer.write_all(std::slice::from_ref(frame)).await.unwrap();
                }
                writer.write_all(&[]).await.unwrap();
                writer.finish();
            })
        };
        let (_, stream) = FrameReader::accept(&pair.listening, PEER_FRAME_DEADLINE)
            .await
            .unwrap();
        let mut reader = FrameReader::new(stream, 1 << 20, PEER_FRAME_DEADLINE);
        for expected in frames.iter().chain(&frames) {
            assert_eq!(reader.next().await.unwrap().as_ref(), Some(expected));
        }
        assert_eq!(reader.next().await.unwrap(), None);
        sending.await.unwrap();
    }
}

#[tokio::test]
async fn both_kinds_of_stream_are_told_apart() {
    let pair = pair(Class::Peer).await;
    let mut kinds = Vec::new();
    for kind in [StreamKind::Messages, StreamKind::Bulk] {
        let _writer = FrameWriter::open(&pair.listening, kind).await.unwrap();
        let (seen, _) = FrameReader::accept(&pair.dialing, PEER_FRAME_DEADLINE)
            .await
            .unwrap();
        kinds.push(seen);
    }
    assert_eq!(kinds, [StreamKind::Messages, StreamKind::Bulk]);
    let mut raw = pair.listening.open_uni().await.unwrap();
    raw.write_all(&[77]).await.unwrap();
    let refused = FrameReader::accept(&pair.dialing, PEER_FRAME_DEADLINE).await;
    assert!(matches!(refused, Err(FrameError::UnknownKind(77))));
}

#[tokio::test]
async fn an_oversize_frame_is_refused_by_its_length_alone() {
    let pair = pair(Class::Peer).await;
    for announced in [1001, u32::MAX] {
        let (mut raw, mut reader) = raw_to_frames(&pair, 1000, PEER_FRAME_DEADLINE).await;
        // Only the length is ever sent: what refuses it has neither waited nor allocated.
        raw.write_all(&announced.to_le_bytes()).await.unwrap();
        match reader.next().await {
            Err(FrameError::TooLong {
                announced: seen,
                most: 1000,
            }) => {
                assert_eq!(seen, announced as usize);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_frame_that_is_not_completed_hits_its_deadline() {
    let deadline = Duration::from_millis(200);
    let pair = pair(Class::Peer).await;
    // Cut short in its length, and in its body.
    for begun in [&[9, 0][..], &[9, 0, 0, 0, 1, 2, 3][..]] {
        let (mut raw, mut reader) = raw_to_frames(&pair, 1000, deadline).await;
        raw.write_all(begun).await.unwrap();
        let started = Instant::now();
        assert!(matches!(reader.next().await, Err(FrameError::Slow(_))));
        assert!(started.elapsed() >= deadline);
    }
}

#[tokio::test]
async fn trickling_bytes_do_not_extend_the_deadline() {
    let deadline = Duration::from_millis(200);
    let pair = pair(Class::Peer).await;
    let (mut raw, mut reader) = raw_to_frames(&pair, 1000, deadline).await;
    let trickle = tokio::spawn(async move {
        raw.write_all(&1000u32.to_le_bytes()).await.unwrap();
        loop {
            if raw.write_all(&[0]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let started = Instant::now();
    assert!(matches!(reader.next().await, Err(FrameError::Slow(_))));
    assert!(started.elapsed() < 5 * deadline);
    trickle.abort();
}

#[tokio::test]
async fn silence_between_frames_has_no_deadline() {
    let deadline = Duration::from_millis(50);
    let pair = pair(Class::Peer).await;
    let (mut raw, mut reader) = raw_to_frames(&pair, 1000, deadline).await;
    for value in [1, 2] {
        raw.write_all(&[1, 0, 0, 0, value]).await.unwrap();
        assert_eq!(reader.next().await.unwrap().unwrap(), [value].as_slice());
        assert!(
            tokio::time::timeout(4 * deadline, reader.next())
                .await
                .is_err(),
            "still waiting"
        );
    }
}

#[tokio::test]
async fn an_abandoned_read_loses_nothing() {
    let pair = pair(Class::Peer).await;
    let (mut raw, mut reader) = raw_to_frames(&pair, 1000, PEER_FRAME_DEADLINE).await;
    let bytes = [3, 0, 0, 0, 10, 11, 12, 1, 0, 0, 0, 13];
    let mut frames = Vec::new();
    for byte in bytes {
        raw.write_all(&[byte]).await.unwrap();
        let wait = Duration::from_millis(10);
        if let Ok(frame) = tokio::time::timeout(wait, reader.next()).await {
            frames.push(frame.unwrap().unwrap());
        }
    }
    while frames.len() < 2 {
        frames.push(reader.next().await.unwrap().unwrap());
    }
    assert_eq!(frames, [&[10, 11, 12][..], &[13][..]]);
}

#[tokio::test]
async fn a_stream_that_ends_within_a_frame_is_an_error() {
    let pair = pair(Class::Peer).await;
    let (mut raw, mut reader) = raw_to_frames(&pair, 1000, PEER_FRAME_DEADLINE).await;
    raw.write_all(&[1, 0, 0, 0, 42, 5, 0, 0, 0, 1])
        .await
        .unwrap();
    raw.finish().unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap(), [42].as_slice());
    assert!(matches!(reader.next().await, Err(FrameError::Truncated)));
}

#[tokio::test]
async fn a_frame_larger_than_any_is_not_sent() {
    let pair = pair(Class::Peer).await;
    let mut writer = FrameWriter::open(&pair.dialing, StreamKind::Bulk)
        .await
        .unwrap();
    let huge = Bytes::from(vec![0; FRAME_MAX + 1]);
    assert!(matches!(
        writer.write_all(&[huge]).await,
        Err(FrameError::Unsendable(_))
    ));
    // Nothing of it has left, so the stream is still of use.
    writer.write_all(&[pattern(5, 0)]).await.unwrap();
}

#[tokio::test]
async fn an_abandoned_write_ends_the_writer() {
    let pair = pair(Class::Client).await;
    let mut writer = FrameWriter::open(&pair.dialing, StreamKind::Messages)
        .await
        .unwrap();
    // Nobody reads at the other end, so this waits for a window until it is given up.
    let large = [pattern(4 << 20, 0)];
    let waited = tokio::time::timeout(Duration::from_millis(100), writer.write_all(&large)).await;
    assert!(waited.is_err());
    assert!(matches!(
        writer.write_all(&[pattern(1, 0)]).await,
        Err(FrameError::Torn)
    ));
}
