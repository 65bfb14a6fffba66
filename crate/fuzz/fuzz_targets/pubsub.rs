//! RPCs of publish and subscribe, against a router that is in a topic, and announcements of
//! peers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polypeer::discovery::topics::announcing::Announcement;
use polypeer::protocols::pubsub::wire::{self, RpcWriter};
use polypeer::protocols::pubsub::{Config, Router, TopicConfig, Version};
use polypeer::{Instant, Rng};
use polypeer_fuzz::keypair;

fuzz_target!(|data: &[u8]| {
    if let Ok(announcement) = Announcement::read(data) {
        assert_eq!(Announcement::read(&announcement.to_bytes()), Ok(announcement));
    }
    let peer = keypair(2).peer_id();
    let mut router = Router::new(Config::default(), keypair(1), 1, Rng::from_number(1));
    let mut now = Instant::ZERO;
    router.subscribe(now, "news", TopicConfig::default()).unwrap();
    router.connected(now, peer, Version::V1_3, (true, None));
    let mut writer = RpcWriter::default();
    let read = wire::read(data, |item| {
        writer.push(&item);
        router.receive(now, &peer, item);
    });
    if let Ok(excess) = read {
        router.exceeded(&peer, excess);
        // What was read and is written again is read as well.
        assert!(wire::read(&writer.finish(), |_| {}).is_ok());
    }
    for _ in 0..3 {
        while router.poll().is_some() {}
        now = router.poll_timeout().unwrap();
        router.handle_timeout(now);
    }
    router.disconnected(now, &peer);
    assert_eq!(router.stats().peers, 0);
});
