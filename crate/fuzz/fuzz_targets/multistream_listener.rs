#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::negotiate::{Listener, MAX_BYTES, MAX_LISTING, MAX_PROPOSALS};

fuzz_target!(|data: &[u8]| {
    let mut listener = Listener::new();
    let (mut out, mut taken) = (Vec::new(), 0);
    let names = || vec!["/a".into(), "/b".into()];
    for piece in polypeer_fuzz::pieces(data) {
        match listener.receive(piece, &|name| name == "/b", &names, &mut out) {
            Ok((count, None)) => assert_eq!(count, piece.len()),
            Ok((count, Some(name))) => {
                assert!(count <= piece.len() && &*name == "/b");
                break;
            }
            Err(_) => break,
        }
        taken += piece.len();
    }
    assert!(taken <= MAX_BYTES);
    assert!(out.len() <= MAX_LISTING + 64 * usize::from(MAX_PROPOSALS));
});
