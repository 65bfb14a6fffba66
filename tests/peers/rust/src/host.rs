//! The swarm with the protocols of the tests.

use std::time::Duration;

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, identify, noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};

use crate::{Outcome, serve};

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub streams: libp2p_stream::Behaviour,
}

pub async fn swarm() -> Outcome<Swarm<Behaviour>> {
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_websocket(noise::Config::new, yamux::Config::default)
        .await?
        .with_behaviour(|key| Behaviour {
            identify: identify::Behaviour::new(
                identify::Config::new_with_signed_peer_record("/ipfs/0.1.0".into(), key)
                    .with_agent_version("test-peer-rust/1.0.0".into()),
            ),
            ping: ping::Behaviour::default(),
            streams: libp2p_stream::Behaviour::new(),
        })?
        // A test, not the swarm, says when a connection has been idle for too long.
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3600)))
        .build();
    serve::all(&mut swarm.behaviour().streams.new_control())?;
    Ok(swarm)
}

/// Listens and goes on serving in the background.
pub async fn listen(transport: &str) -> Outcome<(PeerId, Vec<String>)> {
    let address: Multiaddr = match transport {
        "tcp" => "/ip4/127.0.0.1/tcp/0".parse()?,
        "ws" => "/ip4/127.0.0.1/tcp/0/ws".parse()?,
        other => return Err(format!("no such transport: {other}").into()),
    };
    let mut swarm = swarm().await?;
    let peer_id = *swarm.local_peer_id();
    swarm.listen_on(address)?;
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address.with_p2p(peer_id).map_err(|_| "the address names another peer")?;
        }
    };
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    Ok((peer_id, vec![address.to_string()]))
}
