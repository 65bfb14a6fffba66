//! The one cipher of the wire, ChaCha20-Poly1305, behind a trait.

#[cfg(not(target_arch = "wasm32"))]
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, aead::AeadInPlace};

/// Length in bytes of an authentication tag.
pub const TAG: usize = 16;

/// ChaCha20-Poly1305 under one key, without associated data.
///
/// Source: RFC 8439; its 96-bit nonce is four zero bytes and the number in little
/// endian, as the Noise Protocol Framework has it ("The ChaChaPoly cipher functions").
pub trait Aead: Send {
    /// Encrypts `data` in place and returns its tag. A nonce must not repeat.
    fn seal(&mut self, nonce: u64, data: &mut [u8]) -> [u8; TAG];

    /// Decrypts `data` in place. If this returns `false`, the tag does not fit and
    /// the content of `data` must not be used.
    #[must_use]
    fn open(&mut self, nonce: u64, data: &mut [u8], tag: &[u8; TAG]) -> bool;
}

/// Makes ciphers. Hosts that have a faster one than [`RustCrypto`] implement this.
pub trait Ciphers: Send + Sync {
    /// A ChaCha20-Poly1305 under `key`.
    fn chacha20poly1305(&self, key: &[u8; 32]) -> Box<dyn Aead>;

    /// Whether an Ed25519 signature (RFC 8032) fits, where the host has a faster way than
    /// ours; `None`, the default, leaves it to ours. What keys and commitments of small
    /// order can do is not its matter: they are refused before.
    fn verify_ed25519(
        &self,
        _key: &[u8; 32],
        _message: &[u8],
        _signature: &[u8; 64],
    ) -> Option<bool> {
        None
    }
}

/// The cipher that runs everywhere: pure Rust and vectors. In WebAssembly, where
/// RustCrypto's ChaCha20 has no vectors, that part is ours.
#[derive(Clone, Copy, Debug, Default)]
pub struct RustCrypto;

impl Ciphers for RustCrypto {
    #[cfg(not(target_arch = "wasm32"))]
    fn chacha20poly1305(&self, key: &[u8; 32]) -> Box<dyn Aead> {
        Box::new(Portable(ChaCha20Poly1305::new(key.into())))
    }

    #[cfg(target_arch = "wasm32")]
    fn chacha20poly1305(&self, key: &[u8; 32]) -> Box<dyn Aead> {
        Box::new(super::vector::Vector::new(key))
    }
}

#[cfg(not(target_arch = "wasm32"))]
struct Portable(ChaCha20Poly1305);

#[cfg(not(target_arch = "wasm32"))]
impl Portable {
    fn seal_with(&mut self, nonce: [u8; 12], known: &[u8], data: &mut [u8]) -> [u8; TAG] {
        self.0
            .encrypt_in_place_detached(&nonce.into(), known, data)
            .map(Into::into)
            // Only data over the 256 GiB of one nonce fails; a tag of zeros then
            // makes the remote refuse the message.
            .unwrap_or_default()
    }

    fn open_with(
        &mut self,
        nonce: [u8; 12],
        known: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG],
    ) -> bool {
        self.0.decrypt_in_place_detached(&nonce.into(), known, data, tag.into()).is_ok()
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Aead for Portable {
    fn seal(&mut self, nonce: u64, data: &mut [u8]) -> [u8; TAG] {
        self.seal_with(expand(nonce), &[], data)
    }

    fn open(&mut self, nonce: u64, data: &mut [u8], tag: &[u8; TAG]) -> bool {
        self.open_with(expand(nonce), &[], data, tag)
    }
}

pub(super) fn expand(nonce: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&nonce.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/wycheproof/chacha20_poly1305_test.json"
    ));

    #[test]
    fn wycheproof() {
        let all: Value = serde_json::from_str(VECTORS).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for group in all["testGroups"].as_array().unwrap() {
            for test in group["tests"].as_array().unwrap() {
                let bytes = |name: &str| hex::decode(test[name].as_str().unwrap()).unwrap();
                let Ok(nonce) = <[u8; 12]>::try_from(bytes("iv")) else {
                    assert_eq!(test["result"], "invalid");
                    continue;
                };
                let key: [u8; 32] = bytes("key").try_into().unwrap();
                let tag: [u8; TAG] = bytes("tag").try_into().unwrap();
                let mut cipher = Portable(ChaCha20Poly1305::new(&key.into()));
                let mut data = bytes("ct");
                let opened = cipher.open_with(nonce, &bytes("aad"), &mut data, &tag);
                assert_eq!(opened, test["result"] == "valid", "{test}");
                if opened {
                    assert_eq!(data, bytes("msg"));
                    assert_eq!(cipher.seal_with(nonce, &bytes("aad"), &mut data), tag);
                    assert_eq!(data, bytes("ct"));
                    valid += 1;
                } else {
                    invalid += 1;
                }
            }
        }
        assert!(valid > 200 && invalid > 40, "{valid} {invalid}");
    }

    #[test]
    fn the_nonce_is_little_endian_behind_four_zeros() {
        assert_eq!(expand(0x0102), [0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
        let mut cipher = RustCrypto.chacha20poly1305(&[3; 32]);
        let mut data = *b"words";
        let tag = cipher.seal(7, &mut data);
        assert!(!cipher.open(8, &mut data.clone(), &tag));
        assert!(cipher.open(7, &mut data, &tag));
        assert_eq!(&data, b"words");
    }
}
