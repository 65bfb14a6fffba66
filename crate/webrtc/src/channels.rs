//! The data channels of one connection: streams of SCTP, by the numbers that the
//! core knows them by.
//!
//! Source: RFC 8831 (data channels), RFC 8832 (how they open), RFC 9260 (SCTP).

mod packet;
#[cfg(test)]
mod tests;
mod writing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
    Payload, PayloadProtocolIdentifier as Kind, ServerConfig, StreamEvent, Transmit,
    TransportConfig,
};

use super::{dcep, records};

/// Bytes of the remote's messages that wait to be read, in all channels: as much as
/// is on its way over 100 ms at 80 Mbit/s. SCTP lets the remote send no more.
const RECEIVE_BYTES: u32 = 1 << 20;
/// Bytes that are not acknowledged, or not sent, beyond which nothing more is taken
/// from the core. As [`RECEIVE_BYTES`].
const SEND_BYTES: usize = 1 << 20;
/// The longest message of a remote: what fits a record. libp2p's have at most 16 KiB.
const MAX_MESSAGE: u32 = u16::MAX as u32;
/// Channels of the remote that are open; further ones are closed at once. What
/// browsers allow a page.
const MAX_REMOTE: usize = 1024;
/// Channels of both sides, opening and closing ones counted; a remote that has more
/// is left.
const MAX_CHANNELS: usize = 4096;
/// Channels of ours, those that still close counted, so that their ids stay below 1024,
/// which browsers agree to. While some close, which on a long path hundreds do, further ones
/// open after these.
const MAX_LOCAL: usize = 511;

/// Ids that the remote refuses to free beyond which a connection is left for a new one: sides
/// that disagree once on the number of a reset never agree again (RFC 6525 section 5.2.1),
/// and each channel that closes costs an id.
const MAX_WORN: usize = MAX_LOCAL / 4;

/// Payload bytes of a packet, so that with all headers it has less than the 1,280
/// bytes that IPv6 always carries. (Many messages of some bytes in one packet are
/// miscounted by `sctp-proto`, by a sixth at most.)
const PAYLOAD_BYTES: u32 = 1150;
/// Retransmission times. The lower bound is that of TCP in practice: with the
/// second of RFC 9260 each loss of a last packet costs one.
const RTO_INITIAL_MS: u64 = 500;
const RTO_MIN_MS: u64 = 200;
const RTO_MAX_MS: u64 = 3_000;

/// How long a remote that has closed none so far may take to close a channel that it has
/// opened, once we have done with it: more than it takes where every fifth datagram is
/// lost. One that closes some closes all.
const PARTING: Duration = Duration::from_secs(120);
/// How many such channels are waited for, whatever the remote does. As [`MAX_REMOTE`].
const MAX_PARTING: usize = 1024;

/// The id of the channel that the handshake runs on.
const HANDSHAKE: u16 = 0;

/// SCTP over DTLS knows no addresses.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 5000);

/// What an id is used for.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    /// Data has come, but not yet the word that this is a channel.
    Begun,
    /// The channel that the core knows by this number.
    Open(u32),
    /// Closed by the core.
    Closing,
}

pub(crate) struct Channels {
    client: bool,
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    established: bool,
    /// Why there are no channels any more.
    lost: Option<String>,
    channels: BTreeMap<u16, Use>,
    ids: BTreeMap<u32, u16>,
    /// Ids of ours that have been used and can be used again.
    free: BTreeSet<u16>,
    /// Ids of closed channels of either side that can never be used again.
    worn: BTreeSet<u16>,
    /// The next id of ours that was never used.
    next: u16,
    /// Channels of the core that open when others have closed, with what was sent on them.
    delayed: VecDeque<(u32, Vec<Vec<u8>>)>,
    /// Bytes of these.
    delayed_bytes: usize,
    /// Channels that the remote has opened so far.
    opened: u32,
    /// Ids whose messages may be read, in turn.
    readable: VecDeque<u16>,
    /// Ids whose messages the core wants later: SCTP keeps them, and its window, which
    /// they fill, stops the remote.
    stopped: BTreeSet<u16>,
    /// Ids that the remote has opened anew while it has not yet answered that we
    /// closed their former channels: nothing can be said on them before.
    held: BTreeSet<u16>,
    /// Ids of channels that the remote has opened and the core has closed, and when
    /// they are reset here if the remote does not. (An SCTP stream that is reset here and
    /// then there is reset here once more by `sctp-proto`; if that comes late, it ends the
    /// next channel with this id.)
    parting: VecDeque<(Instant, u16)>,
    /// Whether the remote has closed a channel of its own.
    remote_closes: bool,
    /// Ids with bytes that are not acknowledged, perhaps.
    busy: BTreeSet<u16>,
    /// Records about channels, for the core.
    records: Vec<u8>,
    packets: VecDeque<Bytes>,
    /// Bytes that have come since all had been read.
    unread: usize,
    /// The last packet with a message.
    last: Bytes,
}

