//! What others want kept, message by message: what is refused and why, how much is taken,
//! and when it ends.

use core::time::Duration;

use crate::identity::Keypair;
use crate::node::ConnectionId;
use crate::protocols::Input;
use crate::protocols::kad::message::{Contact, Link, MAX_KEY, MAX_VALUE, Record, Request};
use crate::protocols::kad::store::{Limits, StoreFull};
use crate::protocols::kad::{Config, Invalid, PutError};
use crate::records::{Content, Lifetime, Namespace};
use crate::time::Instant;

use super::peer;
use super::server::{NOW, Refused, Server};

fn record(key: &[u8], value: &[u8]) -> Record {
    Record { key: key.to_vec(), value: value.to_vec(), received: String::new() }
}

fn put(key: &[u8], value: &[u8]) -> Request {
    Request::PutValue { record: record(key, value) }
}

fn any(number: u64) -> Vec<u8> {
    [b"/any/", &number.to_be_bytes()[..]].concat()
}

fn get(key: &[u8]) -> Request {
    Request::GetValue { key: key.to_vec() }
}

fn announce(key: &[u8], who: u64) -> Request {
    let addresses = vec!["/ip4/192.0.2.1/tcp/1".parse().unwrap()];
    let provider = Contact { peer: peer(who), addresses, link: Link::Connected };
    Request::AddProvider { key: key.to_vec(), providers: vec![provider] }
}

fn ask_providers(key: &[u8]) -> Request {
    Request::GetProviders { key: key.to_vec() }
}

/// Good and bad records of a name of IPNS.
fn named(signer: &Keypair, sequence: u64, until: u64) -> Vec<u8> {
    let content = Content {
        value: b"/ipfs/bafkqaaa".to_vec(),
        sequence,
        lifetime: Lifetime::Until(Duration::from_secs(until)),
        ttl: Duration::ZERO,
    };
    Namespace::ipns().sign(signer, b"", content).unwrap().as_bytes().to_vec()
}

const DAY: u64 = 24 * 3600;

#[test]
fn bad_records_are_refused_with_the_reason_and_nothing_of_them_is_kept() {
    // It is the tenth day.
    let config = || Config { unix_millis_at_zero: 10 * DAY * 1000, ..Config::default() };
    let (mut server, mut behind) = (Server::new(config()), Server::with_store(config()));
    let [pair, other] = [[1; 32], [2; 32]].map(Keypair::ed25519_from_seed);
    let public = [b"/pk/", pair.peer_id().as_bytes()].concat();
    let name = Namespace::ipns().key(&pair.peer_id(), b"");
    let (good, forged) = (named(&pair, 1, 11 * DAY), named(&other, 2, 11 * DAY));
    let mut broken = good.clone();
    *broken.last_mut().unwrap() ^= 1;
    let value = |reason: &str| PutError::Invalid(Invalid::Value(reason.into()));
    let cases: [(&[u8], &[u8], Option<PutError>); 9] = [
        (b"", b"x", Some(PutError::Invalid(Invalid::Namespace))),
        (b"bare", b"x", Some(PutError::Invalid(Invalid::Namespace))),
        (b"/unknown/key", b"x", Some(PutError::Invalid(Invalid::Namespace))),
        (b"/pk/nobody", b"x", Some(PutError::Invalid(Invalid::Key))),
        (&public, &other.public().to_protobuf(), None),
        (&name, b"x", Some(value("the bytes are no record"))),
        (&name, &broken, None),
        (&name, &forged, None),
        (&name, &named(&pair, 2, 9 * DAY), Some(value("the record has expired"))),
    ];
    for (key, bytes, reason) in cases {
        let said = server.kad.keep(NOW, &record(key, bytes)).unwrap_err();
        assert!(matches!(&said, PutError::Invalid(_)) && !said.to_string().is_empty());
        assert!(reason.is_none_or(|reason| reason == said), "{said}");
        assert_eq!(server.answer(NOW, 1, &put(key, bytes)), Err(Refused), "{said}");
        // With a store, that is looked into first, and nothing written.
        behind.ask(1, 0, &put(key, bytes));
        behind.kad.records_found(NOW, crate::records::Place::of_record(key), None);
        let (_, writes, answers, resets) = behind.drain();
        assert_eq!((writes, answers, resets), (vec![], 0, 1), "{said}");
    }
    // Longer than anything is: not even read.
    for (key, length) in [(vec![b'/'; MAX_KEY + 1], 1), (any(1), MAX_VALUE + 1)] {
        assert_eq!(server.answer(NOW, 1, &put(&key, &vec![7; length])), Err(Refused));
    }
    for server in [&server, &behind] {
        assert_eq!((server.kad.store().len(), server.kad.store().bytes()), ((0, 0), (0, 0)));
    }

    // What is there and good is not displaced by what is worse.
    assert!(server.answer(NOW, 1, &put(&name, &good)).is_ok());
    let worse = named(&pair, 0, 11 * DAY);
    assert_eq!(server.kad.keep(NOW, &record(&name, &worse)), Err(PutError::Worse));
    for bytes in [&worse, &broken, &forged] {
        assert_eq!(server.answer(NOW, 2, &put(&name, bytes)), Err(Refused));
    }
    let kept = server.answer(NOW, 3, &get(&name)).unwrap().unwrap().record.unwrap();
    assert_eq!(kept.value, good);
}

