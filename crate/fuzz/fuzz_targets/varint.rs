#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::wire::varint;

fuzz_target!(|data: &[u8]| {
    if let Ok(Some((value, length))) = varint::decode(data) {
        let mut out = Vec::new();
        varint::encode(value, &mut out);
        assert_eq!(out, data[..length]);
        assert_eq!(varint::len(value), length);
    }
});
