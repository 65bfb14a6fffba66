//! WebRTC, as JavaScript carries it out.

use polypeer::connection::Carrier;
use polypeer::node::{Event, UpgradeError};
use polypeer::peer::Output;
use polypeer::protocols::webrtc::{HostOrder, SignalError};
use polypeer::webrtc::prologue;
use wasm_bindgen::prelude::*;

use crate::records::{Cause, Records, Tag};
use crate::{Core, id, instant};

#[wasm_bindgen]
impl Core {
    /// JavaScript carries out what the records of tag 80 say. `upgrade`: relayed
    /// connections become direct by themselves.
    pub fn enable_webrtc(&mut self, now: f64, upgrade: bool) {
        self.peer.enable_webrtc(instant(now), upgrade);
    }

    /// Takes WebRTC connections that peers offer through relays.
    pub fn listen_on_webrtc(&mut self, now: f64) {
        self.peer.listen_on_webrtc(instant(now));
    }

    /// The peer connection has its own description.
    pub fn rtc_described(&mut self, now: f64, connection: f64, description: String) {
        self.peer.rtc_described(instant(now), id(connection), description);
    }

    /// The peer connection found a candidate, as JSON, or `null` at their end.
    pub fn rtc_found(&mut self, now: f64, connection: f64, candidate: String) {
        self.peer.rtc_found(instant(now), id(connection), candidate);
    }

    /// The peer connection found no way.
    pub fn rtc_failed(&mut self, now: f64, connection: f64, reason: String) {
        self.peer.rtc_failed(instant(now), id(connection), reason);
    }

    /// The peer connection is open. False: close it.
    pub fn rtc_connected(&mut self, now: f64, connection: f64) -> bool {
        self.peer.rtc_connected(instant(now), id(connection))
    }

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

    /// As `accepted`, over the data channels of WebRTC direct; `client` and `server`
    /// are multihashes of the certificates.
    pub fn accepted_direct(&mut self, now: f64, remote: &str, client: &[u8], server: &[u8]) -> f64 {
        let Ok(remote) = remote.parse() else { return -1.0 };
        let carrier = Carrier::Direct { prologue: prologue(client, server) };
        let accepted = self.peer.accepted_over(instant(now), remote, carrier);
        accepted.map_or(-1.0, |connection| connection.0 as f64)
    }
}

/// Tells what belongs to WebRTC; nothing of anything else.
pub(crate) fn record(out: &mut Records<'_>, output: &Output) {
    match output {
        Output::Rtc { connection, order } => {
            let (kind, text) = match order {
                HostOrder::Offer => (0, ""),
                HostOrder::Answer { offer } => (1, offer.as_str()),
                HostOrder::Accept { answer } => (2, answer.as_str()),
                HostOrder::Candidate { candidate } => (3, candidate.as_str()),
                HostOrder::Restart { offer: None } => (4, ""),
                HostOrder::Restart { offer: Some(offer) } => (5, offer.as_str()),
                _ => return,
            };
            out.part(Tag::Rtc, |out| {
                out.number(connection.0).byte(kind).text(&text);
            });
        }
        Output::Event(Event::Upgraded { connection, .. }) => out.part(Tag::Upgraded, |out| {
            out.number(connection.0);
        }),
        Output::Event(Event::UpgradeFailed { connection, error, after, .. }) => {
            out.part(Tag::UpgradeFailed, |out| {
                let after = after.as_micros() as f64;
                out.number(connection.0).float(after).failure(upgrade_cause(error), error);
            });
        }
        _ => {}
    }
}

fn upgrade_cause(error: &UpgradeError) -> Cause {
    match error {
        UpgradeError::Signalling(error) => signal_cause(error),
        _ => Cause::Transport,
    }
}

pub(crate) fn signal_cause(error: &SignalError) -> Cause {
    match error {
        SignalError::NotSupported => Cause::NotSupported,
        SignalError::Protocol | SignalError::TooLong | SignalError::TooManyCandidates => {
            Cause::Protocol
        }
        SignalError::GivenUp => Cause::Reset,
        SignalError::TimedOut => Cause::Timeout,
        _ => Cause::Transport,
    }
}
