//! The core as JavaScript drives it.
//!
//! JavaScript owns sockets and time. A turn is calls in, then one
//! [`Core::drain`] out; the core never calls back (but for the ciphers, which
//! touch nothing of it). All arguments are integers (as floats where 32 bits do
//! not do), short texts, or bytes in the two ranges [`Core::input`] and
//! [`Core::output`].

mod ciphers;
#[cfg(feature = "full")]
mod ipns;
#[cfg(feature = "full")]
mod kad;
#[cfg(feature = "full")]
mod keeping;
#[cfg(feature = "full")]
mod limiting;
#[cfg(feature = "full")]
mod manager;
#[cfg(feature = "node")]
mod mdns;
#[cfg(feature = "full")]
mod meeting;
#[cfg(feature = "full")]
mod pubsub;
#[cfg(feature = "full")]
mod reach;
mod records;
#[cfg(feature = "full")]
mod relay;
#[cfg(feature = "full")]
mod service;
#[cfg(feature = "node")]
mod serving;
#[cfg(feature = "full")]
mod store;
#[cfg(feature = "full")]
mod topics;
#[cfg(feature = "full")]
mod webrtc;

use std::fmt::Display;
use std::sync::Arc;

use polypeer::address::Multiaddr;
use polypeer::collections::Set;
use polypeer::connection::{Stream, StreamEvent, StreamId};
use polypeer::identity::{Keypair, PeerId};
use polypeer::negotiate::Name;
use polypeer::node::{Config, ConnectionId, DialId, Direction, Event};
use polypeer::peer::{Output, Peer};
use polypeer::swarm::DialOptions;
use polypeer::{Instant, Rng};
use wasm_bindgen::prelude::wasm_bindgen;

use records::{Cause, Records, Tag, connection_cause, lines, stream_cause};

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

/// One peer.
#[wasm_bindgen]
pub struct Core {
    peer: Peer,
    /// Connections whose streams were used since the last drain.
    touched: Set<ConnectionId>,
    /// What JavaScript wrote for the call to come.
    input: Vec<u8>,
    /// What the last call left for JavaScript.
    output: Vec<u8>,
    /// Where the last call's output is: in `output`, or in a stream's own buffer.
    output_at: usize,
    /// Entries of an earlier run, until they are restored.
    #[cfg(feature = "full")]
    stored: Vec<(Vec<u8>, Vec<u8>)>,
    /// What the store of records has, until all of it is known.
    #[cfg(feature = "full")]
    found: Vec<(Vec<u8>, Vec<u8>, u64)>,
    /// What is to change of a peer.
    #[cfg(feature = "full")]
    patch: polypeer::swarm::store::Patch,
    /// Looks for neighbours, if it does.
    #[cfg(feature = "node")]
    mdns: Option<polypeer::discovery::mdns::Mdns>,
}

#[wasm_bindgen]
impl Core {
    /// A peer with a private key in protobuf encoding; nothing if that cannot be
    /// read. `seed` is 32 random bytes, `agent` may be empty.
    pub fn create(
        unix_millis: f64,
        seed: &[u8],
        key: &[u8],
        agent: String,
        host_ciphers: bool,
    ) -> Option<Core> {
        let keypair = Keypair::from_protobuf(key).ok()?;
        let mut config = Config::new(keypair);
        if !agent.is_empty() {
            config.agent = agent;
        }
        if host_ciphers {
            config.connection.ciphers = Arc::new(ciphers::HostCiphers);
        }
        config.first_sequence = unix_millis as u64;
        let rng = Rng::from_seed(seed.try_into().ok()?);
        Some(Self {
            peer: Peer::new(config, rng),
            touched: Set::new(),
            input: Vec::new(),
            output: Vec::new(),
            output_at: 0,
            #[cfg(feature = "full")]
            stored: Vec::new(),
            #[cfg(feature = "full")]
            found: Vec::new(),
            #[cfg(feature = "full")]
            patch: polypeer::swarm::store::Patch::default(),
            #[cfg(feature = "node")]
            mdns: None,
        })
    }

    /// A new private key in protobuf encoding, from 32 random bytes.
    pub fn generate_key(seed: &[u8]) -> Option<Vec<u8>> {
        let seed = seed.try_into().ok()?;
        Some(Keypair::ed25519_from_seed(seed).to_protobuf().to_vec())
    }

