//! The checks and measurements of the dialer.

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, identify,
    multiaddr::Protocol,
    ping,
    swarm::{DialError, NetworkBehaviour, SwarmEvent},
};
use libp2p_stream::{Control, OpenStreamError};

use crate::{
    Outcome,
    host::{self, BehaviourEvent, swarm},
    relay::{self, ClientEvent},
    serve::{ECHO, HALF_CLOSE, PERF, RESET},
    streams::{Report, echoed, half_closed, print_transfers, transfer},
};

/// Runs every check against `address`, prints one JSON object, and says whether all passed.
pub async fn checks(address: Multiaddr, agent: &str) -> Outcome<bool> {
    if is_circuit(&address) {
        let swarm = relay::client().await?;
        let control = swarm.behaviour().base.streams.new_control();
        let base = |event| match event {
            ClientEvent::Base(event) => Some(event),
            ClientEvent::Relay(_) => None,
        };
        run(swarm, control, base, address, agent).await
    } else {
        let swarm = swarm().await?;
        let control = swarm.behaviour().streams.new_control();
        run(swarm, control, Some, address, agent).await
    }
}

/// `base` picks the events of identify and ping.
async fn run<B: NetworkBehaviour>(
    mut swarm: Swarm<B>,
    control: Control,
    base: impl Fn(B::ToSwarm) -> Option<BehaviourEvent>,
    address: Multiaddr,
    agent: &str,
) -> Outcome<bool>
where
    Swarm<B>: Send,
    B::ToSwarm: Send,
{
    let peer = named(&address)?;
    let mut report = Report::new();
    let local = *swarm.local_peer_id();
    report
        .check("connect", async {
            connect(&mut swarm, &address).await?;
            Ok(peer.to_string())
        })
        .await;
    if report.ok {
        report.check("identify", identified(&mut swarm, &base, peer, agent)).await;
        report.check("ping", pinged(&mut swarm, &base, peer)).await;
        host::drive(swarm);
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

fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

pub fn named(address: &Multiaddr) -> Outcome<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Ok(peer),
        _ => Err("the address does not end with /p2p/…".into()),
    }
}

pub async fn connect<B: NetworkBehaviour>(
    swarm: &mut Swarm<B>,
    address: &Multiaddr,
) -> Outcome<()> {
    let peer = named(address)?;
    swarm.dial(address.clone())?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == peer => return Ok(()),
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
}

async fn identified<B: NetworkBehaviour>(
    swarm: &mut Swarm<B>,
    base: impl Fn(B::ToSwarm) -> Option<BehaviourEvent>,
    peer: PeerId,
    agent: &str,
) -> Outcome<String> {
    let info = loop {
        let SwarmEvent::Behaviour(event) = swarm.select_next_some().await else { continue };
        match base(event) {
            Some(BehaviourEvent::Identify(identify::Event::Received { info, peer_id, .. }))
                if peer_id == peer =>
            {
                break info;
            }
            Some(BehaviourEvent::Identify(identify::Event::Error { error, .. })) => {
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
async fn pinged<B: NetworkBehaviour>(
    swarm: &mut Swarm<B>,
    base: impl Fn(B::ToSwarm) -> Option<BehaviourEvent>,
    wanted: PeerId,
) -> Outcome<String> {
    loop {
        if let SwarmEvent::Behaviour(event) = swarm.select_next_some().await
            && let Some(BehaviourEvent::Ping(ping::Event { peer, result, .. })) = base(event)
            && peer == wanted
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
    let relayed = is_circuit(&address);
    let outcome = if relayed {
        connect(&mut relay::client().await?, &address).await
    } else {
        connect(&mut swarm().await?, &address).await
    };
    match outcome {
        // A relay says that it does not know the peer.
        Err(error) if relayed => Ok(format!("refused: {error}")),
        Err(error) => match error.downcast_ref::<DialError>() {
            Some(DialError::WrongPeerId { .. }) => Ok("refused".into()),
            _ => Err(error),
        },
        Ok(()) => Err("a wrong PeerId was accepted".into()),
    }
}

/// Runs the perf protocol once a direction and prints seconds and bytes.
pub async fn perf(address: Multiaddr, upload: u64, download: u64) -> Outcome<()> {
    let peer = named(&address)?;
    let mut control = if is_circuit(&address) {
        let mut swarm = relay::client().await?;
        connect(&mut swarm, &address).await?;
        let control = swarm.behaviour().base.streams.new_control();
        host::drive(swarm);
        control
    } else {
        let mut swarm = swarm().await?;
        connect(&mut swarm, &address).await?;
        let control = swarm.behaviour().streams.new_control();
        host::drive(swarm);
        control
    };
    let up = transfer(control.open_stream(peer, PERF).await?, upload, 0).await?;
    let down = transfer(control.open_stream(peer, PERF).await?, 0, download).await?;
    print_transfers((upload, up), (download, down));
    Ok(())
}
