//! Randomness that the host hands in: one seed, then ChaCha20's key stream.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};

/// A seedable generator, cryptographically strong when its seed is secret.
///
/// In production the seed comes from the operating system; in the simulator
/// from the run's seed, so that a run repeats. It is ChaCha20's key stream
/// (RFC 8439) over a zero nonce.
///
/// ```
/// let mut a = polypeer::Rng::from_seed([7; 32]);
/// let mut b = polypeer::Rng::from_seed([7; 32]);
/// assert_eq!(a.next_u64(), b.next_u64());
/// ```
pub struct Rng {
    stream: ChaCha20,
    /// Bytes drawn from `stream`; a new key is drawn well before its 256 GiB end.
    drawn: u64,
}

/// Draws after which the generator takes a new key from itself.
const REKEY_BYTES: u64 = 1 << 30;

impl Rng {
    /// A generator that repeats for the same `seed`.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { stream: ChaCha20::new(&seed.into(), &[0; 12].into()), drawn: 0 }
    }

    /// A generator from a number, for tests and simulations only.
    pub fn from_number(number: u64) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        Self::from_seed(seed)
    }

    /// A child generator, independent of what this one draws later.
    pub fn fork(&mut self) -> Self {
        Self::from_seed(self.array())
    }

    /// Fills `out` with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        if self.drawn > REKEY_BYTES {
            let mut seed = [0; 32];
            self.stream.apply_keystream(&mut seed);
            *self = Self::from_seed(seed);
        }
        out.fill(0);
        self.stream.apply_keystream(out);
        self.drawn = self.drawn.saturating_add(out.len() as u64);
    }

    /// `N` random bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A random number.
    pub fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A random number below `bound` (zero if `bound` is zero). The bias of the
    /// multiplication is below 2⁻³² for bounds below 2³².
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}
