//! A server of the DHT as those meet it that ask.

use crate::connection::StreamId;
use crate::negotiate::Name;
use crate::node::{ConnectionId, Direction};
use crate::protocols::kad::message::{Answer, Request};
use crate::protocols::kad::{Config, Invalid, Kademlia, Mode, NAME, Order, Validator};
use crate::protocols::{Action, Input, Local, Protocol};
use crate::records::Order as StoreOrder;
use crate::time::Instant;

use super::peer;

pub(super) const NOW: Instant = Instant::ZERO;

/// The stream was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// A server of the DHT, and peers that ask it, a connection each.
pub(super) struct Server {
    pub(super) kad: Kademlia,
    local: Local,
    name: Name,
    stream: u64,
}

/// What it does: orders to find, to write (their entries), answers, resets.
pub(super) type Done = (usize, Vec<usize>, usize, usize);

impl Server {
    /// One whose store is there, and says nothing.
    pub(super) fn with_store(config: Config) -> Self {
        let mut server = Self::new(config);
        server.kad.store_behind();
        server
    }

    pub(super) fn new(config: Config) -> Self {
        let keypair = crate::Keypair::ed25519_from_seed([7; 32]);
        let config = Config { mode: Mode::Server, protocol: NAME.into(), ..config };
        let mut kad = Kademlia::new(config, keypair.peer_id());
        kad.validators_mut().set("any", Box::new(Any));
        let local = Local {
            keypair,
            addresses: Vec::new(),
            protocols: Vec::new(),
            agent: String::new(),
            protocol_version: String::new(),
            sequence: 0,
        };
        let mut server = Self { kad, local, name: NAME.into(), stream: 0 };
        let remote = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        for number in 0..100 {
            let (connection, peer) = (ConnectionId(number), &peer(number));
            let direction = Direction::Inbound;
            server.handle(NOW, Input::Connected { connection, peer, direction, remote: &remote });
        }
        server
    }

    pub(super) fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.kad.handle(now, &self.local, input);
    }

    /// Who is at the other end of a connection says that it is a server too.
    pub(super) fn identified(&mut self, connection: u64) {
        let address = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        self.kad.identified(NOW, ConnectionId(connection), (&[NAME.into()], &[address]));
    }

    /// A request on a stream of a connection.
    pub(super) fn ask(&mut self, connection: u64, stream: u64, request: &Request) {
        self.send(NOW, connection, stream, request.to_bytes());
    }

    pub(super) fn send(&mut self, now: Instant, connection: u64, stream: u64, bytes: Vec<u8>) {
        let (connection, stream) = (ConnectionId(connection), StreamId::from_number(stream as u32));
        let name = self.name.clone();
        self.handle(now, Input::Inbound { connection, stream, protocol: &name });
        self.handle(now, Input::Message { connection, stream, bytes });
    }

    /// A request of a stream of its own, which ends with it; the answer, if there is one,
    /// or that the stream was reset.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        connection: u64,
        request: &Request,
    ) -> Result<Option<Answer>, Refused> {
        let stream = self.stream;
        self.stream += 1;
        self.send(now, connection, stream, request.to_bytes());
        let (connection, stream) = (ConnectionId(connection), StreamId::from_number(stream as u32));
        self.handle(now, Input::Finished { connection, stream });
        let mut answer = None;
        while let Some(action) = self.kad.poll() {
            match action {
                Action::Send { bytes, .. } => answer = request.read_answer(&bytes).ok(),
                Action::Reset { .. } => return Err(Refused),
                _ => {}
            }
        }
        Ok(answer)
    }

    pub(super) fn drain(&mut self) -> Done {
        let (mut finds, mut writes, mut answers, mut resets) = (0, Vec::new(), 0, 0);
        while let Some(action) = self.kad.poll() {
            match action {
                Action::Kad(Order::Store(StoreOrder::Find(_))) => finds += 1,
                Action::Kad(Order::Store(StoreOrder::Write(batch))) => writes.push(batch.len()),
                Action::Send { .. } => answers += 1,
                Action::Reset { .. } => resets += 1,
                _ => {}
            }
        }
        (finds, writes, answers, resets)
    }
}

/// Any value is good.
struct Any;

impl Validator for Any {
    fn validate(&self, _: &[u8], _: &[u8], _: u64) -> Result<(), Invalid> {
        Ok(())
    }
    fn is_better(&self, _: &[u8], new: &[u8], old: &[u8]) -> bool {
        new > old
    }
}
