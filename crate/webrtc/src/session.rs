//! One WebRTC direct connection: ICE, DTLS and data channels over the datagrams of
//! one path. It does no I/O: datagrams and time in, datagrams and records out.
//!
//! Source: libp2p specs, `webrtc/webrtc-direct.md`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dimpl::{Dtls, Output};

use super::certificate::{Certificate, CertificateError, Multihash, multihash};
use super::channels::Channels;
use super::dtls::{self, Cipher, Setup};
use super::ice::Ice;
use super::records;
use super::stun;
use super::ufrag::Credentials;

/// How long what was sent may take to arrive after the core has closed.
const FLUSH: Duration = Duration::from_secs(5);

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// The path does not work, or does no more.
    #[error("nothing was heard of the remote any more")]
    Vanished,
    /// Whoever answered is not whom the address means.
    #[error("the remote has another certificate than its address says")]
    WrongCertificate,
    /// The handshake of DTLS failed, or a record of it could not be sent.
    #[error("DTLS failed: {0}")]
    Dtls(String),
    /// SCTP ended, or the remote opened more channels than are borne.
    #[error("{0}")]
    Channels(String),
    /// The remote closed in order.
    #[error("the remote closed")]
    ByRemote,
    /// We closed: what was sent has arrived, or has had its time.
    #[error("closed")]
    ByUs,
}

/// What both sides of a session do alike.
#[derive(Clone)]
pub struct Identity {
    certificate: Certificate,
    dtls: Setup,
}

impl Identity {
    /// With `certificate`. Dialers have a new one for each connection, so that nobody
    /// can tell that two come from the same peer.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Unusable`] if DTLS finds no cryptography.
    pub fn new(certificate: Certificate, cipher: Cipher) -> Result<Self, CertificateError> {
        Ok(Self { certificate, dtls: Setup::new(cipher)? })
    }

    /// What the addresses of a listener say.
    pub fn certhash(&self) -> Multihash {
        self.certificate.certhash()
    }
}

/// One end of a connection. Datagrams, records and time go in; after each of these
/// datagrams, records and the next time come out.
pub struct Session {
    ice: Ice,
    dtls: Dtls,
    /// Of a listener that has not been told yet which ciphers the dialer has.
    undecided: Option<Identity>,
    /// Whether we dial, whom then.
    expected: Option<Multihash>,
    ours: Multihash,
    theirs: Option<Multihash>,
    /// From the moment that DTLS stands.
    channels: Option<Channels>,
    datagrams: VecDeque<Vec<u8>>,
    dtls_timeout: Option<Instant>,
    records: Vec<u8>,
    scratch: Vec<u8>,
    /// When what was sent must have arrived, once the core has closed.
    closing: Option<Instant>,
    end: Option<End>,
}

impl Session {
    /// The dialer's side; `expected` is what the address says of the listener's
    /// certificate.
    pub fn dialer(
        identity: &Identity,
        credentials: Credentials,
        remote: SocketAddr,
        expected: Multihash,
        random: [u8; 20],
        now: Instant,
    ) -> Self {
        let ice = Ice::new(true, credentials, remote, random, now);
        Self::new(identity, ice, Some(expected), now)
    }

    /// The listener's side, for a dialer that was heard with `credentials`.
    pub fn listener(
        identity: &Identity,
        credentials: Credentials,
        remote: SocketAddr,
        random: [u8; 20],
        now: Instant,
    ) -> Self {
        Self::new(identity, Ice::new(false, credentials, remote, random, now), None, now)
    }

    fn new(identity: &Identity, ice: Ice, expected: Option<Multihash>, now: Instant) -> Self {
        let config = Arc::clone(&identity.dtls.all);
        let mut dtls = Dtls::new_12(config, identity.certificate.dtls(), now);
        dtls.set_active(expected.is_some());
        Self {
            ice,
            dtls,
            undecided: expected.is_none().then(|| identity.clone()),
            expected,
            ours: identity.certhash(),
            theirs: None,
            channels: None,
            datagrams: VecDeque::new(),
            dtls_timeout: None,
            records: Vec::new(),
            scratch: vec![0; 2048],
            closing: None,
            end: None,
        }
    }

