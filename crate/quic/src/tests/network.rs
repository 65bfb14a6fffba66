//! Two peers in virtual time, with their muxers, and a network between them that delays,
//! loses and reorders.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use polypeer::muxer::yamux::{Config, Event, Role, Yamux};
use polypeer::{Keypair, Rng};
use quinn_proto::{ClientConfig, ConnectionHandle, DatagramEvent, Endpoint, Transmit};

use crate::setup::NOBODY;
use crate::{Session, Setup};

/// How the network is.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    pub(super) delay: Duration,
    /// Added to the delay of some, which others overtake.
    pub(super) jitter: Duration,
    /// Of a thousand datagrams.
    pub(super) lost: u32,
}

pub(super) const FINE: Weather =
    Weather { delay: Duration::from_millis(5), jitter: Duration::ZERO, lost: 0 };

pub(super) struct Side {
    endpoint: Endpoint,
    at: SocketAddr,
    session: Option<(ConnectionHandle, Session)>,
    pub(super) muxer: Yamux,
    /// What the muxer has told.
    pub(super) events: Vec<Event>,
    /// Whether the muxer is given what has come.
    pub(super) reads: bool,
    unsent: Vec<u8>,
}

impl Side {
    fn new(setup: &Setup, port: u16, role: Role) -> Self {
        Self {
            endpoint: setup.endpoint(role == Role::Server),
            at: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
            session: None,
            muxer: Yamux::new(Config::default(), role, polypeer::Instant::ZERO),
            events: Vec::new(),
            reads: true,
            unsent: Vec::new(),
        }
    }

    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session.as_mut().expect("a session").1
    }

    pub(super) fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// Bytes that the session did not take.
    pub(super) fn unsent(&self) -> usize {
        self.unsent.len()
    }
}

pub(super) struct Network {
    start: Instant,
    pub(super) now: Instant,
    weather: Weather,
    /// The dialer, and the listener.
    pub(super) sides: [Side; 2],
    /// What is under way to a side, by the time that it arrives.
    flying: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    sent: u64,
    rng: Rng,
}

/// Virtual time begins somewhere.
#[expect(clippy::disallowed_methods, reason = "an instant has no other origin")]
fn start() -> Instant {
    Instant::now()
}

pub(super) fn keypair(seed: u8) -> Keypair {
    Keypair::ed25519_from_seed([seed; 32])
}

impl Network {
    /// One dials the other; the handshake is under way.
    pub(super) fn new(weather: Weather, seed: u8) -> Self {
        let client = Setup::new(&keypair(1)).unwrap().client();
        Self::dialing(client, weather, seed)
    }

    pub(super) fn dialing(client: ClientConfig, weather: Weather, seed: u8) -> Self {
        let now = start();
        let setups = [1, 2].map(|seed| Setup::new(&keypair(seed)).unwrap());
        let mut sides =
            [Side::new(&setups[0], 1, Role::Client), Side::new(&setups[1], 2, Role::Server)];
        let to = sides[1].at;
        let (handle, connection) = sides[0].endpoint.connect(now, client, to, NOBODY).unwrap();
        sides[0].session = Some((handle, Session::new(connection)));
        let rng = Rng::from_seed([seed; 32]);
        let (flying, sent) = (BTreeMap::new(), 0);
        Self { start: now, now, weather, sides, flying, sent, rng }
    }

    pub(super) fn polypeer_now(&self) -> polypeer::Instant {
        let micros = self.now.duration_since(self.start).as_micros();
        polypeer::Instant::from_micros(u64::try_from(micros).unwrap())
    }

    fn fly(&mut self, from: usize, transmit: &Transmit, bytes: &[u8]) {
        assert_eq!(transmit.destination, self.sides[1 - from].at);
        for datagram in bytes.chunks(transmit.segment_size.unwrap_or(bytes.len())) {
            self.sent += 1;
            if self.rng.next_u64() % 1000 < u64::from(self.weather.lost) {
                continue;
            }
            let late = self.rng.next_u64().is_multiple_of(4);
            let jitter = if late { self.weather.jitter } else { Duration::ZERO };
            let at = self.now + self.weather.delay + jitter;
            self.flying.insert((at, self.sent), (1 - from, datagram.to_vec()));
        }
    }

