use super::*;
use crate::protocols::kad::{Invalid, Validator};

/// Values are `sequence:anything`; the highest sequence is the best.
struct Numbered;

fn sequence(value: &[u8]) -> Option<u32> {
    core::str::from_utf8(value).ok()?.split(':').next()?.parse().ok()
}

impl Validator for Numbered {
    fn validate(&self, _: &[u8], value: &[u8], _: u64) -> Result<(), Invalid> {
        sequence(value).map(|_| ()).ok_or_else(|| Invalid::Value("it has no number".into()))
    }

    fn is_better(&self, _: &[u8], new: &[u8], old: &[u8]) -> bool {
        sequence(new) > sequence(old)
    }
}

/// So many servers that know each other, the hostile ones first.
fn network(seed: u64, config: &Config, servers: usize, liars: &[Lie]) -> Network {
    let mut network = Network::new(seed);
    network.prepare(|kad| kad.validators_mut().set("n", Box::new(Numbered)));
    for (at, lie) in liars.iter().enumerate() {
        network.add_liar(config.clone(), *lie, at);
    }
    for _ in liars.len()..servers {
        network.add(config.clone());
    }
    network.acquaint();
    network
}

#[test]
fn a_network_grows_from_one_peer() {
    let mut network = Network::new(1);
    for index in 0..80 {
        network.add(Config::default());
        if index > 0 {
            network.join(index, index / 2);
            network.run_for(Duration::from_secs(1));
        }
    }
    network.run_for(Duration::from_secs(120));
    for number in 0..20u8 {
        let from = usize::from(number) * 4;
        let done = network.run(from, Query::Closest(vec![number]));
        assert_eq!(done.summary.closest, network.nearest(from, &[number], 20));
    }
}

#[test]
fn what_is_provided_and_put_stays_until_it_is_withdrawn() {
    const HOUR: Duration = Duration::from_secs(3600);
    let config = Config { refresh: 24 * HOUR, ..Config::default() };
    let mut network = network(2, &config, 40, &[]);
    let (provider, reader) = (3, 9);
    let id = network.id(provider);
    network.run(provider, Query::Provide(b"content".to_vec()));
    network.run(provider, Query::Put(b"/n/name".to_vec(), b"1:value".to_vec()));
    // Twice as long as anybody keeps it who is not told again.
    network.run_for(100 * HOUR);
    assert_eq!(network.run(reader, Query::Providers(b"content".to_vec())).found(), [id]);
    let get = Query::Get(b"/n/name".to_vec(), 1);
    assert_eq!(network.run(reader, get.clone()).values(), [b"1:value"]);
    network.withdraw(provider, b"content");
    network.withdraw(provider, b"/n/name");
    network.run_for(49 * HOUR);
    assert_eq!(network.run(reader, Query::Providers(b"content".to_vec())).found(), []);
    assert!(network.run(reader, get).values().is_empty());
}

#[test]
fn hops_and_messages_grow_as_the_logarithm_of_the_network() {
    let mean = |servers: usize| {
        let mut network = network(3, &Config::default(), servers, &[]);
        let (mut hops, mut asked) = (0, 0);
        for number in 0..40u8 {
            let from = usize::from(number);
            let done = network.run(from, Query::Closest(vec![number]));
            assert_eq!(done.summary.closest[..10], network.nearest(from, &[number], 10));
            hops += done.summary.hops;
            asked += done.summary.asked;
        }
        (f64::from(hops) / 40.0, asked as f64 / 40.0)
    };
    let (few, many) = (mean(100), mean(1600));
    // Sixteen times the peers are four bits more, and a bucket of 20 saves some of them.
    assert!(many.0 - few.0 <= 2.0, "{few:?}, {many:?}");
    assert!(many.1 <= 2.0 * few.1 && many.1 <= 80.0, "{few:?}, {many:?}");
}

#[test]
fn values_and_peers_are_found_when_a_third_has_gone() {
    let mut network = network(4, &Config::default(), 600, &[]);
    let key = |number: u8| [b"/n/".as_slice(), &[number]].concat();
    for number in 0..40 {
        network.run(usize::from(number) * 7, Query::Put(key(number), b"1:x".to_vec()));
    }
    for index in 0..600 {
        if index % 10 < 3 {
            network.leave(index);
        }
    }
    let mut right = 0;
    for number in 0..40 {
        let from = 305 + usize::from(number);
        let from = from + usize::from(!network.is_alive(from)) * 5;
        let done = network.run(from, Query::Get(key(number), 1));
        right += usize::from(!done.values().is_empty());
        let nearest = network.nearest(from, &[number], 1);
        let done = network.run(from, Query::Closest(vec![number]));
        right += usize::from(done.summary.closest.first() == nearest.first());
        assert!(done.took < Duration::from_secs(30), "{:?}", done.took);
    }
    assert!(right >= 78, "{right} of 80");
}

