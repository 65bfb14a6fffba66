//! Percent-encoding (RFC 3986, section 2.1): what stands for a slash in a value.

/// Appends `bytes`, all but the unreserved characters as `%XX`.
pub(super) fn encode(bytes: &[u8], out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let hex = |digit: u8| char::from(HEX[usize::from(digit & 15)]);
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(*byte));
            }
            byte => out.extend(['%', hex(byte >> 4), hex(*byte)]),
        }
    }
}

/// Reads what [`encode`] writes; other characters stand for themselves.
/// `None` if a `%` is not followed by two hexadecimal digits.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let hex = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let ([high, low], after) = rest.split_first_chunk()?;
        out.push(hex(high)? << 4 | hex(low)?);
        rest = after;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        encode(&bytes, &mut text);
        assert!(!text.contains('/'));
        assert_eq!(decode(&text), Some(bytes));
    }

    #[test]
    fn refuses_half_escapes() {
        assert_eq!(decode("%2"), None);
        assert_eq!(decode("%zz"), None);
        assert_eq!(decode("a%2fb+"), Some(b"a/b+".to_vec()));
    }
}
