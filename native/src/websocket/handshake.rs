//! The opening handshake (RFC 6455, section 4).

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::stream::{Side, WebSocket};

/// The longest head of a request or response, in bytes: what a remote can make us
/// keep before the handshake is done. Proxies add headers, hence the room.
const MAX_HEAD: usize = 8 * 1024;

/// The most header lines in a head.
const MAX_HEADERS: usize = 64;

/// What is hashed with the client's key (RFC 6455, section 1.3).
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What an HTTP client that asks for no WebSocket gets.
const NOT_A_WEBSOCKET: &str = "HTTP/1.1 426 Upgrade Required\r\n\
    Upgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n\
    Content-Type: text/plain\r\nContent-Length: 35\r\n\r\n\
    This is a libp2p WebSocket address\n";

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The transport under it failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A head over its limits.
    #[error("the HTTP head is too long")]
    TooLong,
    /// Not HTTP.
    #[error("not HTTP: {0}")]
    Http(#[from] httparse::Error),
    /// A response other than 101.
    #[error("the server answered {0} instead of 101")]
    Status(u16),
    /// A header that must be there is not, or says something else.
    #[error("{0} is missing or wrong")]
    Header(&'static str),
}

/// Opens a WebSocket as the client; `host` is for the `Host` header.
pub(crate) async fn connect<T: AsyncRead + AsyncWrite + Unpin>(
    mut io: T,
    host: &str,
) -> Result<WebSocket<T>, HandshakeError> {
    let mut nonce = [0; 16];
    SystemRandom::new().fill(&mut nonce).map_err(|_| io::Error::other("no randomness"))?;
    let key = BASE64.encode(nonce);
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    io.write_all(request.as_bytes()).await?;
    io.flush().await?;

    let mut bytes = Vec::new();
    loop {
        read_some(&mut io, &mut bytes).await?;
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = response.parse(&bytes)? else { continue };
        check_response(&response, &key)?;
        return Ok(WebSocket::new(io, Side::Client, bytes.split_off(length)));
    }
}

/// Opens a WebSocket as the server.
pub(crate) async fn accept<T: AsyncRead + AsyncWrite + Unpin>(
    mut io: T,
) -> Result<WebSocket<T>, HandshakeError> {
    let mut bytes = Vec::new();
    loop {
        read_some(&mut io, &mut bytes).await?;
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = request.parse(&bytes)? else { continue };
        let key = match check_request(&request) {
            Ok(key) => key,
            Err(error) => {
                io.write_all(NOT_A_WEBSOCKET.as_bytes()).await?;
                io.shutdown().await?;
                return Err(error);
            }
        };
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            accept_key(key)
        );
        io.write_all(response.as_bytes()).await?;
        io.flush().await?;
        return Ok(WebSocket::new(io, Side::Server, bytes.split_off(length)));
    }
}

/// Reads what is there, up to the limit of a head.
async fn read_some<T: AsyncRead + Unpin>(
    io: &mut T,
    bytes: &mut Vec<u8>,
) -> Result<(), HandshakeError> {
    let room = MAX_HEAD - bytes.len();
    if room == 0 {
        return Err(HandshakeError::TooLong);
    }
    let mut chunk = [0; 1024];
    let chunk = &mut chunk[..room.min(1024)];
    match io.read(chunk).await? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        count => {
            bytes.extend_from_slice(&chunk[..count]);
            Ok(())
        }
    }
}

fn check_response(response: &httparse::Response<'_, '_>, key: &str) -> Result<(), HandshakeError> {
    let status = response.code.unwrap_or_default();
    if status != 101 {
        return Err(HandshakeError::Status(status));
    }
    check_upgrade(response.headers)?;
    match header(response.headers, "Sec-WebSocket-Accept") {
        Some(value) if value == accept_key(key) => Ok(()),
        _ => Err(HandshakeError::Header("Sec-WebSocket-Accept")),
    }
}

/// Checks a client's request and returns its key.
fn check_request<'b>(request: &httparse::Request<'_, 'b>) -> Result<&'b str, HandshakeError> {
    if request.method != Some("GET") {
        return Err(HandshakeError::Header("GET"));
    }
    if request.version != Some(1) {
        return Err(HandshakeError::Header("HTTP/1.1"));
    }
    check_upgrade(request.headers)?;
    if header(request.headers, "Sec-WebSocket-Version") != Some("13") {
        return Err(HandshakeError::Header("Sec-WebSocket-Version"));
    }
    header(request.headers, "Sec-WebSocket-Key")
        .filter(|key| BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16))
        .ok_or(HandshakeError::Header("Sec-WebSocket-Key"))
}

fn check_upgrade(headers: &[httparse::Header<'_>]) -> Result<(), HandshakeError> {
    if !header(headers, "Upgrade").is_some_and(|value| lists(value, "websocket")) {
        return Err(HandshakeError::Header("Upgrade"));
    }
    if !header(headers, "Connection").is_some_and(|value| lists(value, "upgrade")) {
        return Err(HandshakeError::Header("Connection"));
    }
    Ok(())
}

/// The value of the first header called `name`.
fn header<'b>(headers: &[httparse::Header<'b>], name: &str) -> Option<&'b str> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(header.value).ok().map(str::trim)
}

/// Whether the comma-separated `value` has `token`.
fn lists(value: &str, token: &str) -> bool {
    value.split(',').any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// What the server proves with that it read the client's key.
fn accept_key(key: &str) -> String {
    let text = format!("{key}{ACCEPT_GUID}");
    BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_key() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
