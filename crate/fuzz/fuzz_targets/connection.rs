//! A peer that accepts: from its first byte on, or behind an honest upgrade.
#![no_main]
use core::time::Duration;

use libfuzzer_sys::fuzz_target;
use polypeer::Instant;
use polypeer_fuzz::{accepting, drive, pieces, upgrade};

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let (mut peer, id) = accepting();
    let mut now = Instant::ZERO;
    if mode & 1 == 1 {
        drive(&mut peer, id, now, &upgrade());
    }
    for piece in pieces(data) {
        now = now + Duration::from_millis(u64::from(piece[0]) * u64::from(*mode));
        drive(&mut peer, id, now, piece);
    }
    peer.closed(now, id, String::new());
    drive(&mut peer, id, now, &[]);
    assert!(peer.connection(id).is_none());
});
