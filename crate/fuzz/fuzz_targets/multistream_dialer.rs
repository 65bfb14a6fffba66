#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::negotiate::Dialer;

fuzz_target!(|data: &[u8]| {
    let (mut out, mut written) = (Vec::new(), 0);
    let mut dialer = Dialer::new(vec!["/a".into(), "/b".into(), "/c".into()], &mut out).unwrap();
    for piece in polypeer_fuzz::pieces(data) {
        match dialer.receive(piece, &mut out) {
            Ok((count, None)) => assert_eq!(count, piece.len()),
            Ok((count, Some(name))) => {
                assert!(count <= piece.len());
                assert_eq!(dialer.receive(piece, &mut out), Ok((0, Some(name))));
                break;
            }
            Err(_) => break,
        }
        written = written.max(out.len());
    }
    assert!(written <= 64);
});