#[test]
fn the_hostile_mislead_few() {
    for lie in [Lie::Eclipse, Lie::Endless, Lie::Poison, Lie::Far] {
        let mut config = Config::default();
        config.lookup.paths = 4;
        let mut network = network(5, &config, 500, &[lie; 100]);
        let key = |number: u8| [b"/n/".as_slice(), &[number]].concat();
        let mut right = 0;
        for number in 0..20 {
            let (writer, reader) = (100 + usize::from(number), 499 - usize::from(number));
            network.run(writer, Query::Put(key(number), b"1:good".to_vec()));
            let done = network.run(reader, Query::Get(key(number), 1));
            assert!(done.values().iter().all(|value| *value == b"1:good"), "{lie:?}");
            right += usize::from(!done.values().is_empty());
        }
        assert!(right >= 19, "{lie:?}: {right} of 20");
    }
}

#[test]
fn one_network_of_addresses_gets_few_places() {
    let mut network = Network::new(6);
    for _ in 0..60 {
        network.add(Config::default());
    }
    for _ in 0..200 {
        network.add_liar(Config::default(), Lie::Eclipse, 7);
    }
    network.acquaint();
    for index in 0..60 {
        let peers = network.kad(index).table().peers();
        let hostile = peers.filter(|peer| network.index(peer).unwrap() >= 60).count();
        assert!(hostile <= 3, "{hostile} places");
    }
}

#[test]
fn a_page_finds_what_it_looks_for_in_five_seconds_and_25_dials() {
    let mut network = network(7, &Config::default(), 1000, &[]);
    let (mut slow, mut wrong, total) = (0, 0, 100u8);
    for number in 0..total {
        let key = vec![number];
        network.run(usize::from(number) * 9, Query::Provide(key.clone()));
        // A page that has just been opened, and knows three peers.
        let page = network.add_client(Config::default().in_page(), true);
        for at in 0..3 {
            network.join(page, (usize::from(number) * 31 + at * 333) % 1000);
        }
        network.run_for(Duration::from_secs(60));
        let done = network.run(page, Query::Providers(key));
        assert!(done.dials <= 25, "{} dials", done.dials);
        wrong += usize::from(done.found() != [network.id(usize::from(number) * 9)]);
        slow += usize::from(done.took > Duration::from_secs(5));
        network.leave(page);
    }
    assert!(slow <= 1 && wrong <= 1, "{slow} slow, {wrong} wrong");
}

#[test]
fn a_page_asks_only_those_whom_it_can_dial_and_none_takes_long() {
    let mut network = network(8, &Config::default(), 1000, &[]);
    // One server of four listens where pages can dial.
    let for_pages = |address: &Multiaddr| carry::index_of(address).is_some_and(|at| at % 4 == 0);
    network.prepare(move |kad| kad.set_dialable(Box::new(for_pages)));
    let (mut slow, mut wrong) = (0, 0);
    for number in 0..99usize {
        let (key, value) = (format!("/n/{number}").into_bytes(), b"1:value".to_vec());
        let page = network.add_client(Config::default().in_page(), true);
        for at in 0..3 {
            network.join(page, (number * 8 + at * 83) % 250 * 4);
        }
        network.run_for(Duration::from_secs(60));
        let done = match number % 3 {
            0 => network.run(page, Query::Closest(key)),
            1 => network.run(page, Query::Put(key, value)),
            _ => {
                network.run(number * 9 + 1, Query::Put(key.clone(), value.clone()));
                let done = network.run(page, Query::Get(key, 3));
                wrong += usize::from(done.values().last() != Some(&&value[..]));
                done
            }
        };
        for event in &done.events {
            if let QueryEvent::Answered { peer, .. } | QueryEvent::Failed { peer } = event {
                assert_eq!(network.index(peer).unwrap() % 4, 0, "it cannot be dialed");
            }
        }
        assert!(done.dials <= 25, "{} dials", done.dials);
        slow += usize::from(done.took > Duration::from_secs(5));
        network.leave(page);
    }
    assert!(slow <= 1 && wrong == 0, "{slow} slow, {wrong} wrong");
}
