//! From a relayed connection to a direct one, over real sockets.

use std::time::Duration;

use crate::common::host;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use polypeer::connection::Role;
use polypeer::facade::{Events, Node};
use polypeer::node::{Config, Event};
use polypeer::protocols::dcutr::{PUNCH_TIMEOUT, TryKind, UpgradeState};
use polypeer::protocols::relay::{Limit, ServiceConfig};
use polypeer::{Keypair, Multiaddr, PeerId, Rng};
use polypeer_native::service::echo;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

fn start(seed: u64, change: impl FnOnce(&mut Config)) -> Node {
    let mut config = Config::new(Keypair::generate_ed25519(&mut Rng::from_number(seed)));
    config.addresses.private = true;
    change(&mut config);
    Node::start(std::sync::Arc::new(host()), config)
}

async fn until<T>(events: &mut Events, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.next().await.expect("the node runs");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    timeout(PATIENCE, found).await.expect("in time")
}

fn upgraded(peer: PeerId) -> impl FnMut(Event) -> Option<()> {
    move |event| matches!(event, Event::Upgraded { peer: of, .. } if of == peer).then_some(())
}

/// What is listened on, at a new port.
#[derive(Clone, Copy, PartialEq)]
enum On {
    Tcp,
    /// And WebSocket at the same port.
    TcpAndWebSocket,
    Quic,
}

async fn listen(node: &Node, on: On) -> Multiaddr {
    let at = if on == On::Quic { "/ip4/127.0.0.1/udp/0/quic-v1" } else { "/ip4/127.0.0.1/tcp/0" };
    let at = node.listen(at.parse().unwrap()).await.unwrap().remove(0);
    if on == On::TcpAndWebSocket {
        node.listen(format!("{at}/ws").parse().unwrap()).await.unwrap();
    }
    at
}

/// A relay without limits, and where the hidden peer can be reached through it.
async fn reserved(hidden: &Node, on: On) -> (Node, Multiaddr) {
    let mut service = ServiceConfig::default();
    service.limit = Limit::default();
    let relay = start(1, |config| config.relay.service = Some(service));
    let at = listen(&relay, on).await.with_peer(*relay.peer_id());
    echo::serve(hidden);
    let mut events = hidden.events();
    hidden.listen_on_relay(Some(at)).await.unwrap().unwrap();
    let addresses = until(&mut events, |event| match event {
        Event::Reserved { addresses, .. } => Some(addresses),
        _ => None,
    });
    let circuit = addresses.await[0].with_peer(*hidden.peer_id());
    (relay, circuit)
}

/// A peer that tells nobody where it listens if it is `silent`.
fn visitor(silent: bool) -> Node {
    start(3, |config| {
        if silent {
            config.addresses.no_announce = vec!["/ip4/127.0.0.0/ipcidr/8".parse().unwrap()];
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_dial_and_new_streams_are_direct() {
    punched(On::Tcp).await;
}

/// One dials, the other sends what opens its network.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_quic_one_dials_and_new_streams_are_direct() {
    punched(On::Quic).await;
}

/// Who dials here may wait for the other to speak: the port takes it for what it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_dial_where_websocket_is_listened_on_too() {
    punched(On::TcpAndWebSocket).await;
}

async fn punched(on: On) {
    let (hidden, visitor) = (start(2, |_| {}), visitor(true));
    listen(&hidden, on).await;
    listen(&visitor, on).await;
    let (_relay, circuit) = reserved(&hidden, on).await;
    let (mut there, mut here) = (hidden.events(), visitor.events());
    let relayed = timeout(PATIENCE, visitor.dial(circuit)).await.unwrap().unwrap();
    assert!(relayed.remote_address().is_circuit());
    until(&mut there, upgraded(*visitor.peer_id())).await;
    until(&mut here, upgraded(*hidden.peer_id())).await;

    for (node, other, role) in
        [(&hidden, &visitor, Role::Responder), (&visitor, &hidden, Role::Initiator)]
    {
        let why = node.explain(other.peer_id()).await.unwrap().unwrap();
        assert!(matches!(why.state, UpgradeState::Direct(_)), "{why}");
        assert_eq!(why.tries.last().unwrap().kind, TryKind::Punch(role), "{why}");
    }
    let direct = visitor.dial_peer(Some(*hidden.peer_id()), Vec::new()).await.unwrap();
    let at = direct.remote_address();
    assert!(!at.is_circuit());
    assert_eq!(at.to_string().contains("/quic-v1"), on == On::Quic, "{at}");
    let mut stream = direct.open_stream(&[echo::NAME]).await.unwrap();
    stream.write_all(b"direct").await.unwrap();
    stream.close().await.unwrap();
    let mut back = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut back)).await.unwrap().unwrap();
    assert_eq!(back, b"direct");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_leaves_waits_for_a_hole() {
    let (hidden, visitor) = (start(2, |_| {}), visitor(true));
    listen(&hidden, On::Quic).await;
    listen(&visitor, On::Quic).await;
    let (relay, circuit) = reserved(&hidden, On::Quic).await;
    let mut events = visitor.events();
    timeout(PATIENCE, visitor.dial(circuit)).await.unwrap().unwrap();
    // It leaves as soon as it is let in, while the other may still be at it.
    let direct = |event| match event {
        Event::Connected { remote, .. } if !remote.is_circuit() => Some(()),
        _ => None,
    };
    until(&mut events, direct).await;
    for node in [&visitor, &hidden, &relay] {
        timeout(PUNCH_TIMEOUT / 2, node.close()).await.expect("it ends at once");
    }
}

#[tokio::test]
async fn a_peer_that_can_be_dialed_is_dialed() {
    let hidden = start(2, |_| {});
    let visitor = visitor(false);
    listen(&hidden, On::Tcp).await;
    listen(&visitor, On::Tcp).await;
    let (_relay, circuit) = reserved(&hidden, On::Tcp).await;
    let mut there = hidden.events();
    timeout(PATIENCE, visitor.dial(circuit)).await.unwrap().unwrap();
    until(&mut there, upgraded(*visitor.peer_id())).await;
    let why = hidden.explain(visitor.peer_id()).await.unwrap().unwrap();
    assert_eq!(why.tries.iter().map(|one| one.kind).collect::<Vec<_>>(), [TryKind::Dial], "{why}");
}
