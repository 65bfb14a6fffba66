//! ChaCha20-Poly1305 for WebAssembly: four blocks of the key stream at a time.
//!
//! The `chacha20` crate has vectors for x86 and ARM but not for WebAssembly,
//! where its plain code is a third as fast as this. The vector instructions are
//! safe functions, so there is no `unsafe` here either. They are in every engine
//! since 2023 (Safari 16.4 was the last), and in Node since 16.4.
//!
//! Source: RFC 8439. Native tests run the same code on emulated vectors.

#[cfg(not(target_arch = "wasm32"))]
mod emulated;
#[cfg(test)]
mod tests;

#[cfg(target_arch = "wasm32")]
use core::arch::wasm32 as lanes;

#[cfg(not(target_arch = "wasm32"))]
use emulated as lanes;

use lanes::{
    i8x16_shuffle, i32x4_add, i32x4_shl, i32x4_shuffle, i64x2_shuffle, u32x4, u32x4_shr,
    u32x4_splat, u64x2, u64x2_extract_lane, v128_or, v128_xor,
};
use poly1305::Poly1305;
use poly1305::universal_hash::{KeyInit, UniversalHash};
use zeroize::Zeroizing;

use super::{Aead, TAG, cipher};

/// Length in bytes of a block of the key stream.
const BLOCK: usize = 64;

/// What is made at a time: four blocks.
const BLOCKS: usize = 4 * BLOCK;

/// The constant of the cipher, "expand 32-byte k".
const CONSTANT: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// ChaCha20-Poly1305 under one key.
pub(super) struct Vector {
    key: Zeroizing<[u32; 8]>,
}

impl Aead for Vector {
    fn seal(&mut self, nonce: u64, data: &mut [u8]) -> [u8; TAG] {
        self.seal_with(cipher::expand(nonce), data)
    }

    fn open(&mut self, nonce: u64, data: &mut [u8], tag: &[u8; TAG]) -> bool {
        self.open_with(cipher::expand(nonce), data, tag)
    }
}

impl Vector {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self { key: Zeroizing::new(words(key)) }
    }

    fn seal_with(&self, nonce: [u8; 12], data: &mut [u8]) -> [u8; TAG] {
        let message = Message::new(&self.key, words(&nonce));
        message.mask(data);
        message.authenticate(data).finalize().into()
    }

    fn open_with(&self, nonce: [u8; 12], data: &mut [u8], tag: &[u8; TAG]) -> bool {
        let message = Message::new(&self.key, words(&nonce));
        let genuine = message.authenticate(data).verify(tag.into()).is_ok();
        if genuine {
            message.mask(data);
        }
        genuine
    }
}

/// One message under one nonce.
struct Message<'a> {
    key: &'a [u32; 8],
    nonce: [u32; 3],
    /// Blocks 0 to 3: the authenticator's key is in the first, the others hide the
    /// beginning of the message.
    first: Zeroizing<[u8; BLOCKS]>,
}

impl<'a> Message<'a> {
    fn new(key: &'a [u32; 8], nonce: [u32; 3]) -> Self {
        let mut first = Zeroizing::new([0; BLOCKS]);
        xor(key, &nonce, 0, &mut first);
        Self { key, nonce, first }
    }

    /// Encrypts or decrypts `data`.
    fn mask(&self, data: &mut [u8]) {
        let (head, rest) = data.split_at_mut(data.len().min(BLOCKS - BLOCK));
        for (byte, mask) in head.iter_mut().zip(&self.first[BLOCK..]) {
            *byte ^= mask;
        }
        let (wholes, tail) = rest.as_chunks_mut::<BLOCKS>();
        let mut counter = 4u32;
        for whole in wholes {
            xor(self.key, &self.nonce, counter, whole);
            counter = counter.wrapping_add(4);
        }
        if !tail.is_empty() {
            let mut last = Zeroizing::new([0; BLOCKS]);
            last[..tail.len()].copy_from_slice(tail);
            xor(self.key, &self.nonce, counter, &mut last);
            tail.copy_from_slice(&last[..tail.len()]);
        }
    }

    /// The authenticator after the ciphertext `data` and its length.
    fn authenticate(&self, data: &[u8]) -> Poly1305 {
        let (key, _) = self.first.split_at(32);
        let mut authenticator = Poly1305::new(key.into());
        authenticator.update_padded(data);
        let mut lengths = [0; 16];
        lengths[8..].copy_from_slice(&(data.len() as u64).to_le_bytes());
        authenticator.update(&[lengths.into()]);
        authenticator
    }
}