    /// All that happens now, on both sides.
    pub(super) fn settle(&mut self) {
        for index in [0, 1] {
            while self.turn(index) {}
        }
    }

    fn turn(&mut self, index: usize) -> bool {
        let (now, muxer_now) = (self.now, self.polypeer_now());
        let side = &mut self.sides[index];
        let Some((handle, session)) = &mut side.session else { return false };
        let mut busy = false;
        while let Some(event) = session.poll_endpoint_event() {
            if let Some(event) = side.endpoint.handle_event(*handle, event) {
                session.handle(now, event);
            }
        }
        if side.reads {
            let mut frames = vec![0; 16 * 1024];
            let count = session.read(&mut frames);
            busy |= count > 0;
            side.muxer.receive(muxer_now, &frames[..count]).unwrap();
            side.events.extend(std::iter::from_fn(|| side.muxer.poll_event()));
        }
        if session.peer().is_some() {
            if side.unsent.is_empty() {
                side.muxer.transmit(muxer_now, &mut side.unsent, 64 * 1024);
            }
            let taken = session.write(now, &side.unsent);
            busy |= taken > 0;
            side.unsent.drain(..taken);
        }
        let mut bytes = Vec::new();
        while let Some(transmit) = self.sides[index].session().poll_transmit(now, 8, &mut bytes) {
            self.fly(index, &transmit, &bytes);
            bytes.clear();
        }
        busy
    }

    /// To the next thing that happens; `false` if nothing will before `until`.
    pub(super) fn step(&mut self, until: Duration) -> bool {
        self.settle();
        let next = self.flying.keys().next().map(|(at, _)| *at);
        let timers =
            self.sides.iter_mut().filter_map(|side| side.session.as_mut()?.1.poll_timeout());
        let Some(next) = timers.chain(next).min().filter(|at| *at <= self.start + until) else {
            return false;
        };
        self.now = self.now.max(next);
        let now = self.now;
        for side in &mut self.sides {
            if let Some((_, session)) = &mut side.session {
                session.handle_timeout(now);
            }
        }
        while let Some(first) = self.flying.first_entry()
            && first.key().0 <= now
        {
            let (to, datagram) = first.remove();
            self.arrive(to, &datagram);
        }
        true
    }

    fn arrive(&mut self, to: usize, datagram: &[u8]) {
        let from = self.sides[1 - to].at;
        let side = &mut self.sides[to];
        let mut answer = Vec::new();
        let bytes = BytesMut::from(datagram);
        match side.endpoint.handle(self.now, from, None, None, bytes, &mut answer) {
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                let now = self.now;
                side.session().handle(now, event);
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                match side.endpoint.accept(incoming, self.now, &mut answer, None) {
                    Ok((handle, connection)) => {
                        side.session = Some((handle, Session::new(connection)));
                    }
                    Err(error) => {
                        if let Some(transmit) = error.response {
                            self.fly(to, &transmit, &answer);
                        }
                    }
                }
            }
            Some(DatagramEvent::Response(transmit)) => self.fly(to, &transmit, &answer),
            None => {}
        }
    }

    /// From now on nothing arrives.
    pub(super) fn cut(&mut self) {
        self.weather.lost = 1000;
        self.flying.clear();
    }

    /// Goes on until `done`, and fails if that is not before `within`.
    pub(super) fn run(&mut self, within: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        self.settle();
        while !done(self) {
            assert!(self.step(within), "nothing will happen any more before {within:?}");
        }
    }

    pub(super) fn connect(&mut self) {
        self.run(Duration::from_secs(30), |network| {
            network.sides[1].has_session()
                && network.sides.iter_mut().all(|side| side.session().peer().is_some())
        });
    }
}
