//! The dialing itself: both at the same time, and who is what afterwards.

use super::*;

impl Node {
    /// Dials a peer at all these addresses, as it dials us.
    pub(super) fn punch(
        &mut self,
        now: Instant,
        (peer, via): (PeerId, ConnectionId),
        (role, rtt): (Role, Option<Duration>),
        (ours, mut theirs): (Vec<Multiaddr>, Vec<Multiaddr>),
    ) {
        self.give_sockets_up(&peer, |_| true);
        // Behind the same translator, we are in the same network too.
        let shared = |host: &IpAddr| ours.iter().any(|ours| super::host(ours) == Some(*host));
        if theirs.iter().filter_map(host).any(|host| shared(&host))
            && let Some(info) = self.identify.info(via)
        {
            let inside = |ip: IpAddr| !is_public(ip) && !ip.is_loopback();
            let near = info.addresses.iter().filter(|a| host(a).is_some_and(inside));
            theirs.extend(near.filter(|a| is_punchable(a, true)).cloned());
        }
        let mut wanted: Set<Multiaddr> = Set::new();
        let own = &self.local.addresses;
        for address in theirs.iter().filter(|address| !own.contains(&address.without_peer())) {
            if wanted.len() < MAX_ADDRESSES {
                wanted.insert(address.without_peer());
            }
        }
        let mapping = self.mapping();
        let Some(course) = self.punching.course(peer) else { return };
        course.shown.mapping = mapping;
        let kind = TryKind::Punch(role);
        if role == Role::Initiator || course.shown.current().is_none() {
            course.shown.end(now, Err(DcutrError::Refused));
            course.shown.begin(kind, now);
        }
        if let Some(current) = course.shown.current() {
            (current.rtt, current.ours) = (rtt, ours);
            current.dialed = wanted.iter().map(|address| (address.clone(), None)).collect();
        }
        let hosts = wanted.iter().filter_map(host).collect();
        let until = now + PUNCH_TIMEOUT;
        course.step = Step::Punching { role, until, hosts, extended: false };
        let addresses: Vec<Multiaddr> = wanted.iter().cloned().collect();
        for address in addresses {
            if let Err(error) = self.open_socket((peer, role), address.clone()) {
                self.note_failure(&peer, &address, error);
            }
        }
        self.try_if_over(now, &peer);
    }

    fn open_socket(
        &mut self,
        (peer, role): (PeerId, Role),
        address: Multiaddr,
    ) -> Result<(), AttemptError> {
        #[cfg(feature = "limits")]
        let held = self.limiting.dial(&address)?;
        let id = ConnectionId(self.number());
        let link = Link {
            direction: Direction::Outbound,
            dial: None,
            remote: address.with_peer(peer),
            peer: None,
            standing: Standing::default(),
            role: Some(role),
            #[cfg(feature = "addresses")]
            local: None,
            relayed: Relayed::default(),
            #[cfg(feature = "limits")]
            held,
        };
        self.links.insert(id, link);
        self.punching.sockets.insert(id, Socket { peer, address: address.clone(), opened: false });
        self.outputs.push_back(Output::Punch { role, connection: id, address });
        Ok(())
    }

    /// The role that a connection has otherwise than by who dialed it, and its peer,
    /// if a remote that dials at the same time as we do has got through.
    fn expected_from(&self, remote: &Multiaddr) -> Option<PeerId> {
        let plain = is_punchable(remote, true);
        let from = host(remote).filter(|_| plain)?;
        let expects = |course: &Course| {
            matches!(&course.step, Step::Punching { role: Role::Initiator, hosts, .. }
                if hosts.contains(&from))
        };
        let expected = self.punching.upgrades.iter().find(|(_, course)| expects(course));
        expected.map(|(peer, _)| *peer).or_else(|| self.punching.dcutr.announced(from))
    }

    /// The role of a connection whose transport is open.
    pub(in crate::node) fn role_of(&mut self, id: ConnectionId, otherwise: Role) -> Role {
        if let Some(socket) = self.punching.sockets.get_mut(&id) {
            socket.opened = true;
        }
        self.links.get(&id).and_then(|link| link.role).unwrap_or(otherwise)
    }

    /// Who dialed an established connection, as both ends are to see it.
    pub(in crate::node) fn direction_of(
        &mut self,
        id: ConnectionId,
        otherwise: Direction,
    ) -> Direction {
        let Some(link) = self.links.get_mut(&id) else { return otherwise };
        link.direction = match link.role {
            Some(Role::Initiator) => Direction::Outbound,
            Some(Role::Responder) => Direction::Inbound,
            None => otherwise,
        };
        link.direction
    }

