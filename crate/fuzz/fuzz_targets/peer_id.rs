#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::PeerId;

fuzz_target!(|data: &[u8]| {
    let from_text = std::str::from_utf8(data).ok().and_then(|text| text.parse::<PeerId>().ok());
    for id in PeerId::from_bytes(data).into_iter().chain(from_text) {
        assert_eq!(PeerId::from_bytes(id.as_bytes()), Ok(id));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_cid().parse(), Ok(id));
        if let Some(key) = id.public_key() {
            assert_eq!(key.peer_id(), id);
        }
    }
});
