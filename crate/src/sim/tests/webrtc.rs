//! From a relay to a direct connection.

use super::*;
use crate::node::{AttemptError, DialError, Direction, UpgradeError};
use crate::protocols::relay::{Limit, ServiceConfig};
use crate::protocols::webrtc::{
    Kind, MAX_CANDIDATE_BYTES, MAX_CANDIDATES, MAX_DESCRIPTION_BYTES, MAX_INBOUND_PER_PEER, NAME,
    RESTART_AFTER, Signal, SignalError, TRY_TIME,
};
use crate::wire::varint;

const UNIX: u64 = 1_790_000_000_000;

/// Two peers that nobody can dial, one of whom is to be found at a relay.
struct Pages {
    world: World<Echo>,
    relay: PeerIndex,
    hidden: PeerIndex,
    visitor: PeerIndex,
}

impl Pages {
    fn new(seed: u64, upgrade: bool) -> Self {
        let mut world = World::new(seed);
        let relay = world.add_with(Echo::default(), |config| {
            config.relay.service = Some(ServiceConfig::default());
            config.relay.unix_millis_at_zero = UNIX;
        });
        let mut page = || {
            let index =
                world.add_with(Echo::default(), |config| config.relay.unix_millis_at_zero = UNIX);
            world.with(index, |peer, _, now| {
                peer.handle(now, ECHO.into());
                peer.enable_webrtc(now, upgrade);
            });
            index
        };
        let (hidden, visitor) = (page(), page());
        let address = world.address(relay);
        world.with(hidden, |peer, _, now| {
            peer.listen_on_webrtc(now);
            peer.listen_on_relay(now, Some(address)).unwrap();
        });
        let done = |world: &World<Echo>| world.peer(hidden).node().reservations().count() == 1;
        assert!(world.run_until(Duration::from_secs(20), done));
        Self { world, relay, hidden, visitor }
    }

    fn log(&self, index: PeerIndex) -> &[News] {
        &self.world.app(index).log
    }

    /// Where the hidden peer says that it is, by relay alone or by WebRTC.
    fn address(&self, signalled: bool) -> Multiaddr {
        let hidden = self.world.peer(self.hidden).node();
        let fits = |one: &&Multiaddr| one.is_circuit() && one.is_signalled() == signalled;
        let address = hidden.addresses().iter().find(fits).expect("an address through the relay");
        address.with_peer(hidden.peer_id())
    }

    fn dial(&mut self, address: Multiaddr) {
        self.world.with(self.visitor, |peer, _, now| peer.dial(now, None, vec![address]));
    }

    fn connect(&mut self, address: Multiaddr) -> ConnectionId {
        self.dial(address);
        let visitor = self.visitor;
        let done = |world: &World<Echo>| dialed(world.app(visitor)).is_some();
        assert!(self.world.run_until(Duration::from_secs(50), done), "{:?}", self.log(visitor));
        dialed(self.world.app(visitor)).unwrap()
    }

    fn upgraded(&self, index: PeerIndex) -> Option<ConnectionId> {
        self.log(index).iter().find_map(|news| match news {
            News::Node(Event::Upgraded { connection, .. }) => Some(*connection),
            _ => None,
        })
    }

    /// The failures of upgrades, and how many relayed connections were lost.
    fn failures(&self, index: PeerIndex) -> (Vec<&UpgradeError>, usize) {
        let errors = self.log(index).iter().filter_map(|news| match news {
            News::Node(Event::UpgradeFailed { error, .. }) => Some(error),
            _ => None,
        });
        let lost = |news: &&News| {
            let peer = self.world.peer(self.relay).node().peer_id();
            matches!(news, News::Node(Event::Disconnected { peer: gone, .. }) if *gone != peer)
        };
        (errors.collect(), self.log(index).iter().filter(lost).count())
    }

    fn dial_error(&self) -> Option<&AttemptError> {
        self.log(self.visitor).iter().find_map(|news| match news {
            News::Node(Event::DialFailed { error: DialError::Failed(list), .. }) => {
                list.first().map(|(_, error)| error)
            }
            _ => None,
        })
    }

