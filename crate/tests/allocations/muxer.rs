//! The multiplexer allocates nothing for a frame in steady traffic.

use polypeer::Instant;
use polypeer::muxer::yamux::{Config, Read, Role, StreamId, Yamux};

use crate::counting;

/// Sends a chunk on every stream and reads all of it.
fn round(ends: &mut [Yamux; 2], ids: &[StreamId], wire: &mut Vec<u8>, out: &mut [u8]) -> usize {
    let (now, chunk, mut read) = (Instant::ZERO, [7; 4_000], 0);
    let [client, server] = ends;
    for id in ids {
        client.stream(*id).unwrap().write(&chunk).unwrap();
    }
    loop {
        wire.clear();
        if client.transmit(now, wire, 65_519) == 0 {
            return read;
        }
        server.receive(now, wire).unwrap();
        while server.poll_event().is_some() {}
        for id in ids {
            while let Some(Read::Bytes(count)) = server.stream(*id).map(|mut s| s.read(out)) {
                read += count;
            }
        }
        wire.clear();
        server.transmit(now, wire, usize::MAX);
        client.receive(now, wire).unwrap();
        while client.poll_event().is_some() {}
    }
}

#[test]
fn steady_traffic_allocates_nothing() {
    for streams in [1, 4, 100] {
        let end = |role| Yamux::new(Config::default(), role, Instant::ZERO);
        let mut ends = [end(Role::Client), end(Role::Server)];
        let ids: Vec<_> = (0..streams).map(|_| ends[0].open().unwrap()).collect();
        let (mut wire, mut out) = (Vec::new(), vec![0; 65_536]);
        for _ in 0..50 {
            round(&mut ends, &ids, &mut wire, &mut out);
        }
        let before = counting::allocations();
        let mut read = 0;
        for _ in 0..50 {
            read += round(&mut ends, &ids, &mut wire, &mut out);
        }
        assert_eq!(read, 50 * 4_000 * streams);
        assert_eq!(counting::allocations() - before, 0, "{streams} streams");
    }
}
