use super::*;
use crate::identity::Keypair;

const NORMAL: DialOptions = DialOptions { direct: false, force: false };
const DIRECT: DialOptions = DialOptions { direct: true, force: false };
const MILLI: Duration = Duration::from_millis(1);

/// The machine with a clock, and room for `in_all` attempts.
struct Table {
    dials: Dials,
    now: Instant,
    in_all: usize,
    last: u64,
}

impl Table {
    fn new() -> Self {
        Self { dials: Dials::default(), now: Instant::ZERO, in_all: 160, last: 0 }
    }

    fn ask(&mut self, asker: u64, peer: u8, addresses: &[&str], options: DialOptions) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let asker = (DialId(asker), options);
        self.dials.ask(self.now, asker, Some(peer_id(peer)), addresses, |_| false);
    }

    /// What starts now: connection, dial, address.
    fn start(&mut self) -> Vec<(ConnectionId, u64, String)> {
        let mut started = Vec::new();
        loop {
            let id = ConnectionId(self.last + 1);
            match self.dials.start(self.now, id, 8, self.in_all) {
                Some((key, address)) => started.push((id, key, address.to_string())),
                None => return started,
            }
            self.last += 1;
        }
    }

    fn wait(&mut self, duration: Duration) -> Vec<ConnectionId> {
        self.now = self.now + duration;
        self.dials.handle_timeout(self.now)
    }

    fn fail(&mut self, (id, key, _): &(ConnectionId, u64, String)) {
        let error = AttemptError::Transport("refused".into());
        self.dials.failed(self.now, *key, *id, error);
    }
}

fn peer_id(number: u8) -> PeerId {
    Keypair::ed25519_from_seed([number; 32]).peer_id()
}

fn addresses(started: &[(ConnectionId, u64, String)]) -> Vec<&str> {
    started.iter().map(|(_, _, address)| &**address).collect()
}

const A: &str = "/ip4/1.2.3.4/udp/1/quic-v1";
const B: &str = "/ip4/1.2.3.4/udp/2/quic-v1";
const C: &str = "/ip4/1.2.3.4/tcp/1";
const D: &str = "/ip4/1.2.3.4/tcp/2";
const RELAYED: &str =
    "/ip4/9.9.9.9/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/p2p-circuit";

#[test]
fn addresses_follow_each_other_with_their_delays() {
    let mut table = Table::new();
    table.ask(1, 1, &[D, C, B, A], NORMAL);
    assert_eq!(addresses(&table.start()), [A]);
    assert_eq!(table.dials.poll_timeout(), Some(Instant::ZERO + 250 * MILLI));
    for (address, delay) in [(B, 250), (C, 250), (D, 250)] {
        table.wait((delay - 1) * MILLI);
        assert!(table.start().is_empty());
        table.wait(MILLI);
        assert_eq!(addresses(&table.start()), [address]);
    }
}

#[test]
fn when_all_have_failed_the_next_need_not_wait() {
    let mut table = Table::new();
    table.ask(1, 1, &[A, B, C, D], NORMAL);
    let first = table.start();
    table.fail(&first[0]);
    assert_eq!(addresses(&table.start()), [B]);
    assert_eq!(table.dials.poll_timeout(), Some(Instant::ZERO + 500 * MILLI));
}

#[test]
fn an_open_transport_holds_the_others_back_for_a_while() {
    let mut table = Table::new();
    table.ask(1, 1, &[A, B], NORMAL);
    let first = table.start();
    table.wait(200 * MILLI);
    table.dials.opened(table.now, first[0].1, first[0].0);
    table.wait(499 * MILLI);
    assert!(table.start().is_empty());
    table.wait(MILLI);
    assert_eq!(addresses(&table.start()), [B]);
}

#[test]
fn who_asks_for_the_same_peer_joins_and_brings_addresses() {
    let mut table = Table::new();
    table.ask(1, 1, &[A], NORMAL);
    let first = table.start();
    table.ask(2, 1, &[A, B], NORMAL);
    let second = table.start();
    assert_eq!(addresses(&second), [B], "known addresses are not tried twice");
    let key = first[0].1;
    let outcome = table.dials.reached(table.now, key, Some(first[0].0), false);
    assert_eq!(outcome.askers, [DialId(1), DialId(2)]);
    assert_eq!(outcome.dropped, [second[0].0]);
    assert_eq!(table.dials.poll_timeout(), None);
    assert_eq!(table.dials.in_flight, 0);
}

#[test]
fn a_failed_dial_lists_every_address_with_its_cause() {
    let mut table = Table::new();
    table.ask(1, 1, &[D], NORMAL);
    let first = table.start();
    table.fail(&first[0]);
    assert_eq!(table.dials.poll_exhausted().unwrap().failures.len(), 1);
    table.ask(2, 1, &[A, D, "/ip4/0.0.0.0/tcp/1"], NORMAL);
    assert_eq!(addresses(&table.start()), [A]);
    assert_eq!(table.wait(ATTEMPT_TIMEOUT), [ConnectionId(2)]);
    let outcome = table.dials.poll_exhausted().unwrap();
    assert_eq!(outcome.askers, [DialId(2)]);
    let causes: Vec<_> =
        outcome.failures.into_iter().map(|(address, error)| (address.to_string(), error)).collect();
    assert_eq!(
        causes,
        [
            (D.into(), AttemptError::BackedOff(Duration::from_secs(5))),
            ("/ip4/0.0.0.0/tcp/1".into(), AttemptError::Filtered),
            (A.into(), AttemptError::TimedOut),
        ]
    );
}