    /// A connection was used for the first time, and both ends have it.
    pub(in crate::node) fn punched(&mut self, now: Instant, id: ConnectionId, peer: PeerId) {
        self.punching.sockets.remove(&id);
        if self.links.get(&id).is_none_or(|link| link.remote.is_relayed()) {
            return;
        }
        let Some(course) = self.punching.upgrades.get_mut(&peer) else { return };
        let step = core::mem::replace(&mut course.step, Step::Idle);
        (course.tries, course.failures) = (0, 0);
        course.shown.end(now, Ok(id));
        let news = !matches!(course.shown.state, UpgradeState::Direct(_));
        course.shown.state = UpgradeState::Direct(id);
        if let Step::Exchanging(via) = step {
            self.punching.dcutr.cancel(via);
            self.drain(ProtocolId::Dcutr);
        }
        // Those that have opened may be what the remote takes to be the one.
        self.give_sockets_up(&peer, |socket| !socket.opened);
        #[cfg(feature = "webrtc")]
        let news = news && self.links.get(&id).is_some_and(|link| !link.remote.is_signalled());
        if news {
            self.emit(Event::Upgraded { peer, connection: id });
        }
    }

    /// A connection, or what was to be one, is over.
    pub(in crate::node) fn socket_ended(
        &mut self,
        now: Instant,
        (id, peer): (ConnectionId, Option<PeerId>),
        error: &AttemptError,
    ) {
        if let Some(socket) = self.punching.sockets.remove(&id) {
            self.note_failure(&socket.peer, &socket.address, error.clone());
            return self.try_if_over(now, &socket.peer);
        }
        // A direct connection is lost: not again at once.
        let Some(course) = peer.and_then(|peer| self.punching.upgrades.get_mut(&peer)) else {
            return;
        };
        if course.shown.state == UpgradeState::Direct(id) {
            course.shown.state = UpgradeState::Waiting;
            course.step = Step::Resting(now + FIRST_PAUSE);
        }
    }

    fn note_failure(&mut self, peer: &PeerId, address: &Multiaddr, error: AttemptError) {
        let course = self.punching.upgrades.get_mut(peer);
        let Some(current) = course.and_then(|course| course.shown.current()) else { return };
        let mut dialed = current.dialed.iter_mut();
        if let Some((_, failure)) = dialed.find(|(known, _)| known == address) {
            *failure = Some(error);
        }
    }

    /// Ends a try that has nothing left to hope for.
    fn try_if_over(&mut self, now: Instant, peer: &PeerId) {
        let punching = &self.punching;
        let left = punching.sockets.values().any(|socket| socket.peer == *peer);
        // As the client, we may still be reached.
        let over = |course: &Course| {
            matches!(course.step, Step::Punching { role, until, .. }
                if role == Role::Responder || until <= now)
        };
        if !left && punching.upgrades.get(peer).is_some_and(over) {
            self.try_failed(now, *peer, DcutrError::Unreachable);
        }
    }

    /// Gives up transports to a peer that are not needed.
    fn give_sockets_up(&mut self, peer: &PeerId, which: impl Fn(&Socket) -> bool) {
        let of = self.punching.sockets.iter();
        let needless: Vec<ConnectionId> = of
            .filter(|(_, socket)| socket.peer == *peer && which(socket))
            .map(|(id, _)| *id)
            .collect();
        for id in needless {
            self.punching.sockets.remove(&id);
            self.links.remove(&id);
            self.outputs.push_back(Output::Drop(id));
        }
    }

    /// The time to dial is over: what has opened has as long again.
    pub(super) fn punch_over(&mut self, now: Instant, peer: PeerId) {
        let late = |socket: &Socket| socket.peer == peer && !socket.opened;
        let sockets = self.punching.sockets.values();
        let addresses: Vec<_> = sockets.filter(|s| late(s)).map(|s| s.address.clone()).collect();
        for address in addresses {
            self.note_failure(&peer, &address, AttemptError::TimedOut);
        }
        self.give_sockets_up(&peer, |socket| !socket.opened);
        let left = self.punching.sockets.values().any(|socket| socket.peer == peer);
        let Some(course) = self.punching.upgrades.get_mut(&peer) else { return };
        match &mut course.step {
            Step::Punching { until, extended, .. } if left && !*extended => {
                (*until, *extended) = (now + PUNCH_TIMEOUT, true);
            }
            _ => {
                self.give_sockets_up(&peer, |_| true);
                self.try_if_over(now, &peer);
            }
        }
    }

    /// The connection to drive for a remote that opened a transport to us.
    pub(in crate::node) fn met(
        &mut self,
        now: Instant,
        id: ConnectionId,
        remote: &Multiaddr,
    ) -> Option<Connection> {
        let peer = self.expected_from(remote)?;
        if let Some(link) = self.links.get_mut(&id) {
            link.role = Some(Role::Initiator);
        }
        let carrier = crate::connection::Carrier::Bytes;
        Some(self.connection(now, id, (Role::Initiator, carrier), Some(peer)))
    }
}
