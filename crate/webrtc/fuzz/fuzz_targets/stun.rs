//! A datagram of a stranger, and of the remote of a session.
#![no_main]
#![allow(dead_code, reason = "only what takes in bytes is of interest")]
use libfuzzer_sys::fuzz_target;

#[path = "../../src"]
mod webrtc {
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};

    mod dcep;
    mod hello;
    mod ice;
    mod stun;
    mod ufrag;
    use stun::Message;
    use ufrag::{Credentials, Version};

    pub(crate) fn take_in(data: &[u8]) {
        let from: SocketAddr = ([192, 0, 2, 1], 4001).into();
        if let Some(message) = Message::parse(data) {
            // Whoever is answered has proved to know what the username says.
            if let Some(answer) = ice::answer(&message, from) {
                let credentials = ice::credentials(&message).unwrap();
                assert!(message.verify(&credentials.listener));
                assert!(stun::is_stun(&answer) && answer.len() < 3 * data.len());
                assert!(Message::parse(&answer).unwrap().verify(&credentials.listener));
            }
        }
        let now = Instant::now();
        for dials in [false, true] {
            let credentials = Credentials::new(Version::V2, &[7; 64]);
            let mut side = ice::Ice::new(dials, credentials, from, [1; 20], now);
            side.poll(now);
            let lapses = side.lapses();
            side.handle(now + Duration::from_secs(1), data);
            // No nonsense is a sign of life.
            assert_eq!(side.lapses(), lapses);
        }
        assert!(!hello::offers(data, 0xcca9) || data[0] == 22);
        assert!(!dcep::is_open(data) || data.len() >= dcep::OPEN.len());
        let text = std::str::from_utf8(data).ok();
        if let Some(credentials) = text.and_then(Credentials::of_request) {
            assert_eq!(credentials.username().as_bytes(), data);
        }
    }
}

fuzz_target!(|data: &[u8]| webrtc::take_in(data));
