//! Rendezvous of whole peers: with loss, partitions, points that restart, and such that
//! lie.

use super::store::Log;
use super::*;
use crate::protocols::rendezvous::{
    Answer, Found, Point, RendezvousError, RendezvousEvent, RequestId, Search, ServerConfig,
};

type Result<T> = core::result::Result<T, RendezvousError>;

const NAME: &str = "chat";
const HOUR: Duration = Duration::from_secs(3600);

/// A point, and peers who know where it is.
struct Meeting {
    world: World<Log>,
    point: PeerIndex,
    peers: Vec<PeerIndex>,
}

impl Meeting {
    fn new(seed: u64, peers: usize) -> Self {
        Self::with(seed, peers, ServerConfig::default())
    }

    fn with(seed: u64, peers: usize, config: ServerConfig) -> Self {
        let mut world = World::new(seed);
        let point = world.add_with(Log::default(), |it| it.rendezvous = Some(config));
        let peers = (0..peers).map(|_| world.add(Log::default())).collect();
        Self { world, point, peers }
    }

    fn at(&self) -> Point {
        Point { peer: self.id(self.point), addresses: vec![self.world.address(self.point)] }
    }

    fn id(&self, index: PeerIndex) -> PeerId {
        self.world.peer(index).node().peer_id()
    }

    fn events(&self, index: PeerIndex) -> Vec<&RendezvousEvent> {
        let news = self.world.app(index).0.iter();
        news.filter_map(|news| match news {
            News::Node(Event::Rendezvous(event)) => Some(event),
            _ => None,
        })
        .collect()
    }

    fn answer(&mut self, index: PeerIndex, request: RequestId) -> Result<Answer> {
        let find = |world: &World<Log>| {
            world.app(index).0.iter().find_map(|news| match news {
                News::Node(Event::Rendezvous(RendezvousEvent::Answered {
                    request: id,
                    result,
                })) if *id == request => Some(result.clone()),
                _ => None,
            })
        };
        let done = self.world.run_until(Duration::from_secs(120), |world| find(world).is_some());
        assert!(done, "each request is answered");
        find(&self.world).unwrap()
    }

    fn register(&mut self, index: PeerIndex) -> Result<Answer> {
        let at = self.at();
        let request =
            self.world.with(index, |peer, _, now| peer.rendezvous_register(now, at, NAME, None))?;
        self.answer(index, request)
    }

    fn discover(&mut self, index: PeerIndex) -> Result<Found> {
        let at = self.at();
        let search = Search { namespace: Some(NAME.into()), ..Search::default() };
        let request =
            self.world.with(index, |peer, _, now| peer.rendezvous_discover(now, at, search))?;
        match self.answer(index, request)? {
            Answer::Found(found) => Ok(found),
            other => panic!("{other:?}"),
        }
    }

    fn found(&mut self, index: PeerIndex) -> Vec<PeerId> {
        let found = self.discover(index).unwrap();
        found.registrations.iter().map(|it| it.record.peer_id()).collect()
    }

    fn registered(&self) -> usize {
        self.world.peer(self.point).node().rendezvous_server().len().0
    }
}

#[test]
fn peers_meet_under_a_name_and_dial_each_other() {
    let mut meeting = Meeting::new(1, 3);
    let [alice, bob, carol] = meeting.peers[..] else { panic!() };
    for peer in [alice, bob] {
        assert_eq!(meeting.register(peer), Ok(Answer::Registered(2 * HOUR)));
    }
    let ids = [alice, bob].map(|index| meeting.id(index));
    assert_eq!(meeting.found(carol), ids);
    // Known by what they signed, they can be dialed by name.
    meeting.world.with(carol, |peer, _, now| peer.dial(now, Some(ids[0]), Vec::new()));
    meeting.world.run_for(Duration::from_secs(2));
    assert!(meeting.world.peer(carol).node().best_connection(&ids[0]).is_some());
    let (at, id) = (meeting.at(), meeting.id(bob));
    let gone = meeting.world.with(bob, |peer, _, now| peer.rendezvous_unregister(now, at, NAME));
    assert_eq!(meeting.answer(bob, gone.unwrap()), Ok(Answer::Unregistered));
    meeting.world.run_for(Duration::from_secs(1));
    assert!(!meeting.found(carol).contains(&id));
    assert_eq!(meeting.world.peer(bob).node().rendezvous_client().registered().count(), 0);
}

