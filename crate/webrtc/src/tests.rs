//! Two ends of our own over a wire in virtual time.

mod reuse;
mod wire;

use std::collections::VecDeque;
use std::time::Duration;

use super::dtls::{Cipher, offers_chacha};
use super::ice;
use super::records::{CLOSE, HOLD, MESSAGE, OPEN, PING, RELEASE, REMOTE};
use super::session::{End, Session};
use super::stun::Message;
use super::ufrag::{Credentials, Version};
pub(crate) use wire::start;
use wire::{DIALER, LISTENER, Wire, identity, preferring, record};

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
        // Who has opened a channel closes it; until then the other one only says no more.
        wire.write(LISTENER, MESSAGE, REMOTE, b"bye");
        wire.write(LISTENER, CLOSE, REMOTE, &[]);
        wire.write(LISTENER, MESSAGE, REMOTE, b"too late");
        wire.write(DIALER, MESSAGE, 7, b"nobody reads it");
        wire.write(LISTENER, CLOSE, 0, &[]);
        assert!(wire.run(|wire| wire.got[DIALER].len() == 2));
        assert_eq!(wire.got[DIALER], [record(MESSAGE, 7, b"bye"), record(CLOSE, 0, &[])]);
        wire.write(DIALER, CLOSE, 7, &[]);
        wire.write(LISTENER, CLOSE, 7, &[]);
        assert!(wire.run(|wire| wire.got[DIALER].len() == 3));
        assert_eq!(wire.got[DIALER][2], record(CLOSE, REMOTE, &[]));
        assert_eq!(wire.got[LISTENER], []);
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
