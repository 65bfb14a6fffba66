//! How the node gets from a relayed connection to a direct one: when it tries, what
//! it dials, and what it remembers of it. See [`crate::protocols::dcutr`].
//!
//! The one that was dialed through the relay begins: it dials the other's public
//! addresses, and if that fails, both dial each other. Nothing is done to the
//! relayed connection: [`crate::swarm`] lets it go once a direct one has been used.

mod sockets;

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::collections::sort::sort_by;
use crate::collections::{Map, Set};
use crate::connection::{Connection, Role};
use crate::identity::PeerId;
use crate::protocols::dcutr::{
    Config, Dcutr, DcutrError, FIRST_PAUSE, MAX_ADDRESSES, MAX_AT_ONCE, MAX_PAUSE, MAX_REMEMBERED,
    MAX_TRIES, Mapping, NAME, Order, PUNCH_TIMEOUT, TryKind, Upgrade, UpgradeState, is_punchable,
};
use crate::swarm::DialOptions;
use crate::swarm::addresses::{Waist, is_public};
use crate::time::{Instant, earliest};

use super::hosting::ProtocolId;
use super::paths::Standing;
use super::relaying::Relayed;
use super::{AttemptError, ConnectionId, DialId, Direction, Event, Link, Node, Output};

pub(super) struct Punching {
    pub(super) dcutr: Dcutr,
    config: Config,
    upgrades: Map<PeerId, Course>,
    /// Transports that were not yet connections when last heard of.
    sockets: Map<ConnectionId, Socket>,
    /// Ordinary dials of upgrades.
    dials: Map<DialId, PeerId>,
    /// Connections whose remotes were identified.
    identified: VecDeque<ConnectionId>,
}

/// An upgrade and what is next.
struct Course {
    shown: Upgrade,
    step: Step,
    /// Tries since the last rest.
    tries: u32,
    /// Failures in a row, of which each brings a longer rest.
    failures: u32,
}

enum Step {
    /// Nothing: it is the remote's turn, or there is nothing to do.
    Idle,
    /// An ordinary dial is under way.
    Dialing,
    /// Addresses are exchanged over this connection.
    Exchanging(ConnectionId),
    /// Both dial until then; the remote, from these machines. It was `extended` once,
    /// for transports that had opened.
    Punching { role: Role, until: Instant, hosts: Vec<IpAddr>, extended: bool },
    /// Until then.
    Resting(Instant),
}

struct Socket {
    peer: PeerId,
    address: Multiaddr,
    opened: bool,
}

impl Punching {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            dcutr: Dcutr::new(config),
            config: config.clone(),
            upgrades: Map::new(),
            sockets: Map::new(),
            dials: Map::new(),
            identified: VecDeque::new(),
        }
    }

    pub(super) fn note(&mut self, event: &Event) {
        if let Event::Identified { connection, .. } = event {
            self.identified.push_back(*connection);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let due = self.upgrades.values().filter_map(|course| match course.step {
            Step::Punching { until, .. } | Step::Resting(until) => Some(until),
            _ => None,
        });
        // What has come up is seen to at once.
        let stirred = !self.identified.is_empty() || self.dcutr.has_orders();
        earliest(due.min(), stirred.then_some(Instant::ZERO))
    }

    fn busy(&self) -> usize {
        let busy = |course: &&Course| !matches!(course.step, Step::Idle | Step::Resting(_));
        self.upgrades.values().filter(busy).count()
    }

    /// The course for a peer, new if there is none; `None` if there is no room.
    fn course(&mut self, peer: PeerId) -> Option<&mut Course> {
        if !self.upgrades.contains_key(&peer) && self.upgrades.len() >= MAX_REMEMBERED {
            let quiet = |course: &Course| matches!(course.step, Step::Idle | Step::Resting(_));
            let at = |course: &Course| course.shown.tries.last().map(|last| last.at);
            let idle = self.upgrades.iter().filter(|(_, course)| quiet(course));
            let oldest = idle.min_by_key(|(_, course)| at(course)).map(|(peer, _)| *peer)?;
            self.upgrades.remove(&oldest);
        }
        Some(self.upgrades.get_or_insert_with(peer, || Course {
            shown: Upgrade::new(peer),
            step: Step::Idle,
            tries: 0,
            failures: 0,
        }))
    }

    /// The network is another one: what has failed may succeed.
    #[cfg(feature = "manager")]
    pub(super) fn rested(&mut self, now: Instant) {
        for course in self.upgrades.values_mut() {
            if let Step::Resting(until) = &mut course.step {
                *until = now;
                course.failures = 0;
            }
        }
    }
}