impl Channels {
    pub(crate) fn new(client: bool) -> Self {
        let transport = Arc::new(
            TransportConfig::default()
                .with_max_receive_buffer_size(RECEIVE_BYTES)
                .with_max_receive_message_size(MAX_MESSAGE)
                .with_max_send_message_size(MAX_MESSAGE)
                .with_rto_initial_ms(RTO_INITIAL_MS)
                .with_rto_min_ms(RTO_MIN_MS)
                .with_rto_max_ms(RTO_MAX_MS)
                // Until ICE hears nothing any more: a request to reset streams that is given
                // up is one that both sides count differently.
                .with_max_init_retransmits(None),
        );
        let mut config = EndpointConfig::new();
        config.max_payload_size(PAYLOAD_BYTES);
        let mut server = ServerConfig::default();
        server.transport = Arc::clone(&transport);
        let mut endpoint = Endpoint::new(Arc::new(config), Some(Arc::new(server)));
        let (mut association, mut lost) = (None, None);
        if client {
            let mut config = ClientConfig::default();
            config.transport = transport;
            match endpoint.connect(config, NOWHERE) {
                Ok(begun) => association = Some(begun),
                Err(error) => lost = Some(error.to_string()),
            }
        }
        Self {
            client,
            endpoint,
            association,
            established: false,
            lost,
            channels: BTreeMap::new(),
            ids: BTreeMap::new(),
            free: BTreeSet::new(),
            worn: BTreeSet::new(),
            // The client's are even (RFC 8832 section 6); 0 is the handshake's.
            next: if client { 2 } else { 1 },
            delayed: VecDeque::new(),
            delayed_bytes: 0,
            opened: 0,
            readable: VecDeque::new(),
            stopped: BTreeSet::new(),
            held: BTreeSet::new(),
            parting: VecDeque::new(),
            remote_closes: false,
            busy: BTreeSet::new(),
            records: Vec::new(),
            packets: VecDeque::new(),
            unread: 0,
            last: Bytes::new(),
        }
    }

    pub(crate) fn is_established(&self) -> bool {
        self.established
    }

    pub(crate) fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    // The wire.

    /// Takes in a packet.
    pub(crate) fn handle(&mut self, now: Instant, packet: Bytes) {
        let packet = packet::without_receipts(packet);
        if packet::carries_message(&packet) {
            self.unread += packet.len();
            self.last = packet.clone();
        }
        let resets = packet::resets(&packet);
        self.take_in(now, packet);
        if resets {
            // Ids may be free of which no event tells.
            self.readable.extend(std::mem::take(&mut self.held));
            self.open_delayed();
        }
    }

    fn take_in(&mut self, now: Instant, packet: Bytes) {
        match self.endpoint.handle(now, NOWHERE, None, None, packet) {
            Some((handle, DatagramEvent::NewAssociation(association)))
                if self.association.is_none() =>
            {
                self.association = Some((handle, association));
            }
            Some((handle, DatagramEvent::AssociationEvent(event))) => {
                if let Some((ours, association)) = &mut self.association
                    && *ours == handle
                {
                    association.handle_event(event);
                }
            }
            _ => {}
        }
        self.pump();
    }

