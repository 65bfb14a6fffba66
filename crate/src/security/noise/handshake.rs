//! The three messages of the pattern XX.

use std::sync::Arc;

use snow::HandshakeState;
use zeroize::Zeroizing;

use super::payload;
use super::resolver::{Seeded, start, static_key};
use super::transport::{LENGTH, Opener, Sealer};
use crate::Rng;
use crate::identity::{KeyType, Keypair, PeerId, PublicKey, VerifyError};
use crate::negotiate::Name;
use crate::security::{Ciphers, Error, Role};

/// The longest handshake message in bytes that is accepted. An identity key of
/// RSA-8192 with its signature takes 2.2 KiB, one of ML-DSA-65 would take 5.3 KiB;
/// this is all that a stranger can make a handshake hold.
pub const MAX_HANDSHAKE_MESSAGE: usize = 8192;

/// What a message adds to its payload at most: ephemeral key, static key and two tags.
const MAX_OVERHEAD: usize = 32 + 32 + 16 + 16;

/// What a handshake needs to know.
pub struct Config {
    /// Our identity.
    pub keypair: Keypair,
    /// Which side we are.
    pub role: Role,
    /// Who must be at the other end, or `None` if anyone may.
    pub expected: Option<PeerId>,
    /// The muxers we announce, the preferred first; none announces nothing.
    pub muxers: Vec<Name>,
    /// Multihashes of our WebTransport certificates, on such a server.
    pub certhashes: Vec<Vec<u8>>,
    /// What both sides must have seen alike before, such as the fingerprints of WebRTC.
    pub prologue: Vec<u8>,
    /// Where the ciphers of the channel come from.
    pub ciphers: Arc<dyn Ciphers>,
    /// Randomness for this handshake alone.
    pub rng: Rng,
}

/// What a handshake came to.
pub enum Step {
    /// It waits for more bytes or for [`Handshake::verified`].
    Pending,
    /// The host has to check a signature of an algorithm that is not compiled in,
    /// and to call [`Handshake::verified`]. Bytes that come meanwhile are not taken.
    Verify(VerifyRequest),
    /// The channel stands.
    Done(Box<Secured>),
}

/// A signature for the host to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyRequest {
    /// The algorithm.
    pub key_type: KeyType,
    /// The key in the encoding of its type (libp2p specifications "peer-ids",
    /// "How Keys are encoded and Messages Signed").
    pub public_key: Vec<u8>,
    /// What was signed.
    pub message: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

/// A secure channel to a proved peer.
pub struct Secured {
    /// The remote's identity key.
    pub remote: PublicKey,
    /// The peer id of that key.
    pub peer_id: PeerId,
    /// The muxers that the remote announced.
    pub remote_muxers: Vec<Name>,
    /// The muxer agreed on: the first of the initiator's that both announced. If
    /// there is none it is left to multistream-select.
    pub muxer: Option<Name>,
    /// Multihashes of WebTransport certificates that the remote announced.
    pub remote_certhashes: Vec<Vec<u8>>,
    /// Encrypts what we send.
    pub sealer: Sealer,
    /// Decrypts what comes.
    pub opener: Opener,
}

/// A handshake under way.
pub struct Handshake {
    noise: Box<HandshakeState>,
    keypair: Keypair,
    static_public: [u8; 32],
    role: Role,
    expected: Option<PeerId>,
    muxers: Vec<Name>,
    certhashes: Vec<Vec<u8>>,
    ciphers: Arc<dyn Ciphers>,
    /// The beginning of a message, its length included.
    held: Vec<u8>,
    state: State,
}

enum State {
    /// The responder waits for the initiator's ephemeral key.
    Ephemeral,
    /// Either side waits for the remote's identity.
    Identity,
    /// The host checks the remote's signature.
    Verifying(Claim),
    /// Done or failed.
    Over,
}

/// Who the remote says it is, and what it can do.
struct Claim {
    remote: PublicKey,
    peer_id: PeerId,
    muxers: Vec<Name>,
    certhashes: Vec<Vec<u8>>,
}

impl Handshake {
    /// Begins. An initiator's first message is appended to `out`.
    ///
    /// # Errors
    /// [`Error::Over`] if the primitives cannot be set up.
    pub fn new(config: Config, out: &mut Vec<u8>) -> Result<Self, Error> {
        let Config { keypair, role, expected, muxers, certhashes, prologue, ciphers, mut rng } =
            config;
        let (private, static_public) = static_key(&mut rng);
        let noise = Box::new(start(role, &private, &prologue, Box::new(Seeded(rng)))?);
        let state = match role {
            Role::Initiator => State::Identity,
            Role::Responder => State::Ephemeral,
        };
        let mut this = Self {
            noise,
            keypair,
            static_public,
            role,
            expected,
            muxers,
            certhashes,
            ciphers,
            held: Vec::new(),
            state,
        };
        if role == Role::Initiator {
            this.write(&[], out)?;
        }
        Ok(this)
    }

    /// Takes bytes from the remote, in chunks of any size, and appends our answers to `out`.
    ///
    /// Returns how many bytes of `input` were taken. Bytes after the handshake are
    /// never taken: they are frames for the [`Opener`].
    ///
    /// # Errors
    /// See [`Error`]; all are final.
    pub fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(usize, Step), Error> {
        let mut consumed = 0;
        loop {
            match self.state {
                State::Verifying(_) => return Ok((consumed, Step::Pending)),
                State::Over => return Err(Error::Over),
                State::Ephemeral | State::Identity => {}
            }
            let state = core::mem::replace(&mut self.state, State::Over);
            let (count, message) = self.take(&input[consumed..])?;
            consumed += count;
            let Some(message) = message else {
                self.state = state;
                return Ok((consumed, Step::Pending));
            };
            match self.advance(state, &message, out)? {
                Step::Pending => {}
                step => return Ok((consumed, step)),
            }
        }
    }

