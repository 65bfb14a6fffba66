//! Key protobufs, and signatures that fit no key.
#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::{Keypair, PublicKey};

fuzz_target!(|data: &[u8]| {
    if let Ok(key) = PublicKey::from_protobuf(data) {
        assert_eq!(key.to_protobuf(), data);
        assert!(key.verify(b"message", &data[..data.len().min(64)]).is_err());
    }
    if let Ok(keypair) = Keypair::from_protobuf(data) {
        let signature = keypair.sign(b"message").unwrap();
        assert!(keypair.public().verify(b"message", &signature).is_ok());
        let again = Keypair::from_protobuf(&keypair.to_protobuf()).unwrap();
        assert_eq!(again.public(), keypair.public());
    }
});
