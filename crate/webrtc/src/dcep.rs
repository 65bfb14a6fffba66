//! What sides say to each other when a data channel opens.
//!
//! Source: RFC 8832 section 5.

/// Agrees to a channel.
pub(crate) const ACK: [u8; 1] = [2];

/// Asks for a channel: ordered and reliable, of no priority, without label and
/// protocol, as libp2p has them.
pub(crate) const OPEN: [u8; 12] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Whether `message` asks for a channel. Its kind and label are the remote's affair:
/// they change how the remote sends, and what is lost so is missed by nobody else.
pub(crate) fn is_open(message: &[u8]) -> bool {
    let length = |at: usize| {
        message.get(at..at + 2).map(|bytes| usize::from(bytes[0]) << 8 | usize::from(bytes[1]))
    };
    match (message.first(), length(8), length(10)) {
        (Some(3), Some(label), Some(protocol)) => message.len() == 12 + label + protocol,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_asked_for_in_whole_messages() {
        assert!(is_open(&OPEN));
        let mut named = OPEN.to_vec();
        (named[9], named[11]) = (3, 2);
        assert!(!is_open(&named));
        named.extend(b"label");
        assert!(is_open(&named));
        for end in 0..named.len() {
            assert!(!is_open(&named[..end]));
        }
        assert!(!is_open(&ACK));
    }
}
