//! What packets of SCTP carry, as far as it has to be known outside of SCTP.
//!
//! Source: RFC 9260 section 3 (packets), RFC 6525 section 4.1 (requests to reset streams).

use std::ops::Range;

use bytes::Bytes;
use crc::{CRC_32_ISCSI, Crc};

const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
/// Where it stands in a packet.
const CHECKSUM_AT: Range<usize> = 8..12;
/// Where chunks begin in a packet, and parameters in a chunk.
const PACKET_HEADER: usize = 12;
const CHUNK_HEADER: usize = 4;

/// Types of chunks.
const DATA: u8 = 0;
const RECONFIG: u8 = 130;
/// The type of the parameter that asks for streams to be reset, and where it says which
/// request of the other side came last.
const RESET_REQUEST: u16 = 13;
const RECEIPT_AT: Range<usize> = 8..12;

/// Whether a packet has a DATA chunk, behind others perhaps.
pub(super) fn carries_message(packet: &[u8]) -> bool {
    chunks(packet).any(|(kind, _)| kind == DATA)
}

/// Whether a packet has to do with streams that are reset.
pub(super) fn resets(packet: &[u8]) -> bool {
    chunks(packet).any(|(kind, _)| kind == RECONFIG)
}

/// Takes the receipts from what the remote asks for.
///
/// A request to reset streams says also which of ours has come last. `sctp-proto` takes
/// that for its answer, even if the true answer is that it has to wait for messages that
/// were lost. We would go on to the next request, which the remote refuses as long as the
/// former one waits, and both sides would count differently ever after: no channel could
/// close any more. Each request has an answer of its own, so that nothing is missing when
/// the receipt is for a request that was answered before.
pub(super) fn without_receipts(packet: Bytes) -> Bytes {
    let receipts: Vec<_> = chunks(&packet)
        .filter(|(kind, _)| *kind == RECONFIG)
        .flat_map(|(_, chunk)| receipts(&packet, chunk))
        .collect();
    // One that is damaged is not to become whole.
    if receipts.is_empty() || packet[CHECKSUM_AT] != checksum(&packet) {
        return packet;
    }
    let mut changed = packet.to_vec();
    for at in receipts {
        if let Some(number) = changed[at.clone()].first_chunk() {
            let former = u32::from_be_bytes(*number).wrapping_sub(1);
            changed[at].copy_from_slice(&former.to_be_bytes());
        }
    }
    seal(&mut changed);
    changed.into()
}

/// Makes a changed packet whole again.
pub(super) fn seal(packet: &mut [u8]) {
    let checksum = checksum(packet);
    packet[CHECKSUM_AT].copy_from_slice(&checksum);
}

/// Where the receipts in a RE-CONFIG chunk stand.
fn receipts(packet: &[u8], chunk: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    parts(packet, chunk.start + CHUNK_HEADER, chunk.end, |[high, low, ..]| {
        u16::from_be_bytes([high, low])
    })
    .filter(|(kind, part)| *kind == RESET_REQUEST && part.len() >= RECEIPT_AT.end)
    .map(|(_, part)| part.start + RECEIPT_AT.start..part.start + RECEIPT_AT.end)
}

/// The types of the chunks of a packet, and where they stand.
fn chunks(packet: &[u8]) -> impl Iterator<Item = (u8, Range<usize>)> {
    parts(packet, PACKET_HEADER, packet.len(), |[kind, ..]| kind)
}

/// What stands one after another with a header of a type and a length, filled up to a
/// multiple of four bytes.
fn parts<T>(
    packet: &[u8],
    mut at: usize,
    end: usize,
    kind: impl Fn([u8; CHUNK_HEADER]) -> T,
) -> impl Iterator<Item = (T, Range<usize>)> {
    std::iter::from_fn(move || {
        let header = *packet.get(at..end)?.first_chunk()?;
        let [_, _, high, low] = header;
        let length = usize::from(u16::from_be_bytes([high, low])).max(CHUNK_HEADER);
        let part = at..end.min(at + length);
        at += length.next_multiple_of(4);
        Some((kind(header), part))
    })
}

/// As it stands in a packet: over all of it, with zeros where it stands itself.
fn checksum(packet: &[u8]) -> [u8; 4] {
    let mut digest = CHECKSUM.digest();
    digest.update(&packet[..CHECKSUM_AT.start]);
    digest.update(&[0; 4]);
    digest.update(&packet[CHECKSUM_AT.end..]);
    digest.finalize().to_le_bytes()
}