    /// Where JavaScript writes `length` bytes at most; stays the same for the same length.
    pub fn input(&mut self, length: usize) -> usize {
        self.input.resize(length, 0);
        self.input.as_ptr() as usize
    }

    /// Where the last call's output is.
    pub fn output(&self) -> usize {
        self.output_at
    }

    // News from the host.

    /// The transport that a dial asked for is open. False: close it.
    pub fn connected(&mut self, now: f64, connection: f64) -> bool {
        self.peer.connected(instant(now), id(connection))
    }

    /// The transport that a dial asked for cannot be had.
    pub fn dial_failed(&mut self, now: f64, connection: f64, reason: String) {
        self.peer.dial_failed(instant(now), id(connection), reason);
    }

    /// A remote opened a transport to us: the connection's number, or less than
    /// zero if it is to be closed.
    pub fn accepted(&mut self, now: f64, remote: &str) -> f64 {
        let Ok(remote) = remote.parse() else { return -1.0 };
        match self.peer.accepted(instant(now), remote) {
            Ok(connection) => connection.0 as f64,
            Err(_) => -1.0,
        }
    }

    /// The host listens on an address.
    pub fn listening(&mut self, now: f64, address: &str) {
        if let Ok(address) = address.parse() {
            self.peer.listening(instant(now), address);
        }
    }

    /// The first `length` bytes of the input came on a connection.
    pub fn receive(&mut self, now: f64, connection: f64, length: usize) {
        if let Some(bytes) = self.input.get_mut(..length) {
            self.peer.receive(instant(now), id(connection), bytes);
        }
    }

    /// Whether a connection takes more bytes just now.
    pub fn wants_read(&self, connection: f64) -> bool {
        self.peer.wants_read(id(connection))
    }

    /// Puts at most `budget` bytes for the wire into the output.
    pub fn transmit(&mut self, now: f64, connection: f64, budget: usize) -> usize {
        self.output.clear();
        let length = self.peer.transmit(instant(now), id(connection), &mut self.output, budget);
        self.output_at = self.output.as_ptr() as usize;
        length
    }

    /// The transport of a connection ended.
    pub fn closed(&mut self, now: f64, connection: f64, reason: String) {
        self.peer.closed(instant(now), id(connection), reason);
    }

    /// The answer to a signature check.
    pub fn verified(&mut self, now: f64, connection: f64, valid: bool) {
        self.peer.verified(instant(now), id(connection), valid);
    }

    /// The time that `poll_timeout` named has come.
    pub fn handle_timeout(&mut self, now: f64) {
        self.peer.handle_timeout(instant(now));
    }

    /// When to call `handle_timeout`, in microseconds; infinity for never.
    pub fn poll_timeout(&self) -> f64 {
        self.peer.poll_timeout().map_or(f64::INFINITY, |at| at.as_micros() as f64)
    }

    // The application.

    /// The node's PeerId as text in the output; returns its length.
    pub fn peer_id(&mut self) -> usize {
        let peer = self.peer.node().peer_id();
        self.say(&mut std::iter::once(&peer as &dyn Display))
    }

    /// The node's addresses with its PeerId, a line each.
    pub fn addresses(&mut self) -> usize {
        let peer = self.peer.node().peer_id();
        let list: Vec<Multiaddr> =
            self.peer.node().addresses().iter().map(|address| address.with_peer(peer)).collect();
        self.say(&mut list.iter().map(|address| address as &dyn Display))
    }

    /// A PeerId in base58, whichever form it came in; negative: a failure's record.
    pub fn normalize_peer_id(&mut self, text: &str) -> i32 {
        match text.parse::<PeerId>() {
            Ok(peer) => self.say(&mut std::iter::once(&peer as &dyn Display)) as i32,
            Err(error) => self.fail(Cause::Address, &error),
        }
    }

    /// Dials a PeerId, or one peer at several addresses, a line each: the dial's
    /// number, or less than zero for a failure's record. `direct` takes no relayed
    /// connection, `force` tries addresses that failed lately.
    pub fn dial(&mut self, now: f64, target: &str, direct: bool, force: bool) -> f64 {
        let mut peer = None;
        let mut addresses = Vec::new();
        for line in target.split('\n') {
            if line.starts_with('/') {
                match line.parse() {
                    Ok(address) => addresses.push(address),
                    Err(error) => return self.fail(Cause::Address, &error).into(),
                }
            } else {
                match line.parse::<PeerId>() {
                    Ok(name) => peer = Some(name),
                    Err(error) => return self.fail(Cause::Address, &error).into(),
                }
            }
        }
        let options = DialOptions { direct, force };
        self.peer.dial_with(instant(now), peer, addresses, options).0 as f64
    }

