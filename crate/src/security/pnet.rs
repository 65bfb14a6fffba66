//! Private networks: everything on a connection under a key that all members share.
//!
//! It only keeps strangers out; secrecy and identity are left to the secure
//! channel inside. Source: libp2p specifications "pnet/Private-Networks-PSK-V1".
//!
//! ```
//! use polypeer::{Rng, security::pnet::{Cipher, PreSharedKey}};
//!
//! let file = format!("/key/swarm/psk/1.0.0/\n/base16/\n{}\n", "2a".repeat(32));
//! let key = PreSharedKey::from_file(file.as_bytes())?;
//! let (mut rng, mut wire, mut unused) = (Rng::from_number(1), Vec::new(), Vec::new());
//! let mut alice = Cipher::new(&key, &mut rng, &mut wire);
//! let mut bob = Cipher::new(&key, &mut rng, &mut unused);
//! let start = wire.len();
//! wire.extend_from_slice(b"hello");
//! alice.seal(&mut wire[start..])?;
//! assert_eq!(bob.open(&mut wire)?, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use core::fmt;

use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit, StreamCipher};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::Rng;
use crate::wire::base;

/// Bytes that either side sends first, in the clear: the nonce of what follows.
pub const NONCE: usize = 24;

/// Length in bytes of the shared key.
pub const KEY: usize = 32;

/// The key that all members of a private network share.
#[derive(Clone)]
pub struct PreSharedKey(Zeroizing<[u8; KEY]>);

/// Why a `swarm.key` file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The first line is not `/key/swarm/psk/1.0.0/`.
    #[error("the first line of the key file is not /key/swarm/psk/1.0.0/")]
    Header,
    /// The second line is not `/bin/`, `/base16/` or `/base64/`.
    #[error("the second line of the key file is not /bin/, /base16/ or /base64/")]
    Encoding,
    /// The key has a character that its encoding does not know, or half a byte.
    #[error("the key is not of its encoding")]
    Character,
    /// The key is not exactly 32 bytes long.
    #[error("the key is not 32 bytes long")]
    Length,
}

impl PreSharedKey {
    /// A key from its bytes, which should be random.
    pub fn new(bytes: [u8; KEY]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads the content of a `swarm.key` file; lines may end in `\n` or `\r\n`.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_file(content: &[u8]) -> Result<Self, KeyError> {
        let (header, rest) = split_line(content);
        if header != b"/key/swarm/psk/1.0.0/" {
            return Err(KeyError::Header);
        }
        let (encoding, rest) = split_line(rest);
        let mut key = Zeroizing::new([0; KEY]);
        match encoding {
            // A newline at the end is not told from a byte of the key but by length.
            b"/bin/" => {
                let rest = rest.get(..KEY).filter(|_| rest[KEY..].trim_ascii().is_empty());
                key.copy_from_slice(rest.ok_or(KeyError::Length)?);
            }
            b"/base16/" => decode('f', rest.trim_ascii(), &mut key)?,
            b"/base64/" => {
                let text = rest.trim_ascii();
                decode('m', text.strip_suffix(b"=").unwrap_or(text), &mut key)?;
            }
            _ => return Err(KeyError::Encoding),
        }
        Ok(Self(key))
    }

    /// What members know the network by, where all can read it: nothing of the key
    /// follows from it.
    pub fn fingerprint(&self) -> [u8; 16] {
        let digest = Sha256::new().chain_update(FINGERPRINT).chain_update(*self.0).finalize();
        core::array::from_fn(|at| digest[at])
    }
}

/// Keeps the fingerprint apart from whatever else is made of the key.
const FINGERPRINT: &[u8] = b"polypeer private network";

impl fmt::Debug for PreSharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreSharedKey")
    }
}

/// A direction has carried the 2⁷⁰ bytes of its nonce: close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the cipher stream of the private network is at its end")]
pub struct Exhausted;

/// Both directions of one connection.
pub struct Cipher {
    sealing: XSalsa20,
    opening: Opening,
}

enum Opening {
    Nonce { key: PreSharedKey, nonce: [u8; NONCE], filled: usize },
    Stream(Box<XSalsa20>),
}

impl Cipher {
    /// Begins: appends our nonce, which goes before everything else, to `out`.
    pub fn new(key: &PreSharedKey, rng: &mut Rng, out: &mut Vec<u8>) -> Self {
        let nonce = rng.array::<NONCE>();
        out.extend_from_slice(&nonce);
        Self {
            sealing: XSalsa20::new((&*key.0).into(), &nonce.into()),
            opening: Opening::Nonce { key: key.clone(), nonce: [0; NONCE], filled: 0 },
        }
    }

    /// Encrypts the next bytes to send, in place.
    ///
    /// # Errors
    /// [`Exhausted`]
    pub fn seal(&mut self, data: &mut [u8]) -> Result<(), Exhausted> {
        self.sealing.try_apply_keystream(data).map_err(|_| Exhausted)
    }

    /// Decrypts the next bytes that came, in place, and returns the part of them
    /// that is not the remote's nonce.
    ///
    /// With another key than the remote's the result is noise: what is inside
    /// fails to negotiate.
    ///
    /// # Errors
    /// [`Exhausted`]
    pub fn open<'a>(&mut self, data: &'a mut [u8]) -> Result<&'a mut [u8], Exhausted> {
        let mut taken = 0;
        if let Opening::Nonce { key, nonce, filled } = &mut self.opening {
            taken = data.len().min(NONCE - *filled);
            nonce[*filled..*filled + taken].copy_from_slice(&data[..taken]);
            *filled += taken;
            if *filled == NONCE {
                let stream = XSalsa20::new((&*key.0).into(), (&*nonce).into());
                self.opening = Opening::Stream(Box::new(stream));
            }
        }
        let data = &mut data[taken..];
        if let Opening::Stream(stream) = &mut self.opening {
            stream.try_apply_keystream(data).map_err(|_| Exhausted)?;
        }
        Ok(data)
    }
}

