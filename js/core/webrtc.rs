//! Connections over data channels.

use polypeer::connection::Carrier;
use polypeer::webrtc::prologue;
use wasm_bindgen::prelude::*;

use crate::{Core, id, instant};

#[wasm_bindgen]
impl Core {
    /// As `connected`, over the data channels of WebRTC direct; `client` and `server`
    /// are multihashes of the certificates. False: close it.
    pub fn connected_direct(
        &mut self,
        now: f64,
        connection: f64,
        client: &[u8],
        server: &[u8],
    ) -> bool {
        let carrier = Carrier::Direct { prologue: prologue(client, server) };
        self.peer.connected_over(instant(now), id(connection), carrier)
    }

    /// As `connected`, over data channels that were signalled by `peer`.
    pub fn connected_signalled(&mut self, now: f64, connection: f64, peer: &str) -> bool {
        let Ok(peer) = peer.parse() else { return false };
        let carrier = Carrier::Signalled { peer };
        self.peer.connected_over(instant(now), id(connection), carrier)
    }

    /// As `accepted`, over data channels that were signalled by `peer`.
    pub fn accepted_signalled(&mut self, now: f64, remote: &str, peer: &str) -> f64 {
        let (Ok(remote), Ok(peer)) = (remote.parse(), peer.parse()) else { return -1.0 };
        match self.peer.accepted_over(instant(now), remote, Carrier::Signalled { peer }) {
            Ok(connection) => connection.0 as f64,
            Err(_) => -1.0,
        }
    }
}
