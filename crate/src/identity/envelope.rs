//! Statements that a peer signed, of any kind.
//!
//! Source: libp2p RFC 0002 "Signed Envelopes".

use thiserror::Error;

use super::{DecodeError, Keypair, PeerId, PublicKey, SignError, VerifyError};
use crate::wire::protobuf::{Malformed, Reader, Writer};
use crate::wire::varint;

/// A payload whose signature was verified: there is no other way to this type
/// than to sign ([`SignedEnvelope::seal`]) or to verify ([`SignedEnvelope::open`]).
///
/// ```
/// use polypeer::{Keypair, Rng, identity::SignedEnvelope};
/// let keypair = Keypair::generate_ed25519(&mut Rng::from_number(1));
/// let sealed = SignedEnvelope::seal(&keypair, "example", b"/note", b"hello".to_vec())?;
/// let opened = SignedEnvelope::open(&sealed.to_bytes(), "example", b"/note")?;
/// assert_eq!((opened.payload(), opened.signer()), (&b"hello"[..], keypair.peer_id()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedEnvelope {
    key: PublicKey,
    message: EnvelopeMessage,
}

/// Why an envelope was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// More than [`SignedEnvelope::MAX_LEN`] bytes.
    #[error("the envelope is longer than {} bytes", SignedEnvelope::MAX_LEN)]
    TooLong,
    /// The bytes are no protobuf of an envelope.
    #[error("the bytes are no signed envelope")]
    Malformed,
    /// The envelope's key is none.
    #[error("the envelope's key is unusable: {0}")]
    Key(#[from] DecodeError),
    /// The payload is of another kind than the one asked for.
    #[error("the envelope holds a payload of another type")]
    PayloadType,
    /// The signature was not accepted; with the right bytes, a wrong domain.
    #[error("the envelope's signature was not accepted: {0}")]
    Signature(#[from] VerifyError),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EnvelopeMessage {
    /// A message on the wire; kept as bytes, since keys have one encoding only.
    public_key: Vec<u8>,
    pub(super) payload_type: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl EnvelopeMessage {
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut message = Self::default();
        for field in Reader(bytes) {
            let (number, value) = field?;
            let place = match number {
                1 => &mut message.public_key,
                2 => &mut message.payload_type,
                3 => &mut message.payload,
                5 => &mut message.signature,
                _ => continue,
            };
            *place = value.bytes()?.to_vec();
        }
        Ok(message)
    }
}

impl SignedEnvelope {
    /// The longest envelope in bytes that is read: eight times what identify, the
    /// largest regular carrier of envelopes, may have in all.
    pub const MAX_LEN: usize = 64 << 10;

    /// Signs `payload` in `domain`, so that the signature means nothing elsewhere.
    pub fn seal(
        keypair: &Keypair,
        domain: &str,
        payload_type: &[u8],
        payload: Vec<u8>,
    ) -> Result<Self, SignError> {
        let signature = keypair.sign(&signed_bytes(domain, payload_type, &payload))?;
        let key = keypair.public();
        let public_key = key.to_protobuf();
        let payload_type = payload_type.to_vec();
        Ok(Self { key, message: EnvelopeMessage { public_key, payload_type, payload, signature } })
    }

    /// Reads an envelope and verifies that its payload is of the type
    /// `payload_type` and was signed in `domain`.
    pub fn open(bytes: &[u8], domain: &str, payload_type: &[u8]) -> Result<Self, EnvelopeError> {
        let message = Self::decode(bytes)?;
        if message.payload_type != payload_type {
            return Err(EnvelopeError::PayloadType);
        }
        Self::verify(message, domain)
    }

    /// The envelope on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let EnvelopeMessage { public_key, payload_type, payload, signature } = &self.message;
        let mut out = Vec::new();
        Writer(&mut out)
            .some_bytes(1, public_key)
            .some_bytes(2, payload_type)
            .some_bytes(3, payload)
            .some_bytes(5, signature);
        out
    }

    /// Who signed.
    pub fn signer(&self) -> PeerId {
        self.key.peer_id()
    }

    /// The key that signed.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// What kind of payload this is, mostly a multicodec.
    pub fn payload_type(&self) -> &[u8] {
        &self.message.payload_type
    }

    /// What was signed.
    pub fn payload(&self) -> &[u8] {
        &self.message.payload
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<EnvelopeMessage, EnvelopeError> {
        if bytes.len() > Self::MAX_LEN {
            return Err(EnvelopeError::TooLong);
        }
        EnvelopeMessage::decode(bytes).map_err(|_| EnvelopeError::Malformed)
    }

    pub(super) fn verify(message: EnvelopeMessage, domain: &str) -> Result<Self, EnvelopeError> {
        let key = PublicKey::from_protobuf(&message.public_key)?;
        let signed = signed_bytes(domain, &message.payload_type, &message.payload);
        key.verify(&signed, &message.signature)?;
        Ok(Self { key, message })
    }
}

/// Domain, payload type and payload, each after its length as a varint.
fn signed_bytes(domain: &str, payload_type: &[u8], payload: &[u8]) -> Vec<u8> {
    let parts = [domain.as_bytes(), payload_type, payload];
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len() + varint::MAX_LEN).sum());
    for part in parts {
        varint::encode(part.len() as u64, &mut out);
        out.extend(part);
    }
    out
}