    fn connections(&self, index: PeerIndex, other: PeerIndex) -> Vec<ConnectionId> {
        let other = self.world.peer(other).node().peer_id();
        let node = self.world.peer(index).node();
        let all = node.peers().find(|(peer, _)| **peer == other);
        all.map(|(_, ids)| ids.iter().copied().collect()).unwrap_or_default()
    }

    fn remote(&self, connection: ConnectionId) -> Multiaddr {
        self.world.peer(self.visitor).node().link(connection).unwrap().0
    }
}

#[test]
fn an_address_of_webrtc_leads_to_a_direct_connection() {
    let mut pages = Pages::new(1, false);
    let connection = pages.connect(pages.address(true));
    assert!(!pages.remote(connection).is_relayed(), "{}", pages.remote(connection));
    let data = pattern(1_000_000);
    let sent = data.clone();
    pages.world.with(pages.visitor, |peer, app, now| app.open(peer, now, connection, sent));
    let visitor = pages.visitor;
    let done = |world: &World<Echo>| world.app(visitor).done;
    assert!(pages.world.run_until(Duration::from_secs(60), done), "{:?}", pages.log(visitor));
    assert!(pages.world.app(visitor).received == data);
    for index in [pages.visitor, pages.hidden] {
        assert!(pages.upgraded(index).is_some());
    }
}

#[test]
fn a_relayed_connection_becomes_a_direct_one_by_itself_and_then_goes() {
    let mut pages = Pages::new(2, true);
    let relayed = pages.connect(pages.address(false));
    assert!(pages.remote(relayed).is_relayed());
    let (visitor, hidden) = (pages.visitor, pages.hidden);
    pages.world.run_for(Duration::from_secs(5));
    let direct = pages.upgraded(visitor).expect("an upgrade");
    assert!(pages.upgraded(hidden).is_some());
    let best = pages.world.peer(pages.hidden).node().peer_id();
    let best = pages.world.peer(visitor).node().best_connection(&best);
    assert_eq!(best, Some(direct));
    // It goes when its time to settle is over.
    let done = |world: &World<Echo>| {
        let peer = world.peer(hidden).node().peer_id();
        world.peer(visitor).node().peers().any(|(id, all)| *id == peer && all.len() == 1)
    };
    assert!(pages.world.run_until(Duration::from_secs(60), done), "{:?}", pages.log(visitor));
    assert_eq!(pages.connections(visitor, hidden), [direct]);
    // Without the relay traffic goes on.
    pages.world.set_group(pages.relay, 1);
    let data = pattern(100_000);
    pages.world.with(visitor, |peer, app, now| app.open(peer, now, direct, data));
    let done = |world: &World<Echo>| world.app(visitor).done;
    assert!(pages.world.run_until(Duration::from_secs(60), done), "{:?}", pages.log(visitor));
}

#[test]
fn blocked_udp_costs_six_tries_an_hour_and_no_relayed_connection() {
    let mut pages = Pages::new(3, true);
    // Without the limits of a stock relay, whose circuits last two minutes.
    pages.world.with(pages.relay, |peer, _, now| {
        let limit = Limit::default();
        peer.serve_as_relay(now, ServiceConfig { limit, ..ServiceConfig::default() });
    });
    pages.world.block_udp(pages.hidden, true);
    let relayed = pages.connect(pages.address(false));
    pages.world.run_for(Duration::from_secs(3600));
    let (errors, lost) = pages.failures(pages.visitor);
    assert_eq!((errors.len(), lost), (6, 0), "{errors:?}");
    // In each, both describe themselves once, and once more when ICE is restarted.
    assert_eq!(pages.world.descriptions(), 6 * 4);
    assert!(errors.iter().all(|e| matches!(e, UpgradeError::Signalling(SignalError::Host(_)))));
    assert_eq!(pages.connections(pages.visitor, pages.hidden), [relayed]);
    assert_eq!(pages.failures(pages.hidden).1, 0);
    // The way is open: the next try takes it.
    pages.world.block_udp(pages.hidden, false);
    let visitor = pages.visitor;
    let hour = Duration::from_secs(3600);
    assert!(pages.world.run_until(hour, |world| {
        world.app(visitor).log.iter().any(|n| matches!(n, News::Node(Event::Upgraded { .. })))
    }));
}