impl Node {
    /// What was tried to reach a peer directly that is, or was, connected through a
    /// relay; `None` if nothing was.
    pub fn explain(&self, peer: &PeerId) -> Option<&Upgrade> {
        self.punching.upgrades.get(peer).map(|course| &course.shown)
    }

    /// Where others see us, and may reach us if we dial them at the same time: what
    /// most remotes say first.
    fn candidates(&self) -> Vec<Multiaddr> {
        let mut seen: Vec<(usize, Multiaddr)> = Vec::new();
        for address in self.sightings().map(|(_, address)| address.without_peer()) {
            match seen.iter_mut().find(|(_, known)| *known == address) {
                Some((count, _)) => *count += 1,
                None => seen.push((1, address)),
            }
        }
        sort_by(&mut seen, |(a, _), (b, _)| b.cmp(a));
        let seen = seen.into_iter().map(|(_, address)| address);
        seen.chain(self.local.addresses.iter().cloned()).collect()
    }

    /// Who of the direct remotes sees us where.
    fn sightings(&self) -> impl Iterator<Item = (&Multiaddr, &Multiaddr)> {
        // From another port than one that is listened on, it says nothing.
        let listens = |local: &Multiaddr| self.reaching.addresses.is_listening(local);
        let direct = self.links.iter().filter(move |(_, link)| {
            !link.remote.is_circuit() && link.local.as_ref().is_none_or(listens)
        });
        direct.filter_map(|(id, link)| {
            Some((&link.remote, self.identify.info(*id)?.observed.as_ref()?))
        })
    }

    fn private_too(&self) -> bool {
        self.reaching.addresses.config().private
    }

    fn mapping(&self) -> Mapping {
        let private = self.private_too();
        let seen = self.sightings().filter(|(_, seen)| is_punchable(seen, private));
        let mut seen = seen.filter_map(|(remote, seen)| Some((host(remote)?, seen)));
        let Some((first, address)) = seen.next() else { return Mapping::Unknown };
        if self.local.addresses.contains(&address.without_peer()) {
            return Mapping::None;
        }
        let transport = |address| Waist::of(address).map(|waist| waist.transport);
        let comparable =
            |other| host(other) == host(address) && transport(other) == transport(address);
        let others: Vec<_> =
            seen.filter(|(remote, other)| *remote != first && comparable(other)).collect();
        match others.iter().all(|(_, other)| *other == address) {
            _ if others.is_empty() => Mapping::Unknown,
            true => Mapping::Independent,
            false => Mapping::Dependent,
        }
    }

    /// Takes up what was identified and exchanged.
    pub(super) fn settle_punching(&mut self, now: Instant) {
        while let Some(via) = self.punching.identified.pop_front() {
            let candidates = self.candidates();
            let private = self.private_too();
            self.punching.dcutr.set_addresses(candidates, private);
            if let Some(peer) = self.may_punch(via) {
                self.begin_course(now, peer, via);
            }
        }
        while let Some(order) = self.punching.dcutr.poll_order() {
            self.follow(now, order);
        }
    }

