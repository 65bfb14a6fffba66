//! WebRTC direct, by libp2p-webrtc.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{Stream, Swarm, SwarmBuilder, Transport, core::muxing::StreamMuxerBox};
use libp2p_stream::Control;
use libp2p_webrtc::tokio::{self as webrtc, Certificate};

use crate::{
    Outcome,
    host::{Behaviour, IDLE},
    serve::{ECHO, HALF_CLOSE, PERF, RESET, reset, serve},
    streams::{answer_digest, echo, perf},
};

pub const ANYWHERE: &str = "/ip4/127.0.0.1/udp/0/webrtc-direct";

pub async fn swarm() -> Outcome<Swarm<Behaviour>> {
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|key| {
            let certificate = Certificate::generate(&mut rand::rng())?;
            let direct = webrtc::Transport::new(key.clone(), certificate);
            Ok(direct.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection))))
        })?
        .with_behaviour(Behaviour::new)?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
        .build();
    let control = &mut swarm.behaviour().streams.new_control();
    all(control)?;
    Ok(swarm)
}

fn all(control: &mut Control) -> Outcome<()> {
    serve(control, ECHO, |stream| echo(Flushed(stream)))?;
    serve(control, HALF_CLOSE, |stream| answer_digest(Flushed(stream)))?;
    serve(control, RESET, reset)?;
    serve(control, PERF, |stream| perf(Flushed(stream)))?;
    Ok(())
}

/// A stream each of whose writes is sent before the next one: of several together
/// libp2p-webrtc makes messages that are too long, and then resets the stream.
pub struct Flushed(pub Stream);

impl AsyncRead for Flushed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Flushed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.0).poll_flush(cx))?;
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
