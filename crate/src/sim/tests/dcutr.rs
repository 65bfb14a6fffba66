//! From a relayed connection to a direct one, through translators of every kind.

use super::*;
use crate::connection::{DRAIN_GRACE, Role};
use crate::node::Direction;
use crate::protocols::dcutr::{DcutrError, MAX_TRIES, Mapping, TryKind, UpgradeState};
use crate::protocols::relay::{Limit, ServiceConfig};

const KINDS: [Option<NatKind>; 5] = [
    None,
    Some(NatKind::FullCone),
    Some(NatKind::AddressRestricted),
    Some(NatKind::PortRestricted),
    Some(NatKind::Symmetric),
];

/// A relay, a peer that has a place there, and one that reaches it through the relay.
struct Case {
    world: World<Echo>,
    relay: PeerIndex,
    hidden: PeerIndex,
    visitor: PeerIndex,
}

impl Case {
    /// Each of the two behind a translator of its own, if one is given.
    fn new(seed: u64, nats: [Option<Nat>; 2]) -> Self {
        Self::with(seed, |world| nats.map(|nat| nat.map(|nat| world.add_nat(nat))))
    }

    fn with(seed: u64, nats: impl FnOnce(&mut World<Echo>) -> [Option<NatIndex>; 2]) -> Self {
        let mut world = World::new(seed);
        let relay = world.add_with(Echo::default(), |config| {
            let limit = Limit::default();
            config.relay.service = Some(ServiceConfig { limit, ..ServiceConfig::default() });
        });
        let [hidden, visitor] = [(); 2].map(|()| world.add(Echo::default()));
        world.place(relay, None);
        let nats = nats(&mut world);
        for (index, nat) in [hidden, visitor].into_iter().zip(nats) {
            world.place(index, nat);
            world.with(index, |peer, _, now| peer.handle(now, ECHO.into()));
        }
        Self { world, relay, hidden, visitor }
    }

    /// Conditions as networks have them, drawn from the seed.
    fn on_a_real_network(mut self, seed: u64) -> Self {
        let mut rng = Rng::from_number(seed);
        self.world.set_conditions(Conditions {
            delay: Duration::from_millis(5 + rng.below(80)),
            jitter: Duration::from_millis(rng.below(40)),
            loss: 10,
            ..Conditions::default()
        });
        self
    }

    /// With what relays allow as a rule.
    fn limited(mut self) -> Self {
        self.world.with(self.relay, |peer, _, now| {
            peer.serve_as_relay(now, ServiceConfig::default());
        });
        self
    }

    /// Connects the two through the relay.
    fn connect(&mut self) {
        let (hidden, address) = (self.hidden, self.world.address(self.relay));
        self.world.with(hidden, |peer, _, now| peer.listen_on_relay(now, Some(address)).unwrap());
        let place = |world: &World<Echo>| {
            let mut addresses = world.peer(hidden).node().addresses().iter();
            addresses.find(|address| address.is_circuit()).cloned()
        };
        assert!(self.world.run_until(Duration::from_secs(30), |world| place(world).is_some()));
        let id = self.id(hidden);
        let circuit = place(&self.world).unwrap().with_peer(id);
        let visitor = self.visitor;
        self.world.with(visitor, |peer, app, now| {
            app.log.clear();
            peer.dial(now, None, vec![circuit]);
        });
        let there = |world: &World<Echo>| dialed(world.app(visitor)).is_some();
        assert!(self.world.run_until(Duration::from_secs(60), there));
    }

    fn id(&self, index: PeerIndex) -> PeerId {
        self.world.peer(index).node().peer_id()
    }

    fn other(&self, index: PeerIndex) -> PeerId {
        self.id(if index == self.hidden { self.visitor } else { self.hidden })
    }

    /// Whether a peer's best connection to the other one is direct.
    fn is_direct(&self, index: PeerIndex) -> bool {
        self.direct(index, self.other(index))(&self.world)
    }

    fn direct(&self, index: PeerIndex, other: PeerId) -> impl Fn(&World<Echo>) -> bool + use<> {
        move |world| {
            let node = world.peer(index).node();
            let best = node.best_connection(&other).and_then(|best| node.link(best));
            best.is_some_and(|(remote, _)| !remote.is_circuit())
        }
    }

    /// Lets the two upgrade; how long it took, if it came to that.
    fn upgrade(&mut self) -> Option<Duration> {
        let start = self.world.now();
        let both = [self.hidden, self.visitor].map(|index| self.direct(index, self.other(index)));
        let direct = |world: &World<Echo>| both.iter().all(|direct| direct(world));
        let done = self.world.run_until(Duration::from_secs(45), direct);
        done.then(|| self.world.now() - start)
    }

