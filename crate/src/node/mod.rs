//! The brain of a peer: who we know, whom we dial, which connections we keep,
//! and the protocols that make a network of it.
//!
//! The node never sees the bytes of its connections. It speaks with them by
//! [`ToNode`] and [`ToConnection`], so that each may live on a task of its own;
//! [`crate::peer::Peer`] drives all in place.

#[cfg(feature = "autonat")]
mod autonat;
#[cfg(feature = "relay")]
mod circuits;
mod config;
mod dialing;
#[cfg(feature = "autonat")]
mod dialing_back;
mod event;
mod hosting;
#[cfg(feature = "limits")]
mod limiting;
mod linking;
#[cfg(feature = "manager")]
mod managing;
#[cfg(feature = "rendezvous")]
mod meeting;
mod paths;
#[cfg(feature = "pubsub")]
mod pubsub;
#[cfg(feature = "dcutr")]
mod punching;
#[cfg(feature = "addresses")]
mod reaching;
#[cfg(feature = "relay")]
mod relaying;
#[cfg(feature = "kad")]
mod routing;
#[cfg(feature = "pubsub")]
#[cfg_attr(
    not(all(feature = "kad", feature = "rendezvous")),
    allow(dead_code, unused_imports, unused_mut, reason = "there are fewer ways to look")
)]
mod seeking;
#[cfg(feature = "service")]
mod serving;
#[cfg(feature = "webrtc")]
mod signalling;
#[cfg(feature = "limits")]
mod stats;
#[cfg(feature = "store")]
mod storing;
#[cfg(feature = "webrtc")]
mod upgrading;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::address::Multiaddr;
use crate::collections::{Map, Set};
use crate::connection::{self, Handler, Handlers, Owner, StreamId, ToConnection, ToNode};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::protocols::identify::Identify;
use crate::protocols::ping::Ping;
use crate::protocols::{Input, Local, Protocol};
use crate::rng::Rng;
use crate::swarm::dial::Dials;
#[cfg(feature = "manager")]
use crate::swarm::manager::Manager;
use crate::time::{Instant, earliest};

pub use config::Config;
pub use event::{
    AttemptError, ConnectionId, DialError, DialId, Direction, Event, Output, PingId, Refused,
};

#[cfg(any(feature = "dcutr", feature = "webrtc"))]
pub use event::UpgradeError;

#[cfg(feature = "limits")]
pub use stats::{Connections, PeerStats, ProtocolStats, RefusedCounts, ScopeUse, Stats};

use hosting::ProtocolId;
use paths::Standing;

/// The brain of a peer. See the [module](self).
///
/// The calls come in four kinds: getters; `connected`, `accepted`, `handle_*`
/// and the like bring news from outside; `dial`, `handle`, `ping`, ... are the
/// application's; [`Node::poll_output`] is drained after any of these.
pub struct Node {
    config: Config,
    connection_config: Arc<connection::Config>,
    local: Local,
    rng: Rng,
    /// What each connection answers to: the node's protocols and the application's.
    handlers: Arc<Handlers>,
    links: Map<ConnectionId, Link>,
    peers: Map<PeerId, Set<ConnectionId>>,
    unauthenticated: usize,
    dials: Dials,
    next_id: u64,
    identify: Identify,
    ping: Ping,
    custom: Vec<Box<dyn Protocol>>,
    /// Which protocol a stream of the node belongs to.
    streams: Map<(ConnectionId, StreamId), ProtocolId>,
    /// Streams being opened: by their number, whose and under which own number.
    requests: Map<u64, (ConnectionId, ProtocolId, u64)>,
    outputs: VecDeque<Output>,
    #[cfg(feature = "store")]
    store: crate::swarm::store::PeerStore,
    #[cfg(feature = "manager")]
    manager: Manager,
    #[cfg(feature = "limits")]
    limiting: limiting::Limiting,
    #[cfg(feature = "store")]
    bootstrap: crate::swarm::store::bootstrap::Bootstrap,
    #[cfg(feature = "addresses")]
    reaching: reaching::Reaching,
    #[cfg(feature = "dcutr")]
    punching: punching::Punching,
    #[cfg(feature = "autonat")]
    autonat: autonat::Autonat,
    #[cfg(feature = "relay")]
    relays: relaying::Relays,
    #[cfg(feature = "kad")]
    routing: routing::Routing,
    #[cfg(feature = "pubsub")]
    gossip: pubsub::Gossip,
    #[cfg(feature = "pubsub")]
    seeking: seeking::Seeking,
    #[cfg(feature = "rendezvous")]
    meeting: meeting::Meeting,
    #[cfg(feature = "webrtc")]
    signals: signalling::Signals,
    #[cfg(feature = "service")]
    services: serving::Services,
}

