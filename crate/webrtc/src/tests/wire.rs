//! Both ends and what is between them, in virtual time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::certificate::Certificate;
use crate::dtls::Cipher;
use crate::records::{self, MESSAGE};
use crate::session::{Identity, Session};
use crate::ufrag::{Credentials, Version};

pub(super) const DIALER: usize = 0;
pub(super) const LISTENER: usize = 1;

/// A record that an end got.
pub(super) type Record = (u8, u32, Vec<u8>);

/// Both ends and what is between them.
pub(super) struct Wire {
    pub(super) now: Instant,
    pub(super) ends: [Session; 2],
    /// What is on its way to each end, and when it is there.
    pub(super) flying: [VecDeque<(Instant, Vec<u8>)>; 2],
    pub(super) delay: Duration,
    /// Of so many datagrams one is lost.
    pub(super) lossy: Option<u64>,
    /// Which ones are lost, and how late the others are.
    pub(super) luck: u64,
    /// Some take longer than others, by so much.
    pub(super) jitter: Duration,
    /// Nothing gets through.
    pub(super) cut: bool,
    pub(super) reading: [bool; 2],
    pub(super) got: [Vec<Record>; 2],
    sent: u64,
    /// Of a datagram: without headers, what Ethernet carries.
    pub(super) longest: usize,
    /// What the dialer began DTLS with, and the cipher that the listener took.
    pub(super) hello: Vec<u8>,
    pub(super) cipher: Option<u16>,
}

/// The identity of somebody with this number.
pub(super) fn identity(number: u8) -> Identity {
    preferring(number, Cipher::AesGcm)
}

pub(super) fn preferring(number: u8, cipher: Cipher) -> Identity {
    Identity::new(Certificate::generate(&[number; 48]).unwrap(), cipher).unwrap()
}

/// Virtual time begins somewhere.
#[expect(clippy::disallowed_methods, reason = "an instant has no other origin")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

pub(super) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl Wire {
    pub(super) fn new(version: Version) -> Self {
        let (dialer, listener) = (identity(1), identity(2));
        let hash = listener.certhash();
        Self::between(&dialer, &listener, hash, version)
    }

    pub(super) fn between(
        dialer: &Identity,
        listener: &Identity,
        hash: [u8; 34],
        version: Version,
    ) -> Self {
        let now = start();
        let random: [u8; 64] = std::array::from_fn(|at| at as u8);
        let credentials = Credentials::new(version, &random);
        let to = at("192.0.2.1:4001");
        let dialer = Session::dialer(dialer, credentials.clone(), to, hash, [3; 20], now);
        // As the socket of the listener finds out.
        let request = Credentials::of_request(&credentials.username()).unwrap();
        let listener = Session::listener(listener, request, at("198.51.100.1:999"), [4; 20], now);
        Self {
            now,
            ends: [dialer, listener],
            flying: Default::default(),
            delay: Duration::from_millis(5),
            lossy: None,
            luck: 0,
            jitter: Duration::ZERO,
            cut: false,
            reading: [true; 2],
            got: Default::default(),
            sent: 0,
            longest: 1500 - 48,
            hello: Vec::new(),
            cipher: None,
        }
    }

    pub(super) fn open(version: Version) -> Self {
        let mut wire = Self::new(version);
        assert!(wire.run(|wire| wire.ends.iter().all(Session::is_open)));
        wire
    }

    /// Lets time pass until `done`, or until nothing happens any more.
    pub(super) fn run(&mut self, done: impl Fn(&Self) -> bool) -> bool {
        let until = self.now + Duration::from_secs(60);
        loop {
            for end in [DIALER, LISTENER] {
                if self.reading[end] {
                    self.read(end);
                }
                self.send(end);
            }
            if done(self) {
                return true;
            }
            let arrivals = self.flying.iter().filter_map(|flying| Some(flying.front()?.0));
            let timeouts = self.ends.iter().filter_map(Session::poll_timeout);
            match arrivals.chain(timeouts).min() {
                Some(next) if next <= until => self.now = self.now.max(next),
                _ => return false,
            }
            for end in [DIALER, LISTENER] {
                self.ends[end].handle_timeout(self.now);
                while self.flying[end].front().is_some_and(|(at, _)| *at <= self.now) {
                    let (_, datagram) = self.flying[end].pop_front().unwrap();
                    self.ends[end].handle(self.now, &datagram);
                    self.send(end);
                }
            }
        }
    }

    fn send(&mut self, end: usize) {
        while let Some(datagram) = self.ends[end].poll_datagram(self.now) {
            assert!(datagram.len() <= self.longest, "{}", datagram.len());
            self.sent += 1;
            self.listen_in(&datagram);
            // Spread without a pattern that a protocol could fall into step with.
            let chance =
                (self.sent + (self.luck << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(20);
            let lost = self.lossy.is_some_and(|of| chance.is_multiple_of(of));
            if !lost && !self.cut {
                let later = self.jitter * (chance >> 56) as u32 / 256;
                let arrives = self.now + self.delay + later;
                let flying = &mut self.flying[1 - end];
                let place = flying.partition_point(|(at, _)| *at <= arrives);
                flying.insert(place, (arrives, datagram));
            }
        }
    }

    /// Keeps the first message of DTLS, and what the answer to the last one says: the
    /// cipher stands behind the version, the random number and the session.
    fn listen_in(&mut self, datagram: &[u8]) {
        match (datagram.first(), datagram.get(13)) {
            (Some(22), Some(1)) => self.hello = datagram.to_vec(),
            (Some(22), Some(2)) => {
                let session = usize::from(datagram[13 + 12 + 34]);
                let cipher = datagram[13 + 12 + 35 + session..].first_chunk().unwrap();
                self.cipher = Some(u16::from_be_bytes(*cipher));
            }
            _ => {}
        }
    }

    pub(super) fn read(&mut self, end: usize) {
        loop {
            let mut bytes = Vec::new();
            self.ends[end].read(self.now, &mut bytes, 64 * 1024);
            if bytes.is_empty() {
                return;
            }
            let (mut rest, mut assembler) = (&bytes[..], records::Assembler::default());
            while !rest.is_empty() {
                let record = assembler.next(&mut rest).unwrap();
                let (kind, channel, payload) = records::split(&record).unwrap();
                self.got[end].push((kind, channel, payload.to_vec()));
            }
        }
    }

    pub(super) fn write(&mut self, end: usize, kind: u8, channel: u32, payload: &[u8]) {
        let mut record = Vec::new();
        records::write(&mut record, kind, channel, payload);
        self.ends[end].write(self.now, &record);
    }

    pub(super) fn bytes(&self, end: usize) -> usize {
        self.got[end].iter().filter(|record| record.0 == MESSAGE).map(|it| it.2.len()).sum()
    }
}

pub(super) fn record(kind: u8, channel: u32, payload: &[u8]) -> Record {
    (kind, channel, payload.to_vec())
}