#[test]
fn a_forced_dial_tries_what_failed_just_now() {
    let mut table = Table::new();
    table.ask(1, 1, &[A], NORMAL);
    let first = table.start();
    table.fail(&first[0]);
    assert!(table.dials.poll_exhausted().is_some());
    table.ask(2, 1, &[A], DialOptions { force: true, ..NORMAL });
    assert_eq!(addresses(&table.start()), [A]);
    table.dials.backoff.reached(&peer_id(1), &A.parse().unwrap());
    table.ask(3, 2, &[A], NORMAL);
    assert_eq!(addresses(&table.start()), [A], "what failed for one peer is free for another");
}

#[test]
fn an_attempt_has_its_time_and_private_ones_less() {
    let mut table = Table::new();
    table.ask(1, 1, &["/ip4/127.0.0.1/tcp/1", C], NORMAL);
    assert_eq!(table.start().len(), 2);
    assert_eq!(table.wait(LOCAL_ATTEMPT_TIMEOUT), [ConnectionId(1)]);
    assert!(table.wait(ATTEMPT_TIMEOUT - LOCAL_ATTEMPT_TIMEOUT - MILLI).is_empty());
    assert_eq!(table.wait(MILLI), [ConnectionId(2)]);
    assert_eq!(table.dials.poll_exhausted().unwrap().askers, [DialId(1)]);
}

#[test]
fn a_dial_ends_in_time_however_many_addresses_there_are() {
    let mut table = Table::new();
    let many: Vec<String> = (1..=200).map(|port| format!("/ip4/1.2.3.4/tcp/{port}")).collect();
    let many: Vec<&str> = many.iter().map(|text| &**text).collect();
    table.ask(1, 1, &many, NORMAL);
    let (mut tried, mut most) = (0, 0);
    while table.now < Instant::ZERO + DIAL_TIMEOUT {
        tried += table.start().len();
        most = most.max(table.dials.in_flight);
        let next = table.dials.poll_timeout().unwrap();
        let step = next - table.now;
        table.wait(step);
    }
    assert_eq!(most, 8);
    let outcome = table.dials.poll_exhausted().unwrap();
    let count = |error| outcome.failures.iter().filter(|(_, known)| *known == error).count();
    assert_eq!(count(AttemptError::TooMany), 200 - MAX_ADDRESSES);
    assert_eq!(count(AttemptError::TimedOut), MAX_ADDRESSES);
    assert!((24..MAX_ADDRESSES).contains(&tried), "{tried}");
    assert_eq!(table.dials.in_flight, 0);
}

#[test]
fn dials_share_the_attempts_in_flight_fairly() {
    let mut table = Table { in_all: 4, ..Table::new() };
    let many: Vec<String> = (1..=9).map(|port| format!("/ip4/1.2.3.4/tcp/{port}")).collect();
    let many: Vec<&str> = many.iter().map(|text| &**text).collect();
    for peer in 1..=6 {
        table.ask(peer.into(), peer, &many, NORMAL);
    }
    let first = table.start();
    assert_eq!(first.len(), 4, "no more than there is room for");
    table.fail(&first[0]);
    table.fail(&first[1]);
    let keys: Vec<u64> = table.start().iter().map(|(_, key, _)| *key).collect();
    assert_eq!(keys, [5, 6], "those who have waited come first");
}

#[test]
fn the_last_asker_ends_the_dial() {
    let mut table = Table::new();
    table.ask(1, 1, &[A], NORMAL);
    table.ask(2, 1, &[A], NORMAL);
    assert_eq!(table.start().len(), 1);
    assert!(table.dials.cancel(DialId(1)).unwrap().dropped.is_empty());
    assert_eq!(table.dials.cancel(DialId(2)).unwrap().dropped, [ConnectionId(1)]);
    assert!(table.dials.cancel(DialId(2)).is_none());
    assert_eq!((table.dials.in_flight, table.dials.poll_timeout()), (0, None));
    table.ask(3, 1, &[A], NORMAL);
    assert_eq!(table.start().len(), 1, "a dial taken back is no failure of its addresses");
}

#[test]
fn a_relayed_connection_does_not_end_the_search_for_a_direct_one() {
    let mut table = Table::new();
    table.ask(1, 1, &[RELAYED], NORMAL);
    let relayed = table.start();
    table.ask(2, 1, &[RELAYED, C], DIRECT);
    let direct = table.start();
    assert_eq!(addresses(&direct), [C]);
    let key = relayed[0].1;
    let outcome = table.dials.reached(table.now, key, Some(relayed[0].0), true);
    assert_eq!(outcome.askers, [DialId(1)]);
    assert!(outcome.dropped.is_empty());
    let outcome = table.dials.reached(table.now, key, Some(direct[0].0), false);
    assert_eq!(outcome.askers, [DialId(2)]);

    table.ask(3, 2, &[RELAYED], DIRECT);
    assert!(table.start().is_empty());
    let outcome = table.dials.poll_exhausted().unwrap();
    assert_eq!(outcome.failures, [(RELAYED.parse().unwrap(), AttemptError::Filtered)]);
}
