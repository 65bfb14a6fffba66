//! Two ends of our own over a wire in virtual time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::certificate::Certificate;
use super::channels::Channels;
use super::dtls::{Cipher, offers_chacha};
use super::ice;
use super::records::{self, CLOSE, HOLD, MESSAGE, OPEN, PING, RELEASE, REMOTE};
use super::session::{End, Identity, Session};
use super::stun::Message;
use super::ufrag::{Credentials, Version};

const DIALER: usize = 0;
const LISTENER: usize = 1;

/// A record that an end got.
type Record = (u8, u32, Vec<u8>);

/// Both ends and what is between them.
pub(super) struct Wire {
    pub(super) now: Instant,
    pub(super) ends: [Session; 2],
    /// What is on its way to each end, and when it is there.
    flying: [VecDeque<(Instant, Vec<u8>)>; 2],
    delay: Duration,
    /// Of so many datagrams one is lost.
    lossy: Option<u64>,
    /// Nothing gets through.
    cut: bool,
    reading: [bool; 2],
    pub(super) got: [Vec<Record>; 2],
    sent: u64,
    /// Of a datagram: without headers, what Ethernet carries.
    longest: usize,
    /// What the dialer began DTLS with, and the cipher that the listener took.
    hello: Vec<u8>,
    cipher: Option<u16>,
}

/// The identity of somebody with this number.
fn identity(number: u8) -> Identity {
    preferring(number, Cipher::AesGcm)
}

fn preferring(number: u8, cipher: Cipher) -> Identity {
    Identity::new(Certificate::generate(&[number; 48]).unwrap(), cipher).unwrap()
}

