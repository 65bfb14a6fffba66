//! mDNS: peers of the local network tell each other where they listen.
//!
//! [`Mdns`] is a state machine: the host gives it the datagrams that come to
//! [`GROUP_V4`] or [`GROUP_V6`] at [`PORT`] and the time, and sends there what it has
//! to say.
//!
//! Source: libp2p specs, `discovery/mdns.md`; RFC 6762 (multicast DNS).

mod packet;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Rng;
use crate::address::{Multiaddr, Protocol};
use crate::identity::PeerId;
use crate::time::Instant;

pub use packet::MAX_PACKET;
use packet::{Data, Message, PTR, Record, TXT};

/// Where multicast DNS is spoken over IPv4.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// Where multicast DNS is spoken over IPv6.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// The port of multicast DNS.
pub const PORT: u16 = 5353;

/// Peers that are known at a time; further ones are not heeded until one has gone.
pub const MAX_PEERS: usize = 1024;
/// Addresses of a peer that are heeded, and of ours that are told.
pub const MAX_ADDRESSES: usize = 32;
/// How long a peer can be known after it was heard for the last time, whatever it says.
pub const MAX_TTL: Duration = Duration::from_secs(3600);
/// Events that wait for the host: as many as there can be peers, and their goings.
/// Further ones are lost, and told when the peer is heard again.
const MAX_EVENTS: usize = 2 * MAX_PEERS;

/// How long others may believe what we say.
const TTL: Duration = Duration::from_secs(360);
/// From the first question to the second; after that twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest time between two questions, while the network stays the same.
const LAST_PAUSE: Duration = Duration::from_secs(300);
/// All answers of a second are one (RFC 6762 section 6).
const ANSWER_PAUSE: Duration = Duration::from_secs(1);
/// Bytes of addresses in one message, so that it fits a datagram of any network.
const ADDRESS_BYTES: usize = 1000;
/// Characters of our name: the specification wants 32 at least, DNS 63 at most.
const NAME_LEN: usize = 40;

const SERVICES: &str = "_services._dns-sd._udp.local";

/// The name that peers look for each other by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName(String);

/// Why a name is not one for [`ServiceName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a service name has 1 to 62 letters, digits and hyphens")]
pub struct InvalidServiceName;

impl Default for ServiceName {
    /// `_p2p._udp.local`, by which all of libp2p find each other.
    fn default() -> Self {
        Self("_p2p._udp.local".into())
    }
}

impl ServiceName {
    /// `_NAME._udp.local`, for those who know `name` alone.
    ///
    /// ```
    /// use polypeer::discovery::mdns::ServiceName;
    ///
    /// assert_eq!(ServiceName::new("Our-Chat")?.as_str(), "_our-chat._udp.local");
    /// assert!(ServiceName::new("our chat").is_err());
    /// # Ok::<(), polypeer::discovery::mdns::InvalidServiceName>(())
    /// ```
    pub fn new(name: &str) -> Result<Self, InvalidServiceName> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty() || name.len() > 62 || !name.bytes().all(fits) {
            return Err(InvalidServiceName);
        }
        Ok(Self(format!("_{}._udp.local", name.to_ascii_lowercase())))
    }

    /// `_p2p-X._udp.local`, for a private network with the fingerprint X.
    pub fn private(fingerprint: &[u8; 16]) -> Self {
        let hex: String = fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("_p2p-{hex}._udp.local"))
    }

    /// This name, or, where it is that of all of libp2p and the network is private, that
    /// of this network.
    pub fn within(self, network: Option<&[u8; 16]>) -> Self {
        match network {
            Some(fingerprint) if self == Self::default() => Self::private(fingerprint),
            _ => self,
        }
    }

    /// As it is asked for.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What others are looked for by.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// The name that peers look for each other by.
    pub service: ServiceName,
    /// Tell and heed addresses of this machine alone too: for tests.
    pub loopback: bool,
}

