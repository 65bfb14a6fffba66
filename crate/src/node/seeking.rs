//! How the node looks for the peers of its topics; see [`discovery::topics`](crate::discovery::topics).

use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::collections::LongMap;
#[cfg(any(feature = "kad", feature = "rendezvous"))]
use crate::collections::Map;
use crate::discovery::topics::announcing::{Announcement, Announcing};
use crate::discovery::topics::{self, Config, FoundBy, News, Order, Seeker, Way, announcing};
use crate::identity::PeerId;
#[cfg(feature = "kad")]
use crate::protocols::kad::{Contact, QueryEvent, QueryId};
use crate::protocols::pubsub::{PubsubEvent, SubscribeError, TopicName};
#[cfg(feature = "rendezvous")]
use crate::protocols::rendezvous::{Answer, Point, RendezvousEvent, RequestId, Search};
use crate::rng::Rng;
use crate::swarm::DialOptions;
use crate::swarm::rank::{is_dialable, is_private};
use crate::time::{Instant, earliest};

use super::hosting::ProtocolId;
use super::{DialId, Event, Node};

/// Queries of the DHT for topics at a time, beyond which nobody is located.
#[cfg(feature = "kad")]
const MAX_QUERIES: usize = 32;

/// What a query or a request is for.
#[derive(Clone)]
enum Purpose {
    Announce(TopicName),
    Search(TopicName),
    /// To know where somebody is who was found.
    #[cfg(feature = "kad")]
    Locate(TopicName),
    /// Nobody waits for the answer.
    #[cfg(feature = "rendezvous")]
    Withdraw,
}

/// The search for the peers of topics.
pub(super) struct Seeking {
    config: Config,
    seeker: Seeker,
    announcing: Option<Announcing>,
    #[cfg(feature = "kad")]
    queries: Map<QueryId, Purpose>,
    #[cfg(feature = "rendezvous")]
    requests: Map<RequestId, (PeerId, Purpose)>,
    dials: LongMap<DialId, (TopicName, PeerId)>,
    /// What was told of ours and is to be dealt with.
    inbox: VecDeque<Event>,
    /// The topics, or the ways to find others in them, may be others than before.
    stirred: bool,
}

impl Seeking {
    pub(super) fn new(config: &super::Config, rng: &mut Rng) -> Self {
        Self {
            config: config.topic_discovery.clone(),
            seeker: Seeker::new(rng.fork()),
            announcing: None,
            #[cfg(feature = "kad")]
            queries: Map::new(),
            #[cfg(feature = "rendezvous")]
            requests: Map::new(),
            dials: LongMap::new(),
            inbox: VecDeque::new(),
            stirred: false,
        }
    }

    /// Topics, or ways to find others in them, have changed.
    pub(super) fn stir(&mut self) {
        self.stirred = true;
    }

    /// Keeps what is only for us from the application.
    pub(super) fn takes(&self, event: &Event) -> bool {
        match event {
            Event::Dialed { dial, .. } | Event::DialFailed { dial, .. } => {
                self.dials.contains_key(dial)
            }
            #[cfg(feature = "kad")]
            Event::Dht { query, .. } => self.queries.contains_key(query),
            #[cfg(feature = "rendezvous")]
            Event::Rendezvous(RendezvousEvent::Answered { request, .. }) => {
                self.requests.contains_key(request)
            }
            Event::Pubsub(PubsubEvent::Message { message, .. }) => self.hears(message.topic()),
            _ => false,
        }
    }

    pub(super) fn push(&mut self, event: Event) {
        self.inbox.push_back(event);
    }

    /// Whether others are heard of by announcements.
    fn is_hearing(&self) -> bool {
        self.announcing.is_some()
    }

    #[cfg(feature = "rendezvous")]
    fn point(&self, peer: &PeerId) -> Point {
        let known = self.config.points.iter().find(|point| point.peer == *peer);
        known.cloned().unwrap_or_else(|| Point::from(*peer))
    }

    /// Whether peers announce themselves in a topic.
    fn hears(&self, topic: &str) -> bool {
        let mut topics = self.announcing.iter().flat_map(|it| it.topics());
        topics.any(|name| name == topic)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.stirred || !self.inbox.is_empty() {
            return Some(Instant::ZERO);
        }
        let announcing = self.announcing.as_ref().and_then(Announcing::poll_timeout);
        earliest(self.seeker.poll_timeout(), announcing)
    }
}

