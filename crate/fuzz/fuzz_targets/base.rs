#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::wire::base;

fuzz_target!(|text: &str| {
    let _ = base::decode(text);
    if let Ok(bytes) = base::decode_base58(text) {
        assert_eq!(base::encode_base58(&bytes), text);
    }
});