    /// The next packet to send.
    pub(crate) fn poll_packet(&mut self, now: Instant) -> Option<Bytes> {
        loop {
            if let Some(packet) = self.packets.pop_front() {
                return Some(packet);
            }
            let mut association = self.association.as_mut().map(|(_, association)| association);
            // SCTP takes asking for packets at a time for having heeded it: a timer that is
            // due would begin anew, and no lost request to reset streams be repeated.
            if let Some(association) = &mut association
                && association.poll_timeout().is_some_and(|at| at <= now)
            {
                association.handle_timeout(now);
            }
            let transmit = self
                .endpoint
                .poll_transmit()
                .or_else(|| association.and_then(|it| it.poll_transmit(now)))?;
            if let Transmit { payload: Payload::RawEncode(packets), .. } = transmit {
                self.packets.extend(packets);
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let parting = self.parting.front().filter(|_| !self.remote_closes).map(|(at, _)| *at);
        let association = self.association.as_ref()?.1.poll_timeout();
        parting.into_iter().chain(association).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Some((_, association)) = &mut self.association {
            association.handle_timeout(now);
        }
        while !self.remote_closes
            && let Some(&(at, id)) = self.parting.front()
            && at <= now
        {
            self.parting.pop_front();
            self.reset(id);
        }
        self.pump();
    }

    /// Heeds what SCTP has to say.
    fn pump(&mut self) {
        while let Some((handle, association)) = &mut self.association {
            while let Some(event) = association.poll_endpoint_event() {
                if let Some(event) = self.endpoint.handle_event(*handle, event) {
                    association.handle_event(event);
                }
            }
            // Streams are known by their events.
            while association.accept_stream().is_some() {}
            match association.poll() {
                None => return,
                Some(Event::Connected) => {
                    self.established = true;
                    // It exists already if the remote was faster.
                    let _ = association.open_stream(HANDSHAKE, Kind::Binary);
                    self.channels.insert(HANDSHAKE, Use::Open(0));
                    self.ids.insert(0, HANDSHAKE);
                }
                Some(Event::HandshakeFailed { reason } | Event::AssociationLost { reason }) => {
                    self.lost.get_or_insert_with(|| reason.to_string());
                }
                Some(Event::Stream(event)) => self.on_stream(event),
                Some(_) => {}
            }
        }
    }

    fn on_stream(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Opened { id } => self.on_opened(id),
            StreamEvent::Readable { id } if !self.readable.contains(&id) => {
                self.readable.push_back(id);
            }
            StreamEvent::Finished { id } => {
                match self.channels.remove(&id) {
                    Some(Use::Open(number)) => {
                        self.ids.remove(&number);
                        records::write(&mut self.records, records::CLOSE, number, &[]);
                    }
                    Some(Use::Closing) => {
                        let before = self.parting.len();
                        self.parting.retain(|(_, parting)| *parting != id);
                        self.remote_closes |= self.parting.len() < before;
                    }
                    Some(Use::Begun) | None => {}
                }
                self.busy.remove(&id);
                self.stopped.remove(&id);
                self.held.remove(&id);
            }
            StreamEvent::ResetComplete { id } => {
                self.worn.remove(&id);
                if self.held.remove(&id) {
                    self.readable.push_back(id);
                } else if self.is_ours(id) {
                    self.free.insert(id);
                    self.open_delayed();
                }
            }
            StreamEvent::ResetFailed { id, .. } => {
                self.worn.insert(id);
                if self.worn.len() > MAX_WORN {
                    self.fail_to_close();
                }
            }
            _ => {}
        }
    }

    fn fail_to_close(&mut self) {
        self.lost.get_or_insert_with(|| "channels cannot be closed any more".into());
    }

    fn on_opened(&mut self, id: u16) {
        if id == HANDSHAKE {
            return;
        }
        self.channels.entry(id).or_insert(Use::Begun);
        if self.channels.len() > MAX_CHANNELS {
            self.lost.get_or_insert_with(|| "the remote opens too many channels".into());
        } else if self.channels.len().saturating_sub(1 + self.ours()) > MAX_REMOTE
            && self.remotes() > MAX_REMOTE
        {
            self.reset(id);
        }
    }

    /// Channels of the remote that are open. Those that are closed on our side do not count:
    /// a browser closes them some hundred at a time.
    fn remotes(&self) -> usize {
        let open = |(id, used): &(&u16, &Use)| {
            **id != HANDSHAKE && !self.is_ours(**id) && **used != Use::Closing
        };
        self.channels.iter().filter(open).count()
    }

    fn is_ours(&self, id: u16) -> bool {
        id != HANDSHAKE && id.is_multiple_of(2) == self.client
    }

    /// Ids of ours in use, those that still close counted.
    fn ours(&self) -> usize {
        usize::from(self.next / 2).saturating_sub(self.free.len() + usize::from(self.client))
    }

    // What the core reads.

    /// Appends records to `out` until it has `enough` bytes or nothing is left.
    pub(crate) fn read(&mut self, now: Instant, out: &mut Vec<u8>, enough: usize) {
        while out.len() < enough {
            out.append(&mut self.records);
            let Some(id) = self.readable.pop_front() else { break };
            if self.stopped.contains(&id) {
                continue;
            }
            let Some((_, association)) = &mut self.association else { break };
            let begun = self.channels.get(&id) == Some(&Use::Begun);
            let Ok(mut stream) = association.stream(id) else { continue };
            if begun && stream.is_readable() && !stream.is_writable() {
                if self.worn.contains(&id) {
                    // Nothing can ever be said on it.
                    self.fail_to_close();
                }
                self.held.insert(id);
                continue;
            }
            let message = stream.read_sctp();
            // What cannot be read has been closed.
            let Ok(Some(message)) = message else { continue };
            self.readable.push_back(id);
            let mut bytes = vec![0; message.len()];
            if message.read(&mut bytes).is_ok() {
                self.on_message(id, message.ppi, &bytes, out);
            }
            self.pump();
        }
        if self.readable.is_empty() {
            self.tell_window(now);
        }
    }

    /// After much had waited to be read: SCTP tells the remote only in answer to
    /// something that it has room again, and a remote that thinks otherwise tries
    /// rarely. The same packet once more is something.
    fn tell_window(&mut self, now: Instant) {
        let much = self.unread > RECEIVE_BYTES as usize / 2;
        self.unread = 0;
        if much {
            // The first answer may be held back; not so the second.
            for _ in 0..2 {
                self.take_in(now, self.last.clone());
            }
        }
    }

    fn on_message(&mut self, id: u16, kind: Kind, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(used) = self.channels.get(&id).copied() else { return };
        match (kind, used) {
            (Kind::Dcep, Use::Begun) if dcep::is_open(bytes) => {
                let number = records::REMOTE.saturating_add(self.opened);
                self.opened = self.opened.saturating_add(1);
                self.channels.insert(id, Use::Open(number));
                self.ids.insert(number, id);
                records::write(out, records::OPEN, number, &[]);
                self.write(id, &dcep::ACK, Kind::Dcep);
            }
            (Kind::Binary | Kind::String, Use::Open(number)) => {
                records::header(out, records::MESSAGE, number, bytes.len());
                out.extend_from_slice(bytes);
            }
            // An agreement to our channel, a message without content, or what nobody
            // waits for any more.
            (_, Use::Open(_) | Use::Closing) => {}
            (_, Use::Begun) => self.reset(id),
        }
    }
}

#[cfg(test)]
impl Channels {
    pub(crate) fn ids_used(&self) -> usize {
        usize::from(self.next / 2)
    }

    pub(crate) fn open_foreign(&mut self, count: u16) {
        let (_, association) = self.association.as_mut().unwrap();
        for id in (2..).step_by(2).take(usize::from(count)) {
            // The first ones may be open already.
            if let Ok(mut stream) = association.open_stream(id, Kind::Binary) {
                stream.write_with_ppi(&dcep::OPEN, Kind::Dcep).unwrap();
            }
        }
    }
}
