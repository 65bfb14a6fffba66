//! The checks and measurements of the dialer.

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, identify,
    multiaddr::Protocol,
    ping,
    swarm::{DialError, SwarmEvent},
};
use libp2p_stream::{Control, OpenStreamError};

use crate::{
    Outcome,
    host::{Behaviour, BehaviourEvent, swarm},
    serve::{ECHO, HALF_CLOSE, PERF, RESET},
    streams::{Report, echoed, half_closed, print_transfers, transfer},
};

/// Runs every check against `address`, prints one JSON object, and says whether all passed.
pub async fn checks(address: Multiaddr, agent: &str) -> Outcome<bool> {
    let peer = named(&address)?;
    let mut report = Report::new();
    let mut swarm = swarm().await?;
    let local = *swarm.local_peer_id();
    report
        .check("connect", async {
            connect(&mut swarm, &address).await?;
            Ok(peer.to_string())
        })
        .await;
    if report.ok {
        report.check("identify", identified(&mut swarm, agent)).await;
        report.check("ping", pinged(&mut swarm)).await;
        let control = swarm.behaviour().streams.new_control();
        tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        let mut opener = control.clone();
        let echo = async { echoed(opener.open_stream(peer, ECHO).await?).await };
        report.check("echo", echo).await;
        let half_close = async { half_closed(opener.open_stream(peer, HALF_CLOSE).await?).await };
        report.check("halfClose", half_close).await;
        report.check("reset", was_reset(control.clone(), peer)).await;
        report.check("unknownProtocol", refused(control, peer)).await;
        report.check("wrongPeer", wrong_peer(address)).await;
    }
    let ok = report.ok;
    report.print(local.to_string());
    Ok(ok)
}

pub fn named(address: &Multiaddr) -> Outcome<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Ok(peer),
        _ => Err("the address does not end with /p2p/…".into()),
    }
}

pub async fn connect(swarm: &mut Swarm<Behaviour>, address: &Multiaddr) -> Outcome<()> {
    swarm.dial(address.clone())?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => return Ok(()),
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
}

async fn identified(swarm: &mut Swarm<Behaviour>, agent: &str) -> Outcome<String> {
    let info = loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                info,
                ..
            })) => break info,
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Error {
                error,
                ..
            })) => {
                return Err(error.into());
            }
            _ => {}
        }
    };
    if info.agent_version.is_empty() || !info.agent_version.contains(agent) {
        return Err(format!("agent is {:?}", info.agent_version).into());
    }
    for wanted in [ECHO, HALF_CLOSE, RESET, ping::PROTOCOL_NAME] {
        if !info.protocols.contains(&wanted) {
            return Err(format!("{wanted} is not among {:?}", info.protocols).into());
        }
    }
    Ok(info.agent_version)
}

/// The first ping is sent as soon as the connection is there.
async fn pinged(swarm: &mut Swarm<Behaviour>) -> Outcome<String> {
    loop {
        if let SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { result, .. })) =
            swarm.select_next_some().await
        {
            return Ok(format!("{:?}", result?));
        }
    }
}

/// rust-libp2p's Yamux reads a reset as the end; but only after a reset can it no
/// longer be written to.
async fn was_reset(mut control: Control, peer: PeerId) -> Outcome<String> {
    let mut stream = control.open_stream(peer, RESET).await?;
    stream.write_all(&[1]).await?;
    let rest = async {
        stream.flush().await?;
        stream.read_to_end(&mut Vec::new()).await
    };
    if let Err(error) = rest.await {
        return Ok(error.to_string());
    }
    match stream.write_all(&[1]).await {
        Err(error) => Ok(format!("read to the end, then: {error}")),
        Ok(()) => Err("the stream was closed, not reset".into()),
    }
}

async fn refused(mut control: Control, peer: PeerId) -> Outcome<String> {
    match control.open_stream(peer, StreamProtocol::new("/test/nobody-speaks-this/1.0.0")).await {
        Err(error @ OpenStreamError::UnsupportedProtocol(_)) => Ok(error.to_string()),
        Err(error) => Err(error.into()),
        Ok(_) => Err("an unknown protocol was accepted".into()),
    }
}

/// Dials the same address with the name of somebody else.
async fn wrong_peer(mut address: Multiaddr) -> Outcome<String> {
    address.pop();
    address.push(Protocol::P2p(PeerId::random()));
    let mut swarm = swarm().await?;
    swarm.dial(address)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => {
                return Err("a wrong PeerId was accepted".into());
            }
            SwarmEvent::OutgoingConnectionError {
                error: DialError::WrongPeerId { .. }, ..
            } => {
                return Ok("refused".into());
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
}

/// Runs the perf protocol once a direction and prints seconds and bytes.
pub async fn perf(address: Multiaddr, upload: u64, download: u64) -> Outcome<()> {
    let peer = named(&address)?;
    let mut swarm = swarm().await?;
    connect(&mut swarm, &address).await?;
    let mut control = swarm.behaviour().streams.new_control();
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    let up = transfer(control.open_stream(peer, PERF).await?, upload, 0).await?;
    let down = transfer(control.open_stream(peer, PERF).await?, 0, download).await?;
    print_transfers((upload, up), (download, down));
    Ok(())
}
