//! Relay and client, message by message: every limit, and remotes that lie or stall.

use core::time::Duration;

use super::message::{Hop, Reservation as Promise, Stop};
use super::*;
use crate::node::Direction;
use crate::protocols::{Action, Input, Local, Protocol};
use crate::{Instant, Keypair, Rng};

const NOW: Instant = Instant::ZERO;

fn keypair(number: u64) -> Keypair {
    Keypair::generate_ed25519(&mut Rng::from_number(number))
}

fn local(number: u64) -> Local {
    Local {
        keypair: keypair(number),
        addresses: vec!["/ip4/192.0.2.9/tcp/4001".parse().unwrap()],
        protocols: Vec::new(),
        agent: String::new(),
        protocol_version: String::new(),
        sequence: 1,
    }
}

fn connect(protocol: &mut dyn Protocol, connection: u64, peer: u64, remote: &str) {
    let (connection, peer) = (ConnectionId(connection), keypair(peer).peer_id());
    let (direction, remote) = (Direction::Inbound, remote.parse().unwrap());
    let input = Input::Connected { connection, peer: &peer, direction, remote: &remote };
    protocol.handle(NOW, &local(0), input);
}

fn inbound(protocol: &mut dyn Protocol, connection: u64, stream: u32, name: &str) {
    let (connection, stream) = (ConnectionId(connection), StreamId::from_number(stream));
    let input = Input::Inbound { connection, stream, protocol: &name.into() };
    protocol.handle(NOW, &local(0), input);
}

fn opened(protocol: &mut dyn Protocol, connection: u64, request: u64, stream: u32, name: &str) {
    let (connection, stream) = (ConnectionId(connection), StreamId::from_number(stream));
    let input = Input::Opened { connection, request, stream, protocol: &name.into() };
    protocol.handle(NOW, &local(0), input);
}

fn message(protocol: &mut dyn Protocol, connection: u64, stream: u32, bytes: Vec<u8>) {
    let (connection, stream) = (ConnectionId(connection), StreamId::from_number(stream));
    protocol.handle(NOW, &local(0), Input::Message { connection, stream, bytes });
}

fn actions(protocol: &mut dyn Protocol) -> Vec<Action> {
    core::iter::from_fn(|| protocol.poll()).collect()
}

/// What a relay answered on a stream last.
fn status(actions: &[Action]) -> Option<Status> {
    actions.iter().rev().find_map(|action| match action {
        Action::Send { bytes, .. } => match Hop::decode(bytes) {
            Ok(Hop::Status { status, .. }) => Some(status),
            _ => None,
        },
        _ => None,
    })
}

fn relay(change: impl FnOnce(&mut ServiceConfig)) -> Service {
    let mut config = ServiceConfig::default();
    change(&mut config);
    Service::new(true, config, 0)
}

fn reserve(service: &mut Service, connection: u64) -> Option<Status> {
    inbound(service, connection, 2, HOP_NAME);
    message(service, connection, 2, Hop::Reserve.encode());
    status(&actions(service))
}

fn ask_for(service: &mut Service, connection: u64, stream: u32, peer: u64) -> Vec<Action> {
    inbound(service, connection, stream, HOP_NAME);
    message(service, connection, stream, Hop::Connect { peer: keypair(peer).peer_id() }.encode());
    actions(service)
}

#[test]
fn reservations_of_one_address_are_limited() {
    let mut service = relay(|config| config.max_reservations_per_ip = 2);
    for peer in 1..=4 {
        let remote = if peer < 4 { "/ip4/192.0.2.1/tcp/1" } else { "/ip4/192.0.2.2/tcp/1" };
        connect(&mut service, peer, peer, remote);
        let expected = if peer == 3 { Status::ReservationRefused } else { Status::Ok };
        assert_eq!(reserve(&mut service, peer), Some(expected), "peer {peer}");
    }
    // Renewing takes no new place.
    assert_eq!(reserve(&mut service, 1), Some(Status::Ok));
}