    /// The host's answer to [`Step::Verify`].
    ///
    /// # Errors
    /// [`Error::SignatureRefused`] if it is not `valid`; else as [`Handshake::receive`].
    pub fn verified(&mut self, valid: bool, out: &mut Vec<u8>) -> Result<Step, Error> {
        match core::mem::replace(&mut self.state, State::Over) {
            State::Verifying(claim) if valid => self.finish(claim, out),
            State::Verifying(_) => Err(Error::SignatureRefused),
            _ => Err(Error::Over),
        }
    }

    /// Cuts the next message out of the input.
    fn take(&mut self, input: &[u8]) -> Result<(usize, Option<Vec<u8>>), Error> {
        let mut taken = self.hold_up_to(LENGTH, input);
        let Some(length) = self.held.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)) else {
            return Ok((taken, None));
        };
        let limit = MAX_HANDSHAKE_MESSAGE;
        if usize::from(length) > limit {
            return Err(Error::HandshakeTooLong { length: length.into(), limit });
        }
        let whole = LENGTH + usize::from(length);
        taken += self.hold_up_to(whole, &input[taken..]);
        if self.held.len() < whole {
            return Ok((taken, None));
        }
        let mut message = core::mem::take(&mut self.held);
        message.drain(..LENGTH);
        Ok((taken, Some(message)))
    }

    fn hold_up_to(&mut self, length: usize, input: &[u8]) -> usize {
        let count = length.saturating_sub(self.held.len()).min(input.len());
        self.held.extend_from_slice(&input[..count]);
        count
    }

    fn advance(&mut self, state: State, message: &[u8], out: &mut Vec<u8>) -> Result<Step, Error> {
        let mut payload = vec![0; message.len()];
        let length = self.noise.read_message(message, &mut payload)?;
        payload.truncate(length);
        match state {
            // Nothing is secret yet, so the specification allows no payload.
            State::Ephemeral if payload.is_empty() => {
                self.write_identity(out)?;
                self.state = State::Identity;
                Ok(Step::Pending)
            }
            State::Identity => self.check(&payload, out),
            _ => Err(Error::Malformed),
        }
    }

    /// Checks who the remote says it is before telling it who we are, if we can choose.
    fn check(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<Step, Error> {
        let (key, signature, extensions) = payload::decode(payload)?;
        let remote = PublicKey::from_protobuf(&key).map_err(Error::IdentityKey)?;
        let actual = remote.peer_id();
        if let Some(expected) = self.expected.filter(|expected| *expected != actual) {
            return Err(Error::WrongPeer { expected, actual });
        }
        let message = payload::signed_message(self.noise.get_remote_static().unwrap_or_default());
        let verdict = remote.verify_by(&*self.ciphers, &message, &signature);
        let claim = Claim {
            peer_id: actual,
            muxers: extensions.stream_muxers,
            certhashes: extensions.webtransport_certhashes,
            remote,
        };
        match verdict {
            Ok(()) => self.finish(claim, out),
            Err(VerifyError::NotCompiled(key_type)) => {
                let public_key = claim.remote.raw().to_vec();
                self.state = State::Verifying(claim);
                Ok(Step::Verify(VerifyRequest { key_type, public_key, message, signature }))
            }
            Err(error) => Err(Error::Signature(error)),
        }
    }

    /// Sends what is left to send and makes the channel.
    fn finish(&mut self, claim: Claim, out: &mut Vec<u8>) -> Result<Step, Error> {
        if self.role == Role::Initiator {
            self.write_identity(out)?;
        }
        let (to_responder, to_initiator) = self.noise.dangerously_get_raw_split();
        let (to_responder, to_initiator) =
            (Zeroizing::new(to_responder), Zeroizing::new(to_initiator));
        let (first, second, seal, open) = match self.role {
            Role::Initiator => (&self.muxers, &claim.muxers, &to_responder, &to_initiator),
            Role::Responder => (&claim.muxers, &self.muxers, &to_initiator, &to_responder),
        };
        let muxer = first.iter().find(|name| second.contains(name)).cloned();
        Ok(Step::Done(Box::new(Secured {
            remote: claim.remote,
            peer_id: claim.peer_id,
            muxer,
            remote_muxers: claim.muxers,
            remote_certhashes: claim.certhashes,
            sealer: Sealer::new(self.ciphers.chacha20poly1305(seal)),
            opener: Opener::new(self.ciphers.chacha20poly1305(open)),
        })))
    }

    fn write_identity(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let payload =
            payload::encode(&self.keypair, &self.static_public, &self.muxers, &self.certhashes)?;
        self.write(&payload, out)
    }

    /// Appends the next message, with its length.
    fn write(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        out.resize(start + LENGTH + MAX_OVERHEAD + payload.len(), 0);
        let length = self.noise.write_message(payload, &mut out[start + LENGTH..])?;
        out.truncate(start + LENGTH + length);
        out[start..start + LENGTH].copy_from_slice(&(length as u16).to_be_bytes());
        Ok(())
    }

    /// Bytes of memory held for the remote.
    #[cfg(test)]
    pub(super) fn held_capacity(&self) -> usize {
        self.held.capacity()
    }
}
