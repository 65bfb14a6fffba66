//! A relay's signed word that it serves a peer.
//!
//! Source: libp2p specs "circuit-v2", section "Reservation Vouchers".

use thiserror::Error;

use crate::identity::{EnvelopeError, Keypair, PeerId, SignError, SignedEnvelope};
use crate::wire::protobuf::{Reader, Writer};

const DOMAIN: &str = "libp2p-relay-rsvp";
/// The multicodec `libp2p-relay-rsvp`, 0x0302.
const PAYLOAD_TYPE: &[u8] = &[0x03, 0x02];

/// A voucher that was verified: signed by the relay that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voucher {
    /// Who serves.
    pub relay: PeerId,
    /// Who is served.
    pub peer: PeerId,
    /// Until when, in seconds of Unix time.
    pub expiration: u64,
}

/// Why a voucher is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VoucherError {
    /// The envelope around it was not accepted.
    #[error("{0}")]
    Envelope(#[from] EnvelopeError),
    /// The bytes are no voucher.
    #[error("the bytes are no reservation voucher")]
    Malformed,
    /// It was signed by another than the relay that it names.
    #[error("the voucher was not signed by the relay that it names")]
    Foreign,
}

impl Voucher {
    /// Signs a voucher; `keypair` is the relay's.
    pub fn seal(keypair: &Keypair, peer: &PeerId, expiration: u64) -> Result<Vec<u8>, SignError> {
        let mut payload = Vec::new();
        Writer(&mut payload)
            .bytes(1, keypair.peer_id().as_bytes())
            .bytes(2, peer.as_bytes())
            .number(3, expiration);
        Ok(SignedEnvelope::seal(keypair, DOMAIN, PAYLOAD_TYPE, payload)?.to_bytes())
    }

    /// Reads and verifies a voucher.
    pub fn open(bytes: &[u8]) -> Result<Self, VoucherError> {
        let envelope = SignedEnvelope::open(bytes, DOMAIN, PAYLOAD_TYPE)?;
        let malformed = |_| VoucherError::Malformed;
        let (mut relay, mut peer, mut expiration) = (None, None, 0);
        for field in Reader(envelope.payload()) {
            match field.map_err(malformed)? {
                (1, value) => relay = PeerId::from_bytes(value.bytes().map_err(malformed)?).ok(),
                (2, value) => peer = PeerId::from_bytes(value.bytes().map_err(malformed)?).ok(),
                (3, value) => expiration = value.number().map_err(malformed)?,
                _ => {}
            }
        }
        let (Some(relay), Some(peer)) = (relay, peer) else { return Err(VoucherError::Malformed) };
        if envelope.signer() != relay {
            return Err(VoucherError::Foreign);
        }
        Ok(Self { relay, peer, expiration })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    fn keypair(number: u64) -> Keypair {
        Keypair::generate_ed25519(&mut Rng::from_number(number))
    }

    #[test]
    fn a_voucher_says_what_its_relay_signed() {
        let (relay, peer) = (keypair(1), keypair(2).peer_id());
        let bytes = Voucher::seal(&relay, &peer, 1_800_000_000).unwrap();
        let expected = Voucher { relay: relay.peer_id(), peer, expiration: 1_800_000_000 };
        assert_eq!(Voucher::open(&bytes), Ok(expected));
    }

    #[test]
    fn forged_vouchers_are_refused() {
        let (relay, peer) = (keypair(1), keypair(2).peer_id());
        let bytes = Voucher::seal(&relay, &peer, 7).unwrap();
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            let opened = Voucher::open(&forged);
            assert!(opened.is_err(), "byte {at}: {opened:?}");
        }
        // Another peer's word for the relay.
        let mut payload = Vec::new();
        Writer(&mut payload)
            .bytes(1, relay.peer_id().as_bytes())
            .bytes(2, peer.as_bytes())
            .number(3, 7);
        let foreign = SignedEnvelope::seal(&keypair(3), DOMAIN, PAYLOAD_TYPE, payload).unwrap();
        assert_eq!(Voucher::open(&foreign.to_bytes()), Err(VoucherError::Foreign));
        let empty = SignedEnvelope::seal(&relay, DOMAIN, PAYLOAD_TYPE, Vec::new()).unwrap();
        assert_eq!(Voucher::open(&empty.to_bytes()), Err(VoucherError::Malformed));
        let record = SignedEnvelope::seal(&relay, "other", PAYLOAD_TYPE, Vec::new()).unwrap();
        assert!(matches!(Voucher::open(&record.to_bytes()), Err(VoucherError::Envelope(_))));
    }
}