    /// Two connections at each end: to the relay, and to each other.
    fn settles(&mut self) {
        self.world.run_for(DRAIN_GRACE + Duration::from_secs(60));
        for index in [self.hidden, self.visitor] {
            let count = self.world.peer(index).node().connection_count();
            assert_eq!(count, 2, "{:?}", self.world.app(index).log);
        }
    }
}

fn dropping(kind: Option<NatKind>) -> Option<Nat> {
    kind.map(Nat::new)
}

/// What each of the two can do, by the rules of translators: the port of a symmetric
/// one is not known beforehand, and only who lets in any port can do without it.
fn is_punchable(a: Option<NatKind>, b: Option<NatKind>) -> bool {
    use NatKind::{PortRestricted, Symmetric};
    let hard = [Some(PortRestricted), Some(Symmetric)];
    !(a == Some(Symmetric) && hard.contains(&b) || b == Some(Symmetric) && hard.contains(&a))
}

fn name(kind: Option<NatKind>) -> String {
    kind.map_or("None".into(), |kind| format!("{kind:?}"))
}

#[test]
fn every_pair_that_can_be_punched_is_and_the_others_stay_relayed() {
    const RUNS: u64 = 20;
    let mut table = String::new();
    for refuses in [false, true] {
        for hidden in KINDS {
            for visitor in KINDS {
                let mut times = Vec::new();
                for seed in 0..RUNS {
                    let nats =
                        [hidden, visitor].map(|kind| Some(Nat { refuses, ..dropping(kind)? }));
                    let mut case = Case::new(seed, nats).limited().on_a_real_network(seed);
                    case.connect();
                    times.extend(case.upgrade());
                    let other = case.other(case.hidden);
                    let node = case.world.peer(case.hidden).node();
                    if !case.is_direct(case.hidden) {
                        assert!(node.best_connection(&other).is_some(), "it stays relayed");
                        let why = node.explain(&other).expect("and says why");
                        assert_eq!(why.tries.len() as u32, MAX_TRIES, "{why}");
                    }
                }
                times.sort_unstable();
                let share = 100 * times.len() as u64 / RUNS;
                let median = times.get(times.len() / 2).map_or(0, Duration::as_millis);
                table += &format!(
                    "| {} | {} | {} | {share} % | {median} ms |\n",
                    name(hidden),
                    name(visitor),
                    if refuses { "reset" } else { "silent" },
                );
                if is_punchable(hidden, visitor) {
                    assert!(share >= 95, "{table}");
                } else {
                    assert_eq!(share, 0, "{table}");
                }
            }
        }
    }
    println!("{table}");
}

#[test]
fn behind_one_translator_the_network_inside_is_used_with_hairpin_and_without() {
    for kind in KINDS.into_iter().flatten() {
        for hairpin in [true, false] {
            let mut case = Case::with(7, |world| {
                let nat = world.add_nat(Nat { hairpin, ..Nat::new(kind) });
                [Some(nat); 2]
            });
            case.connect();
            assert!(case.upgrade().is_some(), "{kind:?} {hairpin}");
            case.settles();
        }
    }
}

#[test]
fn the_relayed_connection_ends_with_its_streams_and_new_ones_are_direct() {
    let nat = dropping(Some(NatKind::PortRestricted));
    let mut case = Case::new(3, [nat; 2]);
    case.connect();
    let relayed = dialed(case.world.app(case.visitor)).unwrap();
    let visitor = case.visitor;
    case.world.with(visitor, |peer, app, now| {
        let stream = peer.open_stream(now, relayed, vec![ECHO.into()]).unwrap();
        app.mine = Some((relayed, stream));
        // More than there is to send: it does not finish by itself.
        app.sent = 1;
        peer.stream(relayed, stream).unwrap().write(b"before").unwrap();
        peer.touched(now, relayed);
    });
    assert!(case.upgrade().is_some());
    let other = case.other(visitor);
    let direct = case.world.peer(visitor).node().best_connection(&other).unwrap();
    assert_ne!(direct, relayed);
    case.world.run_for(Duration::from_secs(1));
    for index in [case.hidden, visitor] {
        let told = |news: &News| matches!(news, News::Node(Event::Upgraded { .. }));
        let count = case.world.app(index).log.iter().filter(|news| told(news)).count();
        assert_eq!(count, 1);
        // Both see the same one as the dialer: the client.
        let other = case.other(index);
        let node = case.world.peer(index).node();
        let (_, direction) = node.link(node.best_connection(&other).unwrap()).unwrap();
        assert_eq!(direction == Direction::Outbound, index == visitor);
    }
    case.world.run_for(DRAIN_GRACE * 2);
    let stream = case.world.app(visitor).mine.unwrap().1;
    case.world.with(visitor, |peer, _, now| {
        let mut stream = peer.stream(relayed, stream).expect("the stream goes on");
        stream.write(b" and after").unwrap();
        stream.finish();
        peer.touched(now, relayed);
    });
    case.world.run_for(Duration::from_secs(1));
    assert_eq!(case.world.app(visitor).received, b"before and after");
    case.settles();
    assert!(case.is_direct(visitor) && case.is_direct(case.hidden));
}

