//! A whole session, with an application that reads, writes, finishes and resets.
#![no_main]
use core::time::Duration;

use libfuzzer_sys::fuzz_target;
use polypeer::Instant;
use polypeer::muxer::yamux::{Config, Event, Role, Yamux};

fuzz_target!(|data: &[u8]| {
    let role =
        if data.first().is_some_and(|byte| byte & 1 == 1) { Role::Client } else { Role::Server };
    let config = Config { max_unread: 1 << 20, window_budget: 1 << 20, ..Config::default() };
    let mut now = Instant::ZERO;
    let mut yamux = Yamux::new(config.clone(), role, now);
    if let Ok(id) = yamux.open()
        && let Some(mut stream) = yamux.stream(id)
    {
        let _ = stream.write(b"hello");
    }
    let mut wire = Vec::new();
    for piece in polypeer_fuzz::pieces(data) {
        now = now + Duration::from_millis(u64::from(piece[0]));
        let result = yamux.receive(now, piece);
        while let Some(event) = yamux.poll_event() {
            let (Event::Opened(id)
            | Event::Readable(id)
            | Event::Writable(id)
            | Event::Finished(id)) = event
            else {
                continue;
            };
            let Some(mut stream) = yamux.stream(id) else { continue };
            match id.number() % 4 {
                0 => {
                    let half = stream.readable().len().div_ceil(2);
                    stream.consume(half);
                }
                1 => {
                    let bytes = stream.readable().to_vec();
                    stream.consume(bytes.len());
                    let _ = stream.write(&bytes);
                }
                2 => stream.finish(),
                _ if matches!(event, Event::Readable(_)) => stream.reset(),
                _ => {}
            }
        }
        wire.clear();
        let count = yamux.transmit(now, &mut wire, 100 + usize::from(piece[0]));
        assert!(count == wire.len() && count <= 100 + usize::from(piece[0]));
        if yamux.poll_timeout().is_some_and(|at| at <= now) {
            let _ = yamux.handle_timeout(now);
        }
        assert!(yamux.unread() <= config.max_unread);
        let (inbound, outbound) = yamux.streams();
        assert!(inbound <= config.max_inbound_streams && outbound <= 1);
        if result.is_err() {
            assert!(yamux.receive(now, piece).is_err(), "an error is final");
            break;
        }
    }
    assert!(yamux.memory() <= (4 << 20) + 8 * data.len(), "{}", yamux.memory());
});