#[test]
fn a_direct_connection_that_ends_at_once_counts_as_a_failure() {
    let mut pages = Pages::new(4, true);
    pages.world.with(pages.relay, |peer, _, now| {
        let limit = Limit::default();
        peer.serve_as_relay(now, ServiceConfig { limit, ..ServiceConfig::default() });
    });
    let relayed = pages.connect(pages.address(false));
    let (visitor, hidden) = (pages.visitor, pages.world.peer(pages.hidden).node().peer_id());
    let direct = |world: &World<Echo>| {
        let mut peers = world.peer(visitor).node().peers();
        let (_, all) = peers.find(|(peer, _)| **peer == hidden)?;
        all.iter().copied().find(|id| *id != relayed)
    };
    let end = pages.world.now() + Duration::from_secs(3600);
    let mut count = 0;
    while pages.world.run_until(end - pages.world.now(), |world| direct(world).is_some()) {
        let id = direct(&pages.world).unwrap();
        pages.world.with(visitor, |peer, _, now| peer.closed(now, id, "gone".into()));
        count += 1;
    }
    let (errors, lost) = pages.failures(visitor);
    // Only the direct ones were lost.
    assert_eq!((count, errors.len(), lost), (6, 6, 6), "{errors:?}");
    assert_eq!(pages.connections(visitor, pages.hidden), [relayed]);
}

/// Two that are connected through the relay, whose first checks all get lost.
fn without_first_checks(seed: u64) -> Pages {
    let mut pages = Pages::new(seed, true);
    pages.world.block_udp(pages.hidden, true);
    pages.connect(pages.address(false));
    pages
}

/// Both are to be connected directly by a restart at that time after the first words.
fn become_direct_after(mut pages: Pages, restart: Duration) {
    let (start, visitor, hidden) = (pages.world.now(), pages.visitor, pages.hidden);
    let described = |world: &World<Echo>| world.descriptions() == 2;
    assert!(pages.world.run_until(Duration::from_secs(2), described));
    pages.world.run_for(restart - Duration::from_secs(2));
    assert_eq!(pages.world.descriptions(), 2);
    pages.world.block_udp(hidden, false);
    pages.world.run_until(Duration::from_secs(60), |world| {
        let is = |news: &News| matches!(news, News::Node(Event::Upgraded { .. }));
        world.app(visitor).log.iter().any(is) && world.app(hidden).log.iter().any(is)
    });
    let took = pages.world.now() - start;
    assert!(restart < took && took < restart + Duration::from_secs(3), "{took:?}");
    assert_eq!(pages.world.descriptions(), 4, "one peer connection each, described twice");
    assert_eq!(pages.failures(visitor), (vec![], 0));
    assert_eq!(pages.failures(hidden).1, 0);
}

#[test]
fn ice_that_fails_is_restarted_and_finds_the_way() {
    let time = Duration::from_secs(3);
    let mut pages = without_first_checks(40);
    pages.world.set_ice_time(time);
    become_direct_after(pages, time);
}

#[test]
fn ice_that_neither_fails_nor_connects_is_restarted_and_finds_the_way() {
    let mut pages = Pages::new(41, true);
    pages.world.set_ice_time(TRY_TIME * 4);
    pages.world.block_udp(pages.hidden, true);
    pages.connect(pages.address(false));
    become_direct_after(pages, RESTART_AFTER);
}

