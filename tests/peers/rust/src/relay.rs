//! Circuit relay v2: the relay, and the swarm of those behind and beyond it.

use std::time::Duration;

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, identify,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use tokio::time::timeout;

use crate::{
    Outcome,
    host::{self, IDLE},
    serve,
};

/// Until a relay has given a place.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(NetworkBehaviour)]
struct Service {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    relay: relay::Behaviour,
}

#[derive(NetworkBehaviour)]
pub struct Client {
    pub base: host::Behaviour,
    pub relay: relay::client::Behaviour,
}

/// Serves as a relay whose circuits are as long as rust-libp2p can say: it has no word
/// for one without a limit of time.
pub async fn serve(transport: &str) -> Outcome<(PeerId, Vec<String>)> {
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_quic()
        .with_dns()?
        .with_websocket(noise::Config::new, yamux::Config::default)
        .await?
        .with_behaviour(|key| Service {
            identify: host::identify(key),
            ping: ping::Behaviour::default(),
            relay: relay::Behaviour::new(
                key.public().to_peer_id(),
                relay::Config {
                    max_reservations: usize::MAX,
                    max_reservations_per_peer: usize::MAX,
                    reservation_rate_limiters: Vec::new(),
                    max_circuits: usize::MAX,
                    max_circuits_per_peer: usize::MAX,
                    max_circuit_duration: Duration::from_secs(u64::from(u32::MAX)),
                    max_circuit_bytes: 0,
                    circuit_src_rate_limiters: Vec::new(),
                    ..relay::Config::default()
                },
            ),
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
        .build();
    host::listen(swarm, transport, |swarm, address| swarm.add_external_address(address)).await
}

/// A swarm that dials and listens through relays.
pub async fn client() -> Outcome<Swarm<Client>> {
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_quic()
        .with_relay_client(noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key, relay| Client { base: host::Behaviour::new(key), relay })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
        .build();
    serve::all(&mut swarm.behaviour().base.streams.new_control())?;
    Ok(swarm)
}

/// Listens through a relay and goes on in the background.
pub async fn listen(relay: Multiaddr) -> Outcome<(PeerId, Vec<String>)> {
    let mut swarm = client().await?;
    let own = relay.with(Protocol::P2pCircuit);
    swarm.listen_on(own.clone())?;
    let reserved = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::Behaviour(ClientEvent::Relay(
                    relay::client::Event::ReservationReqAccepted { .. },
                )) => return Ok(()),
                SwarmEvent::ListenerClosed { reason, .. } => {
                    return Err(format!("no place at the relay: {reason:?}"));
                }
                _ => {}
            }
        }
    };
    timeout(PATIENCE, reserved).await??;
    let peer_id = *swarm.local_peer_id();
    host::drive(swarm);
    Ok((peer_id, vec![own.with(Protocol::P2p(peer_id)).to_string()]))
}
