//! The channel `/plaintext/2.0.0`, which proves nothing and hides nothing: for
//! tests on one machine only, and never negotiated unless asked for.
//!
//! Source: libp2p specifications "plaintext".

use super::Error;
use crate::identity::{PeerId, PublicKey};
use crate::wire::protobuf::{Malformed, Reader, Writer};
use crate::wire::varint;

/// The name under which the channel is negotiated.
pub const NAME: &str = "/plaintext/2.0.0";

/// The longest message in bytes that is accepted: an RSA-8192 key takes 1.1 KiB.
pub const MAX_EXCHANGE: usize = 4096;

/// The message that both sides send.
#[derive(Default)]
struct Exchange<'a> {
    id: Option<&'a [u8]>,
    pubkey: Option<&'a [u8]>,
}

impl<'a> Exchange<'a> {
    fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut message = Self::default();
        for field in Reader(bytes) {
            match field? {
                (1, value) => message.id = Some(value.bytes()?),
                (2, value) => message.pubkey = Some(value.bytes()?),
                _ => {}
            }
        }
        Ok(message)
    }

    /// The message behind its length.
    fn encode(&self, out: &mut Vec<u8>) {
        let mut message = Vec::new();
        for (number, field) in [(1, self.id), (2, self.pubkey)] {
            if let Some(bytes) = field {
                Writer(&mut message).bytes(number, bytes);
            }
        }
        varint::encode(message.len() as u64, out);
        out.extend_from_slice(&message);
    }
}

/// Who the remote says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its key.
    pub public_key: PublicKey,
    /// The peer id of that key.
    pub peer_id: PeerId,
}

/// An exchange under way.
pub struct Handshake {
    expected: Option<PeerId>,
    held: Vec<u8>,
    over: bool,
}

impl Handshake {
    /// Begins: appends our message to `out`. `expected` is who must be at the other end.
    pub fn new(key: &PublicKey, expected: Option<PeerId>, out: &mut Vec<u8>) -> Self {
        let (id, pubkey) = (key.peer_id(), key.to_protobuf());
        Exchange { id: Some(id.as_bytes()), pubkey: Some(&pubkey) }.encode(out);
        Self { expected, held: Vec::new(), over: false }
    }

    /// Takes bytes from the remote, in chunks of any size.
    ///
    /// Returns how many bytes of `input` were taken and, at the end, who the remote
    /// says it is. Bytes after the exchange are never taken.
    ///
    /// # Errors
    /// See [`Error`]; all are final.
    pub fn receive(&mut self, input: &[u8]) -> Result<(usize, Option<Remote>), Error> {
        if self.over {
            return Err(Error::Over);
        }
        let before = self.held.len();
        let room = (varint::MAX_LEN + MAX_EXCHANGE).saturating_sub(before).min(input.len());
        self.held.extend_from_slice(&input[..room]);
        let Some((length, start)) = varint::decode(&self.held).map_err(|_| self.fail())? else {
            return Ok((room, None));
        };
        if length > MAX_EXCHANGE as u64 {
            self.fail();
            return Err(Error::HandshakeTooLong { length, limit: MAX_EXCHANGE });
        }
        let end = start + length as usize;
        let Some(message) = self.held.get(start..end) else { return Ok((room, None)) };
        let remote = self.check(message);
        self.fail();
        Ok((end - before, Some(remote?)))
    }

    fn fail(&mut self) -> Error {
        self.over = true;
        self.held = Vec::new();
        Error::Malformed
    }

