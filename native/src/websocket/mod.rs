//! WebSocket (RFC 6455) as libp2p uses it: a byte stream in binary messages,
//! no extensions, no subprotocol.

mod frame;
mod handshake;
mod mask;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use handshake::{HandshakeError, accept, connect};
pub(crate) use stream::WebSocket;
