//! Services of whole peers in the simulator: what their writers count on, and what
//! hostile peers cannot do.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use super::*;
use crate::connection::{StreamEvent, StreamId};
use crate::node::Event;
use crate::peer::Peer;
use crate::rng::Rng;
use crate::sim::{Application, Conditions, News, PeerIndex, World};
use crate::time::Instant;

const CHAT: &str = "/chat/1.0.0";

/// Keeps the events of its node, and streams of its own if it has any.
#[derive(Default)]
struct Log {
    events: Vec<Event>,
    opened: Vec<StreamId>,
}

impl Application for Log {
    fn handle(&mut self, _: &mut Peer, _: Instant, news: News) {
        match news {
            News::Node(event) => self.events.push(event),
            News::Stream(_, StreamEvent::Opened { stream, .. }) => self.opened.push(stream),
            News::Stream(..) => {}
        }
    }
}

impl Log {
    fn errors(&self) -> Vec<&ServiceError> {
        let events = self.events.iter();
        let errors = events.filter_map(|event| match event {
            Event::ServiceError { error, .. } => Some(error),
            _ => None,
        });
        errors.collect()
    }

    fn ends(&self) -> Vec<&End> {
        let events = self.events.iter();
        let ends = events.filter_map(|event| match event {
            Event::SessionClosed { end, .. } => Some(end),
            _ => None,
        });
        ends.collect()
    }
}

/// What a [`Recorder`] saw, in order.
type Notes = Arc<Mutex<Vec<String>>>;

/// Notes every callback; answers "ask" and fails at "fail".
struct Recorder(Notes);

/// The same for one session.
struct Part(Notes);

fn note(notes: &Notes, text: String) {
    notes.lock().unwrap().push(text);
}

impl Service for Recorder {
    fn session(&mut self, _: &mut Context<'_>, _: &SessionInfo) -> Option<Box<dyn Session>> {
        Some(Box::new(Part(self.0.clone())))
    }

    fn connected(&mut self, _: &mut Context<'_>, session: &SessionInfo) -> Outcome {
        note(&self.0, format!("connected {}", session.protocol));
        Ok(())
    }

    fn received(&mut self, cx: &mut Context<'_>, from: &SessionInfo, message: &[u8]) -> Outcome {
        let text = String::from_utf8(message.to_vec())?;
        note(&self.0, format!("received {text}"));
        match &*text {
            "ask" => drop(cx.send(from.id, "answer")?),
            "fail" => return Err(Failure("as asked".into())),
            _ => {}
        }
        Ok(())
    }

    fn notified(&mut self, cx: &mut Context<'_>, token: &str) -> Outcome {
        note(&self.0, format!("notified {token} at {}", cx.now().as_micros() / 1_000_000));
        Ok(())
    }

    fn disconnected(&mut self, _: &mut Context<'_>, _: &SessionInfo, end: &End) -> Outcome {
        note(&self.0, format!("disconnected {end:?}"));
        Ok(())
    }
}

impl Session for Part {
    fn connected(&mut self, cx: &mut SessionContext<'_>) -> Outcome {
        note(&self.0, "session connected".into());
        Ok(cx.set_timer("hello", Duration::from_secs(3))?)
    }

    fn received(&mut self, _: &mut SessionContext<'_>, message: Vec<u8>) -> Outcome {
        note(&self.0, format!("session received {}", String::from_utf8(message)?));
        Ok(())
    }

    fn notified(&mut self, _: &mut SessionContext<'_>, token: &str) -> Outcome {
        note(&self.0, format!("session notified {token}"));
        Ok(())
    }

    fn disconnected(&mut self, _: &mut SessionContext<'_>, end: &End) -> Outcome {
        note(&self.0, format!("session disconnected {end:?}"));
        Ok(())
    }
}

const ID: ServiceId = ServiceId(0);

fn chat() -> Config {
    Config::new(Versions::exact(CHAT))
}

fn add(world: &mut World<Log>, config: Config) -> (PeerIndex, Notes) {
    let index = world.add(Log::default());
    let notes = Notes::default();
    let service = Box::new(Recorder(notes.clone()));
    world.with(index, |peer, _, now| peer.serve(now, config, service));
    (index, notes)
}

fn dial(world: &mut World<Log>, from: PeerIndex, to: PeerIndex) {
    let address = world.address(to);
    world.with(from, |peer, _, now| peer.dial(now, None, vec![address]));
}

