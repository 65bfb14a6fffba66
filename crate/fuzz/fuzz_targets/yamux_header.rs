#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::muxer::yamux::{HEADER_LEN, Header};

fuzz_target!(|data: &[u8]| {
    if let Some(bytes) = data.first_chunk::<HEADER_LEN>()
        && let Ok(header) = Header::decode(bytes)
    {
        assert_eq!(Header::decode(&header.encode()), Ok(header));
    }
});