    fn check(&self, message: &[u8]) -> Result<Remote, Error> {
        let message = Exchange::decode(message).map_err(|_| Error::Payload)?;
        let (Some(id), Some(key)) = (message.id, message.pubkey) else {
            return Err(Error::Payload);
        };
        let public_key = PublicKey::from_protobuf(key).map_err(Error::IdentityKey)?;
        let actual = public_key.peer_id();
        if id != actual.as_bytes() {
            return Err(Error::ForeignPeerId);
        }
        match &self.expected {
            Some(expected) if *expected != actual => {
                Err(Error::WrongPeer { expected: *expected, actual })
            }
            _ => Ok(Remote { public_key, peer_id: actual }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;
    use crate::identity::Keypair;

    fn key(number: u64) -> PublicKey {
        Keypair::generate_ed25519(&mut Rng::from_number(number)).public()
    }

    fn message(id: Option<Vec<u8>>, pubkey: Option<Vec<u8>>) -> Vec<u8> {
        let mut out = Vec::new();
        Exchange { id: id.as_deref(), pubkey: pubkey.as_deref() }.encode(&mut out);
        out
    }

    /// Gives `input` in pieces to a side that expects the peer of `key(1)`.
    fn receive(input: &[u8], chunk: usize) -> Result<(usize, Option<Remote>), Error> {
        let mut side = Handshake::new(&key(2), Some(key(1).peer_id()), &mut Vec::new());
        let mut consumed = 0;
        for piece in input.chunks(chunk) {
            let (count, remote) = side.receive(piece)?;
            consumed += count;
            assert!(side.held.capacity() <= 2 * (MAX_EXCHANGE + varint::MAX_LEN));
            if remote.is_some() {
                return Ok((consumed, remote));
            }
            assert_eq!(count, piece.len());
        }
        Ok((consumed, None))
    }

    #[test]
    fn exchanges_at_every_chunking_and_takes_nothing_more() {
        let mut wire = Vec::new();
        Handshake::new(&key(1), None, &mut wire);
        let own = wire.len();
        assert_eq!(
            wire,
            message(Some(key(1).peer_id().as_bytes().into()), Some(key(1).to_protobuf()))
        );
        wire.extend_from_slice(b"data");
        for chunk in 1..=wire.len() {
            let (count, remote) = receive(&wire, chunk).unwrap();
            assert_eq!(count, own);
            let expected = Remote { public_key: key(1), peer_id: key(1).peer_id() };
            assert_eq!(remote, Some(expected));
        }
    }

    #[test]
    fn errors_are_typed() {
        let id = |number| Some(key(number).peer_id().as_bytes().to_vec());
        let public = |number| Some(key(number).to_protobuf());
        let fails = |bytes: &[u8]| receive(bytes, 1).err().unwrap();
        assert!(matches!(fails(&message(id(2), public(1))), Error::ForeignPeerId));
        assert!(matches!(fails(&message(id(3), public(3))), Error::WrongPeer { .. }));
        assert!(matches!(fails(&message(None, public(1))), Error::Payload));
        assert!(matches!(fails(&message(id(1), None)), Error::Payload));
        assert!(matches!(fails(&message(id(1), Some(vec![1]))), Error::IdentityKey(_)));
        assert!(matches!(fails(&[2, 0xff, 0xff]), Error::Payload));
        assert!(matches!(fails(&[0x80; 20]), Error::Malformed));
        let mut side = Handshake::new(&key(2), None, &mut Vec::new());
        assert!(side.receive(&[0]).is_err());
        assert!(matches!(side.receive(&[0]), Err(Error::Over)));
    }

    #[test]
    fn limit_of_the_message_is_reached() {
        let mut wire = Vec::new();
        varint::encode(MAX_EXCHANGE as u64, &mut wire);
        wire.resize(wire.len() + MAX_EXCHANGE, 0xff);
        assert!(matches!(receive(&wire, 50), Err(Error::Payload)));
        wire.clear();
        varint::encode(MAX_EXCHANGE as u64 + 1, &mut wire);
        let result = receive(&wire, 50);
        assert!(matches!(result, Err(Error::HandshakeTooLong { length: 4097, .. })));
    }

    #[test]
    fn damaged_messages_end_in_an_error_or_wait() {
        let mut rng = Rng::from_number(5);
        let mut genuine = Vec::new();
        Handshake::new(&key(1), None, &mut genuine);
        for _ in 0..10_000 {
            let mut bytes = genuine.clone();
            match rng.below(3) {
                0 => bytes.truncate(rng.below(genuine.len() as u64) as usize),
                1 => bytes[rng.below(genuine.len() as u64) as usize] ^= 1 << rng.below(8),
                _ => bytes.insert(rng.below(genuine.len() as u64) as usize, rng.next_u64() as u8),
            }
            if let Ok((_, Some(remote))) = receive(&bytes, rng.below(50) as usize + 1) {
                assert_eq!(remote.peer_id, key(1).peer_id());
            }
        }
    }
}
