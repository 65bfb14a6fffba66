#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::security::plaintext::Handshake;

fuzz_target!(|data: &[u8]| {
    let key = polypeer_fuzz::keypair(1).public();
    let mut handshake = Handshake::new(&key, None, &mut Vec::new());
    for piece in polypeer_fuzz::pieces(data) {
        match handshake.receive(piece) {
            Ok((count, None)) => assert_eq!(count, piece.len()),
            Ok((count, Some(remote))) => {
                assert!(count <= piece.len());
                assert_eq!(remote.public_key.peer_id(), remote.peer_id);
                break;
            }
            Err(_) => break,
        }
    }
});
