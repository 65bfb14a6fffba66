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
            // The seeds are genuine: nobody but their author can come this far.
            Ok((_, Step::Done(secured))) => {
                let author = polypeer_fuzz::keypair(Role::Initiator as u64).peer_id();
                assert_eq!(secured.peer_id, author);
                break;
            }
            Ok((_, Step::Verify(_))) => panic!("every algorithm is compiled in"),
            Err(_) => break,
        }
    }
    assert!(out.len() <= 2 * MAX_HANDSHAKE_MESSAGE);
});