    /// Whether the remote has answered or asked: the path works, both ways.
    pub fn is_reached(&self) -> bool {
        self.ice.works()
    }

    /// Whether there are data channels, until it ends.
    pub fn is_open(&self) -> bool {
        self.channels.as_ref().is_some_and(Channels::is_established)
    }

    /// Why it is over, once it is.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The multihashes of the certificates of dialer and listener, once it is open.
    pub fn certificates(&self) -> Option<(Multihash, Multihash)> {
        let theirs = self.theirs?;
        Some(if self.expected.is_some() { (self.ours, theirs) } else { (theirs, self.ours) })
    }

    // The wire.

    /// Takes in a datagram of the remote.
    pub fn handle(&mut self, now: Instant, datagram: &[u8]) {
        if self.end.is_some() {
            return;
        }
        if stun::is_stun(datagram) {
            self.datagrams.extend(self.ice.handle(now, datagram));
        } else {
            self.decide(now, datagram);
            let handled =
                self.dtls.handle_timeout(now).and_then(|()| self.dtls.handle_packet(datagram));
            if let Err(error) = handled {
                self.finish(End::Dtls(error.to_string()));
            }
        }
        self.pump(now);
    }

    /// Begins with the cipher that we would rather have, if the dialer offers it.
    fn decide(&mut self, now: Instant, hello: &[u8]) {
        if let Some(identity) = self.undecided.take()
            && let Some(config) = identity.dtls.preferred
            && dtls::offers_chacha(hello)
        {
            self.dtls = Dtls::new_12(config, identity.certificate.dtls(), now);
            self.dtls.set_active(false);
        }
    }