    /// The peer to be reached otherwise than by this connection, if we are the ones
    /// to begin: it came to us through a relay.
    fn may_punch(&self, via: ConnectionId) -> Option<PeerId> {
        let link = self.links.get(&via).filter(|link| link.is_open())?;
        let ours = link.direction == Direction::Inbound && link.remote.is_relayed();
        let peer = link.peer.filter(|_| ours && self.punching.config.enabled)?;
        self.best(&peer, true).is_none().then_some(peer)
    }

    fn begin_course(&mut self, now: Instant, peer: PeerId, via: ConnectionId) {
        let crowded = self.punching.busy() >= MAX_AT_ONCE;
        let Some(course) = self.punching.course(peer) else { return };
        match course.step {
            Step::Idle => {}
            Step::Resting(until) if until <= now => {}
            _ => return,
        }
        if crowded {
            course.step = Step::Resting(now + PUNCH_TIMEOUT);
            return;
        }
        course.tries = 0;
        if course.failures == 0 && self.dial_directly(now, peer, via) {
            return;
        }
        self.exchange(now, peer, via);
    }

    /// Dials the public addresses of a peer; `false` if it has none.
    fn dial_directly(&mut self, now: Instant, peer: PeerId, via: ConnectionId) -> bool {
        let private = self.private_too();
        let dialable = |address: &&Multiaddr| {
            !address.is_circuit()
                && host(address).map_or(is_named(address), |ip| private || is_public(ip))
        };
        let Some(info) = self.identify.info(via) else { return false };
        let known = info.addresses.iter().filter(dialable);
        let addresses: Vec<Multiaddr> = known.take(MAX_ADDRESSES).cloned().collect();
        let Some(course) = self.punching.course(peer).filter(|_| !addresses.is_empty()) else {
            return false;
        };
        let dialed = addresses.iter().map(|address| (address.clone(), None)).collect();
        course.shown.begin(TryKind::Dial, now).dialed = dialed;
        course.step = Step::Dialing;
        let dial = DialId(self.number());
        self.punching.dials.insert(dial, peer);
        let options = DialOptions { direct: true, force: true };
        self.begin_dial(now, (dial, options), Some(peer), addresses);
        true
    }

    /// Whether a dial is one of ours; then its result is dealt with.
    pub(super) fn course_dialed(&mut self, now: Instant, event: &Event) -> bool {
        let (dial, failures) = match event {
            Event::Dialed { dial, .. } => (dial, None),
            Event::DialFailed { dial, error } => (dial, Some(error)),
            _ => return false,
        };
        let Some(peer) = self.punching.dials.remove(dial) else { return false };
        let Some(error) = failures else { return true };
        if let Some(course) = self.punching.upgrades.get_mut(&peer)
            && matches!(course.step, Step::Dialing)
        {
            course.step = Step::Idle;
            if let super::DialError::Failed(causes) = error
                && let Some(current) = course.shown.current()
            {
                current.dialed =
                    causes.iter().map(|(at, error)| (at.clone(), Some(error.clone()))).collect();
            }
            course.shown.end(now, Err(DcutrError::Unreachable));
            match self.way_to(&peer) {
                Some(via) => self.exchange(now, peer, via),
                None => self.try_failed(now, peer, DcutrError::Disconnected),
            }
        }
        true
    }

    /// An open connection on which we are the ones to begin.
    fn way_to(&self, peer: &PeerId) -> Option<ConnectionId> {
        let open = self.peers.get(peer)?.iter();
        open.copied().find(|via| self.may_punch(*via).is_some())
    }

    fn exchange(&mut self, now: Instant, peer: PeerId, via: ConnectionId) {
        let speaks = |info: &crate::protocols::identify::Info| {
            info.protocols.iter().any(|name| &**name == NAME)
        };
        let supported = self.identify.info(via).is_some_and(speaks);
        let mapping = self.mapping();
        let Some(course) = self.punching.course(peer) else { return };
        course.tries += 1;
        course.step = Step::Exchanging(via);
        course.shown.mapping = mapping;
        course.shown.begin(TryKind::Punch(Role::Responder), now);
        if supported {
            self.punching.dcutr.begin(now, via);
            self.drain(ProtocolId::Dcutr);
        } else {
            self.try_failed(now, peer, DcutrError::Unsupported);
        }
    }

