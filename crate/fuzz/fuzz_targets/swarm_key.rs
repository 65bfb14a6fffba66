#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::Rng;
use polypeer::security::pnet::{Cipher, PreSharedKey};

fuzz_target!(|data: &[u8]| {
    if let Ok(key) = PreSharedKey::from_file(data) {
        let mut cipher = Cipher::new(&key, &mut Rng::from_number(1), &mut Vec::new());
        for piece in polypeer_fuzz::pieces(data) {
            cipher.open(&mut piece.to_vec()).unwrap();
        }
    }
});
