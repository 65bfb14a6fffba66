//! How the node dials for those who want to know whether they can be dialed: each
//! time anew and as nobody that they know, so that no connection, and no gap in a
//! firewall, that is there already makes it look as if they could. See
//! [`crate::protocols::autonat`], whose server says how many there are at a time.

use core::time::Duration;
use std::sync::Arc;

use crate::address::Multiaddr;
use crate::collections::Map;
use crate::connection::{
    self, Carrier, Connection, Handlers, Role, StreamId, ToConnection, ToNode,
};
use crate::identity::{Keypair, PeerId};
use crate::protocols::autonat::{
    DIAL_BACK_FRAMING, DIAL_BACK_NAME, Dialed, dial_back, took_dial_back,
};
use crate::rng::Rng;
use crate::time::Instant;

use super::hosting::ProtocolId;
use super::{Config, ConnectionId, Node, Output};

/// How long the peer may take to answer the number, and the connection to end.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct DialBacks {
    /// As which peer we dial.
    config: Arc<connection::Config>,
    list: Map<ConnectionId, DialBack>,
}

struct DialBack {
    /// What it is for.
    job: u64,
    peer: PeerId,
    nonce: Option<u64>,
    stage: Stage,
    until: Instant,
    #[cfg(feature = "limits")]
    held: super::limiting::Held,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Dialing,
    Handshaking,
    Opening,
    Telling(StreamId),
    Ended,
}

impl DialBacks {
    pub(super) fn new(config: &Config, rng: &mut Rng) -> Self {
        let keypair = Keypair::generate_ed25519(rng);
        let config = connection::Config { keypair, ..config.connection.clone() };
        Self { config: Arc::new(config), list: Map::new() }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.list.values().map(|back| back.until).min()
    }
}

impl Node {
    pub(super) fn dial_back(
        &mut self,
        now: Instant,
        (job, peer): (u64, PeerId),
        address: Multiaddr,
        nonce: Option<u64>,
    ) {
        #[cfg(feature = "limits")]
        let held = match self.limiting.dial(&address) {
            Ok(held) => held,
            Err(_) => return self.dialed_back(job, Dialed::Refused),
        };
        let timeout = self.autonat.server.config().map_or(ANSWER_TIMEOUT, |c| c.dial_timeout);
        let connection = ConnectionId(self.number());
        let back = DialBack {
            job,
            peer,
            nonce,
            stage: Stage::Dialing,
            until: now + timeout,
            #[cfg(feature = "limits")]
            held,
        };
        self.autonat.dial_backs.list.insert(connection, back);
        self.outputs.push_back(Output::DialBack { connection, address });
    }

