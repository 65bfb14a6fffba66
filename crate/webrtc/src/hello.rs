//! What a dialer says first.
//!
//! Source: RFC 6347 section 4.2.1, RFC 5246 section 7.4.1.2.

/// Bytes before the message in a record of DTLS, and before the content of that.
const RECORD_LEN: usize = 13;
const MESSAGE_LEN: usize = 12;
/// Bytes of version and random number, which the content begins with.
const RANDOM_END: usize = 34;

/// Whether a datagram begins a handshake, whole as far as its ciphers, that offers
/// `cipher`.
pub(crate) fn offers(datagram: &[u8], cipher: u16) -> bool {
    ciphers(datagram).is_some_and(|ciphers| {
        ciphers.chunks_exact(2).any(|offered| *offered == cipher.to_be_bytes())
    })
}

fn ciphers(datagram: &[u8]) -> Option<&[u8]> {
    let (record, message) = datagram.split_first_chunk::<RECORD_LEN>()?;
    let (head, content) = message.split_first_chunk::<MESSAGE_LEN>()?;
    // A handshake, in it a ClientHello from its start.
    if record[0] != 22 || head[0] != 1 || head[6..9] != [0; 3] {
        return None;
    }
    // The session, the cookie, the ciphers, each behind its length.
    let (length, rest) = content.get(RANDOM_END..)?.split_first()?;
    let (length, rest) = rest.get(usize::from(*length)..)?.split_first()?;
    let (length, rest) = rest.get(usize::from(*length)..)?.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}