struct Link {
    direction: Direction,
    dial: Option<u64>,
    remote: Multiaddr,
    /// Known once established.
    peer: Option<PeerId>,
    standing: Standing,
    /// Its role, where that does not follow from who dialed.
    #[cfg(feature = "dcutr")]
    role: Option<connection::Role>,
    /// Our end, where the host has told it.
    #[cfg(feature = "addresses")]
    local: Option<Multiaddr>,
    /// What a relay says of it.
    #[cfg(feature = "relay")]
    relayed: relaying::Relayed,
    /// Its place in the books, given back when the link is forgotten.
    #[cfg(feature = "limits")]
    held: limiting::Held,
}

impl Node {
    /// A node that knows nobody.
    pub fn new(config: Config, mut rng: Rng) -> Self {
        let keypair = config.connection.keypair.clone();
        let mut node = Self {
            connection_config: Arc::new(config.connection.clone()),
            local: Local {
                keypair,
                addresses: Vec::new(),
                protocols: Vec::new(),
                agent: config.agent.clone(),
                protocol_version: config.protocol_version.clone(),
                sequence: config.first_sequence,
            },
            #[cfg(feature = "store")]
            store: Self::new_store(&config),
            #[cfg(feature = "manager")]
            manager: Manager::new(config.manager.clone(), rng.fork()),
            #[cfg(feature = "limits")]
            limiting: limiting::Limiting::new(&config),
            #[cfg(feature = "store")]
            bootstrap: Self::new_bootstrap(&config, &mut rng),
            #[cfg(feature = "addresses")]
            reaching: reaching::Reaching::new(&config),
            #[cfg(feature = "dcutr")]
            punching: punching::Punching::new(&config.dcutr),
            #[cfg(feature = "autonat")]
            autonat: autonat::Autonat::new(&config, &mut rng),
            #[cfg(feature = "relay")]
            relays: relaying::Relays::new(&config.relay),
            #[cfg(feature = "kad")]
            routing: routing::Routing::new(&config, config.connection.keypair.peer_id()),
            #[cfg(feature = "pubsub")]
            gossip: pubsub::Gossip::new(&config, &mut rng),
            #[cfg(feature = "pubsub")]
            seeking: seeking::Seeking::new(&config, &mut rng),
            #[cfg(feature = "rendezvous")]
            meeting: meeting::Meeting::new(&config),
            #[cfg(feature = "webrtc")]
            signals: signalling::Signals::default(),
            #[cfg(feature = "service")]
            services: serving::Services::default(),
            config,
            handlers: Arc::default(),
            links: Map::new(),
            peers: Map::new(),
            unauthenticated: 0,
            dials: Dials::default(),
            next_id: 0,
            identify: Identify::new(),
            ping: Ping::new(rng.fork()),
            custom: Vec::new(),
            streams: Map::new(),
            requests: Map::new(),
            outputs: VecDeque::new(),
            rng,
        };
        for id in node.protocol_ids() {
            node.register(id);
        }
        node.local.protocols = node.handlers.keys().cloned().collect();
        #[cfg(feature = "addresses")]
        node.announce_addresses();
        #[cfg(feature = "autonat")]
        node.tell_autonat(Instant::ZERO);
        node
    }

    /// Who we are.
    pub fn peer_id(&self) -> PeerId {
        self.local.keypair.peer_id()
    }

    /// Where we announce that we can be reached, without our PeerId.
    pub fn addresses(&self) -> &[Multiaddr] {
        &self.local.addresses
    }

    /// The peers with an established connection, and these.
    pub fn peers(&self) -> impl Iterator<Item = (&PeerId, &Set<ConnectionId>)> {
        self.peers.iter()
    }

    /// Who is at the other end of an established connection.
    pub fn peer_of(&self, connection: ConnectionId) -> Option<&PeerId> {
        self.links.get(&connection)?.peer.as_ref()
    }

    /// What identify learned over a connection.
    pub fn info(&self, connection: ConnectionId) -> Option<&crate::protocols::identify::Info> {
        self.identify.info(connection)
    }

    /// How many connections there are, those in their handshakes included.
    pub fn connection_count(&self) -> usize {
        self.links.len()
    }

    // News from outside.