#[test]
fn who_is_registered_stays_so_and_who_is_gone_is_forgotten() {
    let mut meeting = Meeting::new(2, 2);
    let [alice, bob] = meeting.peers[..] else { panic!() };
    for peer in [alice, bob] {
        meeting.register(peer).unwrap();
    }
    meeting.world.set_group(bob, 1);
    // Longer than one registration lasts.
    meeting.world.run_for(5 * HOUR);
    assert_eq!(meeting.registered(), 1, "but Bob's");
    assert_eq!(meeting.found(alice), [meeting.id(alice)]);
    let renewed = |event: &&&RendezvousEvent| matches!(event, RendezvousEvent::Renewed { .. });
    assert_eq!(meeting.events(alice).iter().filter(renewed).count(), 3);
    let failed = |event: &&&RendezvousEvent| matches!(event, RendezvousEvent::RenewFailed { .. });
    assert!(meeting.events(bob).iter().any(|event| failed(&event)), "and Bob knows");
    // The partition ends: Bob is there again by himself.
    meeting.world.set_group(bob, 0);
    meeting.world.run_for(Duration::from_secs(400));
    assert_eq!(meeting.registered(), 2);
}

#[test]
fn other_addresses_are_registered_when_they_change() {
    let mut meeting = Meeting::new(3, 2);
    let [alice, bob] = meeting.peers[..] else { panic!() };
    meeting.register(alice).unwrap();
    let address: crate::Multiaddr = "/dns4/alice.example/tcp/443".parse().unwrap();
    meeting.world.with(alice, |peer, _, now| peer.listening(now, address.clone()));
    meeting.world.run_for(Duration::from_secs(5));
    let found = meeting.discover(bob).unwrap();
    assert!(found.registrations[0].record.addresses().contains(&address));
}

#[test]
fn loss_and_delay_cost_time_alone() {
    let mut meeting = Meeting::new(4, 20);
    let conditions = Conditions {
        delay: Duration::from_millis(100),
        jitter: Duration::from_millis(300),
        loss: 200,
        ..Conditions::default()
    };
    meeting.world.set_conditions(conditions);
    for index in meeting.peers.clone() {
        assert_eq!(meeting.register(index), Ok(Answer::Registered(2 * HOUR)));
    }
    let first = meeting.peers[0];
    assert_eq!(meeting.found(first).len(), 20);
}

#[test]
fn a_point_that_is_away_is_an_error_and_not_a_wait_for_ever() {
    let mut meeting = Meeting::new(5, 2);
    let [alice, bob] = meeting.peers[..] else { panic!() };
    meeting.world.set_group(alice, 1);
    assert_eq!(meeting.register(alice), Err(RendezvousError::Unreachable));
    meeting.register(bob).unwrap();
    // It falls silent on an open connection.
    let point = meeting.point;
    meeting.world.deafen(point);
    let error = meeting.discover(bob).unwrap_err();
    assert!(matches!(error, RendezvousError::TimedOut | RendezvousError::Lost), "{error:?}");
}

#[test]
fn who_is_no_point_says_so() {
    let mut meeting = Meeting::new(6, 2);
    let [alice, bob] = meeting.peers[..] else { panic!() };
    meeting.point = bob;
    assert_eq!(meeting.register(alice), Err(RendezvousError::NotAPoint));
    // Until it becomes one.
    let config = ServerConfig::default();
    meeting.world.with(bob, |peer, _, now| peer.serve_rendezvous(now, config));
    meeting.world.run_for(Duration::from_secs(1));
    assert!(meeting.register(alice).is_ok());
}

#[test]
fn one_who_takes_all_names_leaves_room_for_others() {
    let config = ServerConfig { max_of_peer: 10, max_requests: 1000, ..ServerConfig::default() };
    let mut meeting = Meeting::with(7, 2, config);
    let [alice, mallory] = meeting.peers[..] else { panic!() };
    let mut refused = 0;
    for number in 0..30 {
        let (at, name) = (meeting.at(), format!("{number}"));
        let request = meeting
            .world
            .with(mallory, |peer, _, now| peer.rendezvous_register(now, at, &name, None));
        match meeting.answer(mallory, request.unwrap()) {
            Ok(_) => {}
            Err(RendezvousError::Refused { .. }) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((refused, meeting.registered()), (20, 10));
    assert!(meeting.register(alice).is_ok());
}