#[test]
fn who_ignores_the_second_offer_costs_the_try_and_not_the_relayed_connection() {
    let mut pages = without_first_checks(42);
    pages.world.ignore_restarts(pages.hidden);
    let (start, visitor) = (pages.world.now(), pages.visitor);
    let failed = |world: &World<Echo>| {
        let mut log = world.app(visitor).log.iter();
        log.any(|news| matches!(news, News::Node(Event::UpgradeFailed { .. })))
    };
    assert!(pages.world.run_until(TRY_TIME + Duration::from_secs(2), failed));
    assert!(pages.world.now() - start >= TRY_TIME);
    assert_eq!(pages.world.descriptions(), 3, "two offers and one answer");
    let (errors, lost) = pages.failures(visitor);
    assert_eq!(errors, [&UpgradeError::Signalling(SignalError::TimedOut)]);
    assert_eq!((lost, pages.failures(pages.hidden).1), (0, 0));
    // Nobody is left waiting, and the next try may succeed.
    pages.world.block_udp(pages.hidden, false);
    pages.world.run_for(Duration::from_secs(5));
    assert!(pages.upgraded(visitor).is_some());
}

#[test]
fn with_udp_blocked_the_first_message_is_there_within_a_second_and_a_half() {
    const ROUND_TRIP: Duration = Duration::from_millis(100);
    let mut pages = Pages::new(13, true);
    let (visitor, hidden) = (pages.visitor, pages.hidden);
    let conditions = Conditions { delay: ROUND_TRIP / 2, ..Conditions::default() };
    pages.world.set_conditions(conditions);
    pages.world.block_udp(visitor, true);
    pages.world.block_udp(hidden, true);
    pages.world.with(hidden, |peer, _, _| peer.handle_limited(ECHO.into(), true));
    // All that is known of the other, by a visitor who has met nobody yet.
    let addresses = vec![pages.address(true), pages.address(false)];
    let start = pages.world.now();
    pages.world.with(visitor, |peer, _, now| peer.dial(now, None, addresses));
    let connected = |world: &World<Echo>| dialed(world.app(visitor)).is_some();
    assert!(pages.world.run_until(Duration::from_secs(5), connected), "{:?}", pages.log(visitor));
    let connection = dialed(pages.world.app(visitor)).unwrap();
    pages.world.with(visitor, |peer, app, now| app.open(peer, now, connection, pattern(1000)));
    let answered = |world: &World<Echo>| world.app(visitor).done;
    assert!(pages.world.run_until(Duration::from_secs(5), answered), "{:?}", pages.log(visitor));
    // TLS and the change to a WebSocket, a round trip each, are not simulated; the way of
    // the answer, half of one on either side of the relay, does not count.
    let took = pages.world.now() - start + 2 * ROUND_TRIP - ROUND_TRIP;
    assert!(took < Duration::from_millis(1500), "{took:?}");
}

#[test]
fn a_dial_without_a_way_is_tried_twice_and_leaves_the_relayed_connection() {
    let mut pages = Pages::new(4, false);
    pages.world.block_udp(pages.visitor, true);
    let start = pages.world.now();
    pages.dial(pages.address(true));
    let visitor = pages.visitor;
    let over = |world: &World<Echo>| {
        world.app(visitor).log.iter().any(|n| matches!(n, News::Node(Event::DialFailed { .. })))
    };
    assert!(pages.world.run_until(Duration::from_secs(60), over));
    assert!(matches!(pages.dial_error(), Some(AttemptError::Signalling(SignalError::Host(_)))));
    assert!(pages.world.now() - start > Duration::from_secs(10), "two tries");
    let left = pages.connections(pages.visitor, pages.hidden);
    assert_eq!(left.len(), 1);
    assert!(pages.remote(left[0]).is_relayed());
    pages.world.run_for(TRY_TIME * 2);
    assert_eq!(pages.world.peer(pages.hidden).node().leftovers()[0], 2, "relay and visitor");
}

