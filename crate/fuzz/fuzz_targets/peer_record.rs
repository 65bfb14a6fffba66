//! Whole envelopes, and payloads that a peer signed.
#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::identity::{PeerRecord, SignedEnvelope};

fuzz_target!(|data: &[u8]| {
    let _ = PeerRecord::open(data);
    let keypair = polypeer_fuzz::keypair(1);
    let envelope =
        SignedEnvelope::seal(&keypair, "libp2p-peer-record", &[3, 1], data.to_vec()).unwrap();
    if let Ok(record) = PeerRecord::open(&envelope.to_bytes()) {
        assert_eq!(record.peer_id(), keypair.peer_id());
        let again = PeerRecord::open(&record.to_bytes()).unwrap();
        assert_eq!(again.addresses(), record.addresses());
    }
});
