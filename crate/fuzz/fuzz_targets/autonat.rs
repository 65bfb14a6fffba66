//! Messages of both versions of AutoNAT, and what a server makes of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polypeer::protocols::autonat::message::{self, MAX_ADDRESSES, Message};
use polypeer::protocols::autonat::v1;

fuzz_target!(|data: &[u8]| {
    if let Ok(read) = Message::decode(data) {
        if let Message::Request { addresses, .. } = &read {
            assert!(addresses.len() <= MAX_ADDRESSES);
        }
        assert!(Message::decode(&read.encode()).is_ok());
    }
    if let Ok(read) = v1::Message::decode(data) {
        if let v1::Message::Dial { addresses, .. } = &read {
            assert!(addresses.len() <= v1::MAX_ADDRESSES);
        }
        assert_eq!(v1::Message::decode(&read.encode()), Ok(read));
    }
    let _ = message::decode_dial_back(data);
});