    /// Nobody waits for this dial any more.
    pub fn cancel_dial(&mut self, now: f64, dial: f64) {
        self.peer.cancel_dial(instant(now), DialId(dial as u64));
    }

    /// Takes streams for a protocol.
    pub fn handle(&mut self, now: f64, protocol: &str) {
        self.peer.handle(instant(now), protocol.into());
    }

    /// Takes streams for a protocol no longer.
    pub fn unhandle(&mut self, now: f64, protocol: &str) {
        self.peer.unhandle(instant(now), protocol);
    }

    /// Pings the remote: the ping's number.
    pub fn ping(&mut self, now: f64, connection: f64) -> f64 {
        self.peer.ping(instant(now), id(connection)).0 as f64
    }

    /// Closes a connection in order.
    pub fn close(&mut self, now: f64, connection: f64) {
        self.peer.close(instant(now), id(connection));
    }

    // Streams.

    /// Opens a stream for the first of the protocols, a line each, that the
    /// remote speaks: its number, or less than zero for a failure's record.
    pub fn open_stream(&mut self, now: f64, connection: f64, protocols: &str) -> f64 {
        let names: Vec<Name> = protocols.split('\n').map(Name::from).collect();
        match self.peer.open_stream(instant(now), id(connection), names) {
            Ok(stream) => stream.number().into(),
            Err(error) => self.fail(stream_cause(&error), &error).into(),
        }
    }

    /// How many bytes of a stream can be read; the output is then where they are.
    pub fn readable(&mut self, connection: f64, stream: u32) -> usize {
        let (at, length) = match self.stream(connection, stream) {
            Some(mut stream) => {
                let bytes = stream.readable();
                (bytes.as_ptr() as usize, bytes.len())
            }
            None => (0, 0),
        };
        self.output_at = at;
        length
    }

    /// The oldest `count` bytes of a stream were read.
    pub fn consume(&mut self, connection: f64, stream: u32, count: usize) {
        if let Some(mut stream) = self.stream(connection, stream) {
            stream.consume(count);
            self.touched.insert(id(connection));
        }
    }

    /// Writes the first `length` bytes of the input to a stream: how many it took.
    pub fn write(&mut self, connection: f64, stream: u32, length: usize) -> usize {
        let bytes = self.input.get(..length).unwrap_or_default();
        let Some(mut stream) = self.peer.stream(id(connection), StreamId::from_number(stream))
        else {
            return 0;
        };
        self.touched.insert(id(connection));
        stream.write(bytes).unwrap_or(0)
    }

    /// Our side of a stream is finished.
    pub fn finish(&mut self, connection: f64, stream: u32) {
        if let Some(mut stream) = self.stream(connection, stream) {
            stream.finish();
            self.touched.insert(id(connection));
        }
    }

    /// Gives a stream up.
    pub fn reset(&mut self, now: f64, connection: f64, stream: u32) {
        let stream = StreamId::from_number(stream);
        self.peer.reset_stream(instant(now), id(connection), stream);
    }

    /// Puts all that is to be done and told into the output as records: its length.
    pub fn drain(&mut self, now: f64) -> usize {
        self.output.clear();
        while let Some(connection) = self.touched.pop_first() {
            self.peer.touched(instant(now), connection);
        }
        while let Some(output) = self.peer.poll_output() {
            #[cfg(feature = "full")]
            {
                store::record(&mut Records(&mut self.output), &output);
                relay::record(&mut Records(&mut self.output), &output);
                manager::record(&mut Records(&mut self.output), &output);
                pubsub::record(&mut Records(&mut self.output), &output);
                webrtc::record(&mut Records(&mut self.output), &output);
                kad::record(&mut Records(&mut self.output), &output);
                keeping::record(&mut Records(&mut self.output), &output);
                meeting::record(&mut Records(&mut self.output), &output);
            }
            #[cfg(feature = "node")]
            serving::record(&mut Records(&mut self.output), &output);
            record(&mut Records(&mut self.output), output);
        }
        self.output_at = self.output.as_ptr() as usize;
        self.output.len()
    }
}

