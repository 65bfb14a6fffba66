//! What is sent last arrives, whoever closes how soon.

use super::*;
use crate::protocols::relay::{Limit, ServiceConfig};

/// Reads everything, and sends so many bytes, after which it closes every connection.
#[derive(Default)]
struct Mover {
    left: usize,
    mine: Option<(ConnectionId, StreamId)>,
    received: usize,
    ended: bool,
    closed: bool,
}

impl Mover {
    fn go_on(&mut self, peer: &mut Peer, now: Instant) {
        let Some((connection, id)) = self.mine.filter(|_| !self.closed) else { return };
        let Some(mut stream) = peer.stream(connection, id) else { return };
        while self.left > 0 {
            match stream.write(&vec![7; self.left]) {
                Ok(0) | Err(_) => break,
                Ok(count) => self.left -= count,
            }
        }
        if self.left == 0 {
            stream.finish();
            self.closed = true;
            let all: Vec<PeerId> = peer.node().peers().map(|(peer, _)| *peer).collect();
            return all.iter().for_each(|other| peer.hang_up(now, other));
        }
        peer.touched(now, connection);
    }
}

impl Application for Mover {
    fn handle(&mut self, peer: &mut Peer, now: Instant, news: News) {
        if let News::Stream(connection, StreamEvent::Readable(id)) = &news
            && let Some(mut stream) = peer.stream(*connection, *id)
        {
            let count = stream.readable().len();
            stream.consume(count);
            self.received += count;
            peer.touched(now, *connection);
        }
        self.ended |= matches!(news, News::Stream(_, StreamEvent::Finished(_)));
        self.go_on(peer, now);
    }
}

/// A relay, one behind it, and one who dials that one.
fn circuit() -> (World<Mover>, [PeerIndex; 3], ConnectionId) {
    let mut world: World<Mover> = World::new(1);
    world.set_conditions(Conditions {
        delay: Duration::from_millis(40),
        rate: Some(500_000),
        ..Conditions::default()
    });
    let relay = world.add_with(Mover::default(), |config| {
        let limit = Limit::default();
        config.relay.service = Some(ServiceConfig { limit, ..ServiceConfig::default() });
    });
    let (hidden, visitor) = (world.add(Mover::default()), world.add(Mover::default()));
    world.with(hidden, |peer, _, now| peer.handle(now, ECHO.into()));
    let address = world.address(relay);
    world.with(hidden, |peer, _, now| peer.listen_on_relay(now, Some(address)).unwrap());
    let reserved = |world: &World<Mover>| world.peer(hidden).node().reservations().count() == 1;
    assert!(world.run_until(Duration::from_secs(20), reserved));
    let target = world.peer(hidden).node().peer_id();
    let address = world.address(relay).with_circuit().with_peer(target);
    world.with(visitor, |peer, _, now| peer.dial(now, None, vec![address]));
    let best = |world: &World<Mover>| world.peer(visitor).node().best_connection(&target);
    assert!(world.run_until(Duration::from_secs(20), |world| best(world).is_some()));
    let connection = best(&world).unwrap();
    (world, [relay, hidden, visitor], connection)
}

#[test]
fn a_peer_that_closes_after_its_last_byte_over_a_circuit_loses_none() {
    for size in [1, 100_000, 3_000_000] {
        let (mut world, [relay, hidden, visitor], connection) = circuit();
        world.with(visitor, |peer, app, now| {
            let stream = peer.open_stream(now, connection, vec![ECHO.into()]).unwrap();
            (app.left, app.mine) = (size, Some((connection, stream)));
            app.go_on(peer, now);
        });
        let over = |world: &World<Mover>| world.peer(visitor).node().connection_count() == 0;
        assert!(world.run_until(Duration::from_secs(30), over), "{size}");
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.app(hidden).received, size);
        assert!(world.app(hidden).ended);
        assert_eq!(world.peer(relay).node().relay_service().circuit_count(), 0);
    }
}

#[test]
fn a_relay_that_stalls_does_not_keep_a_peer_from_closing() {
    let (mut world, [relay, _, visitor], connection) = circuit();
    world.with(visitor, |peer, app, now| {
        let stream = peer.open_stream(now, connection, vec![ECHO.into()]).unwrap();
        (app.left, app.mine) = (100_000, Some((connection, stream)));
        app.go_on(peer, now);
    });
    let closed = |world: &World<Mover>| world.app(visitor).closed;
    assert!(world.run_until(Duration::from_secs(20), closed));
    world.deafen(relay);
    let over = |world: &World<Mover>| world.peer(visitor).node().connection_count() == 0;
    let limit = crate::connection::CLOSE_LIMIT;
    assert!(!world.run_until(limit - Duration::from_secs(1), over));
    assert!(world.run_until(Duration::from_secs(5), over));
}

#[test]
fn nor_over_a_direct_connection() {
    let mut world: World<Mover> = World::new(2);
    let (from, to) = (world.add(Mover::default()), world.add(Mover::default()));
    world.with(to, |peer, _, now| peer.handle(now, ECHO.into()));
    let address = world.address(to);
    world.with(from, |peer, _, now| peer.dial(now, None, vec![address]));
    world.run_for(Duration::from_secs(2));
    let target = world.peer(to).node().peer_id();
    let connection = world.peer(from).node().best_connection(&target).unwrap();
    world.with(from, |peer, app, now| {
        let stream = peer.open_stream(now, connection, vec![ECHO.into()]).unwrap();
        (app.left, app.mine) = (1_000_000, Some((connection, stream)));
        app.go_on(peer, now);
    });
    world.run_for(Duration::from_secs(10));
    assert_eq!((world.app(to).received, world.app(to).ended), (1_000_000, true));
    assert_eq!(world.peer(from).node().connection_count(), 0);
}