/// What has become known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MdnsEvent {
    /// A peer has said where it listens.
    Seen {
        /// Who it says that it is: the handshake of a connection proves it.
        peer: PeerId,
        /// Where it listens, without `/p2p`.
        addresses: Vec<Multiaddr>,
        /// How long that holds.
        ttl: Duration,
        /// It was not known before.
        new: bool,
    },
    /// A peer has said farewell, or was not heard for as long as it had said.
    Gone(PeerId),
}

/// A peer on the local network that looks for others. See the [module](self).
#[derive(Debug)]
pub struct Mdns {
    config: Config,
    me: PeerId,
    /// Our own name, which means nothing.
    name: String,
    /// When those that are known are forgotten.
    known: BTreeMap<PeerId, Instant>,
    /// When to ask, and how long to wait after that.
    ask_at: Instant,
    pause: Duration,
    answer_at: Option<Instant>,
    answered_at: Option<Instant>,
    packets: VecDeque<Vec<u8>>,
    events: VecDeque<MdnsEvent>,
}

impl Mdns {
    /// For the peer `me`, which asks at once.
    pub fn new(now: Instant, config: Config, me: PeerId, rng: &mut Rng) -> Self {
        const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let letter = |_| char::from(LETTERS[rng.below(LETTERS.len() as u64) as usize]);
        let name: String = (0..NAME_LEN).map(letter).collect();
        Self {
            name: format!("{name}.{}", config.service.as_str()),
            config,
            me,
            known: BTreeMap::new(),
            ask_at: now,
            pause: FIRST_PAUSE,
            answer_at: None,
            answered_at: None,
            packets: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The network is another: asks at once, and often at first.
    pub fn network_changed(&mut self, now: Instant) {
        self.ask_at = now;
        self.pause = FIRST_PAUSE;
    }

    /// A datagram has come. What cannot be read, or is not for peers, is nothing.
    pub fn receive(&mut self, now: Instant, packet: &[u8]) {
        let Some(message) = Message::read(packet) else { return };
        let service = self.config.service.as_str();
        if message.asks(service, PTR) || message.asks(&self.name, TXT) {
            let earliest = self.answered_at.map_or(now, |at| at + ANSWER_PAUSE);
            self.answer_at.get_or_insert(earliest.max(now));
        }
        if message.asks(SERVICES, PTR) && self.packets.is_empty() {
            let ttl = TTL.as_secs() as u32;
            let data = Data::Ptr(service.into());
            self.say(vec![Record { name: SERVICES.into(), ttl, data }]);
        }
        if message.is_answer {
            self.on_answer(now, &message);
        }
    }

    fn on_answer(&mut self, now: Instant, message: &Message) {
        let suffix = format!(".{}", self.config.service.as_str());
        let mut heard: BTreeMap<PeerId, (u32, Vec<Multiaddr>)> = BTreeMap::new();
        for record in &message.records {
            let Data::Txt(strings) = &record.data else { continue };
            if !record.name.ends_with(&suffix) || record.name == self.name {
                continue;
            }
            for (peer, address) in strings.iter().filter_map(|string| told(string)) {
                if peer == self.me || !self.is_of_use(&address) {
                    continue;
                }
                let (_, addresses) = heard.entry(peer).or_insert((record.ttl, Vec::new()));
                if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        for (peer, (ttl, addresses)) in heard {
            self.on_peer(now, peer, Duration::from_secs(ttl.into()).min(MAX_TTL), addresses);
        }
    }

    fn on_peer(&mut self, now: Instant, peer: PeerId, ttl: Duration, addresses: Vec<Multiaddr>) {
        if ttl.is_zero() {
            if self.known.remove(&peer).is_some() {
                self.tell(MdnsEvent::Gone(peer));
            }
            return;
        }
        let new = !self.known.contains_key(&peer);
        if new && self.known.len() >= MAX_PEERS {
            return;
        }
        if self.tell(MdnsEvent::Seen { peer, addresses, ttl, new }) {
            self.known.insert(peer, now + ttl);
        }
    }

    fn tell(&mut self, event: MdnsEvent) -> bool {
        let room = self.events.len() < MAX_EVENTS;
        if room {
            self.events.push_back(event);
        }
        room
    }

    /// Whether an address is for neighbours: nobody's through a relay, and of a
    /// machine to itself only where that is wanted.
    fn is_of_use(&self, address: &Multiaddr) -> bool {
        let ip = match address.iter().next() {
            Some(Protocol::Ip4(ip)) => IpAddr::from(ip),
            Some(Protocol::Ip6(ip)) => IpAddr::from(ip),
            _ => return !address.is_circuit(),
        };
        !address.is_circuit() && !ip.is_unspecified() && (self.config.loopback || !ip.is_loopback())
    }

    /// When [`Mdns::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Instant {
        let forgotten = self.known.values().min().copied();
        [self.answer_at, forgotten].into_iter().flatten().fold(self.ask_at, Instant::min)
    }

    /// Time has passed; `addresses` are those that we listen on.
    pub fn handle_timeout(&mut self, now: Instant, addresses: &[Multiaddr]) {
        if self.ask_at <= now {
            let questions = vec![(self.config.service.as_str().into(), PTR)];
            let message = Message { questions, ..Message::default() };
            self.packets.push_back(message.write());
            self.ask_at = now + self.pause;
            self.pause = self.pause.saturating_mul(2).min(LAST_PAUSE);
        }
        if self.answer_at.is_some_and(|at| at <= now) {
            self.answer_at = None;
            self.answered_at = Some(now);
            self.announce(TTL.as_secs() as u32, addresses);
        }
        while let Some(peer) = self.known.iter().find(|(_, until)| **until <= now).map(|it| *it.0) {
            self.known.remove(&peer);
            self.tell(MdnsEvent::Gone(peer));
        }
    }

    /// We are leaving: others are told that `addresses` are no more.
    pub fn farewell(&mut self, addresses: &[Multiaddr]) {
        self.announce(0, addresses);
    }

    fn announce(&mut self, ttl: u32, addresses: &[Multiaddr]) {
        let mut strings = Vec::new();
        let mut bytes = 0;
        let told = addresses.iter().filter(|address| self.is_of_use(address)).take(MAX_ADDRESSES);
        let lines: Vec<String> = told
            .map(|address| format!("dnsaddr={}", address.with_peer(self.me)))
            .filter(|line| line.len() < 256)
            .collect();
        for line in lines {
            if bytes + line.len() > ADDRESS_BYTES {
                self.describe(ttl, core::mem::take(&mut strings));
                bytes = 0;
            }
            bytes += line.len();
            strings.push(line.into_bytes());
        }
        if !strings.is_empty() {
            self.describe(ttl, strings);
        }
    }

    fn describe(&mut self, ttl: u32, strings: Vec<Vec<u8>>) {
        let name = self.config.service.as_str().into();
        let pointer = Record { name, ttl, data: Data::Ptr(self.name.clone()) };
        let text = Record { name: self.name.clone(), ttl, data: Data::Txt(strings) };
        self.say(vec![pointer, text]);
    }

    fn say(&mut self, records: Vec<Record>) {
        let message = Message { is_answer: true, questions: Vec::new(), records };
        self.packets.push_back(message.write());
    }

    /// The next datagram to send to the group.
    pub fn poll_packet(&mut self) -> Option<Vec<u8>> {
        self.packets.pop_front()
    }

    /// The next thing that has become known.
    pub fn poll_event(&mut self) -> Option<MdnsEvent> {
        self.events.pop_front()
    }
}

/// Whom a string of a TXT record names, and where.
fn told(string: &[u8]) -> Option<(PeerId, Multiaddr)> {
    let text = core::str::from_utf8(string.strip_prefix(b"dnsaddr=")?).ok()?;
    let address: Multiaddr = text.parse().ok()?;
    Some((address.peer_id()?, address.without_peer()))
}

#[cfg(test)]
mod tests;