#[test]
fn a_relay_that_is_gone_fails_the_dial_with_its_own_reason() {
    let mut pages = Pages::new(5, false);
    let address = pages.address(true);
    pages.world.set_group(pages.relay, 1);
    pages.dial(address);
    pages.world.run_for(Duration::from_secs(60));
    let error = pages.dial_error().expect("a failure");
    assert!(matches!(error, AttemptError::Relay(_)), "{error:?}");
    assert_eq!(pages.world.peer(pages.visitor).node().leftovers(), [0; 4]);
}

#[test]
fn a_peer_that_takes_no_webrtc_says_so() {
    let mut pages = Pages::new(6, true);
    // As it would look if it had stopped listening since it announced.
    let visitor = pages.visitor;
    let relay = pages.world.address(pages.relay);
    pages.world.with(visitor, |peer, _, now| peer.listen_on_relay(now, Some(relay)).unwrap());
    pages.world.run_for(Duration::from_secs(5));
    let node = pages.world.peer(visitor).node();
    let address = node.addresses().iter().find(|a| a.is_circuit()).unwrap();
    let address: Multiaddr = format!("{address}/webrtc/p2p/{}", node.peer_id()).parse().unwrap();
    pages.world.with(pages.hidden, |peer, _, now| peer.dial(now, None, vec![address]));
    pages.world.run_for(Duration::from_secs(10));
    let failed = pages.log(pages.hidden).iter().any(|news| {
        matches!(news, News::Node(Event::DialFailed { error: DialError::Failed(list), .. })
            if matches!(list[..], [(_, AttemptError::Signalling(SignalError::NotSupported))]))
    });
    assert!(failed, "{:?}", pages.log(pages.hidden));
}

/// A visitor that writes on signalling streams what it likes.
struct Hostile {
    pages: Pages,
    connection: ConnectionId,
}

impl Hostile {
    fn new(seed: u64) -> Self {
        let mut pages = Pages::new(seed, false);
        let connection = pages.connect(pages.address(false));
        // Settled, so that nothing else happens.
        pages.world.run_for(Duration::from_secs(2));
        Self { pages, connection }
    }

    fn open(&mut self, signals: &[Signal]) -> StreamId {
        let connection = self.connection;
        let stream = self.pages.world.with(self.pages.visitor, |peer, _, now| {
            peer.open_limited_stream(now, connection, vec![NAME.into()]).unwrap()
        });
        self.say(stream, signals);
        stream
    }

    fn say(&mut self, stream: StreamId, signals: &[Signal]) {
        let mut bytes = Vec::new();
        for signal in signals {
            let body = signal.encode();
            varint::encode(body.len() as u64, &mut bytes);
            bytes.extend(body);
        }
        let connection = self.connection;
        self.pages.world.with(self.pages.visitor, |peer, _, now| {
            let mut stream = peer.stream(connection, stream).unwrap();
            assert_eq!(stream.write(&bytes).ok(), Some(bytes.len()));
            peer.touched(now, connection);
        });
        self.pages.world.run_for(Duration::from_secs(1));
    }

    fn resets(&self) -> usize {
        let reset = |news: &&News| {
            // What is reset before its protocol is agreed on has failed to open.
            matches!(news, News::Stream(_, StreamEvent::Reset(_) | StreamEvent::Failed { .. }))
        };
        self.pages.log(self.pages.visitor).iter().filter(reset).count()
    }

    /// Connections of the hidden peer beside those to the relay and the visitor.
    fn more(&self) -> usize {
        self.pages.world.peer(self.pages.hidden).node().connection_count() - 2
    }
}

fn signal(kind: Kind, data: impl Into<String>) -> Signal {
    Signal { kind, data: data.into() }
}