fn with<T>(world: &mut World<Log>, index: PeerIndex, act: impl FnOnce(&mut Context<'_>) -> T) -> T {
    world.with(index, |peer, _, now| peer.with_service(now, ID, |_, cx| act(cx)).unwrap())
}

fn sessions(world: &mut World<Log>, index: PeerIndex) -> Vec<SessionInfo> {
    with(world, index, |cx| cx.sessions().cloned().collect())
}

fn send(world: &mut World<Log>, index: PeerIndex, text: &str) -> usize {
    with(world, index, |cx| cx.broadcast(|_| true, text.as_bytes()))
}

fn take(notes: &Notes) -> Vec<String> {
    core::mem::take(&mut *notes.lock().unwrap())
}

/// Two with the same service, and their session.
fn pair(world: &mut World<Log>, config: Config) -> [(PeerIndex, Notes); 2] {
    let (a, b) = (add(world, config.clone()), add(world, config));
    dial(world, a.0, b.0);
    world.run_for(Duration::from_secs(1));
    [a, b]
}

#[test]
fn callbacks_come_in_order_and_a_session_lives_as_long_as_its_stream() {
    let mut world = World::new(1);
    let [(alice, hers), (bob, his)] = pair(&mut world, chat());
    assert_eq!(take(&hers), ["connected /chat/1.0.0", "session connected"]);
    assert_eq!(take(&his), ["connected /chat/1.0.0", "session connected"]);
    assert_eq!(sessions(&mut world, alice)[0].direction, Direction::Outbound);

    assert_eq!(send(&mut world, alice, "ask"), 1);
    world.run_for(Duration::from_secs(1));
    assert_eq!(take(&his), ["received ask", "session received ask"]);
    assert_eq!(take(&hers), ["received answer", "session received answer"]);

    world.run_for(Duration::from_secs(2));
    assert_eq!(take(&hers), ["session notified hello"]);
    let id = sessions(&mut world, alice)[0].id;
    with(&mut world, alice, |cx| cx.close(id));
    world.run_for(Duration::from_secs(1));
    assert_eq!(take(&hers), ["session disconnected Local", "disconnected Local"]);
    assert!(take(&his).ends_with(&["disconnected Reset".into()]));
    assert_eq!(sessions(&mut world, bob), []);

    // On demand it is opened again, by either side.
    let id = world.peer(alice).node().peer_id();
    assert!(with(&mut world, bob, |cx| cx.open(&id)));
    world.run_for(Duration::from_secs(1));
    assert_eq!(sessions(&mut world, alice)[0].direction, Direction::Inbound);
    world.with(bob, |peer, _, now| peer.hang_up(now, &id));
    world.run_for(Duration::from_secs(1));
    assert!(take(&hers).ends_with(&["disconnected Disconnected".into()]));
}

#[test]
fn timers_have_names_and_run_off_once() {
    let mut world = World::new(2);
    let (node, notes) = add(&mut world, chat());
    let second = Duration::from_secs(1);
    with(&mut world, node, |cx| {
        cx.set_timer("a", second * 5).unwrap();
        cx.set_timer("b", second * 2).unwrap();
        cx.set_timer("c", second * 3).unwrap();
        cx.set_timer("a", second * 4).unwrap();
        cx.cancel_timer("c");
        for number in 2..MAX_TIMERS {
            cx.set_timer(&number.to_string(), second * 1000).unwrap();
        }
        assert_eq!(cx.set_timer("one more", second), Err(TooManyTimers));
    });
    world.run_for(second * 10);
    assert_eq!(take(&notes), ["notified b at 2", "notified a at 4"]);
}

#[test]
fn versions_meet_at_the_best_that_both_know() {
    let mut world = World::new(3);
    let range = |own| Config::new(Versions::range("/chat", "^1.2", own).unwrap());
    let (old, _) = add(&mut world, range("1.2.0"));
    let (new, _) = add(&mut world, range("1.9.3"));
    let list = Versions::list(&["/chat/3", "/chat/1.5.0"]);
    let (several, _) = add(&mut world, Config::new(list));
    let (other, _) = add(&mut world, Config::new(Versions::exact("/chat/2.0.0")));
    for to in [new, several, other] {
        dial(&mut world, old, to);
    }
    world.run_for(Duration::from_secs(2));
    let mut spoken: Vec<_> =
        sessions(&mut world, old).into_iter().map(|session| session.protocol.to_string()).collect();
    spoken.sort();
    assert_eq!(spoken, ["/chat/1.5.0", "/chat/1.9.3"]);
    assert_eq!(world.app(old).errors().len(), 0, "who does not speak it is not asked");
}

#[test]
fn both_at_once_end_with_one_session() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let mut config = chat();
        config.automatic = false;
        let [(alice, _), (bob, _)] = pair(&mut world, config);
        let ids = [alice, bob].map(|index| world.peer(index).node().peer_id());
        with(&mut world, alice, |cx| cx.open(&ids[1]));
        with(&mut world, bob, |cx| cx.open(&ids[0]));
        world.run_for(Duration::from_secs(2));
        let (hers, his) = (sessions(&mut world, alice), sessions(&mut world, bob));
        assert_eq!((hers.len(), his.len()), (1, 1));
        assert_ne!(hers[0].direction, his[0].direction);
        assert_eq!(send(&mut world, alice, "ask"), 1);
        world.run_for(Duration::from_secs(1));
        assert_eq!(sessions(&mut world, bob).len(), 1);
    }
}

