//! How the node hosts its protocols: what they are told, and what they want.

use std::sync::Arc;

use crate::connection::{Handler, Owner, ToConnection};
use crate::muxer::yamux::DEFAULT_WEIGHT;
use crate::negotiate::Name;
use crate::protocols::{Action, Input, Local, Protocol};
use crate::time::Instant;

use super::{ConnectionId, Event, Node, Output};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ProtocolId {
    Identify,
    Ping,
    #[cfg(feature = "dcutr")]
    Dcutr,
    #[cfg(feature = "autonat")]
    AutonatClient,
    #[cfg(feature = "autonat")]
    AutonatServer,
    #[cfg(feature = "relay")]
    RelayClient,
    #[cfg(feature = "relay")]
    RelayService,
    #[cfg(feature = "webrtc")]
    Signalling,
    #[cfg(feature = "kad")]
    Routing,
    #[cfg(feature = "pubsub")]
    Pubsub,
    #[cfg(feature = "rendezvous")]
    RendezvousClient,
    #[cfg(feature = "rendezvous")]
    RendezvousServer,
    Custom(usize),
    #[cfg(feature = "service")]
    Service(usize),
}

impl Node {
    pub(super) fn protocol_ids(&self) -> Vec<ProtocolId> {
        let custom = (0..self.custom.len()).map(ProtocolId::Custom);
        let own = [
            ProtocolId::Identify,
            ProtocolId::Ping,
            #[cfg(feature = "dcutr")]
            ProtocolId::Dcutr,
            #[cfg(feature = "autonat")]
            ProtocolId::AutonatClient,
            #[cfg(feature = "autonat")]
            ProtocolId::AutonatServer,
            #[cfg(feature = "relay")]
            ProtocolId::RelayClient,
            #[cfg(feature = "relay")]
            ProtocolId::RelayService,
            #[cfg(feature = "webrtc")]
            ProtocolId::Signalling,
            #[cfg(feature = "kad")]
            ProtocolId::Routing,
            #[cfg(feature = "pubsub")]
            ProtocolId::Pubsub,
            #[cfg(feature = "rendezvous")]
            ProtocolId::RendezvousClient,
            #[cfg(feature = "rendezvous")]
            ProtocolId::RendezvousServer,
        ];
        let ids = own.into_iter().chain(custom);
        #[cfg(feature = "service")]
        let ids = ids.chain((0..self.services.list.len()).map(ProtocolId::Service));
        ids.collect()
    }

    pub(super) fn protocol(&self, id: ProtocolId) -> &dyn Protocol {
        match id {
            ProtocolId::Identify => &self.identify,
            ProtocolId::Ping => &self.ping,
            #[cfg(feature = "dcutr")]
            ProtocolId::Dcutr => &self.punching.dcutr,
            #[cfg(feature = "autonat")]
            ProtocolId::AutonatClient => &self.autonat.client,
            #[cfg(feature = "autonat")]
            ProtocolId::AutonatServer => &self.autonat.server,
            #[cfg(feature = "relay")]
            ProtocolId::RelayClient => &self.relays.client,
            #[cfg(feature = "relay")]
            ProtocolId::RelayService => &self.relays.service,
            #[cfg(feature = "webrtc")]
            ProtocolId::Signalling => &self.signals.machine,
            #[cfg(feature = "kad")]
            ProtocolId::Routing => &self.routing,
            #[cfg(feature = "pubsub")]
            ProtocolId::Pubsub => &self.gossip,
            #[cfg(feature = "rendezvous")]
            ProtocolId::RendezvousClient => &self.meeting.client,
            #[cfg(feature = "rendezvous")]
            ProtocolId::RendezvousServer => &self.meeting.server,
            ProtocolId::Custom(index) => &*self.custom[index],
            #[cfg(feature = "service")]
            ProtocolId::Service(index) => &self.services.list[index],
        }
    }

    pub(super) fn protocol_mut(&mut self, id: ProtocolId) -> (&mut dyn Protocol, &Local) {
        let protocol: &mut dyn Protocol = match id {
            ProtocolId::Identify => &mut self.identify,
            ProtocolId::Ping => &mut self.ping,
            #[cfg(feature = "dcutr")]
            ProtocolId::Dcutr => &mut self.punching.dcutr,
            #[cfg(feature = "autonat")]
            ProtocolId::AutonatClient => &mut self.autonat.client,
            #[cfg(feature = "autonat")]
            ProtocolId::AutonatServer => &mut self.autonat.server,
            #[cfg(feature = "relay")]
            ProtocolId::RelayClient => &mut self.relays.client,
            #[cfg(feature = "relay")]
            ProtocolId::RelayService => &mut self.relays.service,
            #[cfg(feature = "webrtc")]
            ProtocolId::Signalling => &mut self.signals.machine,
            #[cfg(feature = "kad")]
            ProtocolId::Routing => &mut self.routing,
            #[cfg(feature = "pubsub")]
            ProtocolId::Pubsub => &mut self.gossip,
            #[cfg(feature = "rendezvous")]
            ProtocolId::RendezvousClient => &mut self.meeting.client,
            #[cfg(feature = "rendezvous")]
            ProtocolId::RendezvousServer => &mut self.meeting.server,
            ProtocolId::Custom(index) => &mut *self.custom[index],
            #[cfg(feature = "service")]
            ProtocolId::Service(index) => &mut self.services.list[index],
        };
        (protocol, &self.local)
    }