    /// A connection has news.
    pub fn handle_connection(&mut self, now: Instant, id: ConnectionId, news: ToNode) {
        #[cfg(feature = "autonat")]
        if self.dial_back_news(now, id, &news) {
            return;
        }
        if !self.links.contains_key(&id) {
            return;
        }
        #[cfg(feature = "store")]
        self.store.tell_time(now);
        match news {
            ToNode::Established { peer } => return self.on_established(now, id, peer),
            ToNode::Closed { error } => return self.link_ended(now, id, error.into()),
            _ => self.on_confirmed(now, id),
        }
        match news {
            ToNode::Established { .. } | ToNode::Closed { .. } => {}
            #[cfg(feature = "manager")]
            ToNode::Pong { rtt } => self.on_pong(id, rtt),
            #[cfg(feature = "relay")]
            ToNode::LimitNear { used, busy } => self.on_limit_near(now, id, used, busy),
            ToNode::Inbound { stream, protocol, owner } => {
                self.on_inbound(now, id, stream, protocol, owner);
            }
            ToNode::Opened { request, stream, protocol: name } => {
                let Some((_, protocol, request)) = self.requests.remove(&request) else { return };
                self.streams.insert((id, stream), protocol);
                self.feed(
                    now,
                    protocol,
                    Input::Opened { connection: id, request, stream, protocol: &name },
                );
            }
            ToNode::OpenFailed { request, error } => {
                let Some((_, protocol, request)) = self.requests.remove(&request) else { return };
                self.feed(now, protocol, Input::OpenFailed { connection: id, request, error });
            }
            ToNode::Message { stream, bytes } => {
                if let Some(protocol) = self.streams.get(&(id, stream)).copied() {
                    self.feed(now, protocol, Input::Message { connection: id, stream, bytes });
                }
            }
            #[cfg(any(feature = "pubsub", feature = "service"))]
            ToNode::Flushed { stream } => {
                if let Some(protocol) = self.streams.get(&(id, stream)).copied() {
                    self.feed(now, protocol, Input::Flushed { connection: id, stream });
                }
            }
            ToNode::Finished { stream } => {
                if let Some(protocol) = self.streams.get(&(id, stream)).copied() {
                    self.feed(now, protocol, Input::Finished { connection: id, stream });
                }
            }
            ToNode::Reset { stream } => {
                if let Some(protocol) = self.streams.remove(&(id, stream)) {
                    self.feed(now, protocol, Input::Reset { connection: id, stream });
                }
            }
            ToNode::Gone { stream } => {
                self.streams.remove(&(id, stream));
            }
        }
        #[cfg(feature = "service")]
        self.tell_identified(now);
        #[cfg(feature = "dcutr")]
        self.settle_punching(now);
        #[cfg(feature = "kad")]
        self.settle_identified(now);
        #[cfg(feature = "pubsub")]
        self.tell_pubsub(now);
        #[cfg(feature = "addresses")]
        self.settle_reaching(now);
    }

