//! Dialing WebRTC direct.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use polypeer::facade::platform::{Link, TransportError};
use polypeer_webrtc::{Credentials, Identity, Multihash, Session, Version};
use tokio::net::UdpSocket;

use super::certificate::WebRtcCertificate;
use super::link::{Failure, RecordLink};
use super::listener::{address, with_certhash};
use super::path::Path;
use super::random;
use crate::udp::anywhere;

/// How long a listener may take to answer a version before the next one is tried:
/// those that do not know a version do not say so. Five checks are sent meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// Opens a link to the listener at `remote` whose certificate is `expected`.
pub(crate) async fn dial(remote: SocketAddr, expected: Multihash) -> Result<Link, TransportError> {
    let address = with_certhash(address(remote), expected);
    let identity =
        WebRtcCertificate::generate().and_then(WebRtcCertificate::identity).map_err(|error| {
            TransportError::WebRtc { address: address.clone(), reason: error.to_string() }
        })?;
    match open(&identity, remote, expected).await {
        Ok((link, local)) => Ok(link.into_link(self::address(local), address)),
        Err(failure) => Err(failure.at(&address)),
    }
}

/// Tries version 2 and, if nobody answers, version 1. With the link comes our own
/// address.
pub(super) async fn open(
    identity: &Identity,
    remote: SocketAddr,
    expected: Multihash,
) -> Result<(RecordLink, SocketAddr), Failure> {
    let begin = |version| begin(identity, remote, expected, version);
    let (mut link, mut local) = begin(Version::V2).await?;
    match tokio::time::timeout(PATIENCE, poll_fn(|cx| link.poll_reached(cx))).await {
        Ok(reached) => reached?,
        Err(_) => (link, local) = begin(Version::V1).await?,
    }
    poll_fn(|cx| link.poll_open(cx)).await?;
    Ok((link, local))
}

/// From a port of its own, as RFC 8445 has it for each connection.
async fn begin(
    identity: &Identity,
    remote: SocketAddr,
    expected: Multihash,
    version: Version,
) -> io::Result<(RecordLink, SocketAddr)> {
    let socket = UdpSocket::bind(anywhere(remote)).await?;
    socket.connect(remote).await?;
    let local = socket.local_addr()?;
    let credentials = Credentials::new(version, &random()?);
    let now = Instant::now();
    let session = Session::dialer(identity, credentials, remote, expected, random()?, now);
    Ok((RecordLink::new(session, Path::connected(socket, remote)), local))
}
