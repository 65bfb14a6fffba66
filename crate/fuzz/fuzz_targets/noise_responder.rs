#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::security::Role;
use polypeer::security::noise::{Handshake, MAX_HANDSHAKE_MESSAGE, Step};

fuzz_target!(|data: &[u8]| {
    let mut out = Vec::new();
    let config = polypeer_fuzz::noise_config(Role::Responder);
    let mut handshake = Handshake::new(config, &mut out).unwrap();
    for piece in polypeer_fuzz::pieces(data) {
        match handshake.receive(piece, &mut out) {
            Ok((count, Step::Pending)) => assert_eq!(count, piece.len()),
            Ok((_, Step::Verify(_) | Step::Done(_))) => panic!("nobody signed this"),
            Err(_) => break,
        }
    }
    assert!(out.len() <= 2 * MAX_HANDSHAKE_MESSAGE);
});