    pub(super) fn feed(&mut self, now: Instant, id: ProtocolId, input: Input<'_>) {
        #[cfg(all(feature = "relay", feature = "service"))]
        if self.is_withheld(id, &input) {
            return;
        }
        let (protocol, local) = self.protocol_mut(id);
        protocol.handle(now, local, input);
        self.drain(id);
        #[cfg(feature = "autonat")]
        self.settle_autonat(now);
        #[cfg(feature = "relay")]
        self.settle_relays(now);
        #[cfg(feature = "webrtc")]
        self.settle_signals(now);
        #[cfg(feature = "kad")]
        self.settle_dht(now);
        #[cfg(feature = "pubsub")]
        self.settle_pubsub(now);
        #[cfg(feature = "rendezvous")]
        self.settle_meeting(now);
    }

    pub(super) fn drain(&mut self, id: ProtocolId) {
        while let Some(action) = self.protocol_mut(id).0.poll() {
            let (connection, message) = match action {
                Action::Open { connection, request, protocols, framing } => {
                    let number = self.number();
                    self.requests.insert(number, (connection, id, request));
                    (connection, ToConnection::Open { request: number, protocols, framing })
                }
                Action::Send { connection, stream, bytes } => {
                    (connection, ToConnection::Send(stream, bytes))
                }
                #[cfg(any(feature = "pubsub", feature = "service"))]
                Action::Flush { connection, stream } => (connection, ToConnection::Flush(stream)),
                Action::Finish { connection, stream } => (connection, ToConnection::Finish(stream)),
                Action::Reset { connection, stream } => {
                    self.streams.remove(&(connection, stream));
                    (connection, ToConnection::Reset(stream))
                }
                Action::Emit(event) => {
                    self.emit(event);
                    continue;
                }
                #[cfg(feature = "autonat")]
                Action::Autonat(order) => {
                    self.autonat.orders.push_back(order);
                    continue;
                }
                #[cfg(feature = "relay")]
                Action::Relay(order) => {
                    self.relays.orders.push_back(order);
                    continue;
                }
                #[cfg(feature = "kad")]
                Action::Kad(order) => {
                    self.routing.orders.push_back(order);
                    continue;
                }
                #[cfg(feature = "pubsub")]
                Action::Pubsub(order) => {
                    self.gossip.orders.push_back(order);
                    continue;
                }
                #[cfg(feature = "rendezvous")]
                Action::Rendezvous(order) => {
                    self.meeting.orders.push_back(order);
                    continue;
                }
                #[cfg(feature = "webrtc")]
                Action::Signal(order) => {
                    self.signals.orders.push_back(order);
                    continue;
                }
            };
            self.outputs.push_back(Output::Connection(connection, message));
        }
    }

    pub(super) fn register(&mut self, id: ProtocolId) {
        for (name, framing) in self.protocol(id).names() {
            self.set_handler(name, Owner::Node(framing));
        }
    }

    pub(super) fn set_handler(&mut self, name: Name, owner: Owner) {
        let weights = &self.config.weights;
        let weight = weights
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(DEFAULT_WEIGHT, |(_, weight)| *weight);
        Arc::make_mut(&mut self.handlers).insert(name, Handler { owner, weight });
    }

    pub(super) fn protocols_changed(&mut self, now: Instant) {
        self.local.protocols = self.handlers.keys().cloned().collect();
        let ids: Vec<ConnectionId> = self.links.keys().copied().collect();
        for id in ids {
            let message = ToConnection::Handlers(self.handlers.clone());
            self.outputs.push_back(Output::Connection(id, message));
        }
        self.local_changed(now);
    }

    /// What we know of our addresses may be another than before.
    pub(super) fn addresses_changed(&mut self, now: Instant) {
        #[cfg(feature = "addresses")]
        let changed = self.announce_addresses();
        #[cfg(feature = "autonat")]
        self.tell_autonat(now);
        #[cfg(feature = "addresses")]
        if !changed {
            return;
        }
        self.emit(Event::AddressesChanged);
        self.local_changed(now);
    }

    pub(super) fn local_changed(&mut self, now: Instant) {
        self.local.sequence = self.local.sequence.saturating_add(1);
        for id in self.protocol_ids() {
            self.feed(now, id, Input::LocalChanged);
        }
    }
}
