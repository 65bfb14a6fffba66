//! Points of the key space and their distances.
//!
//! Source: libp2p specs, `kad-dht/README.md`, "Distance".

use sha2::{Digest, Sha256};

use crate::identity::PeerId;

/// A point of the key space: the SHA-256 of what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// Bits of the key space.
    pub const BITS: u32 = 256;

    /// The point of a key as it stands in messages.
    ///
    /// ```
    /// use polypeer::protocols::kad::Key;
    /// let (here, there) = (Key::of(b"here"), Key::of(b"there"));
    /// assert_eq!(here.distance(&there), there.distance(&here));
    /// assert_eq!(here.common_prefix(&here), Key::BITS);
    /// ```
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The point of a peer.
    pub fn of_peer(peer: &PeerId) -> Self {
        Self::of(peer.as_bytes())
    }

    /// How far two points are from each other.
    pub fn distance(&self, other: &Self) -> Distance {
        let mut bytes = self.0;
        for (byte, other) in bytes.iter_mut().zip(other.0) {
            *byte ^= other;
        }
        Distance(bytes)
    }

    /// How many bits two points have in common at their beginning.
    pub fn common_prefix(&self, other: &Self) -> u32 {
        let mut bits = 0;
        for (byte, other) in self.0.iter().zip(other.0) {
            let zeros = (byte ^ other).leading_zeros();
            bits += zeros;
            if zeros < 8 {
                break;
            }
        }
        bits
    }
}

/// How far two points are from each other: their XOR, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distance([u8; 32]);

impl Distance {
    /// As a part of the key space.
    pub(super) fn fraction(&self) -> f64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) as f64 / u64::MAX as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn a_prefix_is_counted_in_bits() {
        let mut bytes = [0; 32];
        let zero = Key(bytes);
        assert_eq!(zero.common_prefix(&zero), 256);
        bytes[2] = 0x10;
        assert_eq!(zero.common_prefix(&Key(bytes)), 19);
        bytes[0] = 0x80;
        assert_eq!(zero.common_prefix(&Key(bytes)), 0);
    }

    #[test]
    fn nearer_is_a_longer_common_prefix() {
        let mut rng = Rng::from_number(2);
        for _ in 0..1000 {
            let [key, a, b] = [(); 3].map(|()| Key(rng.array()));
            if key.common_prefix(&a) > key.common_prefix(&b) {
                assert!(key.distance(&a) < key.distance(&b));
            }
        }
    }
}