#[test]
fn an_hour_in_which_nothing_gets_through_costs_few_tries_and_no_relayed_connection() {
    let nat = dropping(Some(NatKind::Symmetric));
    let mut case = Case::new(4, [nat; 2]);
    case.connect();
    case.world.run_for(Duration::from_secs(3600));
    for index in [case.hidden, case.visitor] {
        let lost = |news: &News| matches!(news, News::Node(Event::Disconnected { .. }));
        assert!(!case.world.app(index).log.iter().any(lost));
        let tries = &case.world.peer(index).node().explain(&case.other(index)).unwrap().tries;
        assert!((4..=6).contains(&tries.len()), "{} tries", tries.len());
    }
    let other = case.other(case.hidden);
    let why = case.world.peer(case.hidden).node().explain(&other).unwrap();
    assert!(matches!(why.state, UpgradeState::Resting(_, DcutrError::Unreachable)));
    for one in &why.tries {
        assert_eq!(one.kind, TryKind::Punch(Role::Responder));
        assert_eq!(one.result, Some(Err(DcutrError::Unreachable)));
        assert!(one.rtt.is_some_and(|rtt| rtt >= Duration::from_millis(40)));
        assert!(one.took.is_some_and(|took| took >= Duration::from_secs(5)));
        assert_eq!((one.ours.len(), one.dialed.len()), (1, 1));
        assert!(one.dialed[0].1.is_some());
    }
    let text = why.to_string();
    assert!(text.contains("stays relayed") && text.contains("/ip4/30.0.0."), "{text}");
    let failed = |news: &&News| matches!(news, News::Node(Event::UpgradeFailed { .. }));
    assert_eq!(case.world.app(case.hidden).log.iter().filter(failed).count(), 3);
}

#[test]
fn the_kind_of_translator_shows_when_several_remotes_tell_where_they_see_us() {
    let expected = [
        (None, Mapping::None),
        (Some(NatKind::PortRestricted), Mapping::Independent),
        (Some(NatKind::Symmetric), Mapping::Dependent),
    ];
    for (kind, mapping) in expected {
        let mut case = Case::new(5, [dropping(kind), dropping(Some(NatKind::Symmetric))]);
        let third = case.world.add(Echo::default());
        case.world.place(third, None);
        let (hidden, address) = (case.hidden, case.world.address(third));
        case.world.with(hidden, |peer, _, now| peer.dial(now, None, vec![address]));
        case.connect();
        case.upgrade();
        let why = case.world.peer(hidden).node().explain(&case.other(hidden)).unwrap();
        assert_eq!(why.mapping, mapping, "{why}");
    }
}

#[test]
fn who_cannot_or_will_not_says_so_and_stays_relayed() {
    let nat = dropping(Some(NatKind::FullCone));
    for (hidden, visitor, error) in
        [(true, false, Some(DcutrError::Unsupported)), (false, true, None)]
    {
        let mut world: World<Echo> = World::new(6);
        let relay = world.add_with(Echo::default(), |config| {
            config.relay.service = Some(ServiceConfig::default());
        });
        let [hidden, visitor] = [hidden, visitor]
            .map(|on| world.add_with(Echo::default(), |config| config.dcutr.enabled = on));
        world.place(relay, None);
        for index in [hidden, visitor] {
            let nat = nat.map(|nat| world.add_nat(nat));
            world.place(index, nat);
        }
        let mut case = Case { world, relay, hidden, visitor };
        case.connect();
        assert_eq!(case.upgrade(), None);
        let why = case.world.peer(hidden).node().explain(&case.other(hidden));
        let last = why.and_then(|why| why.tries.last()?.result.clone());
        assert_eq!(last, error.map(Err));
    }
}

#[test]
fn after_a_change_of_network_what_rested_is_tried_at_once() {
    let nat = dropping(Some(NatKind::PortRestricted));
    let mut case = Case::new(8, [nat; 2]);
    case.connect();
    // Nothing goes but what goes through the relay.
    let (hidden, visitor) = (case.hidden, case.visitor);
    case.world.block(hidden, visitor);
    assert_eq!(case.upgrade(), None);
    case.world.unblock(hidden, visitor);
    case.world.with(hidden, |peer, _, now| peer.online(now));
    assert!(case.upgrade().is_some());
}
