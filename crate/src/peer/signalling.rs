//! WebRTC connections, for hosts that drive a peer in place.

use crate::node::ConnectionId;
use crate::time::Instant;

use super::Peer;

impl Peer {
    /// The host makes peer connections; see
    /// [`Node::enable_webrtc`](crate::node::Node::enable_webrtc).
    pub fn enable_webrtc(&mut self, now: Instant, upgrade: bool) {
        self.node.enable_webrtc(now, upgrade);
        self.settle(now);
    }

    /// Takes WebRTC connections; see
    /// [`Node::listen_on_webrtc`](crate::node::Node::listen_on_webrtc).
    pub fn listen_on_webrtc(&mut self, now: Instant) {
        self.node.listen_on_webrtc(now);
        self.settle(now);
    }

    /// The host made its description of a connection.
    pub fn rtc_described(&mut self, now: Instant, id: ConnectionId, description: String) {
        self.node.rtc_described(now, id, description);
        self.settle(now);
    }

    /// The host found a candidate; see [`Node::rtc_found`](crate::node::Node::rtc_found).
    pub fn rtc_found(&mut self, now: Instant, id: ConnectionId, candidate: String) {
        self.node.rtc_found(now, id, candidate);
        self.settle(now);
    }

    /// No connection came up.
    pub fn rtc_failed(&mut self, now: Instant, id: ConnectionId, reason: String) {
        self.node.rtc_failed(now, id, reason);
        self.settle(now);
    }

    /// The peer connection is open: its data channels are the connection's transport.
    /// `false` if it is not wanted any more: close it.
    pub fn rtc_connected(&mut self, now: Instant, id: ConnectionId) -> bool {
        let connection = self.node.rtc_connected(now, id);
        let wanted = connection.is_some();
        if let Some(connection) = connection {
            self.insert(now, id, connection);
        }
        self.settle(now);
        wanted
    }
}