/// The first line of `bytes` without its end, and what follows.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (line, rest) = match end {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &bytes[bytes.len()..]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

/// Decodes `text`, in the base of the multibase prefix `base`, into `key`.
fn decode(base: char, text: &[u8], key: &mut [u8; KEY]) -> Result<(), KeyError> {
    let mut coded = Zeroizing::new(String::from(base));
    coded.push_str(core::str::from_utf8(text).map_err(|_| KeyError::Character)?);
    let bytes = Zeroizing::new(base::decode(&coded).map_err(|_| KeyError::Character)?);
    *key = bytes.as_slice().try_into().map_err(|_| KeyError::Length)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    macro_rules! vectors {
        ($path:literal) => {
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/pnet/", $path)
        };
    }

    #[test]
    fn xsalsa20_vectors_hold_at_every_chunking() {
        let all: Value = serde_json::from_str(include_str!(vectors!("xsalsa20.json"))).unwrap();
        let text = |name: &str| all[name].as_str().unwrap().as_bytes();
        let key = PreSharedKey::new(text("key_utf8").try_into().unwrap());
        for case in all["cases"].as_array().unwrap() {
            let bytes = |name: &str| hex::decode(case[name].as_str().unwrap()).unwrap();
            for chunk in 1..80 {
                let mut cipher = Cipher::new(&key, &mut Rng::from_number(1), &mut Vec::new());
                let mut wire = [text("nonce_utf8"), &bytes("out_hex")].concat();
                let mut opened = Vec::new();
                for piece in wire.chunks_mut(chunk) {
                    opened.extend_from_slice(cipher.open(piece).unwrap());
                }
                assert_eq!(opened, bytes("in_hex"));
            }
        }
    }

    #[test]
    fn ends_with_one_key_understand_each_other() {
        let key = PreSharedKey::new([7; KEY]);
        for (other, same) in [(key.clone(), true), (PreSharedKey::new([8; KEY]), false)] {
            let (mut wire, mut back) = (Vec::new(), Vec::new());
            let mut a = Cipher::new(&key, &mut Rng::from_number(1), &mut wire);
            let mut b = Cipher::new(&other, &mut Rng::from_number(2), &mut back);
            assert_eq!((wire.len(), back.len()), (NONCE, NONCE));
            assert_ne!(wire, back);
            for round in 0..20 {
                let data = vec![round as u8; round * 13];
                let start = wire.len();
                wire.extend_from_slice(&data);
                a.seal(&mut wire[start..]).unwrap();
                assert_eq!(b.open(&mut wire).unwrap() == data, same || data.is_empty());
                wire.clear();
            }
        }
    }

    fn parse(text: &str) -> Result<[u8; KEY], KeyError> {
        PreSharedKey::from_file(text.as_bytes()).map(|key| *key.0)
    }

    #[test]
    fn key_files() {
        let file = include_str!(vectors!("swarm.key"));
        assert_eq!(parse(file), Ok([0; KEY]));
        assert_eq!(parse(&file.replace('\n', "\r\n")), Ok([0; KEY]));
        assert_eq!(parse(file.trim_end()), Ok([0; KEY]));
        let with =
            |encoding: &str, key: &str| parse(&format!("/key/swarm/psk/1.0.0/\n{encoding}\n{key}"));
        assert_eq!(with("/base16/", &"aB".repeat(32)), Ok([0xab; KEY]));
        let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let counting = core::array::from_fn(|at| at as u8);
        for ending in ["", "=", "=\n"] {
            assert_eq!(with("/base64/", &format!("{base64}{ending}")), Ok(counting));
        }
        let letters = "abcdefghijklmnopqrstuvwxyz012345";
        assert_eq!(with("/bin/", letters).unwrap(), *letters.as_bytes());
        assert_eq!(with("/bin/", &format!("{letters}\n")).unwrap(), *letters.as_bytes());
    }

    #[test]
    fn key_files_are_refused_with_a_reason() {
        let header = "/key/swarm/psk/1.0.0/\n";
        for (text, error) in [
            (String::new(), KeyError::Header),
            ("/key/swarm/psk/2.0.0/\n/base16/\n".into(), KeyError::Header),
            (header.into(), KeyError::Encoding),
            (format!("{header}/base58/\n"), KeyError::Encoding),
            (format!("{header}/base16/\n"), KeyError::Length),
            (format!("{header}/base16/\n{}", "00".repeat(31)), KeyError::Length),
            (format!("{header}/base16/\n{}", "00".repeat(33)), KeyError::Length),
            (format!("{header}/base16/\n{}0", "00".repeat(32)), KeyError::Character),
            (format!("{header}/base16/\n{}", "0g".repeat(32)), KeyError::Character),
            (format!("{header}/base64/\n{}", "A".repeat(42)), KeyError::Length),
            (format!("{header}/base64/\n{}", "A".repeat(44)), KeyError::Length),
            (format!("{header}/base64/\n{}", "*".repeat(43)), KeyError::Character),
            (format!("{header}/bin/\n{}", "x".repeat(31)), KeyError::Length),
            (format!("{header}/bin/\n{}", "x".repeat(33)), KeyError::Length),
        ] {
            assert_eq!(parse(&text), Err(error), "{text}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(format!("{:?}", PreSharedKey::new([1; KEY])), "PreSharedKey");
    }
}
