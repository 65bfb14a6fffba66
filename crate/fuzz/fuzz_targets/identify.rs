//! Messages of identify that a connected peer pushes.
#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::Instant;
use polypeer::muxer::yamux::{Config, Role, Yamux};
use polypeer::negotiate::Dialer;
use polypeer::wire::varint;
use polypeer_fuzz::{accepting, drive, upgrade};

fuzz_target!(|data: &[u8]| {
    let (mut peer, id) = accepting();
    let now = Instant::ZERO;
    drive(&mut peer, id, now, &upgrade());
    let mut remote = Yamux::new(Config::default(), Role::Client, now);
    let stream = remote.open().unwrap();
    let mut bytes = Vec::new();
    Dialer::new(vec!["/ipfs/id/push/1.0.0".into()], &mut bytes).unwrap();
    varint::encode(data.len() as u64, &mut bytes);
    bytes.extend_from_slice(data);
    let mut view = remote.stream(stream).unwrap();
    view.write(&bytes).unwrap();
    view.finish();
    let mut wire = Vec::new();
    while remote.transmit(now, &mut wire, 1 << 16) > 0 {}
    drive(&mut peer, id, now, &wire);
    assert!(peer.connection(id).is_some(), "a bad message costs its stream only");
});
