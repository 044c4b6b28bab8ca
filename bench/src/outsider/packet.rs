//! QUIC packets by hand (RFC 9000 17, RFC 9001 5): a library would not send what is wrong.

use rustls::quic::DirectionalKeys;

/// QUIC version 1.
pub(super) const V1: u32 = 1;
/// A first datagram is at least this long (RFC 9000 14.1).
pub(super) const INITIAL_MIN: usize = 1200;
/// Bytes of the packet numbers that are written here.
const NUMBER_LEN: usize = 4;
const TAG_LEN: usize = 16;
const SAMPLE_LEN: usize = 16;

/// Types of packets with long headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Long {
    Initial,
    Handshake,
}

/// A variable-length integer (RFC 9000 16).
pub(super) fn put_varint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0x3f => out.push(value as u8),
        0x40..=0x3fff => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        0x4000..=0x3fff_ffff => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

/// Takes a variable-length integer from the front.
pub(super) fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let first = *from.first()?;
    let len = 1 << (first >> 6);
    let (bytes, rest) = from.split_at_checked(len)?;
    *from = rest;
    let mut value = u64::from(first & 0x3f);
    for byte in bytes.iter().skip(1) {
        value = value << 8 | u64::from(*byte);
    }
    Some(value)
}

/// Takes this many bytes from the front.
pub(super) fn take<'b>(from: &mut &'b [u8], len: usize) -> Option<&'b [u8]> {
    let (taken, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(taken)
}

/// A CRYPTO frame.
pub(super) fn crypto_frame(offset: u64, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x06];
    put_varint(&mut frame, offset);
    put_varint(&mut frame, data.len() as u64);
    frame.extend_from_slice(data);
    frame
}

/// What a long header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct LongHeader<'h> {
    pub(super) kind: Long,
    pub(super) version: u32,
    pub(super) to: &'h [u8],
    pub(super) from: &'h [u8],
    pub(super) token: &'h [u8],
}

/// A sealed packet with a long header. An Initial is padded so that its datagram is long enough.
pub(super) fn seal_long(
    header: LongHeader<'_>,
    number: u32,
    frames: &[u8],
    keys: &DirectionalKeys,
) -> Vec<u8> {
    let mut packet = vec![match header.kind {
        Long::Initial => 0xc3,
        Long::Handshake => 0xe3,
    }];
    packet.extend_from_slice(&header.version.to_be_bytes());
    for id in [header.to, header.from] {
        packet.push(id.len() as u8);
        packet.extend_from_slice(id);
    }
    let mut payload = frames.to_vec();
    if header.kind == Long::Initial {
        put_varint(&mut packet, header.token.len() as u64);
        packet.extend_from_slice(header.token);
        let so_far = packet.len() + 2 + NUMBER_LEN + payload.len() + TAG_LEN;
        payload.resize(payload.len() + INITIAL_MIN.saturating_sub(so_far), 0);
    }
    let rest = (NUMBER_LEN + payload.len() + TAG_LEN) as u16;
    packet.extend_from_slice(&(rest | 0x4000).to_be_bytes());
    seal(packet, number, payload, keys)
}

/// A sealed packet with a short header.
pub(super) fn seal_short(to: &[u8], number: u32, frames: &[u8], keys: &DirectionalKeys) -> Vec<u8> {
    let mut packet = vec![0x43];
    packet.extend_from_slice(to);
    let mut payload = frames.to_vec();
    // There must be enough for a sample.
    payload.resize(payload.len().max(SAMPLE_LEN), 0);
    seal(packet, number, payload, keys)
}

fn seal(mut packet: Vec<u8>, number: u32, mut payload: Vec<u8>, keys: &DirectionalKeys) -> Vec<u8> {
    let at = packet.len();
    packet.extend_from_slice(&number.to_be_bytes());
    let Ok(tag) = keys
        .packet
        .encrypt_in_place(u64::from(number), &packet, &mut payload)
    else {
        return packet;
    };
    payload.extend_from_slice(tag.as_ref());
    let sample: Vec<u8> = payload.iter().take(SAMPLE_LEN).copied().collect();
    let (first, rest) = packet.split_at_mut(1);
    // Fails only for a sample of another length.
    let _ = keys
        .header
        .encrypt_in_place(&sample, &mut first[0], &mut rest[at - 1..]);
    packet.extend_from_slice(&payload);
    packet
}

/// Where the parts of a received packet are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A long header with protected rest.
    Long {
        kind: Long,
        from: Vec<u8>,
        number_at: usize,
        end: usize,
    },
    /// A request to come again with this token.
    Retry { from: Vec<u8>, token: Vec<u8> },
    /// A list of versions.
    Versions,
    /// A short header.
    Short,
    /// Something else.
    Other,
}

/// Looks at the packet that begins here.
pub(super) fn look(datagram: &[u8]) -> Received {
    parse_long(datagram).unwrap_or(match datagram.first() {
        Some(first) if first & 0x80 == 0 => Received::Short,
        _ => Received::Other,
    })
}