/// One step of the cipher on four blocks at once. A macro, because a function
/// would have to be inlined for its vectors to stay in registers, and what is
/// optimised for size is not.
macro_rules! quarter_round {
    ($s:ident: $a:literal $b:literal $c:literal $d:literal) => {
        $s[$a] = i32x4_add($s[$a], $s[$b]);
        $s[$d] = v128_xor($s[$d], $s[$a]);
        $s[$d] =
            i8x16_shuffle::<2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13>($s[$d], $s[$d]);
        $s[$c] = i32x4_add($s[$c], $s[$d]);
        $s[$b] = v128_xor($s[$b], $s[$c]);
        $s[$b] = v128_or(i32x4_shl($s[$b], 12), u32x4_shr($s[$b], 20));
        $s[$a] = i32x4_add($s[$a], $s[$b]);
        $s[$d] = v128_xor($s[$d], $s[$a]);
        $s[$d] =
            i8x16_shuffle::<3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14>($s[$d], $s[$d]);
        $s[$c] = i32x4_add($s[$c], $s[$d]);
        $s[$b] = v128_xor($s[$b], $s[$c]);
        $s[$b] = v128_or(i32x4_shl($s[$b], 7), u32x4_shr($s[$b], 25));
    };
}

/// Brings words `$w` to `$w + 3` of the four blocks, which lie across four vectors,
/// in the order of the wire and puts them over `$data`, 16 bytes of each block.
macro_rules! write {
    ($s:ident + $start:ident, $w:literal, $data:ident) => {
        let a = i32x4_add($s[$w], $start[$w]);
        let b = i32x4_add($s[$w + 1], $start[$w + 1]);
        let c = i32x4_add($s[$w + 2], $start[$w + 2]);
        let d = i32x4_add($s[$w + 3], $start[$w + 3]);
        let (ab, cd) = (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<0, 4, 1, 5>(c, d));
        write!($data, 8 * 0 + $w / 2, i64x2_shuffle::<0, 2>(ab, cd));
        write!($data, 8 * 1 + $w / 2, i64x2_shuffle::<1, 3>(ab, cd));
        let (ab, cd) = (i32x4_shuffle::<2, 6, 3, 7>(a, b), i32x4_shuffle::<2, 6, 3, 7>(c, d));
        write!($data, 8 * 2 + $w / 2, i64x2_shuffle::<0, 2>(ab, cd));
        write!($data, 8 * 3 + $w / 2, i64x2_shuffle::<1, 3>(ab, cd));
    };
    ($data:ident, $at:expr, $mask:expr) => {
        let (a, b) = (u64::from_le_bytes($data[$at]), u64::from_le_bytes($data[$at + 1]));
        let masked = v128_xor(u64x2(a, b), $mask);
        $data[$at] = u64x2_extract_lane::<0>(masked).to_le_bytes();
        $data[$at + 1] = u64x2_extract_lane::<1>(masked).to_le_bytes();
    };
}

/// Four blocks of the key stream, from number `counter` on, over `data`.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn xor(key: &[u32; 8], nonce: &[u32; 3], counter: u32, data: &mut [u8; BLOCKS]) {
    let word = |word| u32x4_splat(word);
    // No loop runs over the words: an index that is not a constant would keep the
    // state in memory.
    let start = [
        word(CONSTANT[0]),
        word(CONSTANT[1]),
        word(CONSTANT[2]),
        word(CONSTANT[3]),
        word(key[0]),
        word(key[1]),
        word(key[2]),
        word(key[3]),
        word(key[4]),
        word(key[5]),
        word(key[6]),
        word(key[7]),
        i32x4_add(word(counter), u32x4(0, 1, 2, 3)),
        word(nonce[0]),
        word(nonce[1]),
        word(nonce[2]),
    ];
    let mut s = start;
    for _ in 0..10 {
        quarter_round!(s: 0 4 8 12);
        quarter_round!(s: 1 5 9 13);
        quarter_round!(s: 2 6 10 14);
        quarter_round!(s: 3 7 11 15);
        quarter_round!(s: 0 5 10 15);
        quarter_round!(s: 1 6 11 12);
        quarter_round!(s: 2 7 8 13);
        quarter_round!(s: 3 4 9 14);
    }
    let (words, _) = data.as_chunks_mut::<8>();
    let Ok(data) = <&mut [[u8; 8]; BLOCKS / 8]>::try_from(words) else { return };
    write!(s + start, 0, data);
    write!(s + start, 4, data);
    write!(s + start, 8, data);
    write!(s + start, 12, data);
}

/// Words in little endian.
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}
