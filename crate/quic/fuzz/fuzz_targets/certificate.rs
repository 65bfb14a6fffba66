//! What a remote shows as its certificate.
#![no_main]
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use polypeer_quic::{MAX_CERTIFICATE, peer_of, verify};

fuzz_target!(|data: &[u8]| {
    let named = peer_of(data);
    // November 2026.
    let verified = verify(data, Duration::from_secs(1_795_000_000));
    assert!(data.len() <= MAX_CERTIFICATE || named.is_err());
    // Who is believed is who is named.
    if let Ok(peer) = verified {
        assert_eq!(named, Ok(peer));
    }
});
