//! A packet of SCTP of the remote of a session, before SCTP takes it in.
#![no_main]
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

#[path = "../../src/channels/packet.rs"]
mod packet;

fuzz_target!(|data: &[u8]| {
    let _ = (packet::carries_message(data), packet::resets(data));
    // One that is damaged stays as it is, unless the fuzzer has found its checksum.
    let damaged = packet::without_receipts(Bytes::copy_from_slice(data));
    assert_eq!(damaged.len(), data.len());
    if data.len() < 12 {
        return;
    }
    let mut whole = data.to_vec();
    packet::seal(&mut whole);
    let changed = packet::without_receipts(Bytes::copy_from_slice(&whole));
    assert_eq!(changed.len(), whole.len());
    // Whole it was, whole it is; nothing else has to do with requests to reset.
    let mut sealed = changed.to_vec();
    packet::seal(&mut sealed);
    assert_eq!(sealed, changed);
    assert!(changed == whole || packet::resets(&whole));
});
