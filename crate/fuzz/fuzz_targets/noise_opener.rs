//! Frames on a channel whose key the fuzzer does not have.
#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::security::Role;
use polypeer::security::noise::{Handshake, Opener, Step, split_frame};

fn opener() -> Opener {
    let (mut to_b, mut to_a) = (Vec::new(), Vec::new());
    let new =
        |role, out: &mut Vec<u8>| Handshake::new(polypeer_fuzz::noise_config(role), out).unwrap();
    let mut a = new(Role::Initiator, &mut to_b);
    let mut b = new(Role::Responder, &mut to_a);
    b.receive(&to_b, &mut to_a).unwrap();
    let Ok((_, Step::Done(secured))) = a.receive(&to_a, &mut to_b) else { panic!() };
    secured.opener
}

fuzz_target!(|data: &[u8]| {
    thread_local!(static OPENER: std::cell::RefCell<Opener> = opener().into());
    let mut data = data.to_vec();
    let mut rest = &mut data[..];
    while let Some((frame, more)) = split_frame(rest) {
        OPENER.with_borrow_mut(|opener| assert!(opener.open(frame).is_err()));
        rest = more;
    }
});
