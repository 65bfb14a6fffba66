use super::*;
use crate::connection::StreamId;
use crate::negotiate::Name;

const ECHO: &str = "/echo/1.0.0";

/// Answers echo streams, and on its own ones sends `to_send` and counts what
/// comes back.
#[derive(Default)]
struct Echo {
    to_send: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    mine: Option<(ConnectionId, StreamId)>,
    done: bool,
    reset: bool,
    log: Vec<News>,
    /// What inbound streams could not take back yet.
    owed: BTreeMap<(ConnectionId, StreamId), (Vec<u8>, bool)>,
}

use std::collections::BTreeMap;

impl Echo {
    fn open(&mut self, peer: &mut Peer, now: Instant, connection: ConnectionId, bytes: Vec<u8>) {
        self.to_send = bytes;
        let stream = peer.open_stream(now, connection, vec![ECHO.into()]).unwrap();
        self.mine = Some((connection, stream));
        self.pump(peer, now, connection, stream);
    }

    fn pump(&mut self, peer: &mut Peer, now: Instant, connection: ConnectionId, id: StreamId) {
        let mine = self.mine == Some((connection, id));
        let Some(mut stream) = peer.stream(connection, id) else { return };
        if mine {
            while self.sent < self.to_send.len() {
                match stream.write(&self.to_send[self.sent..]) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => self.sent += count,
                }
            }
            if self.sent == self.to_send.len() {
                stream.finish();
            }
            let bytes = stream.readable().to_vec();
            stream.consume(bytes.len());
            self.received.extend(bytes);
        } else {
            let (owed, finished) = self.owed.entry((connection, id)).or_default();
            loop {
                match stream.write(owed) {
                    Ok(count) => drop(owed.drain(..count)),
                    Err(_) => break,
                }
                if !owed.is_empty() {
                    break;
                }
                *owed = stream.readable().to_vec();
                stream.consume(owed.len());
                if owed.is_empty() {
                    break;
                }
            }
            if *finished && owed.is_empty() {
                stream.finish();
            }
        }
        peer.touched(now, connection);
    }
}

impl Application for Echo {
    fn handle(&mut self, peer: &mut Peer, now: Instant, news: News) {
        match &news {
            News::Node(Event::InboundStream { connection, stream, .. }) => {
                self.pump(peer, now, *connection, *stream);
            }
            News::Stream(connection, event) => match event {
                StreamEvent::Readable(stream) | StreamEvent::Writable(stream) => {
                    self.pump(peer, now, *connection, *stream);
                }
                StreamEvent::Finished(stream) => {
                    if let Some((_, finished)) = self.owed.get_mut(&(*connection, *stream)) {
                        *finished = true;
                    }
                    self.pump(peer, now, *connection, *stream);
                    self.done |= self.mine == Some((*connection, *stream));
                }
                StreamEvent::Reset(_) => self.reset = true,
                _ => {}
            },
            News::Node(_) => {}
        }
        self.log.push(news);
    }
}

fn pair(seed: u64) -> (World<Echo>, PeerIndex, PeerIndex, ConnectionId) {
    let mut world = World::new(seed);
    let (alice, bob) = (world.add(Echo::default()), world.add(Echo::default()));
    world.with(bob, |peer, _, now| peer.handle(now, ECHO.into()));
    let address = world.address(bob);
    world.with(alice, |peer, _, now| peer.dial(now, None, vec![address]));
    let connected = |world: &World<Echo>| dialed(world.app(alice)).is_some();
    assert!(world.run_until(Duration::from_secs(5), connected), "{:?}", world.app(alice).log);
    let connection = dialed(world.app(alice)).unwrap();
    (world, alice, bob, connection)
}

fn dialed(app: &Echo) -> Option<ConnectionId> {
    app.log.iter().find_map(|news| match news {
        News::Node(Event::Dialed { connection, .. }) => Some(*connection),
        _ => None,
    })
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn two_peers_connect_identify_ping_and_echo() {
    let (mut world, alice, bob, connection) = pair(7);
    let data = pattern(3_000_000);
    let sent = data.clone();
    world.with(alice, |peer, app, now| app.open(peer, now, connection, sent));
    let done = world.run_until(Duration::from_secs(60), |world| world.app(alice).done);
    assert!(done);
    assert!(world.app(alice).received == data);
    world.with(alice, |peer, _, now| peer.ping(now, connection));
    world.run_for(Duration::from_secs(1));
    let pinged = world.app(alice).log.iter().any(|news| {
        matches!(news, News::Node(Event::Pinged { result: Ok(rtt), .. })
            if *rtt >= Duration::from_millis(20))
    });
    assert!(pinged);
    let bob_id = world.peer(bob).node().peer_id();
    let info = world.app(alice).log.iter().find_map(|news| match news {
        News::Node(Event::Identified { peer, info, .. }) if *peer == bob_id => Some(info.clone()),
        _ => None,
    });
    let info = info.expect("identified");
    assert!(info.protocols.contains(&Name::from(ECHO)));
    assert_eq!(info.record.as_ref().map(|record| record.peer_id()), Some(bob_id));
    assert_eq!(info.observed, Some(memory(alice)));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let (mut world, alice, _, connection) = pair(seed);
        world.set_conditions(Conditions {
            loss: 50,
            jitter: Duration::from_millis(5),
            ..Conditions::default()
        });
        world.with(alice, |peer, app, now| app.open(peer, now, connection, pattern(200_000)));
        world.run_for(Duration::from_secs(20));
        assert!(world.app(alice).done);
        (world.events(), world.digest())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