#[test]
fn what_is_too_long_or_out_of_turn_is_reset() {
    let offer = || signal(Kind::Offer, "end 2 99 0");
    let long = |kind, most: usize| signal(kind, "x".repeat(most + 1));
    for (seed, signals) in [
        vec![long(Kind::Offer, MAX_DESCRIPTION_BYTES)],
        vec![signal(Kind::Answer, "end 2 99 0")],
        vec![signal(Kind::Candidate, "null")],
        vec![offer(), offer()],
        vec![offer(), signal(Kind::Answer, "end 2 99 0")],
        vec![offer(), long(Kind::Candidate, MAX_CANDIDATE_BYTES)],
        vec![signal(Kind::Offer, "nonsense")],
    ]
    .into_iter()
    .enumerate()
    {
        let mut hostile = Hostile::new(10 + seed as u64);
        hostile.open(&signals);
        assert_eq!((hostile.resets(), hostile.more()), (1, 0), "{seed}");
    }
}

#[test]
fn offers_without_end_are_refused_from_the_third_on() {
    let mut hostile = Hostile::new(23);
    let offer = || signal(Kind::Offer, "end 2 99 0");
    let stream = hostile.open(&[offer()]);
    hostile.say(stream, &[offer()]);
    assert_eq!((hostile.resets(), hostile.more()), (0, 1), "one restart");
    hostile.say(stream, &[offer()]);
    assert_eq!((hostile.resets(), hostile.more()), (1, 0));
    // Nor does a restart give more time.
    let stream = hostile.open(&[offer()]);
    hostile.pages.world.run_for(TRY_TIME - Duration::from_secs(3));
    hostile.say(stream, &[offer()]);
    assert_eq!(hostile.more(), 1);
    hostile.pages.world.run_for(Duration::from_secs(2));
    assert_eq!((hostile.resets(), hostile.more()), (2, 0));
}

#[test]
fn a_flood_of_candidates_ends_the_session() {
    let mut hostile = Hostile::new(20);
    let mut signals = vec![signal(Kind::Offer, "end 2 99 0")];
    signals.extend((0..MAX_CANDIDATES).map(|_| signal(Kind::Candidate, "{}")));
    hostile.open(&signals);
    assert_eq!((hostile.resets(), hostile.more()), (0, 1));
    hostile.pages.world.run_for(TRY_TIME);
    signals.push(signal(Kind::Candidate, "{}"));
    hostile.open(&signals);
    assert_eq!((hostile.resets(), hostile.more()), (2, 0));
}

#[test]
fn sessions_of_one_peer_and_silent_streams_have_their_limit_and_their_time() {
    let mut hostile = Hostile::new(21);
    for _ in 0..MAX_INBOUND_PER_PEER {
        hostile.open(&[]);
    }
    assert_eq!(hostile.resets(), 0);
    hostile.open(&[]);
    assert_eq!(hostile.resets(), 1);
    hostile.pages.world.run_for(TRY_TIME);
    assert_eq!(hostile.resets(), 1 + MAX_INBOUND_PER_PEER);
    for _ in 0..MAX_INBOUND_PER_PEER + 1 {
        hostile.open(&[signal(Kind::Offer, "end 2 99 0")]);
    }
    assert_eq!((hostile.resets(), hostile.more()), (2 + MAX_INBOUND_PER_PEER, 2));
    hostile.pages.world.run_for(TRY_TIME * 2);
    assert_eq!(hostile.more(), 0, "nobody came");
}

#[test]
fn who_answers_for_somebody_else_is_not_taken_for_them() {
    // The visitor passes on the description of a third peer: that one never chose
    // the hidden peer, so no connection comes of it, in nobody's name.
    let mut hostile = Hostile::new(22);
    let relay = hostile.pages.relay;
    hostile.open(&[signal(Kind::Offer, format!("end {} 1 0", relay.0))]);
    hostile.pages.world.run_for(TRY_TIME * 2);
    assert_eq!(hostile.more(), 0);
    let inbound = |news: &&News| {
        matches!(news, News::Node(Event::Connected { direction: Direction::Inbound, .. }))
    };
    assert_eq!(hostile.pages.log(hostile.pages.hidden).iter().filter(inbound).count(), 1);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut pages = Pages::new(30, true);
        pages.connect(pages.address(false));
        pages.world.run_for(Duration::from_secs(100));
        pages.world.digest()
    };
    assert_eq!(run(), run());
}