    fn follow(&mut self, now: Instant, order: Order) {
        let via = match &order {
            Order::Punch { via, .. } | Order::Failed { via, .. } | Order::Yielded { via } => *via,
        };
        let exchanging =
            |course: &Course| matches!(course.step, Step::Exchanging(known) if known == via);
        let asked = self.punching.upgrades.iter().find(|(_, course)| exchanging(course));
        let peer = asked.map(|(peer, _)| *peer);
        match (order, peer) {
            (Order::Punch { role, rtt, ours, theirs, .. }, peer) => {
                let remote = self.links.get(&via).and_then(|link| link.peer);
                let Some(peer) = peer.or(remote) else { return };
                if self.best(&peer, true).is_none() && self.punching.config.enabled {
                    self.punch(now, (peer, via), (role, rtt), (ours, theirs));
                }
            }
            (Order::Failed { error, .. }, Some(peer)) => self.try_failed(now, peer, error),
            (Order::Yielded { .. }, Some(peer)) => {
                let Some(course) = self.punching.upgrades.get_mut(&peer) else { return };
                course.step = Step::Idle;
                course.shown.end(now, Err(DcutrError::Refused));
            }
            (_, None) => {}
        }
    }

    fn try_failed(&mut self, now: Instant, peer: PeerId, error: DcutrError) {
        let Some(course) = self.punching.upgrades.get_mut(&peer) else { return };
        let began = !matches!(course.step, Step::Punching { role: Role::Initiator, .. });
        course.shown.end(now, Err(error.clone()));
        course.step = Step::Idle;
        course.shown.state = UpgradeState::Waiting;
        let Some(connection) = self.way_to(&peer).filter(|_| began) else { return };
        // What cannot be had in a moment is not asked for again.
        let again =
            matches!(error, DcutrError::Unreachable | DcutrError::Refused | DcutrError::TimedOut);
        let Some(course) = self.punching.upgrades.get_mut(&peer) else { return };
        let most = if course.failures == 0 { MAX_TRIES } else { 1 };
        if again && course.tries < most {
            return self.exchange(now, peer, connection);
        }
        let pause = FIRST_PAUSE.saturating_mul(3u32.saturating_pow(course.failures)).min(MAX_PAUSE);
        course.failures = course.failures.saturating_add(1);
        course.step = Step::Resting(now + pause);
        course.shown.state = UpgradeState::Resting(now + pause, error.clone());
        let error = error.into();
        self.emit(Event::UpgradeFailed { peer, connection, error, after: pause });
    }

    /// Gives up what took too long, and tries again what has rested.
    pub(super) fn time_punching(&mut self, now: Instant) {
        self.settle_punching(now);
        let due = self.punching.upgrades.iter().filter(|(_, course)| match course.step {
            Step::Punching { until, .. } | Step::Resting(until) => until <= now,
            _ => false,
        });
        for peer in due.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            let Some(course) = self.punching.upgrades.get_mut(&peer) else { continue };
            if !matches!(course.step, Step::Punching { .. }) {
                course.step = Step::Idle;
                if let Some(via) = self.way_to(&peer) {
                    self.begin_course(now, peer, via);
                }
                continue;
            }
            self.punch_over(now, peer);
        }
    }
}

/// The machine that an address leads to, or for a circuit its relay; `None` if only
/// its name is known.
fn host(address: &Multiaddr) -> Option<IpAddr> {
    Some(Waist::of(address)?.socket.ip())
}

/// Whether an address begins with a name, which only the host resolves.
fn is_named(address: &Multiaddr) -> bool {
    use crate::address::Protocol::{Dns, Dns4, Dns6, Dnsaddr};
    matches!(address.iter().next(), Some(Dns(_) | Dns4(_) | Dns6(_) | Dnsaddr(_)))
}
