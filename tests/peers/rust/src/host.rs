//! The swarm with the protocols of the tests.

use std::time::Duration;

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, identify,
    identity::Keypair,
    noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};

use crate::{Outcome, direct, serve};

/// A test, not the swarm, says when a connection has been idle for too long.
pub const IDLE: Duration = Duration::from_secs(3600);

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub streams: libp2p_stream::Behaviour,
}

impl Behaviour {
    pub fn new(key: &Keypair) -> Self {
        Self {
            identify: identify(key),
            ping: ping::Behaviour::default(),
            streams: libp2p_stream::Behaviour::new(),
        }
    }
}

pub fn identify(key: &Keypair) -> identify::Behaviour {
    identify::Behaviour::new(
        identify::Config::new_with_signed_peer_record("/ipfs/0.1.0".into(), key)
            .with_agent_version("test-peer-rust/1.0.0".into()),
    )
}

pub async fn swarm() -> Outcome<Swarm<Behaviour>> {
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_quic()
        .with_dns()?
        .with_websocket(noise::Config::new, yamux::Config::default)
        .await?
        .with_behaviour(Behaviour::new)?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
        .build();
    serve::all(&mut swarm.behaviour().streams.new_control())?;
    Ok(swarm)
}

/// Listens and goes on in the background; `known` is told the address.
pub async fn listen<B: NetworkBehaviour>(
    mut swarm: Swarm<B>,
    transport: &str,
    known: impl Fn(&mut Swarm<B>, Multiaddr),
) -> Outcome<(PeerId, Vec<String>)>
where
    Swarm<B>: Send,
    B::ToSwarm: Send,
{
    let address: Multiaddr = match transport {
        "tcp" => "/ip4/127.0.0.1/tcp/0".parse()?,
        "ws" => "/ip4/127.0.0.1/tcp/0/ws".parse()?,
        "quic" => "/ip4/127.0.0.1/udp/0/quic-v1".parse()?,
        "webrtc-direct" => direct::ANYWHERE.parse()?,
        other => return Err(format!("no such transport: {other}").into()),
    };
    let peer_id = *swarm.local_peer_id();
    swarm.listen_on(address)?;
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    known(&mut swarm, address.clone());
    let address = address.with_p2p(peer_id).map_err(|_| "the address names another peer")?;
    drive(swarm);
    Ok((peer_id, vec![address.to_string()]))
}

/// Keeps a swarm going in the background.
pub fn drive<B: NetworkBehaviour>(mut swarm: Swarm<B>)
where
    Swarm<B>: Send,
    B::ToSwarm: Send,
{
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
}