impl Core {
    fn stream(&mut self, connection: f64, stream: u32) -> Option<Stream<'_>> {
        self.peer.stream(id(connection), StreamId::from_number(stream))
    }

    /// Leaves lines of text in the output and returns their length.
    fn say(&mut self, texts: &mut dyn Iterator<Item = &dyn Display>) -> usize {
        self.output.clear();
        lines(&mut self.output, texts);
        self.output_at = self.output.as_ptr() as usize;
        self.output.len()
    }

    /// Leaves a failure's record in the output and returns its length, negated.
    fn fail(&mut self, cause: Cause, message: &dyn Display) -> i32 {
        self.output.clear();
        Records(&mut self.output).failure(cause, message);
        self.output_at = self.output.as_ptr() as usize;
        -(self.output.len() as i32)
    }
}

fn instant(micros: f64) -> Instant {
    Instant::from_micros(micros as u64)
}

fn id(connection: f64) -> ConnectionId {
    ConnectionId(connection as u64)
}

fn record(out: &mut Records<'_>, output: Output) {
    match output {
        Output::Dial { connection, address } => {
            out.tag(Tag::Dial).number(connection.0).text(&address);
        }
        Output::Transmit(connection) => {
            out.tag(Tag::Transmit).number(connection.0);
        }
        Output::Drop(connection) => {
            out.tag(Tag::Drop).number(connection.0);
        }
        Output::Verify { connection, request } => {
            out.tag(Tag::Verify)
                .number(connection.0)
                .byte(request.key_type as u8)
                .bytes(&request.public_key)
                .bytes(&request.message)
                .bytes(&request.signature);
        }
        Output::Stream(connection, event) => stream(out, connection, event),
        Output::Event(event) => tell(out, event),
        _ => {}
    }
}

fn stream(out: &mut Records<'_>, connection: ConnectionId, event: StreamEvent) {
    let (tag, id) = match &event {
        StreamEvent::Opened { stream, .. } => (Tag::StreamOpened, stream),
        StreamEvent::Failed { stream, .. } => (Tag::StreamFailed, stream),
        StreamEvent::Readable(stream) => (Tag::Readable, stream),
        StreamEvent::Writable(stream) => (Tag::Writable, stream),
        StreamEvent::Finished(stream) => (Tag::Finished, stream),
        StreamEvent::Reset(stream) => (Tag::Reset, stream),
        _ => return,
    };
    out.tag(tag).number(connection.0).number(id.number().into());
    match event {
        StreamEvent::Opened { protocol, .. } => {
            out.text(&protocol);
        }
        StreamEvent::Failed { error, .. } => {
            out.failure(stream_cause(&error), &error);
        }
        _ => {}
    }
}

fn tell(out: &mut Records<'_>, event: Event) {
    match event {
        Event::Connected { connection, peer, direction, remote } => {
            out.tag(Tag::Connected)
                .number(connection.0)
                .byte((direction == Direction::Inbound).into())
                .text(&peer)
                .text(&remote);
        }
        Event::Disconnected { connection, reason, .. } => {
            out.tag(Tag::Disconnected)
                .number(connection.0)
                .failure(connection_cause(&reason), &reason);
        }
        Event::Dialed { dial, connection, .. } => {
            out.tag(Tag::Dialed).number(connection.0).number(dial.0);
        }
        Event::DialFailed { dial, error } => out.dial_failed(dial.0, &error),
        Event::InboundStream { connection, stream, protocol, .. } => {
            out.tag(Tag::InboundStream)
                .number(connection.0)
                .number(stream.number().into())
                .text(&protocol);
        }
        Event::Identified { connection, peer, info } => {
            out.tag(Tag::Identified)
                .number(connection.0)
                .text(&peer)
                .text(&info.agent)
                .list(&mut info.protocols.iter().map(|name| name as &dyn Display))
                .list(&mut info.addresses.iter().map(|address| address as &dyn Display));
            match &info.observed {
                Some(observed) => out.text(observed),
                None => out.text(&""),
            };
        }
        Event::Pinged { ping, result, .. } => {
            let micros = result.map_or(-1.0, |rtt| rtt.as_micros() as f64);
            out.tag(Tag::Pinged).number(ping.0).float(micros);
        }
        Event::AddressesChanged => {
            out.tag(Tag::Addresses);
        }
        _ => {}
    }
}