#[test]
fn errors_of_callbacks_come_to_one_place() {
    let mut world = World::new(5);
    let [(alice, _), (bob, his)] = pair(&mut world, chat());
    send(&mut world, alice, "fail");
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.app(bob).errors(), [&ServiceError::Callback("as asked".into())]);
    assert_eq!(world.app(bob).ends(), [&End::Failed]);
    assert!(!take(&his).contains(&"session received fail".into()));
    assert_eq!(world.peer(bob).node().peers().count(), 1, "the connection stays");
}

#[test]
fn the_urgent_overtakes_what_waits() {
    let mut world = World::new(6);
    world.set_conditions(Conditions { rate: Some(200_000), ..Conditions::default() });
    let [(alice, _), (_, his)] = pair(&mut world, chat());
    take(&his);
    let big = |byte: u8| vec![byte; 100_000];
    with(&mut world, alice, |cx| {
        let id = cx.sessions().next().unwrap().id;
        for byte in *b"abcde" {
            cx.send(id, big(byte)).unwrap();
        }
        cx.send_with(id, Priority::High, "urgent").unwrap();
    });
    world.run_for(Duration::from_secs(10));
    let order: Vec<String> = take(&his)
        .into_iter()
        .filter_map(|text| Some(text.strip_prefix("received ")?.chars().next()?.to_string()))
        .collect();
    assert_eq!(order.len(), 6);
    assert!(order.iter().position(|first| first == "u").unwrap() < 4, "{order:?}");
}

/// A peer without the service that opens its protocol and does what it likes.
fn hostile(world: &mut World<Log>, victim: PeerIndex) -> (PeerIndex, ConnectionId) {
    let index = world.add(Log::default());
    dial(world, index, victim);
    world.run_for(Duration::from_secs(1));
    let connection = *world.peer(index).node().peers().next().unwrap().1.iter().next().unwrap();
    (index, connection)
}

fn open(world: &mut World<Log>, (index, connection): (PeerIndex, ConnectionId)) -> StreamId {
    let stream = world
        .with(index, |peer, _, now| peer.open_stream(now, connection, vec![CHAT.into()]).unwrap());
    world.run_for(Duration::from_millis(200));
    stream
}

#[test]
fn a_message_that_is_too_long_ends_its_session_only() {
    let mut world = World::new(7);
    let (victim, notes) = add(&mut world, chat());
    let enemy = hostile(&mut world, victim);
    let stream = open(&mut world, enemy);
    world.with(enemy.0, |peer, _, now| {
        let mut prefix = Vec::new();
        crate::wire::varint::encode((256 << 10) + 1, &mut prefix);
        peer.stream(enemy.1, stream).unwrap().write(&prefix).unwrap();
        peer.touched(now, enemy.1);
    });
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.app(victim).ends(), [&End::Reset]);
    assert!(take(&notes).ends_with(&["disconnected Reset".into()]));
    assert_eq!(world.peer(victim).node().peers().count(), 1);
    let long = with(&mut world, victim, |cx| cx.send(SessionId(1), vec![0; 300_000]));
    assert_eq!(long, Err(SendError::TooLong { max: 256 << 10 }));
}

#[test]
fn who_never_reads_costs_a_queue_and_then_its_session() {
    let mut world = World::new(8);
    let (victim, _) = add(&mut world, chat());
    let enemy = hostile(&mut world, victim);
    open(&mut world, enemy);
    let mut refused = 0;
    for _ in 0..40 {
        for _ in 0..10 {
            with(&mut world, victim, |cx| {
                let id = cx.sessions().next().unwrap().id;
                refused += usize::from(cx.send(id, vec![7; 50_000]) == Err(SendError::Full));
                assert!(cx.queued(id) <= 1 << 20);
            });
        }
        world.run_for(Duration::from_millis(500));
    }
    assert!(refused > 100);
    assert_eq!(world.app(victim).errors(), [&ServiceError::QueueFull], "told once");
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.app(victim).ends(), [&End::Stalled]);
    assert_eq!(sessions(&mut world, victim), []);

    // With the other policy the oldest go instead.
    let mut world = World::new(8);
    let (victim, _) = add(&mut world, Config { full: Full::DropOldest, ..chat() });
    let enemy = hostile(&mut world, victim);
    open(&mut world, enemy);
    let mut dropped = 0;
    for _ in 0..100 {
        with(&mut world, victim, |cx| {
            let id = cx.sessions().next().unwrap().id;
            dropped += cx.send(id, vec![7; 50_000]).unwrap().dropped;
        });
    }
    assert!(dropped > 50);
}