fn parse_long(datagram: &[u8]) -> Option<Received> {
    let mut rest = datagram;
    let first = *take(&mut rest, 1)?.first()?;
    if first & 0x80 == 0 {
        return None;
    }
    let version = take(&mut rest, 4)?;
    let to_len = usize::from(*take(&mut rest, 1)?.first()?);
    take(&mut rest, to_len)?;
    let from_len = usize::from(*take(&mut rest, 1)?.first()?);
    let from = take(&mut rest, from_len)?.to_vec();
    if version == [0; 4] {
        return Some(Received::Versions);
    }
    let kind = match first & 0x30 {
        0x00 => {
            let token = take_varint(&mut rest)?;
            take(&mut rest, usize::try_from(token).ok()?)?;
            Long::Initial
        }
        0x20 => Long::Handshake,
        0x30 => {
            let token = rest.len().checked_sub(TAG_LEN)?;
            let token = rest.get(..token)?.to_vec();
            return Some(Received::Retry { from, token });
        }
        _ => return Some(Received::Other),
    };
    let len = usize::try_from(take_varint(&mut rest)?).ok()?;
    let number_at = datagram.len() - rest.len();
    let end = number_at.checked_add(len)?;
    (end <= datagram.len()).then_some(Received::Long {
        kind,
        from,
        number_at,
        end,
    })
}

/// Opens a packet whose number begins at `number_at`; returns its number and frames.
pub(super) fn open(
    packet: &[u8],
    number_at: usize,
    expected: u64,
    keys: &DirectionalKeys,
) -> Option<(u64, Vec<u8>)> {
    let mut header = packet.get(..number_at + NUMBER_LEN)?.to_vec();
    let sample = packet.get(number_at + NUMBER_LEN..)?.get(..SAMPLE_LEN)?;
    let (first, rest) = header.split_at_mut(1);
    keys.header
        .decrypt_in_place(sample, &mut first[0], &mut rest[number_at - 1..])
        .ok()?;
    let number_len = usize::from(first[0] & 0x03) + 1;
    header.truncate(number_at + number_len);
    let truncated = header
        .get(number_at..)?
        .iter()
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let number = whole_number(truncated, number_len, expected);
    let mut payload = packet.get(number_at + number_len..)?.to_vec();
    let len = keys
        .packet
        .decrypt_in_place(number, &header, &mut payload)
        .ok()?
        .len();
    payload.truncate(len);
    Some((number, payload))
}

/// RFC 9000 A.3.
fn whole_number(truncated: u64, len: usize, expected: u64) -> u64 {
    let window = 1_u64 << (8 * len);
    let half = window / 2;
    let candidate = (expected & !(window - 1)) | truncated;
    if candidate + half <= expected {
        candidate + window
    } else if candidate > expected + half && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rustls::Side;

    use super::super::tls::initial_keys;
    use super::*;

    #[test]
    fn integers_take_as_few_bytes_as_the_rfc_says() {
        // RFC 9000 A.1.
        for (value, bytes) in [
            (37, vec![0x25]),
            (15_293, vec![0x7b, 0xbd]),
            (494_878_333, vec![0x9d, 0x7f, 0x3e, 0x7d]),
            (
                151_288_809_941_952_652,
                vec![0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
            ),
        ] {
            let mut written = Vec::new();
            put_varint(&mut written, value);
            assert_eq!(written, bytes);
            assert_eq!(take_varint(&mut written.as_slice()), Some(value));
        }
        assert_eq!(take_varint(&mut [0x7b].as_slice()), None);
    }

    #[test]
    fn what_one_side_seals_the_other_opens() {
        let to = [7; 8];
        let header = LongHeader {
            kind: Long::Initial,
            version: V1,
            to: &to,
            from: &[9; 8],
            token: b"token",
        };
        let frames = crypto_frame(0, b"hello");
        let packet = seal_long(header, 3, &frames, &initial_keys(&to, Side::Client).local);
        assert_eq!(packet.len(), INITIAL_MIN);
        let Received::Long {
            kind,
            from,
            number_at,
            end,
        } = look(&packet)
        else {
            panic!("{:?}", look(&packet));
        };
        assert_eq!(
            (kind, from.as_slice(), end),
            (Long::Initial, [9; 8].as_slice(), packet.len())
        );
        let server = initial_keys(&to, Side::Server);
        let (number, opened) = open(&packet, number_at, 0, &server.remote).unwrap();
        assert_eq!(number, 3);
        assert!(opened.starts_with(&frames));
        let mut bent = packet;
        bent[600] ^= 1;
        assert_eq!(open(&bent, number_at, 0, &server.remote), None);
    }

    #[test]
    fn packet_numbers_are_completed_as_in_the_rfc() {
        assert_eq!(whole_number(0x9b32, 2, 0xa82f_30eb), 0xa82f_9b32);
        assert_eq!(whole_number(1, 1, 0), 1);
        assert_eq!(whole_number(0, 1, 256), 256);
    }
}
