#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::identity::SignedEnvelope;

fuzz_target!(|data: &[u8]| {
    if let Ok(envelope) = SignedEnvelope::open(data, "domain", b"type") {
        assert_eq!(envelope.payload_type(), b"type");
        let again = SignedEnvelope::open(&envelope.to_bytes(), "domain", b"type").unwrap();
        assert_eq!(again.signer(), envelope.signer());
    }
});
