//! How the node meets others at rendezvous points, and is one itself.

use core::time::Duration;
use std::collections::VecDeque;

use crate::collections::Map;
use crate::protocols::rendezvous::{
    Answer, Client, Order, Point, RendezvousError, RendezvousEvent, RequestId, Search, Server,
};
use crate::swarm::DialOptions;
use crate::time::Instant;

use super::hosting::ProtocolId;
use super::{Config, DialId, Event, Node};

pub(super) struct Meeting {
    pub(super) client: Client,
    pub(super) server: Server,
    pub(super) orders: VecDeque<Order>,
    /// Dials to points, and what for.
    dials: Map<DialId, RequestId>,
}

impl Meeting {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            client: Client::new(),
            // Hosts pass the time there: no run has the number of an earlier one.
            server: Server::new(config.rendezvous.clone(), config.first_sequence),
            orders: VecDeque::new(),
            dials: Map::new(),
        }
    }
}

impl Node {
    /// Registers us at a rendezvous point under a name, for `ttl` or as long as the point
    /// takes for usual (2 hours), and again before that ends, when our addresses change
    /// and when the point is back, until [`Node::rendezvous_unregister`].
    ///
    /// # Errors
    /// [`RendezvousError`]: the request did not begin. What comes of it tells
    /// [`RendezvousEvent::Answered`]; if that is an error, we are not registered.
    pub fn rendezvous_register(
        &mut self,
        now: Instant,
        point: Point,
        namespace: &str,
        ttl: Option<Duration>,
    ) -> Result<RequestId, RendezvousError> {
        let request = self.meeting.client.register(&self.local, point, namespace, ttl);
        self.turn_meeting(now);
        request
    }

    /// Tells a point that we are gone, and does not register there again.
    ///
    /// # Errors
    /// [`RendezvousError`]: the request did not begin.
    pub fn rendezvous_unregister(
        &mut self,
        now: Instant,
        point: Point,
        namespace: &str,
    ) -> Result<RequestId, RendezvousError> {
        let request = self.meeting.client.unregister(point, namespace);
        self.turn_meeting(now);
        request
    }

    /// Asks a point who is registered there. The peer store learns of them.
    ///
    /// # Errors
    /// [`RendezvousError`]: the request did not begin.
    pub fn rendezvous_discover(
        &mut self,
        now: Instant,
        point: Point,
        search: Search,
    ) -> Result<RequestId, RendezvousError> {
        let request = self.meeting.client.discover(point, search);
        self.turn_meeting(now);
        request
    }

    /// Nobody waits for a request any more.
    pub fn cancel_rendezvous(&mut self, now: Instant, request: RequestId) {
        self.meeting.client.cancel(request);
        self.turn_meeting(now);
    }

    /// Where we are registered.
    pub fn rendezvous_client(&self) -> &Client {
        &self.meeting.client
    }

    /// What is registered with us, if we are a rendezvous point.
    pub fn rendezvous_server(&self) -> &Server {
        &self.meeting.server
    }

    /// Begins to be a rendezvous point, or changes what is taken from now on.
    #[cfg(feature = "rendezvous-point")]
    pub fn serve_rendezvous(
        &mut self,
        now: Instant,
        config: crate::protocols::rendezvous::ServerConfig,
    ) {
        let serves = self.meeting.server.config().is_some();
        self.meeting.server.serve(config);
        if !serves {
            self.register(ProtocolId::RendezvousServer);
            self.protocols_changed(now);
        }
    }

    pub(super) fn turn_meeting(&mut self, now: Instant) {
        self.drain(ProtocolId::RendezvousClient);
        self.settle_meeting(now);
    }

    /// Carries out what the client wants.
    pub(super) fn settle_meeting(&mut self, now: Instant) {
        while let Some(Order::Reach { request, point }) = self.meeting.orders.pop_front() {
            if let Some(connection) = self.best_connection(&point.peer) {
                self.meeting.client.reached(now, request, connection);
                self.drain(ProtocolId::RendezvousClient);
                continue;
            }
            let dial = DialId(self.number());
            self.meeting.dials.insert(dial, request);
            let asker = (dial, DialOptions::default());
            self.begin_dial(now, asker, Some(point.peer), point.addresses);
        }
    }

    /// Whether a dial is one to a point; then its result is dealt with.
    pub(super) fn meeting_dialed(&mut self, now: Instant, event: &Event) -> bool {
        let (dial, connection) = match event {
            Event::Dialed { dial, connection, .. } => (dial, Some(*connection)),
            Event::DialFailed { dial, .. } => (dial, None),
            _ => return false,
        };
        let Some(request) = self.meeting.dials.remove(dial) else { return false };
        match connection {
            Some(connection) => self.meeting.client.reached(now, request, connection),
            None => self.meeting.client.not_reached(now, request),
        }
        self.turn_meeting(now);
        true
    }

    /// The peer store learns of those who were found.
    pub(super) fn learn_of_found(&mut self, now: Instant, event: &RendezvousEvent) {
        let RendezvousEvent::Answered { result: Ok(Answer::Found(found)), .. } = event else {
            return;
        };
        for registration in &found.registrations {
            self.discovered_record(now, &registration.record, registration.ttl);
        }
    }
}
