//! What the simulator of many peers does to one.

use crate::address::Multiaddr;
use crate::connection::StreamId;
use crate::identity::PeerId;
use crate::node::ConnectionId;
use crate::time::Instant;

use super::{Group, Kademlia, Offered};

impl Kademlia {
    /// A server that is known to take part, without having been met.
    pub(crate) fn acquaint(
        &mut self,
        now: Instant,
        peer: PeerId,
        group: Option<Group>,
        addresses: &[Multiaddr],
    ) {
        if self.table.offer(now, peer, group) == Offered::Added {
            self.learn(&peer, addresses);
        }
    }

    /// Whether it waits for an answer on a stream.
    pub(crate) fn asks_on(&self, connection: ConnectionId, stream: StreamId) -> bool {
        self.streams.contains_key(&(connection, stream))
    }
}
