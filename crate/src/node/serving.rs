//! How the node hosts services.

use crate::protocols::Input;
use crate::service::{Config, Context, Machine, Service, ServiceId};
use crate::time::Instant;

use super::hosting::ProtocolId;
use super::{ConnectionId, Event, Node};

#[derive(Default)]
pub(super) struct Services {
    pub(super) list: Vec<Machine>,
    /// Connections whose peers said what they speak, and services do not know yet.
    identified: Vec<ConnectionId>,
}

impl Node {
    /// Runs a protocol of one's own for the life of the node; see
    /// [`service`](crate::service).
    pub fn serve(&mut self, now: Instant, config: Config, service: Box<dyn Service>) -> ServiceId {
        let index = self.services.list.len();
        self.services.list.push(Machine::new(config, service));
        let id = ProtocolId::Service(index);
        self.register(id);
        self.protocols_changed(now);
        let links = self.links.iter().filter_map(|(connection, link)| {
            Some((*connection, link.peer?, link.direction, link.remote.clone()))
        });
        for (connection, peer, direction, remote) in links.collect::<Vec<_>>() {
            let (peer, remote) = (&peer, &remote);
            self.feed(now, id, Input::Connected { connection, peer, direction, remote });
            self.tell_names(now, id, connection);
        }
        ServiceId(index)
    }

    /// Does something with a service: sends, opens, asks. `None` if there is no such
    /// service.
    pub fn with_service<T>(
        &mut self,
        now: Instant,
        service: ServiceId,
        action: impl FnOnce(&mut dyn Service, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let machine = self.services.list.get_mut(service.0)?;
        let result = machine.with(now, action);
        self.drain(ProtocolId::Service(service.0));
        Some(result)
    }

    pub(super) fn note_identified(&mut self, event: &Event) {
        if let Event::Identified { connection, .. } = event
            && !self.services.list.is_empty()
        {
            self.services.identified.push(*connection);
        }
    }

    pub(super) fn tell_identified(&mut self, now: Instant) {
        while let Some(connection) = self.services.identified.pop() {
            for index in 0..self.services.list.len() {
                self.tell_names(now, ProtocolId::Service(index), connection);
            }
        }
    }

    /// Whether a service is not told of something because it spares connections that
    /// a relay limits.
    #[cfg(feature = "relay")]
    pub(super) fn is_withheld(&mut self, id: ProtocolId, input: &Input<'_>) -> bool {
        let (
            ProtocolId::Service(index),
            Input::Connected { connection, .. }
            | Input::Identified { connection, .. }
            | Input::Inbound { connection, .. },
        ) = (id, input)
        else {
            return false;
        };
        let takes = self.services.list.get(index).is_none_or(|machine| machine.takes_limited());
        if takes || self.limit(*connection).is_none() {
            return false;
        }
        if let Input::Inbound { connection, stream, .. } = input {
            self.streams.remove(&(*connection, *stream));
            let reset = crate::connection::ToConnection::Reset(*stream);
            self.outputs.push_back(super::Output::Connection(*connection, reset));
        }
        true
    }

    fn tell_names(&mut self, now: Instant, id: ProtocolId, connection: ConnectionId) {
        let Some(info) = self.identify.info(connection) else { return };
        let protocols = info.protocols.clone();
        self.feed(now, id, Input::Identified { connection, protocols: &protocols });
    }
}
