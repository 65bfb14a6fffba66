//! The vector instructions of `core::arch::wasm32` that the cipher uses, lane by
//! lane and under the same names, for native tests.

#![allow(clippy::too_many_arguments, reason = "the names and shapes are those of core")]

/// Sixteen bytes, lane 0 first.
#[derive(Clone, Copy)]
pub(super) struct V128([u8; 16]);

impl V128 {
    fn words(self) -> [u32; 4] {
        super::words(&self.0)
    }

    fn zip(self, other: Self, f: impl Fn(u32, u32) -> u32) -> Self {
        let (a, b) = (self.words(), other.words());
        from_words(core::array::from_fn(|lane| f(a[lane], b[lane])))
    }

    /// Lanes of `N` bytes out of `self` and then `other`, by their numbers.
    fn shuffle<const N: usize>(self, other: Self, lanes: &[usize]) -> Self {
        Self(core::array::from_fn(|at| {
            let from = lanes[at / N] * N + at % N;
            if from < 16 { self.0[from] } else { other.0[from - 16] }
        }))
    }
}

fn from_words(words: [u32; 4]) -> V128 {
    let mut bytes = [0; 16];
    for (at, word) in words.into_iter().enumerate() {
        bytes[4 * at..4 * at + 4].copy_from_slice(&word.to_le_bytes());
    }
    V128(bytes)
}

pub(super) fn u32x4(a: u32, b: u32, c: u32, d: u32) -> V128 {
    from_words([a, b, c, d])
}

pub(super) fn u32x4_splat(word: u32) -> V128 {
    from_words([word; 4])
}

pub(super) fn u64x2(a: u64, b: u64) -> V128 {
    V128([a.to_le_bytes(), b.to_le_bytes()].concat().try_into().unwrap())
}

pub(super) fn u64x2_extract_lane<const N: usize>(a: V128) -> u64 {
    u64::from_le_bytes(a.0[8 * N..8 * N + 8].try_into().unwrap())
}

pub(super) fn i32x4_add(a: V128, b: V128) -> V128 {
    a.zip(b, u32::wrapping_add)
}

pub(super) fn v128_xor(a: V128, b: V128) -> V128 {
    a.zip(b, |a, b| a ^ b)
}

pub(super) fn v128_or(a: V128, b: V128) -> V128 {
    a.zip(b, |a, b| a | b)
}

pub(super) fn i32x4_shl(a: V128, bits: u32) -> V128 {
    from_words(a.words().map(|word| word << bits))
}

pub(super) fn u32x4_shr(a: V128, bits: u32) -> V128 {
    from_words(a.words().map(|word| word >> bits))
}

pub(super) fn i64x2_shuffle<const A: usize, const B: usize>(a: V128, b: V128) -> V128 {
    a.shuffle::<8>(b, &[A, B])
}

pub(super) fn i32x4_shuffle<const A: usize, const B: usize, const C: usize, const D: usize>(
    a: V128,
    b: V128,
) -> V128 {
    a.shuffle::<4>(b, &[A, B, C, D])
}

#[rustfmt::skip]
pub(super) fn i8x16_shuffle<
    const A: usize, const B: usize, const C: usize, const D: usize,
    const E: usize, const F: usize, const G: usize, const H: usize,
    const I: usize, const J: usize, const K: usize, const L: usize,
    const M: usize, const N: usize, const O: usize, const P: usize,
>(a: V128, b: V128) -> V128 {
    a.shuffle::<1>(b, &[A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P])
}
