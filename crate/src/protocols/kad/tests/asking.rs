//! Whom queries begin with, and whom they forget.

use crate::address::Multiaddr;
use crate::connection::StreamError;
use crate::identity::PeerId;
use crate::node::{ConnectionId, Direction};
use crate::protocols::kad::{Config, Kademlia, NAME, Order, QueryId};
use crate::protocols::{Action, Input, Local, Protocol};
use crate::time::Instant;

use super::peer;

const NOW: Instant = Instant::ZERO;

/// One that asks.
struct Asker {
    kad: Kademlia,
    local: Local,
    remote: Multiaddr,
}

impl Asker {
    fn new() -> Self {
        let keypair = crate::Keypair::ed25519_from_seed([7; 32]);
        let config = Config { protocol: NAME.into(), ..Config::default() };
        let kad = Kademlia::new(config, keypair.peer_id());
        let local = Local {
            keypair,
            addresses: Vec::new(),
            protocols: Vec::new(),
            agent: String::new(),
            protocol_version: String::new(),
            sequence: 0,
        };
        Self { kad, local, remote: "/ip4/192.0.2.1/tcp/1".parse().unwrap() }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.kad.handle(NOW, &self.local, input);
    }

    /// Connects to the peer of this number, a server or not.
    fn connect(&mut self, number: u64, serves: bool) {
        let (connection, peer) = (ConnectionId(number), &peer(number));
        let (remote, direction) = (&self.remote.clone(), Direction::Outbound);
        self.handle(Input::Connected { connection, peer, direction, remote });
        let names = if serves { &[NAME.into()][..] } else { &[] };
        self.kad.identified(NOW, connection, (names, std::slice::from_ref(remote)));
    }

    fn query(&mut self, number: u64) {
        self.kad.closest(NOW, QueryId(number), b"key".to_vec()).unwrap();
        self.kad.advance(NOW);
    }

    /// Whom it wants to be connected to, and the connections on which it wants to ask,
    /// under which numbers.
    fn wants(&mut self) -> (Vec<PeerId>, Vec<(ConnectionId, u64)>) {
        let (mut reach, mut open) = (Vec::new(), Vec::new());
        while let Some(action) = self.kad.poll() {
            match action {
                Action::Kad(Order::Reach { peer, .. }) => reach.push(peer),
                Action::Open { connection, request, .. } => open.push((connection, request)),
                _ => {}
            }
        }
        (reach, open)
    }

    fn knows(&self) -> usize {
        self.kad.table().peers().count()
    }
}

#[test]
fn who_lost_its_place_is_asked_again_if_nobody_else_is_known() {
    let mut asker = Asker::new();
    asker.connect(1, true);
    asker.connect(2, false);
    for query in 1..3 {
        asker.query(query);
        let (_, open) = asker.wants();
        assert_eq!(open.iter().map(|ask| ask.0).collect::<Vec<_>>(), [ConnectionId(1)]);
        let (connection, request) = open[0];
        let error = StreamError::NotConnected;
        asker.handle(Input::OpenFailed { connection, request, error });
        assert_eq!(asker.knows(), 0);
    }
}

#[test]
fn who_is_cut_off_from_all_forgets_nobody() {
    let mut asker = Asker::new();
    for number in 1..4 {
        asker.connect(number, true);
    }
    for number in 1..4 {
        asker.handle(Input::Disconnected { connection: ConnectionId(number) });
    }
    asker.wants();
    // However often it tries.
    for query in 1..4 {
        asker.query(query);
        let (reach, _) = asker.wants();
        assert_eq!(reach.len(), 3);
        for peer in reach {
            asker.kad.not_reached(NOW, &peer);
        }
        asker.kad.advance(NOW);
        asker.wants();
        assert_eq!(asker.knows(), 3);
    }
    // Once it reaches one of them, who is not reached is gone.
    asker.connect(1, true);
    asker.query(4);
    let (reach, _) = asker.wants();
    assert_eq!(reach.len(), 2);
    for peer in reach {
        asker.kad.not_reached(NOW, &peer);
    }
    assert_eq!(asker.knows(), 1);
}