impl Node {
    /// Looks for the peers of topics in another way from now on than
    /// [`Config::topic_discovery`](super::Config::topic_discovery) said.
    pub fn set_topic_discovery(&mut self, now: Instant, config: Config) {
        self.seeking.config = config;
        self.seeking.stir();
        self.settle_seeking(now);
    }

    /// Announces us in topics for that, and hears who else does, as
    /// `@libp2p/pubsub-peer-discovery` does it. The node reads these topics itself: the
    /// application is told of whom it finds ([`PubsubEvent::Found`]), not of messages.
    ///
    /// # Errors
    /// [`SubscribeError`]: no topic can have one of these names.
    pub fn start_peer_discovery(
        &mut self,
        now: Instant,
        config: announcing::Config,
    ) -> Result<(), SubscribeError> {
        for topic in &config.topics {
            self.subscribe(now, topic, Announcing::topic_config())?;
        }
        self.seeking.announcing = Some(Announcing::new(now, config));
        self.settle_seeking(now);
        Ok(())
    }

    pub(super) fn seeking_timeout(&self) -> Option<Instant> {
        self.gossip.is_on().then(|| self.seeking.poll_timeout()).flatten()
    }

    /// Does what is due, and what came of what was done before.
    pub(super) fn settle_seeking(&mut self, now: Instant) {
        if !self.gossip.is_on() || self.seeking.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        while let Some(event) = self.seeking.inbox.pop_front() {
            self.on_sought(now, event);
        }
        self.seeking.stirred = false;
        self.announce_if_due(now);
        let ways = self.ways();
        let router = self.gossip.router();
        let wanted: Vec<(TopicName, usize)> = match ways.is_empty() && !self.seeking.is_hearing() {
            true => Vec::new(),
            false => {
                let lacks = |topic: &TopicName| (topic.clone(), router.lacks(topic));
                router.subscriptions().map(lacks).collect()
            }
        };
        let (peers, announce) = (&self.peers, self.seeking.config.announce);
        let connected = |peer: &PeerId| peers.contains_key(peer);
        self.seeking.seeker.advance(now, &wanted, (&ways, announce), connected);
        while let Some(order) = self.seeking.seeker.poll() {
            self.carry_out_order(now, order);
        }
    }

    /// How others can be found now.
    fn ways(&self) -> Vec<Way> {
        let mut ways = Vec::new();
        #[cfg(feature = "kad")]
        if self.seeking.config.dht && self.routing.kad.is_some() {
            ways.push(Way::Dht);
        }
        #[cfg(feature = "rendezvous")]
        ways.extend(self.seeking.config.points.iter().map(|point| Way::Point(point.peer)));
        ways
    }

    fn carry_out_order(&mut self, now: Instant, order: Order) {
        match order {
            Order::Announce(way, topic) => {
                if !self.begin_seeking(now, way, Purpose::Announce(topic.clone())) {
                    self.seeking.seeker.note(now, News::Announced { way, topic, done: false });
                }
            }
            Order::Search(way, topic) => {
                if !self.begin_seeking(now, way, Purpose::Search(topic.clone())) {
                    self.seeking.seeker.note(now, News::Searched { way, topic });
                }
            }
            Order::Withdraw(way, topic) => self.withdraw_topic(now, way, &topic),
            Order::Dial(topic, peer, addresses) => {
                let dial = DialId(self.number());
                self.seeking.dials.insert(dial, (topic, peer));
                self.begin_dial(now, (dial, DialOptions::default()), Some(peer), addresses);
            }
        }
    }