#[test]
fn circuits_are_limited_in_all_and_for_a_peer() {
    let mut service = relay(|config| {
        config.max_circuits = 3;
        config.max_circuits_per_peer = 2;
    });
    for peer in 1..=4 {
        connect(&mut service, peer, peer, "/ip4/192.0.2.1/tcp/1");
    }
    assert_eq!(reserve(&mut service, 1), Some(Status::Ok));
    assert_eq!(reserve(&mut service, 4), Some(Status::Ok));
    for stream in [4, 6] {
        assert_eq!(status(&ask_for(&mut service, 2, stream, 1)), None);
    }
    let refused = Some(Status::ResourceLimitExceeded);
    assert_eq!(status(&ask_for(&mut service, 2, 8, 4)), refused, "of the source");
    assert_eq!(status(&ask_for(&mut service, 3, 4, 1)), refused, "of the target");
    assert_eq!(status(&ask_for(&mut service, 3, 6, 4)), None);
    connect(&mut service, 5, 5, "/ip4/192.0.2.1/tcp/1");
    assert_eq!(status(&ask_for(&mut service, 5, 4, 4)), refused, "in all");
    assert_eq!(service.circuit_count(), 3);
    // With the source goes what it asked for.
    service.handle(NOW, &local(0), Input::Disconnected { connection: ConnectionId(2) });
    assert_eq!(service.circuit_count(), 1);
}

#[test]
fn requests_that_say_nothing_are_limited() {
    let mut service = relay(|_| {});
    connect(&mut service, 1, 1, "/ip4/192.0.2.1/tcp/1");
    for number in 0..service::MAX_REQUESTS as u32 + 1 {
        inbound(&mut service, 1, 2 * number + 2, HOP_NAME);
    }
    let resets = actions(&mut service);
    assert!(matches!(resets[..], [Action::Reset { .. }]), "{resets:?}");
}

#[test]
fn over_a_circuit_nothing_is_served() {
    let mut service = relay(|_| {});
    connect(&mut service, 1, 1, "/ip4/192.0.2.1/tcp/1");
    assert_eq!(reserve(&mut service, 1), Some(Status::Ok));
    connect(&mut service, 2, 2, "/ip4/192.0.2.1/tcp/1/p2p-circuit");
    assert_eq!(reserve(&mut service, 2), Some(Status::PermissionDenied));
    assert_eq!(status(&ask_for(&mut service, 2, 4, 1)), Some(Status::PermissionDenied));
}

#[test]
fn a_target_that_stalls_or_says_no_fails_the_circuit_alone() {
    for stalls in [true, false] {
        let mut service = relay(|_| {});
        connect(&mut service, 1, 1, "/ip4/192.0.2.1/tcp/1");
        connect(&mut service, 2, 2, "/ip4/192.0.2.1/tcp/1");
        assert_eq!(reserve(&mut service, 1), Some(Status::Ok));
        assert_eq!(status(&ask_for(&mut service, 2, 4, 1)), None);
        opened(&mut service, 1, 1, 3, STOP_NAME);
        actions(&mut service);
        if stalls {
            let late = NOW + service::ANSWER_TIME;
            assert_eq!(service.poll_timeout(), Some(late));
            service.handle(late, &local(0), Input::Timeout);
        } else {
            message(&mut service, 1, 3, Stop::Status(Status::PermissionDenied).encode());
        }
        assert_eq!(status(&actions(&mut service)), Some(Status::ConnectionFailed));
        assert_eq!(service.circuit_count(), 0);
        assert_eq!(service.reservations().count(), 1);
    }
}

/// A client that is connected to peer 7, and has asked it for a place.
fn asking() -> Client {
    let mut client = Client::new(Config::default());
    connect(&mut client, 1, 7, "/ip4/192.0.2.1/tcp/1");
    client.reserve(NOW, ConnectionId(1));
    opened(&mut client, 1, 1, 3, HOP_NAME);
    actions(&mut client);
    client
}

fn promise(voucher: Option<Vec<u8>>, expire: u64) -> Vec<u8> {
    let addresses = vec!["/ip4/192.0.2.1/tcp/1".parse().unwrap()];
    let reservation = Some(Promise { expire, addresses, voucher });
    Hop::Status { status: Status::Ok, reservation, limit: Limit::default() }.encode()
}

