//! The node's side of [`crate::protocols::autonat`]: who asks, where a dial has
//! come in, and what follows for our addresses.

use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::protocols::autonat::{Arrival, Asker, Client, Order, Server, ServerConfig};
use crate::rng::Rng;
use crate::swarm::addresses::Reachability;
use crate::time::Instant;

use super::dialing_back::DialBacks;
use super::hosting::ProtocolId;
use super::{Config, ConnectionId, Direction, Event, Node};

pub(super) struct Autonat {
    pub(super) client: Client,
    pub(super) server: Server,
    pub(super) dial_backs: DialBacks,
    pub(super) orders: VecDeque<Order>,
}

impl Autonat {
    pub(super) fn new(config: &Config, rng: &mut Rng) -> Self {
        let private = config.addresses.private;
        Self {
            client: Client::new(config.autonat.clone(), private, rng.fork()),
            server: Server::new(config.autonat.server.clone(), private, rng.fork()),
            dial_backs: DialBacks::new(config, rng),
            orders: VecDeque::new(),
        }
    }

    /// Whether private addresses are as good as public ones.
    pub(super) fn set_private(&mut self, private: bool) {
        self.client.set_private(private);
        self.server.set_private(private);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.dial_backs.poll_timeout()
    }
}

impl Node {
    /// Whether others can dial us at all, as far as some have tried; of each address
    /// [`Node::own_addresses`] tells.
    pub fn reachability(&self) -> Reachability {
        self.autonat.client.reachability()
    }

    /// What is done for others who want to know whether they can be dialed.
    pub fn autonat_server(&self) -> &Server {
        &self.autonat.server
    }

    /// Begins to dial for others who want to know whether they can be dialed, or
    /// changes how much is done for them.
    pub fn serve_autonat(&mut self, now: Instant, config: ServerConfig) {
        let serves = self.autonat.server.config().is_some();
        self.autonat.server.serve(config);
        if !serves {
            self.register(ProtocolId::AutonatServer);
            self.protocols_changed(now);
        }
    }

    /// A peer has said what it speaks.
    pub(super) fn met_by_autonat(&mut self, now: Instant, id: ConnectionId) {
        let (Some(info), Some(link)) = (self.identify.info(id), self.links.get(&id)) else {
            return;
        };
        self.autonat.client.met(now, id, &link.remote, &info.protocols);
        self.drain(ProtocolId::AutonatClient);
        self.settle_autonat(now);
    }

    /// Our addresses may be others than before.
    pub(super) fn tell_autonat(&mut self, now: Instant) {
        let own = self.own_addresses();
        self.autonat.client.set_addresses(now, own.iter().map(|own| &own.address));
        self.drain(ProtocolId::AutonatClient);
        self.settle_autonat(now);
    }

    /// Carries out what the protocols want.
    pub(super) fn settle_autonat(&mut self, now: Instant) {
        while let Some(order) = self.autonat.orders.pop_front() {
            match order {
                Order::Asked { connection, stream, second, bytes } => {
                    let Some(link) = self.links.get(&connection) else { continue };
                    let Some(peer) = link.peer else { continue };
                    let asker = Asker { peer, remote: link.remote.clone() };
                    let server = &mut self.autonat.server;
                    server.asked(now, (connection, stream), &asker, (second, &bytes));
                    self.drain(ProtocolId::AutonatServer);
                }
                Order::Dial { job, peer, address, nonce } => {
                    self.dial_back(now, (job, peer), address, nonce);
                }
                Order::Cancel { job } => self.cancel_dial_back(job),
                Order::Arrived { connection, stream, nonce } => {
                    let Some(link) = self.links.get(&connection) else { continue };
                    let arrival = Arrival {
                        inbound: link.direction == Direction::Inbound,
                        remote: link.remote.clone(),
                        local: link.local.clone(),
                    };
                    let client = &mut self.autonat.client;
                    client.dialed_back(now, (connection, stream), nonce, arrival);
                    self.drain(ProtocolId::AutonatClient);
                }
                Order::Verdict { address, reachability } => {
                    self.on_verdict(now, address, reachability);
                }
            }
        }
    }

    fn on_verdict(&mut self, now: Instant, address: Option<Multiaddr>, reachability: Reachability) {
        if let Some(address) = &address {
            self.reaching.addresses.judge(address, reachability);
        }
        self.emit(Event::Reachability { address, reachability });
        self.addresses_changed(now);
        #[cfg(feature = "kad")]
        self.dht_reachability(now);
    }
}
