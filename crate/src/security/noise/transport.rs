//! Frames: a length in two bytes, ciphertext, a tag of 16 bytes.
//!
//! Source: libp2p specifications "noise", section "Wire Format".

use crate::security::cipher::{Aead, TAG};
use crate::security::error::Error;

/// Bytes of a frame's length.
pub const LENGTH: usize = 2;

/// Most plaintext in one frame, in bytes.
pub const MAX_PLAINTEXT: usize = u16::MAX as usize - TAG;

/// The last nonce is never used: the Noise Protocol Framework reserves it.
const RESERVED_NONCE: u64 = u64::MAX;

/// Encrypts what we send.
pub struct Sealer {
    cipher: Box<dyn Aead>,
    nonce: u64,
}

impl Sealer {
    pub(super) fn new(cipher: Box<dyn Aead>) -> Self {
        Self { cipher, nonce: 0 }
    }

    /// Makes a frame, in place, of the end of `out`: at `start` stand [`LENGTH`]
    /// bytes of any value, then at most [`MAX_PLAINTEXT`] bytes to encrypt.
    ///
    /// # Errors
    /// [`Error::Exhausted`]: close the connection. [`Error::FrameTooLong`] and
    /// [`Error::FrameTooShort`] if the caller broke the rule above.
    pub fn seal(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), Error> {
        let frame = out.get_mut(start..).unwrap_or_default();
        let (length, data) = frame.split_first_chunk_mut::<LENGTH>().ok_or(Error::FrameTooShort)?;
        if data.len() > MAX_PLAINTEXT {
            return Err(Error::FrameTooLong);
        }
        if self.nonce == RESERVED_NONCE {
            return Err(Error::Exhausted);
        }
        *length = ((data.len() + TAG) as u16).to_be_bytes();
        let tag = self.cipher.seal(self.nonce, data);
        self.nonce += 1;
        out.extend_from_slice(&tag);
        Ok(())
    }
}

/// Decrypts what comes.
pub struct Opener {
    cipher: Box<dyn Aead>,
    nonce: u64,
}

impl Opener {
    pub(super) fn new(cipher: Box<dyn Aead>) -> Self {
        Self { cipher, nonce: 0 }
    }

    /// Decrypts a frame without its length, in place, and returns its plaintext.
    ///
    /// # Errors
    /// [`Error::Decrypt`], [`Error::FrameTooShort`], [`Error::Exhausted`]: close the
    /// connection. The nonce moves only when a frame is genuine.
    pub fn open<'a>(&mut self, frame: &'a mut [u8]) -> Result<&'a mut [u8], Error> {
        let (data, tag) = frame.split_last_chunk_mut::<TAG>().ok_or(Error::FrameTooShort)?;
        if self.nonce == RESERVED_NONCE {
            return Err(Error::Exhausted);
        }
        if !self.cipher.open(self.nonce, data, tag) {
            return Err(Error::Decrypt);
        }
        self.nonce += 1;
        Ok(data)
    }
}

/// How long the first frame of `input` is, its length included, once that is there.
pub fn frame_length(input: &[u8]) -> Option<usize> {
    let length = input.first_chunk::<LENGTH>()?;
    Some(LENGTH + usize::from(u16::from_be_bytes(*length)))
}

/// Splits the first frame, if it is whole, off `input`: the frame without its
/// length, for [`Opener::open`], and what follows.
pub fn split_frame(input: &mut [u8]) -> Option<(&mut [u8], &mut [u8])> {
    let (frame, rest) = input.split_at_mut_checked(frame_length(input)?)?;
    Some((frame.get_mut(LENGTH..)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::{Ciphers, RustCrypto};

    fn pair(nonce: u64) -> (Sealer, Opener) {
        let cipher = || RustCrypto.chacha20poly1305(&[9; 32]);
        (Sealer { cipher: cipher(), nonce }, Opener { cipher: cipher(), nonce })
    }

    #[test]
    fn frames_round_trip_in_place() {
        let (mut sealer, mut opener) = pair(0);
        let mut wire = b"before".to_vec();
        for length in [0, 1, 15, 16, 17, 1000, MAX_PLAINTEXT] {
            let start = wire.len();
            wire.extend_from_slice(&[0; LENGTH]);
            wire.resize(start + LENGTH + length, length as u8);
            sealer.seal(&mut wire, start).unwrap();
            assert_eq!(wire.len(), start + LENGTH + length + TAG);
        }
        let mut rest = &mut wire[6..];
        for length in [0, 1, 15, 16, 17, 1000, MAX_PLAINTEXT] {
            let (frame, more) = split_frame(rest).unwrap();
            assert_eq!(opener.open(frame).unwrap(), vec![length as u8; length]);
            rest = more;
        }
        assert!(split_frame(rest).is_none());
    }

    #[test]
    fn limits_of_a_frame_are_reached() {
        let (mut sealer, mut opener) = pair(0);
        let mut long = vec![0; LENGTH + MAX_PLAINTEXT + 1];
        assert!(matches!(sealer.seal(&mut long, 0), Err(Error::FrameTooLong)));
        for start in [1, 2, 3] {
            assert!(matches!(sealer.seal(&mut vec![0; 2], start), Err(Error::FrameTooShort)));
        }
        assert!(matches!(opener.open(&mut [0; TAG - 1]), Err(Error::FrameTooShort)));
    }

    #[test]
    fn the_last_nonce_closes() {
        let (mut sealer, mut opener) = pair(u64::MAX - 1);
        let mut wire = vec![0; LENGTH + 3];
        sealer.seal(&mut wire, 0).unwrap();
        let (frame, _) = split_frame(&mut wire).unwrap();
        assert_eq!(opener.open(frame).unwrap(), [0; 3]);
        assert!(matches!(sealer.seal(&mut vec![0; 5], 0), Err(Error::Exhausted)));
        assert!(matches!(opener.open(&mut [0; 40]), Err(Error::Exhausted)));
    }

    #[test]
    fn the_nonce_moves_only_for_genuine_frames() {
        let (mut sealer, mut opener) = pair(5);
        let mut wire = vec![7; LENGTH + 100];
        sealer.seal(&mut wire, 0).unwrap();
        for bit in 0..(100 + TAG) * 8 {
            let mut bad = wire[LENGTH..].to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(opener.open(&mut bad), Err(Error::Decrypt)));
        }
        assert_eq!(opener.open(&mut wire[LENGTH..]).unwrap(), [7; 100]);
        assert!(matches!(opener.open(&mut wire[LENGTH..]), Err(Error::Decrypt)), "a replay");
    }
}