    /// Begins a query or a request; `false` if it cannot be now.
    #[cfg_attr(
        not(any(feature = "kad", feature = "rendezvous")),
        expect(unused_variables, clippy::needless_pass_by_value)
    )]
    fn begin_seeking(&mut self, now: Instant, way: Way, purpose: Purpose) -> bool {
        match way {
            #[cfg(feature = "kad")]
            Way::Dht => self.seek_in_dht(now, purpose).is_some(),
            #[cfg(feature = "rendezvous")]
            Way::Point(peer) => self.seek_at_point(now, peer, purpose).is_some(),
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    #[cfg(feature = "kad")]
    fn seek_in_dht(&mut self, now: Instant, purpose: Purpose) -> Option<()> {
        let id = QueryId(self.number());
        let kad = self.routing.kad.as_mut()?;
        match &purpose {
            // Nobody could dial us there.
            Purpose::Announce(_) if self.local.addresses.is_empty() => return None,
            Purpose::Announce(topic) => kad.provide(now, id, topics::key(topic)).ok()?,
            Purpose::Search(topic) => {
                kad.find_providers(now, id, (topics::key(topic), topics::ENOUGH)).ok()?;
            }
            _ => return None,
        }
        self.seeking.queries.insert(id, purpose);
        self.turn_dht(now);
        Some(())
    }

    #[cfg(feature = "rendezvous")]
    fn seek_at_point(&mut self, now: Instant, peer: PeerId, purpose: Purpose) -> Option<()> {
        let point = self.seeking.point(&peer);
        let client = &mut self.meeting.client;
        let id = match &purpose {
            Purpose::Announce(topic) => {
                client.register(&self.local, point, &topics::namespace(topic), None).ok()?
            }
            Purpose::Search(topic) => {
                let namespace = Some(topics::namespace(topic));
                let search = Search { namespace, limit: Some(topics::ENOUGH), cookie: None };
                client.discover(point, search).ok()?
            }
            _ => return None,
        };
        self.seeking.requests.insert(id, (peer, purpose));
        self.turn_meeting(now);
        Some(())
    }

    /// Has us found in a topic no more.
    #[cfg_attr(not(any(feature = "kad", feature = "rendezvous")), expect(unused_variables))]
    fn withdraw_topic(&mut self, now: Instant, way: Way, topic: &str) {
        match way {
            #[cfg(feature = "kad")]
            Way::Dht => {
                let announces =
                    |purpose: &Purpose| matches!(purpose, Purpose::Announce(of) if **of == *topic);
                let queries = self.seeking.queries.iter();
                let under_way =
                    queries.filter(|(_, purpose)| announces(purpose)).map(|(id, _)| *id);
                for id in under_way.collect::<Vec<_>>() {
                    self.seeking.queries.remove(&id);
                    self.cancel_query(now, id);
                }
                self.withdraw(&topics::key(topic));
            }
            #[cfg(feature = "rendezvous")]
            Way::Point(peer) => {
                let point = self.seeking.point(&peer);
                let namespace = topics::namespace(topic);
                // Else it forgets us with time.
                if let Ok(id) = self.meeting.client.unregister(point, &namespace) {
                    self.seeking.requests.insert(id, (peer, Purpose::Withdraw));
                    self.turn_meeting(now);
                }
            }
            #[allow(unreachable_patterns)]
            _ => {}
        }
    }

    /// Something that was kept from the application.
    fn on_sought(&mut self, now: Instant, event: Event) {
        match event {
            Event::Dialed { dial, .. } | Event::DialFailed { dial, .. } => {
                if let Some((topic, peer)) = self.seeking.dials.remove(&dial) {
                    self.seeking.seeker.note(now, News::Dialed { topic, peer });
                }
            }
            #[cfg(feature = "kad")]
            Event::Dht { query, event } => self.on_sought_in_dht(now, query, event),
            #[cfg(feature = "rendezvous")]
            Event::Rendezvous(RendezvousEvent::Answered { request, result }) => {
                self.on_sought_at_point(now, request, result.ok());
            }
            Event::Pubsub(PubsubEvent::Message { message, received_from, .. }) => {
                let remote =
                    self.best_connection(&received_from).and_then(|id| self.links.get(&id));
                let private = remote.is_some_and(|link| is_private(&link.remote));
                let heard = self.seeking.announcing.as_mut();
                let heard = heard.and_then(|it| it.heard(now, &message, received_from, private));
                if let Some((peer, addresses)) = heard {
                    self.found_in(now, message.topic(), (peer, addresses), FoundBy::Announcement);
                }
            }
            _ => {}
        }
    }

    #[cfg(feature = "kad")]
    fn on_sought_in_dht(&mut self, now: Instant, query: QueryId, event: QueryEvent) {
        let Some(purpose) = self.seeking.queries.get(&query).cloned() else { return };
        let way = Way::Dht;
        match (event, purpose) {
            (QueryEvent::Provider(contact), Purpose::Search(topic)) => {
                self.on_provider(now, topic, contact);
            }
            (QueryEvent::Peer(contact), Purpose::Locate(topic)) => {
                let found = (contact.peer, self.dialable_of(contact.addresses));
                self.found_in(now, &topic, found, FoundBy::Dht);
            }
            (QueryEvent::Done(summary), purpose) => {
                self.seeking.queries.remove(&query);
                let news = match purpose {
                    Purpose::Announce(topic) => {
                        let done = summary.successes >= topics::KEEPERS;
                        News::Announced { way, topic, done }
                    }
                    Purpose::Search(topic) => News::Searched { way, topic },
                    _ => return,
                };
                self.seeking.seeker.note(now, news);
            }
            _ => {}
        }
    }

    #[cfg(feature = "kad")]
    fn on_provider(
        &mut self,
        now: Instant,
        topic: TopicName,
        Contact { peer, addresses, .. }: Contact,
    ) {
        let addresses = self.dialable_of(addresses);
        #[cfg(feature = "store")]
        let addresses = self.or_known(Some(&peer), addresses);
        if !addresses.is_empty() {
            return self.found_in(now, &topic, (peer, addresses), FoundBy::Dht);
        }
        // Servers forget addresses sooner than providers.
        let id = QueryId(self.number());
        if self.seeking.queries.len() < MAX_QUERIES
            && !self.peers.contains_key(&peer)
            && let Some(kad) = &mut self.routing.kad
            && kad.find_peer(now, id, peer).is_ok()
        {
            self.seeking.queries.insert(id, Purpose::Locate(topic));
            self.turn_dht(now);
        }
    }

    /// What of the addresses that the DHT tells of is to be dialed.
    #[cfg(feature = "kad")]
    fn dialable_of(&self, mut addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
        let private = self.routing.kad.as_ref().is_some_and(|kad| kad.dials_private());
        addresses.retain(|address| is_dialable(address) && (private || !is_private(address)));
        addresses
    }

    #[cfg(feature = "rendezvous")]
    fn on_sought_at_point(&mut self, now: Instant, request: RequestId, answer: Option<Answer>) {
        let Some((peer, purpose)) = self.seeking.requests.remove(&request) else { return };
        let way = Way::Point(peer);
        let news = match (purpose, answer) {
            (Purpose::Announce(topic), answer) => {
                let done = matches!(answer, Some(Answer::Registered(_)));
                News::Announced { way, topic, done }
            }
            (Purpose::Search(topic), answer) => {
                if let Some(Answer::Found(found)) = answer {
                    for registration in found.registrations {
                        let record = registration.record;
                        let found = (record.peer_id(), record.addresses().to_vec());
                        self.found_in(now, &topic, found, FoundBy::Rendezvous);
                    }
                }
                News::Searched { way, topic }
            }
            _ => return,
        };
        self.seeking.seeker.note(now, news);
    }

    /// Lets others hear of us, if it is time for that and there is an address.
    fn announce_if_due(&mut self, now: Instant) {
        let Some(announcing) = &mut self.seeking.announcing else { return };
        if !announcing.is_due(now) || self.local.addresses.is_empty() {
            return;
        }
        let (key, addresses) = (self.local.keypair.public(), self.local.addresses.clone());
        let bytes = Announcement { key, addresses }.to_bytes();
        let topics = announcing.topics().to_vec();
        self.gossip.publish_all(now, &topics, &bytes);
        self.drain(ProtocolId::Pubsub);
    }

    /// Somebody is said to be in a topic.
    fn found_in(
        &mut self,
        now: Instant,
        topic: &TopicName,
        (peer, addresses): (PeerId, Vec<Multiaddr>),
        by: FoundBy,
    ) {
        if peer == self.peer_id() || self.peers.contains_key(&peer) {
            return;
        }
        if self.seeking.seeker.found(now, topic, peer, &addresses) {
            self.seeking.stir();
            let topic = topic.clone();
            self.emit(Event::Pubsub(PubsubEvent::Found { peer, topic, addresses, by }));
        }
    }
}