fn unreserved(actions: &[Action]) -> Option<&RelayError> {
    actions.iter().find_map(|action| match action {
        Action::Relay(Order::Unreserved { error, .. }) => Some(error),
        _ => None,
    })
}

#[test]
fn forged_vouchers_and_places_that_are_over_are_refused() {
    let us = keypair(0).peer_id();
    let seal = |relay, peer| Voucher::seal(&keypair(relay), &peer, 100).unwrap();
    let good = seal(7, us);
    let mut broken = good.clone();
    broken[40] ^= 1;
    let lies = [
        promise(Some(seal(8, us)), 100),
        promise(Some(seal(7, keypair(9).peer_id())), 100),
        promise(Some(broken), 100),
        promise(Some(good.clone()), 0),
        Hop::Status { status: Status::Ok, reservation: None, limit: Limit::default() }.encode(),
        Hop::Reserve.encode(),
        vec![0xff; 20],
    ];
    for lie in lies {
        let mut client = asking();
        message(&mut client, 1, 3, lie);
        assert_eq!(unreserved(&actions(&mut client)), Some(&RelayError::Protocol));
        assert_eq!(client.reservations().count(), 0);
    }
    for voucher in [None, Some(good)] {
        let mut client = asking();
        message(&mut client, 1, 3, promise(voucher, 100));
        assert_eq!(unreserved(&actions(&mut client)), None);
        assert_eq!(client.reservations().count(), 1);
    }
}

#[test]
fn a_place_for_ever_is_asked_for_again_and_a_place_for_a_moment_not_without_end() {
    for (expire, sooner, later) in [(u64::MAX, 3 * 24 * 3600, 7 * 24 * 3600), (1, 1, 1)] {
        let mut client = asking();
        message(&mut client, 1, 3, promise(None, expire));
        let next = client.poll_timeout().unwrap();
        assert!(next >= NOW + Duration::from_secs(sooner), "{next:?}");
        assert!(next <= NOW + Duration::from_secs(later), "{next:?}");
    }
}

#[test]
fn a_relay_that_stalls_is_given_up() {
    let mut client = asking();
    let late = NOW + client::ANSWER_TIME;
    assert_eq!(client.poll_timeout(), Some(late));
    client.handle(late, &local(0), Input::Timeout);
    assert_eq!(unreserved(&actions(&mut client)), Some(&RelayError::TimedOut));
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn circuits_asked_for_and_offered_are_limited() {
    let mut client = asking();
    message(&mut client, 1, 3, promise(None, 100));
    actions(&mut client);
    for number in 0..client::MAX_CONNECTS as u64 + 1 {
        client.connect(NOW, ConnectionId(1), ConnectionId(100 + number), keypair(5).peer_id());
    }
    let failed = |action: &Action| {
        matches!(action, Action::Relay(Order::Failed { error: RelayError::TooMany, .. }))
    };
    assert_eq!(actions(&mut client).iter().filter(|action| failed(action)).count(), 1);
    for number in 0..client::MAX_OFFERS as u32 + 1 {
        inbound(&mut client, 1, 2 * number + 2, STOP_NAME);
    }
    let resets = actions(&mut client);
    assert!(matches!(resets[..], [Action::Reset { .. }]), "{resets:?}");
}

#[test]
fn only_relays_that_serve_us_bring_circuits() {
    let offer = Stop::Connect { peer: keypair(5).peer_id(), limit: Limit::default() }.encode();
    let tunnel =
        |action: &Action| matches!(action, Action::Relay(Order::Tunnel { attempt: None, .. }));
    let mut client = asking();
    inbound(&mut client, 1, 2, STOP_NAME);
    message(&mut client, 1, 2, offer.clone());
    assert!(!actions(&mut client).iter().any(tunnel));
    message(&mut client, 1, 3, promise(None, 100));
    inbound(&mut client, 1, 4, STOP_NAME);
    message(&mut client, 1, 4, offer);
    assert!(actions(&mut client).iter().any(tunnel));
}
