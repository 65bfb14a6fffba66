//! Datagrams of neighbours, who may say anything, and the peer that hears them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polypeer::discovery::mdns::{Config, MAX_ADDRESSES, MAX_TTL, Mdns, MdnsEvent};
use polypeer::{Instant, Rng};
use polypeer_fuzz_seeds::keypair;

fuzz_target!(|data: &[u8]| {
    let me = keypair(1).peer_id();
    let mut mdns = Mdns::new(Instant::ZERO, Config::default(), me, &mut Rng::from_number(1));
    mdns.receive(Instant::ZERO, data);
    mdns.receive(Instant::from_micros(1), data);
    mdns.handle_timeout(Instant::from_micros(1), &[]);
    while let Some(event) = mdns.poll_event() {
        if let MdnsEvent::Seen { peer, addresses, ttl, .. } = event {
            assert!(peer != me && addresses.len() <= MAX_ADDRESSES && ttl <= MAX_TTL);
        }
    }
});