    /// When [`Node::handle_timeout`] is due; early calls are harmless.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let ids = self.protocol_ids();
        let protocols = ids.into_iter().filter_map(|id| self.protocol(id).poll_timeout()).min();
        #[cfg(feature = "store")]
        let protocols = earliest(protocols, self.store_timeout());
        #[cfg(feature = "manager")]
        let protocols = earliest(protocols, self.manager.poll_timeout());
        #[cfg(feature = "addresses")]
        let protocols = earliest(protocols, self.reaching.poll_timeout());
        #[cfg(feature = "dcutr")]
        let protocols = earliest(protocols, self.punching.poll_timeout());
        #[cfg(feature = "autonat")]
        let protocols = earliest(protocols, self.autonat.poll_timeout());
        #[cfg(feature = "relay")]
        let protocols = earliest(protocols, self.relays.poll_timeout());
        #[cfg(feature = "pubsub")]
        let protocols = earliest(protocols, self.seeking_timeout());
        #[cfg(feature = "webrtc")]
        let protocols = earliest(protocols, self.signals.poll_timeout());
        earliest(protocols, self.dials.poll_timeout())
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        for id in self.protocol_ids() {
            if self.protocol(id).poll_timeout().is_some_and(|at| at <= now) {
                self.feed(now, id, Input::Timeout);
            }
        }
        self.time_dials(now);
        #[cfg(feature = "manager")]
        self.manage(now);
        #[cfg(feature = "relay")]
        self.settle_relays(now);
        #[cfg(feature = "addresses")]
        self.time_reaching(now);
        #[cfg(feature = "webrtc")]
        self.settle_signals(now);
        #[cfg(feature = "dcutr")]
        self.time_punching(now);
        #[cfg(feature = "autonat")]
        self.time_dial_backs(now);
        #[cfg(feature = "pubsub")]
        self.settle_seeking(now);
        #[cfg(feature = "store")]
        self.time_store(now);
    }

    /// What the host is to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        #[cfg(feature = "store")]
        self.tell_of_store();
        self.outputs.pop_front()
    }

    /// Has protocols send what they hold back while there are news, to send it together;
    /// `false` if that is nothing. Hosts call it when they have taken the news at hand.
    pub fn flush(&mut self) -> bool {
        let holds = self.holds();
        #[cfg(feature = "pubsub")]
        if holds {
            self.flush_pubsub();
        }
        holds
    }

    /// Whether there is something for [`Node::flush`].
    pub fn holds(&self) -> bool {
        let holds = false;
        #[cfg(feature = "pubsub")]
        let holds = holds || self.pubsub_holds();
        holds
    }

    // The application.

    /// The host listens on `address` from now on.
    pub fn listening(&mut self, now: Instant, address: Multiaddr) {
        #[cfg(feature = "addresses")]
        self.reaching.addresses.listening(address);
        #[cfg(not(feature = "addresses"))]
        self.local.addresses.push(address);
        self.addresses_changed(now);
    }

    /// The host has stopped listening on `address`.
    pub fn unlistened(&mut self, now: Instant, address: &Multiaddr) {
        #[cfg(feature = "addresses")]
        self.reaching.addresses.unlistened(address);
        #[cfg(not(feature = "addresses"))]
        self.local.addresses.retain(|known| known != address);
        self.addresses_changed(now);
    }

    /// From now on inbound streams may ask for `protocol`;
    /// [`Event::InboundStream`] tells of each.
    pub fn handle(&mut self, now: Instant, protocol: Name) {
        self.set_handler(protocol, Owner::Application);
        self.protocols_changed(now);
    }

    /// From now on `protocol` is refused; streams that are open stay.
    pub fn unhandle(&mut self, now: Instant, protocol: &str) {
        let ours = |handler: &Handler| matches!(handler.owner, Owner::Application);
        if self.handlers.get(protocol).is_some_and(ours) {
            Arc::make_mut(&mut self.handlers).remove(protocol);
            self.protocols_changed(now);
        }
    }

    /// Adds a protocol of one's own beside the built-in ones.
    pub fn add_protocol(&mut self, now: Instant, protocol: Box<dyn Protocol>) {
        self.custom.push(protocol);
        self.register(ProtocolId::Custom(self.custom.len() - 1));
        self.protocols_changed(now);
    }

    /// Pings the remote of a connection; [`Event::Pinged`] answers, always.
    pub fn ping(&mut self, now: Instant, connection: ConnectionId) -> PingId {
        let ping = PingId(self.number());
        self.ping.ping(now, connection, ping);
        self.drain(ProtocolId::Ping);
        ping
    }

    // Connections and dials.

    fn on_inbound(
        &mut self,
        now: Instant,
        id: ConnectionId,
        stream: StreamId,
        protocol: Name,
        owner: Owner,
    ) {
        #[cfg(feature = "relay")]
        if owner == Owner::Application && self.spares(id, &protocol) {
            let reset = ToConnection::Reset(stream);
            return self.outputs.push_back(Output::Connection(id, reset));
        }
        if owner == Owner::Application {
            if let Some(peer) = self.peer_of(id).cloned() {
                self.emit(Event::InboundStream { connection: id, stream, peer, protocol });
            }
            return;
        }
        let speaks = |name: &Name| {
            let mut ids = self.protocol_ids().into_iter();
            ids.find(|id| self.protocol(*id).names().iter().any(|(known, _)| known == name))
        };
        match speaks(&protocol) {
            Some(owner) => {
                self.streams.insert((id, stream), owner);
                self.feed(
                    now,
                    owner,
                    Input::Inbound { connection: id, stream, protocol: &protocol },
                );
            }
            None => self.outputs.push_back(Output::Connection(id, ToConnection::Reset(stream))),
        }
    }

    fn emit(&mut self, event: Event) {
        #[cfg(feature = "store")]
        self.learn(&event);
        #[cfg(feature = "relay")]
        if matches!(event, Event::Identified { .. }) {
            self.stir_relays();
            #[cfg(feature = "webrtc")]
            self.stir_signals();
        }
        #[cfg(feature = "addresses")]
        self.reaching.note(&event);
        #[cfg(feature = "dcutr")]
        self.punching.note(&event);
        #[cfg(feature = "service")]
        self.note_identified(&event);
        #[cfg(feature = "kad")]
        self.routing.note(&event);
        #[cfg(feature = "pubsub")]
        self.gossip.note(&event);
        #[cfg(feature = "pubsub")]
        if self.seeking.takes(&event) {
            return self.seeking.push(event);
        }
        self.outputs.push_back(Output::Event(event));
    }

    fn number(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}
