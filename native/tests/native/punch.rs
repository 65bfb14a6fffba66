//! From a relayed connection to a direct one, over real sockets.

use std::time::Duration;

use crate::common::host;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use polypeer::connection::Role;
use polypeer::facade::{Events, Node};
use polypeer::node::{Config, Event};
use polypeer::protocols::dcutr::{TryKind, UpgradeState};
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

/// Listens for TCP at a new port, and for WebSocket at the same one if it is `shared`.
async fn listen(node: &Node, shared: bool) -> Multiaddr {
    let at = node.listen("/ip4/127.0.0.1/tcp/0".parse().unwrap()).await.unwrap().remove(0);
    if shared {
        node.listen(format!("{at}/ws").parse().unwrap()).await.unwrap();
    }
    at
}

/// A relay without limits, and where the hidden peer can be reached through it.
async fn reserved(hidden: &Node) -> (Node, Multiaddr) {
    let mut service = ServiceConfig::default();
    service.limit = Limit::default();
    let relay = start(1, |config| config.relay.service = Some(service));
    let at = listen(&relay, false).await.with_peer(*relay.peer_id());
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
    punched(false).await;
}

/// Who dials here may wait for the other to speak: the port takes it for what it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_dial_where_websocket_is_listened_on_too() {
    punched(true).await;
}

async fn punched(shared: bool) {
    let (hidden, visitor) = (start(2, |_| {}), visitor(true));
    listen(&hidden, shared).await;
    listen(&visitor, shared).await;
    let (_relay, circuit) = reserved(&hidden).await;
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
    assert!(!direct.remote_address().is_circuit());
    let mut stream = direct.open_stream(&[echo::NAME]).await.unwrap();
    stream.write_all(b"direct").await.unwrap();
    stream.close().await.unwrap();
    let mut back = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut back)).await.unwrap().unwrap();
    assert_eq!(back, b"direct");
}

#[tokio::test]
async fn a_peer_that_can_be_dialed_is_dialed() {
    let hidden = start(2, |_| {});
    let visitor = visitor(false);
    listen(&hidden, false).await;
    listen(&visitor, false).await;
    let (_relay, circuit) = reserved(&hidden).await;
    let mut there = hidden.events();
    timeout(PATIENCE, visitor.dial(circuit)).await.unwrap().unwrap();
    until(&mut there, upgraded(*visitor.peer_id())).await;
    let why = hidden.explain(visitor.peer_id()).await.unwrap().unwrap();
    assert_eq!(why.tries.iter().map(|one| one.kind).collect::<Vec<_>>(), [TryKind::Dial], "{why}");
}
