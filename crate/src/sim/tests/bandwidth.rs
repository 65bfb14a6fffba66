//! Limits on rates: they hold, and for those alone whom they are about.

use super::*;
use crate::swarm::meter::{Of, Rates};

/// Sends as much as it is told to on streams of its own, and notes when streams
/// of others have come to their end.
#[derive(Default)]
struct Load {
    owed: BTreeMap<(ConnectionId, StreamId), usize>,
    inbound: BTreeMap<(ConnectionId, StreamId), (Name, usize)>,
    /// What came by each protocol, and when its streams ended.
    done: Vec<(Name, usize, Instant)>,
    connections: Vec<ConnectionId>,
}

impl Load {
    fn send(&mut self, peer: &mut Peer, now: Instant, to: ConnectionId, name: &str, bytes: usize) {
        let stream = peer.open_stream(now, to, vec![name.into()]).unwrap();
        self.owed.insert((to, stream), bytes);
        self.write(peer, now, to, stream);
    }

    fn write(&mut self, peer: &mut Peer, now: Instant, connection: ConnectionId, id: StreamId) {
        let Some(owed) = self.owed.get_mut(&(connection, id)) else { return };
        let Some(mut stream) = peer.stream(connection, id) else { return };
        let chunk = vec![7; 64 * 1024];
        while *owed > 0 {
            match stream.write(&chunk[..chunk.len().min(*owed)]).unwrap() {
                0 => break,
                count => *owed -= count,
            }
        }
        if *owed == 0 {
            stream.finish();
        }
        peer.touched(now, connection);
    }

    fn read(&mut self, peer: &mut Peer, now: Instant, connection: ConnectionId, id: StreamId) {
        let Some((_, count)) = self.inbound.get_mut(&(connection, id)) else { return };
        let Some(mut stream) = peer.stream(connection, id) else { return };
        let unread = stream.readable().len();
        stream.consume(unread);
        *count += unread;
        peer.touched(now, connection);
    }
}

impl Application for Load {
    fn handle(&mut self, peer: &mut Peer, now: Instant, news: News) {
        match news {
            News::Node(Event::Dialed { connection, .. }) => self.connections.push(connection),
            News::Node(Event::InboundStream { connection, stream, protocol, .. }) => {
                self.inbound.insert((connection, stream), (protocol, 0));
                self.read(peer, now, connection, stream);
            }
            News::Stream(connection, StreamEvent::Readable(id)) => {
                self.read(peer, now, connection, id);
            }
            News::Stream(connection, StreamEvent::Writable(id)) => {
                self.write(peer, now, connection, id);
            }
            News::Stream(connection, StreamEvent::Finished(id)) => {
                self.read(peer, now, connection, id);
                if let Some((name, bytes)) = self.inbound.remove(&(connection, id)) {
                    self.done.push((name, bytes, now));
                    peer.stream(connection, id).unwrap().finish();
                    peer.touched(now, connection);
                }
            }
            _ => {}
        }
    }
}

const MB: usize = 1_000_000;

/// One that sends, and two that receive; its connections to them.
fn three(seed: u64) -> (World<Load>, PeerIndex, [PeerIndex; 2], [ConnectionId; 2]) {
    let mut world = World::new(seed);
    // Patient enough with those who are slow to read.
    let patient = |config: &mut Config| config.connection.keep_alive = Duration::from_secs(600);
    let alice = world.add_with(Load::default(), patient);
    let others = [world.add(Load::default()), world.add(Load::default())];
    for other in others {
        for name in ["/slow", "/fast"] {
            world.with(other, |peer, _, now| peer.handle(now, name.into()));
        }
        let address = world.address(other);
        world.with(alice, |peer, _, now| peer.dial(now, None, vec![address]));
        world.run_for(Duration::from_secs(1));
    }
    let connections = world.app(alice).connections.clone().try_into().unwrap();
    (world, alice, others, connections)
}

/// When what `index` received of `name` had come to its end, in seconds.
fn seconds(world: &World<Load>, index: PeerIndex, name: &str, start: Instant) -> f64 {
    let done = world.app(index).done.iter().filter(|(known, ..)| &**known == name);
    let at = done.map(|(.., at)| *at).max().expect("it has ended");
    (at - start).as_secs_f64()
}

fn is_about(seconds: f64, expected: f64) -> bool {
    (expected * 0.95..=expected * 1.05).contains(&seconds)
}

#[test]
fn all_that_is_sent() {
    let (mut world, alice, others, connections) = three(1);
    let start = world.now();
    world.with(alice, |peer, app, now| {
        peer.set_bandwidth(Of::All, Rates { outbound: Some(MB as u64), ..Rates::default() });
        for connection in connections {
            app.send(peer, now, connection, "/fast", 5 * MB);
        }
    });
    world.run_for(Duration::from_secs(30));
    let times = others.map(|other| seconds(&world, other, "/fast", start));
    // Both share the rate, and so end at about the same time.
    assert!(times.into_iter().all(|time| is_about(time, 10.0)), "{times:?}");
}

