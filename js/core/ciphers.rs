//! ChaCha20-Poly1305 by the host for large frames, by the core for small ones; signatures
//! by the host.

use polypeer::security::{Aead, Ciphers, RustCrypto};
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(raw_module = "../dist/ciphers.js")]
unsafe extern "C" {
    fn prepare(key: &[u8]) -> u32;
    fn release(key: u32);
    fn seal(key: u32, nonce: f64, data: &mut [u8], tag: &mut [u8]);
    fn open(key: u32, nonce: f64, data: &mut [u8], tag: &[u8]) -> bool;
    #[cfg(feature = "node")]
    fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> bool;
}

/// Bytes from which a frame is the host's: below, going there costs more than it wins.
const HOST_BYTES: usize = 8192;

/// The ciphers that the host installed.
pub(crate) struct HostCiphers;

impl Ciphers for HostCiphers {
    fn chacha20poly1305(&self, key: &[u8; 32]) -> Box<dyn Aead> {
        let small = RustCrypto.chacha20poly1305(key);
        Box::new(HostAead { key: *key, prepared: None, small })
    }

    #[cfg(feature = "node")]
    fn verify_ed25519(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Option<bool> {
        Some(verify(key, message, signature))
    }
}

struct HostAead {
    key: [u8; 32],
    /// The host's number for the key, once a large frame needed it.
    prepared: Option<u32>,
    small: Box<dyn Aead>,
}

impl HostAead {
    fn prepared(&mut self) -> u32 {
        *self.prepared.get_or_insert_with(|| prepare(&self.key))
    }
}

impl Drop for HostAead {
    fn drop(&mut self) {
        if let Some(key) = self.prepared {
            release(key);
        }
    }
}

impl Aead for HostAead {
    fn seal(&mut self, nonce: u64, data: &mut [u8]) -> [u8; 16] {
        if data.len() < HOST_BYTES {
            return self.small.seal(nonce, data);
        }
        let mut tag = [0; 16];
        seal(self.prepared(), nonce as f64, data, &mut tag);
        tag
    }

    fn open(&mut self, nonce: u64, data: &mut [u8], tag: &[u8; 16]) -> bool {
        if data.len() < HOST_BYTES {
            return self.small.open(nonce, data, tag);
        }
        open(self.prepared(), nonce as f64, data, tag)
    }
}