    /// Nobody waits for it any more.
    pub(super) fn cancel_dial_back(&mut self, job: u64) {
        let backs = self.autonat.dial_backs.list.iter();
        let of_job = backs.filter(|(_, back)| back.job == job && back.stage != Stage::Ended);
        for id in of_job.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.autonat.dial_backs.list.remove(&id);
            self.outputs.push_back(Output::Drop(id));
        }
    }

    /// Dials for others no more: the node ends.
    pub fn end_dial_backs(&mut self) {
        while let Some((id, _)) = self.autonat.dial_backs.list.pop_first() {
            self.outputs.push_back(Output::Drop(id));
        }
    }

    /// A transport is open; the connection, if it is one of these.
    pub(super) fn dial_back_connected(
        &mut self,
        now: Instant,
        id: ConnectionId,
        carrier: &Carrier,
    ) -> Option<Connection> {
        let backs = &mut self.autonat.dial_backs;
        let back = backs.list.get_mut(&id)?;
        back.stage = Stage::Handshaking;
        let (config, handlers) = (backs.config.clone(), Arc::<Handlers>::default());
        let (expected, rng) = (Some(back.peer), self.rng.fork());
        let mut connection =
            Connection::over((config, handlers), (Role::Initiator, carrier), expected, rng, now);
        #[cfg(feature = "limits")]
        connection.set_scope(back.held.scope());
        connection.begin(now, carrier);
        Some(connection)
    }

    /// A transport cannot be had; whether it is one of these.
    pub(super) fn dial_back_failed(&mut self, now: Instant, id: ConnectionId) -> bool {
        let Some(back) = self.autonat.dial_backs.list.remove(&id) else { return false };
        self.dialed_back(back.job, Dialed::Failed);
        self.settle_autonat(now);
        true
    }

    /// A connection has news; whether it is one of these.
    pub(super) fn dial_back_news(&mut self, now: Instant, id: ConnectionId, news: &ToNode) -> bool {
        let Some(back) = self.autonat.dial_backs.list.get_mut(&id) else { return false };
        match (back.stage, news) {
            (_, ToNode::Closed { .. }) => {
                let (job, stage) = (back.job, back.stage);
                self.autonat.dial_backs.list.remove(&id);
                match stage {
                    Stage::Ended => {}
                    Stage::Dialing | Stage::Handshaking => self.dialed_back(job, Dialed::Failed),
                    Stage::Opening | Stage::Telling(_) => self.dialed_back(job, Dialed::Unheard),
                }
            }
            (Stage::Handshaking, ToNode::Established { .. }) if back.nonce.is_none() => {
                self.end_dial_back(now, id, Dialed::Reached);
            }
            (Stage::Handshaking, ToNode::Established { .. }) => {
                (back.stage, back.until) = (Stage::Opening, now + ANSWER_TIMEOUT);
                let protocols = vec![DIAL_BACK_NAME.into()];
                let open = ToConnection::Open { request: 0, protocols, framing: DIAL_BACK_FRAMING };
                self.outputs.push_back(Output::Connection(id, open));
            }
            (Stage::Opening, ToNode::Opened { stream, .. }) => {
                (back.stage, back.until) = (Stage::Telling(*stream), now + ANSWER_TIMEOUT);
                let bytes = dial_back(back.nonce.unwrap_or_default());
                let messages = [ToConnection::Send(*stream, bytes), ToConnection::Finish(*stream)];
                self.outputs.extend(messages.map(|message| Output::Connection(id, message)));
            }
            (Stage::Telling(on), ToNode::Message { stream, bytes }) if on == *stream => {
                let result = if took_dial_back(bytes) { Dialed::Reached } else { Dialed::Unheard };
                self.end_dial_back(now, id, result);
            }
            (Stage::Opening, ToNode::OpenFailed { .. }) => {
                self.end_dial_back(now, id, Dialed::Unheard);
            }
            (
                Stage::Telling(on),
                ToNode::Finished { stream } | ToNode::Reset { stream } | ToNode::Gone { stream },
            ) if on == *stream => self.end_dial_back(now, id, Dialed::Unheard),
            _ => {}
        }
        self.settle_autonat(now);
        true
    }

    /// It has done what it was for.
    fn end_dial_back(&mut self, now: Instant, id: ConnectionId, result: Dialed) {
        let Some(back) = self.autonat.dial_backs.list.get_mut(&id) else { return };
        (back.stage, back.until) = (Stage::Ended, now + ANSWER_TIMEOUT);
        let job = back.job;
        self.outputs.push_back(Output::Connection(id, ToConnection::Close));
        self.dialed_back(job, result);
    }

    fn dialed_back(&mut self, job: u64, result: Dialed) {
        self.autonat.server.dialed(job, result);
        self.drain(ProtocolId::AutonatServer);
    }

    pub(super) fn time_dial_backs(&mut self, now: Instant) {
        let late = self.autonat.dial_backs.list.iter().filter(|(_, back)| back.until <= now);
        for id in late.map(|(id, _)| *id).collect::<Vec<_>>() {
            let Some(back) = self.autonat.dial_backs.list.remove(&id) else { continue };
            self.outputs.push_back(Output::Drop(id));
            match back.stage {
                Stage::Ended => {}
                Stage::Opening | Stage::Telling(_) => self.dialed_back(back.job, Dialed::Unheard),
                Stage::Dialing | Stage::Handshaking => {
                    self.dialed_back(back.job, Dialed::Failed);
                }
            }
        }
        self.settle_autonat(now);
    }
}