    /// Heeds the clock; early calls are harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.end.is_some() {
            return;
        }
        if self.ice.lapses() <= now {
            self.finish(End::Vanished);
        }
        if self.dtls_timeout.is_some_and(|at| at <= now)
            && let Err(error) = self.dtls.handle_timeout(now)
        {
            self.finish(End::Dtls(error.to_string()));
        }
        if let Some(channels) = &mut self.channels
            && channels.poll_timeout().is_some_and(|at| at <= now)
        {
            channels.handle_timeout(now);
        }
        self.pump(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.end.is_some() {
            return None;
        }
        let channels = self.channels.as_ref().and_then(Channels::poll_timeout);
        let others = [self.dtls_timeout.filter(|_| self.ice.works()), channels, self.closing];
        others.into_iter().flatten().chain([self.ice.poll_timeout()]).min()
    }

    /// The next datagram to send.
    pub fn poll_datagram(&mut self, now: Instant) -> Option<Vec<u8>> {
        loop {
            if let Some(datagram) = self.datagrams.pop_front() {
                return Some(datagram);
            }
            if self.end.is_some() {
                return None;
            }
            if let Some(check) = self.ice.poll(now) {
                return Some(check);
            }
            let packet = self.channels.as_mut()?.poll_packet(now)?;
            if let Err(error) = self.dtls.send_application_data(&packet) {
                self.finish(End::Dtls(error.to_string()));
            }
            self.poll_dtls(now);
        }
    }

    /// Moves what has come from layer to layer.
    fn pump(&mut self, now: Instant) {
        // Before that DTLS would begin on a path that may not exist.
        if self.ice.works() {
            self.poll_dtls(now);
        }
        if let Some(reason) = self.channels.as_ref().and_then(Channels::lost) {
            let reason = reason.to_owned();
            self.goodbye(now, End::Channels(reason));
        }
        while let Some(value) = self.ice.pong() {
            let rtt = self.ice.rtt().unwrap_or_default();
            let micros = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
            let mut payload = value.to_vec();
            payload.extend(micros.to_le_bytes());
            records::write(&mut self.records, records::PING, 0, &payload);
        }
        if self.closing.is_some_and(|until| until <= now || self.is_flushed()) {
            self.goodbye(now, End::ByUs);
        }
    }

    fn poll_dtls(&mut self, now: Instant) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while self.end.is_none() {
            match self.dtls.poll_output(&mut scratch) {
                Output::Timeout(at) => {
                    self.dtls_timeout = Some(at);
                    break;
                }
                Output::Packet(packet) => self.datagrams.push_back(packet.to_vec()),
                Output::BufferTooSmall { needed } => scratch.resize(needed, 0),
                Output::PeerCert(certificate) => {
                    let theirs = multihash(certificate);
                    self.theirs = Some(theirs);
                    if self.expected.is_some_and(|expected| expected != theirs) {
                        self.finish(End::WrongCertificate);
                    }
                }
                Output::Connected => {
                    self.ice.heard(now);
                    self.channels = Some(Channels::new(self.expected.is_some()));
                }
                Output::ApplicationData(packet) => {
                    self.ice.heard(now);
                    if let Some(channels) = &mut self.channels {
                        channels.handle(now, Bytes::copy_from_slice(packet));
                    }
                }
                Output::CloseNotify => self.finish(End::ByRemote),
                _ => {}
            }
        }
        self.scratch = scratch;
    }

    fn finish(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    // The core.

    /// Appends records for the core to `out` until it has `enough` bytes or there
    /// are no more. What is not read holds the remote up.
    pub fn read(&mut self, now: Instant, out: &mut Vec<u8>, enough: usize) {
        out.append(&mut self.records);
        if let Some(channels) = &mut self.channels {
            if self.end.is_some() {
                channels.release_all();
            }
            channels.read(now, out, enough);
        }
    }

    /// Whether the core may write more.
    pub fn has_room(&mut self) -> bool {
        self.channels.as_mut().is_some_and(Channels::has_room)
    }

    /// A record of the core.
    pub fn write(&mut self, now: Instant, record: &[u8]) {
        let (Some(channels), Some((kind, number, payload))) =
            (&mut self.channels, records::split(record))
        else {
            return;
        };
        match kind {
            records::MESSAGE => channels.send(number, payload),
            records::OPEN => channels.open(number),
            records::CLOSE => channels.close(now, number),
            records::HOLD => channels.hold(number),
            records::RELEASE => channels.release(number),
            records::PING => {
                if let Some(value) = payload.first_chunk() {
                    self.ice.ping(now, *value);
                }
            }
            _ => {}
        }
        self.pump(now);
    }

    /// The core has closed: what was sent may still arrive, for a while.
    pub fn close(&mut self, now: Instant) {
        if self.closing.is_none() {
            self.closing = Some(now + FLUSH);
            self.pump(now);
        }
    }

    /// Ends it at once, whatever has arrived; the remote is told.
    pub fn abort(&mut self, now: Instant) {
        if self.end.is_none() {
            self.goodbye(now, End::ByUs);
        }
    }

    fn is_flushed(&mut self) -> bool {
        self.channels.as_mut().is_none_or(|channels| channels.buffered() == 0)
    }

    /// Ends it, and tells the remote.
    fn goodbye(&mut self, now: Instant, end: End) {
        // Nobody is there to tell before DTLS stands.
        let _ = self.dtls.close();
        self.poll_dtls(now);
        self.finish(end);
    }

    /// Opens `count` channels, whatever is agreed on.
    #[cfg(test)]
    pub fn open_foreign(&mut self, count: u16) {
        if let Some(channels) = &mut self.channels {
            channels.open_foreign(count);
        }
    }

    /// How many ids the channels that we have opened have used.
    #[cfg(test)]
    pub fn ids_used(&self) -> usize {
        self.channels.as_ref().map_or(0, Channels::ids_used)
    }
}