#[test]
fn all_that_is_received() {
    let (mut world, alice, [bob, carol], connections) = three(2);
    let start = world.now();
    world.with(bob, |peer, _, _| {
        peer.set_bandwidth(Of::All, Rates { inbound: Some(MB as u64), ..Rates::default() });
    });
    world.with(alice, |peer, app, now| {
        for connection in connections {
            app.send(peer, now, connection, "/fast", 10 * MB);
        }
    });
    world.run_for(Duration::from_secs(30));
    let slow = seconds(&world, bob, "/fast", start);
    assert!(is_about(slow, 10.0), "{slow}");
    let fast = seconds(&world, carol, "/fast", start);
    assert!(fast < 2.0, "nobody else waits: {fast}");
}

#[test]
fn one_peer() {
    for (inbound, each) in [(false, false), (true, false), (false, true)] {
        let (mut world, alice, [bob, carol], connections) = three(3);
        let start = world.now();
        let (at, other) = if inbound { (bob, alice) } else { (alice, bob) };
        let peer_id = world.peer(other).node().peer_id();
        let carol_id = world.peer(carol).node().peer_id();
        world.with(at, |peer, _, _| {
            if each {
                peer.set_bandwidth(Of::EachPeer, Rates::both(MB as u64));
                peer.set_bandwidth(Of::Peer(carol_id), Rates::default());
            } else {
                peer.set_bandwidth(Of::Peer(peer_id), Rates::both(MB as u64));
            }
        });
        world.with(alice, |peer, app, now| {
            for connection in connections {
                app.send(peer, now, connection, "/fast", 10 * MB);
            }
        });
        world.run_for(Duration::from_secs(30));
        let slow = seconds(&world, bob, "/fast", start);
        assert!(is_about(slow, 10.0), "{slow}");
        let fast = seconds(&world, carol, "/fast", start);
        assert!(fast < 2.0, "nobody else waits: {fast}");
    }
}

#[test]
fn one_protocol() {
    for inbound in [false, true] {
        let (mut world, alice, [bob, _], [connection, _]) = three(4);
        let start = world.now();
        let at = if inbound { bob } else { alice };
        let of = Of::Protocol("/slow".into());
        world.with(at, |peer, _, _| peer.set_bandwidth(of, Rates::both(MB as u64)));
        world.with(alice, |peer, app, now| {
            for _ in 0..2 {
                app.send(peer, now, connection, "/slow", 5 * MB);
            }
            app.send(peer, now, connection, "/fast", 20 * MB);
        });
        world.run_for(Duration::from_secs(30));
        let slow = seconds(&world, bob, "/slow", start);
        assert!(is_about(slow, 10.0), "{slow}");
        let fast = seconds(&world, bob, "/fast", start);
        assert!(fast < 2.0, "of the same connection, yet it does not wait: {fast}");
    }
}

#[test]
fn a_limit_changes_while_bytes_flow() {
    let (mut world, alice, [bob, _], [connection, _]) = three(5);
    let start = world.now();
    world.with(alice, |peer, app, now| {
        peer.set_bandwidth(Of::All, Rates::both(MB as u64));
        app.send(peer, now, connection, "/fast", 10 * MB);
    });
    world.run_for(Duration::from_secs(4));
    world.with(alice, |peer, _, _| peer.set_bandwidth(Of::All, Rates::both(3 * MB as u64)));
    world.run_for(Duration::from_secs(30));
    let time = seconds(&world, bob, "/fast", start);
    assert!(is_about(time, 6.0), "{time}");
}

#[test]
fn a_slow_connection_is_still_alive_and_says_goodbye() {
    let (mut world, alice, [bob, _], [connection, _]) = three(6);
    // So slow that reading stops for longer than an answer to a ping may take.
    world.with(bob, |peer, _, _| {
        peer.set_bandwidth(Of::All, Rates { inbound: Some(4_000), ..Rates::default() });
    });
    world.with(alice, |peer, app, now| app.send(peer, now, connection, "/fast", MB / 2));
    world.run_for(Duration::from_secs(100));
    assert_eq!(world.peer(bob).node().peers().count(), 1, "bob does not blame alice");
    // What waits for its protocol's rate is sent before the connection ends.
    let (mut world, alice, [bob, _], [connection, _]) = three(7);
    let of = Of::Protocol("/slow".into());
    world.with(alice, |peer, app, now| {
        peer.set_bandwidth(of, Rates::both(MB as u64 / 10));
        app.send(peer, now, connection, "/slow", MB / 5);
        peer.close(now, connection);
    });
    world.run_for(Duration::from_secs(10));
    let came = world.app(bob).done.iter().map(|(_, bytes, _)| *bytes).sum::<usize>();
    assert_eq!(came, MB / 5);
    assert_eq!(world.peer(alice).node().connection_count(), 1, "the other one");
}
