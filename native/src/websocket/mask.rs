//! The masking of a client's frames (RFC 6455, section 5.3).

/// XORs `data` with the repeated `key`, of which the byte `offset` (modulo 4)
/// meets the first byte. It works by words: byte by byte, masking costs more
/// than the socket does.
pub(super) fn apply(data: &mut [u8], key: [u8; 4], offset: usize) {
    let [a, b, c, d] = rotated(key, offset);
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = data.chunks_exact_mut(8);
    for chunk in &mut words {
        // The chunks are of eight bytes, so the conversion always succeeds.
        if let Ok(bytes) = <&mut [u8; 8]>::try_from(chunk) {
            *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip([a, b, c, d].into_iter().cycle()) {
        *byte ^= key;
    }
}

/// `key` as it continues after `offset` bytes.
fn rotated(mut key: [u8; 4], offset: usize) -> [u8; 4] {
    key.rotate_left(offset % 4);
    key
}

#[cfg(test)]
mod tests {
    use super::apply;

    #[test]
    fn the_specifications_example() {
        // RFC 6455, section 5.7: a masked "Hello".
        let mut data = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        apply(&mut data, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(&data, b"Hello");
    }

    #[test]
    fn words_equal_bytes_at_every_length_and_offset() {
        let key = [1, 2, 4, 8];
        for length in 0..70 {
            for offset in 0..9 {
                let mut data: Vec<u8> = (0..length).collect();
                let expected: Vec<u8> =
                    data.iter().enumerate().map(|(i, b)| b ^ key[(i + offset) % 4]).collect();
                apply(&mut data, key, offset);
                assert_eq!(data, expected, "length {length}, offset {offset}");
            }
        }
    }
}