#[test]
fn a_flood_stays_within_the_quotas_of_entries_and_bytes() {
    let store = Limits { records: 50, record_bytes: 2000, ..Limits::default() };
    let mut server = Server::new(Config { store, ..Config::default() });
    let mut refused = 0;
    for number in 0..1000 {
        let value = vec![7; (number % 90) as usize];
        refused +=
            usize::from(server.answer(NOW, number % 100, &put(&any(number), &value)).is_err());
        let (records, bytes) = (server.kad.store().len().0, server.kad.store().bytes().0);
        assert!(records <= 50 && bytes <= 2000, "{records} records, {bytes} bytes");
    }
    assert!(refused > 500, "{refused} of 1000 are refused");
    let said = (1000..1100).map(|number| server.kad.keep(NOW, &record(&any(number), &[7; 90])));
    assert!(said.into_iter().any(|said| said == Err(PutError::Full(StoreFull::Records))));

    let store =
        Limits { provided: 50, provided_by_one: 5, provider_bytes: 4000, ..Limits::default() };
    let mut server = Server::new(Config { store, ..Config::default() });
    for number in 0..20u64 {
        let result = server.answer(NOW, 1, &announce(&any(number), 1));
        assert_eq!(result.is_ok(), number < 5, "one peer provides {number}");
    }
    for number in 0..1000 {
        let _ = server.answer(NOW, number % 100, &announce(&any(1000 + number), number % 100));
        let (keys, bytes) = (server.kad.store().len().1, server.kad.store().bytes().1);
        assert!(keys <= 50 && bytes <= 4000, "{keys} keys, {bytes} bytes");
    }
    assert!(server.kad.store().len().1 > 20);
}

#[test]
fn nobody_is_announced_by_another() {
    let mut server = Server::new(Config::default());
    assert_eq!(server.answer(NOW, 1, &announce(b"thing", 2)), Err(Refused));
    assert!(server.kad.store().is_empty());
    assert_eq!(server.answer(NOW, 2, &announce(b"thing", 2)), Ok(None));
    let told = server.answer(NOW, 1, &ask_providers(b"thing")).unwrap().unwrap().providers;
    assert_eq!(told.iter().map(|one| one.peer).collect::<Vec<_>>(), [peer(2)]);
}

#[test]
fn entries_of_a_gone_peer_end() {
    let mut server = Server::new(Config::default());
    server.answer(NOW, 3, &announce(b"thing", 3)).unwrap();
    server.answer(NOW, 3, &put(&any(1), b"value")).unwrap();
    let later = NOW + Duration::from_secs(3600);
    server.answer(later, 4, &announce(b"thing", 4)).unwrap();
    server.answer(later, 4, &put(&any(2), b"value")).unwrap();
    for number in [3, 4] {
        server.handle(later, Input::Disconnected { connection: ConnectionId(number) });
    }
    let providers = |server: &mut Server, now: Instant| {
        let answer = server.answer(now, 5, &ask_providers(b"thing")).unwrap().unwrap();
        assert!(answer.providers.iter().all(|one| one.addresses.len() == 1), "where they were");
        answer.providers.iter().map(|one| one.peer).collect::<Vec<_>>()
    };
    let has = |server: &mut Server, now: Instant, number| {
        server.answer(now, 5, &get(&any(number))).unwrap().unwrap().record.is_some()
    };
    // They may come back: until the end of their time it is known what they provide …
    let end = NOW + Limits::default().provider_life;
    let before = Instant::from_micros(end.as_micros() - 1);
    assert_eq!(providers(&mut server, before), [peer(4), peer(3)]);
    assert!(has(&mut server, before, 1));
    // … and not a moment longer, be it tidied away or not.
    assert_eq!(providers(&mut server, end), [peer(4)]);
    assert!(!has(&mut server, end, 1) && has(&mut server, end, 2));
    server.handle(end, Input::Timeout);
    assert_eq!(server.kad.store().len(), (1, 1), "the memory is free");
    let end = later + Limits::default().provider_life;
    assert_eq!(providers(&mut server, end), []);
    server.handle(end, Input::Timeout);
    assert_eq!((server.kad.store().len(), server.kad.store().bytes()), ((0, 0), (0, 0)));
}