/// Virtual time begins somewhere.
#[expect(clippy::disallowed_methods, reason = "an instant has no other origin")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl Wire {
    fn new(version: Version) -> Self {
        let (dialer, listener) = (identity(1), identity(2));
        let hash = listener.certhash();
        Self::between(&dialer, &listener, hash, version)
    }

    fn between(dialer: &Identity, listener: &Identity, hash: [u8; 34], version: Version) -> Self {
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
            cut: false,
            reading: [true; 2],
            got: Default::default(),
            sent: 0,
            longest: 1500 - 48,
            hello: Vec::new(),
            cipher: None,
        }
    }

    fn open(version: Version) -> Self {
        let mut wire = Self::new(version);
        assert!(wire.run(|wire| wire.ends.iter().all(Session::is_open)));
        wire
    }

    /// Lets time pass until `done`, or until nothing happens any more.
    fn run(&mut self, done: impl Fn(&Self) -> bool) -> bool {
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
            let lost = self.lossy.is_some_and(|of| {
                self.sent.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(20).is_multiple_of(of)
            });
            if !lost && !self.cut {
                self.flying[1 - end].push_back((self.now + self.delay, datagram));
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

    fn read(&mut self, end: usize) {
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

    fn write(&mut self, end: usize, kind: u8, channel: u32, payload: &[u8]) {
        let mut record = Vec::new();
        records::write(&mut record, kind, channel, payload);
        self.ends[end].write(self.now, &record);
    }

    fn bytes(&self, end: usize) -> usize {
        self.got[end].iter().filter(|record| record.0 == MESSAGE).map(|it| it.2.len()).sum()
    }
}

fn record(kind: u8, channel: u32, payload: &[u8]) -> Record {
    (kind, channel, payload.to_vec())
}

#[test]
fn channels_open_carry_messages_and_close_in_both_versions() {
    for version in [Version::V1, Version::V2] {
        let mut wire = Wire::open(version);
        assert_eq!(wire.ends[DIALER].certificates(), wire.ends[LISTENER].certificates());
        // The handshake's channel is there from the start.
        wire.write(LISTENER, MESSAGE, 0, b"the listener begins");
        wire.write(DIALER, OPEN, 7, &[]);
        wire.write(DIALER, MESSAGE, 7, b"hello");
        wire.write(LISTENER, OPEN, 7, &[]);
        assert!(wire.run(|wire| wire.got[LISTENER].len() == 2 && wire.got[DIALER].len() == 2));
        let opened = record(OPEN, REMOTE, &[]);
        let hello = record(MESSAGE, REMOTE, b"hello");
        assert_eq!(wire.got[LISTENER], [opened.clone(), hello]);
        assert_eq!(wire.got[DIALER], [record(MESSAGE, 0, b"the listener begins"), opened]);

        wire.got = Default::default();
        wire.write(LISTENER, MESSAGE, REMOTE, b"bye");
        wire.write(LISTENER, CLOSE, REMOTE, &[]);
        wire.write(DIALER, CLOSE, 0, &[]);
        assert!(wire.run(|wire| wire.got[DIALER].len() == 2 && wire.got[LISTENER].len() == 1));
        assert_eq!(wire.got[DIALER], [record(MESSAGE, 7, b"bye"), record(CLOSE, 7, &[])]);
        assert_eq!(wire.got[LISTENER], [record(CLOSE, 0, &[])]);
    }
}

#[test]
fn the_cipher_that_one_side_would_rather_have_is_taken() {
    const AES: Option<u16> = Some(0xc02b);
    const CHACHA: Option<u16> = Some(0xcca9);
    let [aes, chacha] = [Cipher::AesGcm, Cipher::ChaCha20Poly1305];
    for (ours, theirs, taken) in
        [(aes, aes, AES), (aes, chacha, CHACHA), (chacha, aes, CHACHA), (chacha, chacha, CHACHA)]
    {
        let (dialer, listener) = (preferring(1, ours), preferring(2, theirs));
        let mut wire = Wire::between(&dialer, &listener, listener.certhash(), Version::V2);
        assert!(wire.run(|wire| wire.ends.iter().all(Session::is_open)));
        assert_eq!(wire.cipher, taken);
        wire.write(LISTENER, MESSAGE, 0, b"it works");
        assert!(wire.run(|wire| wire.got[DIALER] == [record(MESSAGE, 0, b"it works")]));
    }
}

#[test]
fn only_whole_beginnings_of_handshakes_offer_ciphers() {
    let mut wire = Wire::new(Version::V2);
    wire.run(|wire| wire.cipher.is_some());
    let hello = wire.hello.clone();
    assert!(offers_chacha(&hello));
    // The list of ciphers ends long before the datagram.
    let end = (0..hello.len()).find(|end| offers_chacha(&hello[..*end])).unwrap();
    assert!((13 + 12 + 34..hello.len()).contains(&end));
    for (at, value) in [(0, 23), (13, 2), (19, 1), (13 + 12 + 34, 255)] {
        let mut other = hello.clone();
        other[at] = value;
        assert!(!offers_chacha(&other));
    }
}

#[test]
fn an_address_with_another_certificate_is_not_believed() {
    let (dialer, listener) = (identity(1), identity(2));
    let mut wire = Wire::between(&dialer, &listener, identity(3).certhash(), Version::V2);
    assert!(wire.run(|wire| wire.ends[DIALER].end().is_some()));
    assert_eq!(wire.ends[DIALER].end(), Some(&End::WrongCertificate));
    assert!(!wire.ends[LISTENER].is_open());
}

#[test]
fn pings_are_answered_with_the_round_trip() {
    let mut wire = Wire::open(Version::V2);
    for end in [DIALER, LISTENER] {
        wire.run(|_| true);
        wire.now += Duration::from_secs(4);
        wire.write(end, PING, 0, b"ping");
        assert!(wire.run(|wire| !wire.got[end].is_empty()));
        let (kind, channel, payload) = wire.got[end].remove(0);
        assert_eq!((kind, channel, &payload[..4]), (PING, 0, &b"ping"[..]));
        let micros = u32::from_le_bytes(payload[4..].try_into().unwrap());
        assert!((10_000..30_000).contains(&micros), "{micros}");
    }
}

#[test]
fn a_remote_that_vanishes_is_given_up() {
    for end in [DIALER, LISTENER] {
        let mut wire = Wire::open(Version::V2);
        // As long as they hear each other, both stay.
        let until = wire.now + Duration::from_secs(50);
        wire.run(|wire| wire.now >= until);
        assert_eq!(wire.ends[end].end(), None);
        wire.cut = true;
        let before = wire.now;
        wire.write(end, OPEN, 1, &[]);
        assert!(wire.run(|wire| wire.ends[end].end().is_some()));
        assert_eq!(wire.ends[end].end(), Some(&End::Vanished));
        assert!(wire.now <= before + wire.delay + ice::CONSENT_LASTS);
    }
}

#[test]
fn closing_lets_what_was_sent_arrive() {
    let mut wire = Wire::open(Version::V2);
    wire.write(DIALER, OPEN, 1, &[]);
    for _ in 0..20 {
        wire.write(DIALER, MESSAGE, 1, &[5; 16 * 1024]);
    }
    let now = wire.now;
    wire.ends[DIALER].close(now);
    assert!(wire.run(|wire| wire.ends[LISTENER].end().is_some()));
    assert_eq!(wire.bytes(LISTENER), 20 * 16 * 1024);
    assert_eq!(wire.ends[DIALER].end(), Some(&End::ByUs));
    assert_eq!(wire.ends[LISTENER].end(), Some(&End::ByRemote));
}

#[test]
fn giving_up_is_told_at_once() {
    for end in [DIALER, LISTENER] {
        let mut wire = Wire::open(Version::V2);
        wire.reading[1 - end] = false;
        wire.write(end, OPEN, 1, &[]);
        (0..100).for_each(|_| wire.write(end, MESSAGE, 1, &[5; 16 * 1024]));
        let before = wire.now;
        wire.ends[end].abort(before);
        assert_eq!(wire.ends[end].end(), Some(&End::ByUs));
        assert!(wire.run(|wire| wire.ends[1 - end].end().is_some()));
        assert_eq!(wire.ends[1 - end].end(), Some(&End::ByRemote));
        assert!(wire.now <= before + 2 * wire.delay);
    }
}

#[test]
fn nothing_is_lost_where_datagrams_are() {
    let mut wire = Wire::new(Version::V2);
    wire.lossy = Some(20);
    assert!(wire.run(|wire| wire.ends.iter().all(Session::is_open)));
    for end in [DIALER, LISTENER] {
        wire.write(end, OPEN, 1, &[]);
        for number in 0..60_u8 {
            wire.write(end, MESSAGE, 1, &[number; 16 * 1024]);
        }
    }
    assert!(wire.run(|wire| wire.got.iter().all(|got| got.len() == 61)));
    for got in &wire.got {
        let numbers: Vec<_> = got.iter().skip(1).map(|(_, _, payload)| payload[0]).collect();
        assert_eq!(numbers, (0..60).collect::<Vec<_>>());
        assert!(got.iter().skip(1).all(|(kind, ..)| *kind == MESSAGE));
    }
}

#[test]
fn a_slow_reader_holds_its_writer_up_and_loses_nothing() {
    holds_up(|wire, reads| wire.reading[LISTENER] = reads);
}

#[test]
fn a_channel_that_is_held_back_holds_its_writer_up_and_loses_nothing() {
    holds_up(|wire, reads| {
        assert!(wire.run(|wire| !wire.got[LISTENER].is_empty()));
        wire.write(LISTENER, if reads { RELEASE } else { HOLD }, REMOTE, &[]);
        // What is no message of the channel comes all the same.
        wire.write(LISTENER, PING, 0, b"ping");
        assert!(wire.run(|wire| wire.got[LISTENER].iter().any(|record| record.0 == PING)));
        wire.got[LISTENER].retain(|record| record.0 != PING);
    });
}

#[test]
fn the_end_brings_what_was_held_back() {
    let mut wire = Wire::open(Version::V2);
    wire.write(DIALER, OPEN, 1, &[]);
    assert!(wire.run(|wire| !wire.got[LISTENER].is_empty()));
    wire.write(LISTENER, HOLD, REMOTE, &[]);
    (0..10).for_each(|_| wire.write(DIALER, MESSAGE, 1, &[5; 16 * 1024]));
    let now = wire.now;
    wire.ends[DIALER].close(now);
    assert!(wire.run(|wire| wire.ends[DIALER].end().is_some()));
    assert_eq!(wire.got[LISTENER].len(), 1);
    assert!(wire.run(|wire| wire.ends[LISTENER].end().is_some()));
    wire.read(LISTENER);
    assert_eq!(wire.bytes(LISTENER), 10 * 16 * 1024);
}

/// `reads` is told whether the listener reads what the dialer sends on its channel.
fn holds_up(reads: impl Fn(&mut Wire, bool)) {
    const MESSAGES: usize = 400;
    let mut wire = Wire::open(Version::V2);
    wire.write(DIALER, OPEN, 1, &[]);
    reads(&mut wire, false);
    let mut written = 0;
    let fill = |wire: &mut Wire, written: &mut usize| {
        while *written < MESSAGES && wire.ends[DIALER].has_room() {
            let number = *written as u16;
            *written += 1;
            let mut message = vec![0; 16 * 1024];
            message[..2].copy_from_slice(&number.to_le_bytes());
            wire.write(DIALER, MESSAGE, 1, &message);
        }
    };
    for _ in 0..10 {
        fill(&mut wire, &mut written);
        let until = wire.now + Duration::from_secs(2);
        wire.run(|wire| wire.now >= until);
    }
    // A MiB at each end, and what a message goes beyond that.
    assert!((100..140).contains(&written), "{written}");

    // It goes on as soon as there is room, not when SCTP tries again.
    let before = wire.now;
    reads(&mut wire, true);
    while written < MESSAGES {
        wire.run(|_| true);
        fill(&mut wire, &mut written);
        let until = wire.now + Duration::from_millis(1);
        wire.run(|wire| wire.now >= until);
    }
    assert!(wire.run(|wire| wire.got[LISTENER].len() == 1 + MESSAGES));
    assert!(wire.now < before + Duration::from_secs(1), "{:?}", wire.now - before);
    for (number, (_, _, payload)) in wire.got[LISTENER].iter().skip(1).enumerate() {
        assert_eq!(payload[..2], (number as u16).to_le_bytes());
    }
}

#[test]
fn a_thousand_channels_one_after_another_use_few_ids() {
    let mut wire = Wire::open(Version::V2);
    for number in 1..=1000 {
        let end = number as usize % 2;
        wire.write(end, OPEN, number, &[]);
        wire.write(end, MESSAGE, number, b"question");
        assert!(wire.run(|wire| wire.got[1 - end].len() == 2));
        let theirs = REMOTE + (number - 1) / 2;
        let (opened, question) = (record(OPEN, theirs, &[]), record(MESSAGE, theirs, b"question"));
        assert_eq!(wire.got[1 - end], [opened, question]);
        wire.write(1 - end, MESSAGE, theirs, b"answer");
        wire.write(1 - end, CLOSE, theirs, &[]);
        assert!(wire.run(|wire| wire.got[end].len() == 2));
        let (answer, closed) = (record(MESSAGE, number, b"answer"), record(CLOSE, number, &[]));
        assert_eq!(wire.got[end], [answer, closed]);
        wire.got = Default::default();
    }
    assert!(wire.ends.iter().all(|end| end.ids_used() < 20));
}

#[test]
fn hundreds_of_channels_at_a_time_are_not_refused_on_a_long_path() {
    const AT_ONCE: u32 = 200;
    // Where something is lost, what closes waits until it is sent again, and what opens
    // waits for that.
    for lossy in [None, Some(200)] {
        let mut wire = Wire::open(Version::V2);
        (wire.delay, wire.lossy) = (Duration::from_millis(50), lossy);
        for round in 0..10 {
            let numbers = round * AT_ONCE..(round + 1) * AT_ONCE;
            for number in numbers.clone() {
                wire.write(DIALER, OPEN, 1 + number, &[]);
                wire.write(DIALER, MESSAGE, 1 + number, b"question");
            }
            assert!(wire.run(|wire| wire.got[LISTENER].len() == 2 * AT_ONCE as usize), "{round}");
            for number in numbers.clone() {
                wire.write(LISTENER, MESSAGE, REMOTE + number, b"answer");
                wire.write(LISTENER, CLOSE, REMOTE + number, &[]);
            }
            assert!(wire.run(|wire| wire.got[DIALER].len() == AT_ONCE as usize));
            assert_eq!(wire.bytes(DIALER), AT_ONCE as usize * b"answer".len(), "{round}");
            for number in numbers {
                wire.write(DIALER, CLOSE, 1 + number, &[]);
            }
            wire.got = Default::default();
        }
        assert!(wire.ends[DIALER].ids_used() <= 512);
    }
}

#[test]
fn a_channel_that_closes_before_it_could_open_was_never_there() {
    let mut wire = Wire::open(Version::V2);
    for number in 1..=511 {
        wire.write(DIALER, OPEN, number, &[]);
    }
    assert!(wire.run(|wire| wire.got[LISTENER].len() == 511));
    wire.got = Default::default();
    wire.write(DIALER, CLOSE, 1, &[]);
    for number in [512, 513] {
        wire.write(DIALER, OPEN, number, &[]);
        wire.write(DIALER, MESSAGE, number, b"hello");
    }
    wire.write(DIALER, CLOSE, 512, &[]);
    assert!(wire.run(|wire| wire.got[LISTENER].len() == 3));
    let (closed, opened) = (record(CLOSE, REMOTE, &[]), record(OPEN, REMOTE + 511, &[]));
    assert_eq!(wire.got[LISTENER], [closed, opened, record(MESSAGE, REMOTE + 511, b"hello")]);
    assert_eq!(wire.got[DIALER], []);
}

#[test]
fn ids_are_used_again_and_again_where_datagrams_are_lost() {
    let mut wire = Wire::open(Version::V2);
    wire.lossy = Some(10);
    for number in 1..=1000 {
        wire.write(DIALER, OPEN, number, &[]);
        wire.write(DIALER, MESSAGE, number, b"question");
        let ended = |wire: &Wire| wire.ends.iter().any(|end| end.end().is_some());
        assert!(wire.run(|wire| wire.got[LISTENER].len() == 2 || ended(wire)), "{number}");
        if ended(&wire) {
            // Before there is no id left to open a channel with.
            assert!((128..511).contains(&number), "{number}");
            return;
        }
        wire.write(LISTENER, MESSAGE, REMOTE + number - 1, b"answer");
        wire.write(LISTENER, CLOSE, REMOTE + number - 1, &[]);
        assert!(wire.run(|wire| wire.got[DIALER].len() == 1));
        assert_eq!(wire.got[DIALER], [record(MESSAGE, number, b"answer")]);
        wire.write(DIALER, CLOSE, number, &[]);
        wire.got = Default::default();
    }
}

#[test]
fn a_remote_that_closes_nothing_is_waited_for_in_vain() {
    let mut wire = Wire::open(Version::V2);
    wire.write(DIALER, OPEN, 1, &[]);
    assert!(wire.run(|wire| wire.got[LISTENER].len() == 1));
    wire.write(LISTENER, CLOSE, REMOTE, &[]);
    assert!(wire.run(|wire| wire.got[DIALER].len() == 1));
    assert_eq!(wire.got[DIALER], [record(CLOSE, 1, &[])]);
}

/// The type of the chunk that asks for streams to be reset (RFC 6525 section 3.1).
const RECONFIG: u8 = 130;

#[test]
fn a_channel_on_an_id_that_is_not_free_yet_is_held_until_it_is() {
    let mut now = start();
    let mut ends = [Channels::new(true), Channels::new(false)];
    // Two seconds, in which so many of the dialer's resets and answers arrive.
    let mut pass = |ends: &mut [Channels; 2], mut arrive: usize| {
        let mut read = Vec::new();
        for _ in 0..100 {
            for end in [DIALER, LISTENER] {
                while let Some(packet) = ends[end].poll_packet(now) {
                    let counts = end == DIALER && packet[12] == RECONFIG;
                    if !counts || arrive > 0 {
                        arrive -= usize::from(counts);
                        ends[1 - end].handle(now, packet);
                    }
                }
            }
            ends[LISTENER].read(now, &mut read, 1 << 16);
            ends[DIALER].read(now, &mut Vec::new(), 1 << 16);
            now += Duration::from_millis(20);
            ends.iter_mut().for_each(|end| end.handle_timeout(now));
        }
        read
    };
    let opened = |nth: u32| {
        let mut record = Vec::new();
        records::write(&mut record, OPEN, REMOTE + nth, &[]);
        record
    };
    pass(&mut ends, usize::MAX);
    ends[DIALER].open(1);
    assert_eq!(pass(&mut ends, usize::MAX), opened(0));

    // The dialer does not close it, so the listener does in the end, and asks twice;
    // the answer to the second question is lost.
    ends[LISTENER].close(start(), REMOTE);
    assert!(pass(&mut ends, 2).is_empty());
    let ids = ends[DIALER].ids_used();
    ends[DIALER].open(2);
    assert_eq!(ends[DIALER].ids_used(), ids, "the id is used again");
    assert!(pass(&mut ends, 0).is_empty());
    assert_eq!(pass(&mut ends, usize::MAX), opened(1));
}

#[test]
fn a_lost_request_to_close_is_repeated_by_a_host_that_is_late() {
    let mut now = start();
    let mut ends = [Channels::new(true), Channels::new(false)];
    let (mut closed, mut requests) = (false, 0);
    for turn in 0..500 {
        // What there is to send is asked for before the time is told, as by a busy host.
        for end in [DIALER, LISTENER] {
            while let Some(packet) = ends[end].poll_packet(now) {
                let is_request = end == DIALER && packet[12] == RECONFIG;
                requests += usize::from(is_request);
                if !is_request || requests > 1 {
                    ends[1 - end].handle(now, packet);
                }
            }
            ends[end].handle_timeout(now);
        }
        match turn {
            100 => ends[DIALER].open(1),
            150 => ends[DIALER].close(now, 1),
            _ => {}
        }
        let mut read = Vec::new();
        ends[LISTENER].read(now, &mut read, 1 << 16);
        closed |= read.first() == Some(&CLOSE);
        // Never just when something is due.
        now += Duration::from_micros(20_300);
    }
    assert!(closed, "{requests}");
}

#[test]
fn channels_have_limits() {
    let mut wire = Wire::open(Version::V2);
    // What is too much for browsers is refused at once.
    for number in 1..=600 {
        wire.write(DIALER, OPEN, number, &[]);
    }
    assert!(wire.run(|wire| wire.got[LISTENER].len() == 511));
    let refused: Vec<_> =
        wire.got[DIALER].iter().map(|(kind, number, _)| (*kind, *number)).collect();
    assert_eq!(refused, (512..=600).map(|number| (CLOSE, number)).collect::<Vec<_>>());
    // One that closes makes room for another one.
    wire.got = Default::default();
    wire.write(DIALER, CLOSE, 5, &[]);
    assert!(wire.run(|wire| wire.got[LISTENER] == [record(CLOSE, REMOTE + 4, &[])]));
    wire.run(|wire| wire.flying.iter().all(VecDeque::is_empty));
    wire.write(DIALER, OPEN, 601, &[]);
    assert!(wire.run(|wire| wire.got[LISTENER].contains(&record(OPEN, REMOTE + 511, &[]))));
}

#[test]
fn a_remote_that_opens_without_end_is_refused() {
    let mut wire = Wire::open(Version::V2);
    // All that are refused at once are named in one packet.
    wire.longest = 4096;
    wire.ends[DIALER].open_foreign(2000);
    assert!(wire.run(|wire| wire.got[LISTENER].len() >= 1024));
    wire.run(|wire| wire.flying.iter().all(VecDeque::is_empty));
    let opened = wire.got[LISTENER].iter().filter(|record| record.0 == OPEN).count();
    assert_eq!((opened, wire.ends[LISTENER].end()), (1024, None));
}

#[test]
fn nonsense_changes_nothing() {
    let mut wire = Wire::open(Version::V2);
    let mut random = 7_u64;
    for length in 0..2000 {
        let datagram: Vec<u8> = (0..length)
            .map(|at| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Each kind of first byte, also those of DTLS and STUN.
                if at == 0 { (length % 70) as u8 } else { (random >> 33) as u8 }
            })
            .collect();
        let now = wire.now;
        wire.ends.iter_mut().for_each(|end| end.handle(now, &datagram));
    }
    wire.write(DIALER, OPEN, 1, &[]);
    assert!(wire.run(|wire| wire.got[LISTENER] == [record(OPEN, REMOTE, &[])]));
}

#[test]
fn others_at_the_same_address_do_not_keep_a_session_alive() {
    let mut wire = Wire::open(Version::V2);
    wire.cut = true;
    let stranger = Credentials::new(Version::V2, &[9; 64]);
    let password = &stranger.listener;
    let before = wire.now;
    let mut answered = 0;
    while wire.ends[LISTENER].end().is_none() {
        let request = super::stun::request([1; 12], &stranger.username(), password, true, [0; 8]);
        let now = wire.now;
        wire.ends[LISTENER].handle(now, &request);
        // Yet they are answered: they may be the next ones here.
        while let Some(answer) = wire.ends[LISTENER].poll_datagram(wire.now) {
            let answer = Message::parse(&answer);
            answered += usize::from(answer.is_some_and(|answer| answer.verify(password)));
        }
        wire.now += Duration::from_secs(1);
        let now = wire.now;
        wire.ends[LISTENER].handle_timeout(now);
    }
    assert_eq!(wire.ends[LISTENER].end(), Some(&End::Vanished));
    assert!(answered >= 25 && wire.now <= before + ice::CONSENT_LASTS + Duration::from_secs(1));
}
