//! Where a peer can be reached, signed by itself.
//!
//! Source: libp2p RFC 0003 "Peer Routing Records". Domain and payload type are
//! those that go-libp2p and js-libp2p send; the RFC's own, which rust-libp2p
//! sends by default, are read too.

use thiserror::Error;

use super::{EnvelopeError, Keypair, PeerId, PeerIdError, SignError, SignedEnvelope};
use crate::Multiaddr;
use crate::wire::protobuf::{Malformed, Reader, Value, Writer};

/// The addresses of a peer, verified to have been signed by that peer: there is
/// no other way to this type than [`PeerRecord::seal`] and [`PeerRecord::open`].
///
/// ```
/// use polypeer::{Keypair, Rng, identity::PeerRecord};
/// let keypair = Keypair::generate_ed25519(&mut Rng::from_number(1));
/// let record = PeerRecord::seal(&keypair, 7, vec!["/ip4/192.0.2.1/tcp/1".parse()?])?;
/// let opened = PeerRecord::open(&record.to_bytes())?;
/// assert_eq!((opened.peer_id(), opened.seq()), (keypair.peer_id(), 7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    peer_id: PeerId,
    seq: u64,
    addresses: Vec<Multiaddr>,
    envelope: SignedEnvelope,
}

/// Why a peer record was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerRecordError {
    /// The envelope was not accepted.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The payload is no protobuf of a peer record.
    #[error("the payload is no peer record")]
    Malformed,
    /// The record's subject is no peer id.
    #[error("the record's subject is no peer id: {0}")]
    Subject(#[from] PeerIdError),
    /// The record speaks of another peer than the one that signed it.
    #[error("{signer} signed a record about {subject}")]
    Foreign {
        /// Who signed.
        signer: PeerId,
        /// Whom the record speaks of.
        subject: PeerId,
    },
}

/// A domain and the payload type that goes with it.
type Form = (&'static str, &'static [u8]);
/// What go-libp2p and js-libp2p send.
const CURRENT: Form = ("libp2p-peer-record", &[0x03, 0x01]);
/// What RFC 0003 says.
const LEGACY: Form = ("libp2p-routing-state", b"/libp2p/routing-state-record");

impl PeerRecord {
    /// The most addresses that are read of a record; more are left out. A peer
    /// has a handful, and a few for each of its relays.
    pub const MAX_ADDRESSES: usize = 128;

    /// Signs that the keypair's peer can be reached at `addresses`. A record with
    /// a higher `seq` replaces this one.
    pub fn seal(keypair: &Keypair, seq: u64, addresses: Vec<Multiaddr>) -> Result<Self, SignError> {
        Self::seal_as(CURRENT, keypair, seq, addresses)
    }

    /// [`PeerRecord::seal`] in the form of RFC 0003, for those who read no other.
    #[cfg(feature = "rendezvous")]
    pub(crate) fn seal_legacy(
        keypair: &Keypair,
        seq: u64,
        addresses: Vec<Multiaddr>,
    ) -> Result<Self, SignError> {
        Self::seal_as(LEGACY, keypair, seq, addresses)
    }

    fn seal_as(
        (domain, payload_type): Form,
        keypair: &Keypair,
        seq: u64,
        addresses: Vec<Multiaddr>,
    ) -> Result<Self, SignError> {
        let peer_id = keypair.peer_id();
        let payload = encode(peer_id, seq, &addresses);
        let envelope = SignedEnvelope::seal(keypair, domain, payload_type, payload)?;
        Ok(Self { peer_id, seq, addresses, envelope })
    }

    /// Reads a signed envelope and verifies that it holds a record of its signer.
    ///
    /// Addresses that are unreadable, of protocols not known yet for instance,
    /// are left out.
    pub fn open(bytes: &[u8]) -> Result<Self, PeerRecordError> {
        let message = SignedEnvelope::decode(bytes)?;
        let (domain, _) = [CURRENT, LEGACY]
            .into_iter()
            .find(|(_, payload_type)| *payload_type == message.payload_type)
            .ok_or(EnvelopeError::PayloadType)?;
        let envelope = SignedEnvelope::verify(message, domain)?;
        let (subject, seq, addresses) = decode(envelope.payload())?;
        let signer = envelope.signer();
        if signer != subject {
            return Err(PeerRecordError::Foreign { signer, subject });
        }
        Ok(Self { peer_id: subject, seq, addresses, envelope })
    }

    /// The signed envelope on the wire, to be passed on as it is.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.envelope.to_bytes()
    }

    /// The envelope that proves the record.
    pub fn envelope(&self) -> &SignedEnvelope {
        &self.envelope
    }

    /// Whose record this is.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// The record's place in time: of two, the one with the higher number holds.
    /// It is no time stamp.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Where the peer says it can be reached.
    pub fn addresses(&self) -> &[Multiaddr] {
        &self.addresses
    }
}

pub(super) fn decode(payload: &[u8]) -> Result<(PeerId, u64, Vec<Multiaddr>), PeerRecordError> {
    let malformed = |_| PeerRecordError::Malformed;
    let (mut subject, mut seq, mut addresses): (&[u8], _, _) = (&[], 0, Vec::new());
    let mut seen = 0;
    for field in Reader(payload) {
        match field.map_err(malformed)? {
            (1, value) => subject = value.bytes().map_err(malformed)?,
            (2, value) => seq = value.number().map_err(malformed)?,
            (3, value) => {
                let address = address(value).map_err(malformed)?;
                seen += 1;
                if seen <= PeerRecord::MAX_ADDRESSES {
                    addresses.extend(Multiaddr::from_bytes(address));
                }
            }
            _ => {}
        }
    }
    Ok((PeerId::from_bytes(subject)?, seq, addresses))
}

/// The address in an `AddressInfo`.
fn address(value: Value<'_>) -> Result<&[u8], Malformed> {
    let mut address: &[u8] = &[];
    for field in Reader(value.bytes()?) {
        if let (1, value) = field? {
            address = value.bytes()?;
        }
    }
    Ok(address)
}

pub(super) fn encode(peer_id: PeerId, seq: u64, addresses: &[Multiaddr]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut record = Writer(&mut out);
    record.some_bytes(1, peer_id.as_bytes()).some_number(2, seq);
    for address in addresses {
        record.message(3, |info| {
            info.some_bytes(1, address.as_bytes());
        });
    }
    out
}