#[test]
fn who_opens_in_a_loop_is_stopped() {
    let mut world = World::new(9);
    let (victim, _) = add(&mut world, chat());
    let enemy = hostile(&mut world, victim);
    let begun = |world: &World<Log>| {
        let opened = |event: &&Event| matches!(event, Event::SessionOpened { .. });
        world.app(victim).events.iter().filter(opened).count()
    };
    for _ in 0..100 {
        open(&mut world, enemy);
    }
    assert_eq!(begun(&world), 12);
    assert_eq!(world.app(victim).errors(), [&ServiceError::TooManyOpenings], "told once");
    // Each took the place of the one before: there is never more than one.
    assert!(sessions(&mut world, victim).len() <= 1);
    world.run_for(Duration::from_secs(60));
    open(&mut world, enemy);
    assert_eq!(begun(&world), 13, "after a minute it may again");
}

#[test]
fn there_is_room_for_so_many_sessions() {
    let mut world = World::new(10);
    let (server, _) = add(&mut world, Config { max_sessions: 5, ..chat() });
    for _ in 0..8 {
        let (client, _) = add(&mut world, chat());
        dial(&mut world, client, server);
    }
    world.run_for(Duration::from_secs(2));
    assert_eq!(sessions(&mut world, server).len(), 5);
    assert_eq!(world.app(server).errors(), [&ServiceError::TooManySessions; 3]);
}

#[test]
fn churn_leaves_nothing_behind() {
    for seed in 0..3 {
        let mut world = World::new(100 + seed);
        world.set_conditions(Conditions {
            jitter: Duration::from_millis(30),
            loss: 20,
            ..Conditions::default()
        });
        let mut rng = Rng::from_number(seed);
        let all: Vec<_> = (0..60).map(|_| add(&mut world, chat()).0).collect();
        let pick = |rng: &mut Rng| all[rng.below(60) as usize];
        for round in 0..40 {
            for _ in 0..20 {
                let (from, to) = (pick(&mut rng), pick(&mut rng));
                dial(&mut world, from, to);
                send(&mut world, from, "ask");
                let index = pick(&mut rng);
                let someone = world.peer(index).node().peers().next().map(|(peer, _)| *peer);
                match (rng.below(4), someone) {
                    (0, Some(peer)) => world.with(index, |p, _, now| p.hang_up(now, &peer)),
                    (1, Some(peer)) => {
                        with(&mut world, index, |cx| {
                            let id = cx.session_of(&peer).map(|session| session.id);
                            id.into_iter().for_each(|id| cx.close(id));
                        });
                    }
                    _ => {}
                }
            }
            if round % 8 == 3 {
                all[..20]
                    .iter()
                    .for_each(|index| world.set_group(*index, u32::from(round % 16 == 3)));
            }
            world.run_for(Duration::from_millis(700));
        }
        all.iter().for_each(|index| world.set_group(*index, 0));
        world.run_for(Duration::from_secs(120));
        for index in &all {
            let id = world.peer(*index).node().peer_id();
            for session in sessions(&mut world, *index) {
                let other = *all
                    .iter()
                    .find(|other| world.peer(**other).node().peer_id() == session.peer)
                    .unwrap();
                let back = with(&mut world, other, |cx| cx.session_of(&id).cloned());
                let back = back.expect("a session has two ends");
                assert_eq!(back.protocol, session.protocol);
                assert_ne!(back.direction, session.direction);
            }
        }
        for index in &all {
            world.with(*index, |peer, _, now| {
                let peers: Vec<_> = peer.node().peers().map(|(peer, _)| *peer).collect();
                peers.iter().for_each(|other| peer.hang_up(now, other));
            });
        }
        world.run_for(Duration::from_secs(60));
        for index in &all {
            assert_eq!(sessions(&mut world, *index), []);
            assert_eq!(world.peer(*index).poll_timeout(), None, "no timer is left");
            let app = world.app(*index);
            let opened =
                app.events.iter().filter(|event| matches!(event, Event::SessionOpened { .. }));
            assert_eq!(opened.count(), app.ends().len(), "each session ended once");
        }
    }
}
