//! Messages of a remote on data channels, signalled or in WebRTC direct's handshake.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polypeer::Instant;
use polypeer::connection::Carrier;
use polypeer::webrtc::record::{self, Kind, REMOTE};
use polypeer_fuzz::{accepting_over, drive, keypair, pieces};

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let carrier = match mode & 1 {
        0 => Carrier::Signalled { peer: keypair(2).peer_id() },
        _ => Carrier::Direct { prologue: Vec::new() },
    };
    let (mut peer, id) = accepting_over(carrier);
    for piece in pieces(data) {
        let [what, body @ ..] = piece else { continue };
        let (kind, nth) = match what {
            0..16 => (Kind::Open, what % 4),
            16..24 => (Kind::Close, what % 4),
            _ => (Kind::Message, what % 4),
        };
        let channel = if mode & 1 == 1 && nth == 0 { 0 } else { REMOTE + u32::from(nth) };
        let mut pipe = Vec::new();
        record::write(&mut pipe, kind, channel, body);
        drive(&mut peer, id, Instant::ZERO, &pipe);
    }
});
