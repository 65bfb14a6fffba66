//! From a relayed connection to a direct one.

use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder,
    core::ConnectedPoint,
    dcutr, identify,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use serde_json::json;
use tokio::time::timeout;

use crate::{Outcome, serve};

/// Where peers listen that are not told otherwise.
pub const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/0";
/// From the relayed connection to the direct one.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    streams: libp2p_stream::Behaviour,
    relay: relay::client::Behaviour,
    dcutr: dcutr::Behaviour,
}

/// A swarm that listens; a `silent` one tells nobody where, so that it must be punched
/// to.
async fn swarm(at: Multiaddr, silent: bool) -> Outcome<Swarm<Behaviour>> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_quic()
        .with_relay_client(noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key, relay| Behaviour {
            identify: identify::Behaviour::new(
                identify::Config::new("/ipfs/0.1.0".into(), key.public())
                    .with_agent_version("test-peer-rust/1.0.0".into())
                    .with_hide_listen_addrs(silent),
            ),
            ping: ping::Behaviour::default(),
            streams: libp2p_stream::Behaviour::new(),
            relay,
            dcutr: dcutr::Behaviour::new(key.public().to_peer_id()),
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3600)))
        .build();
    serve::all(&mut swarm.behaviour().streams.new_control())?;
    swarm.listen_on(at)?;
    loop {
        if let SwarmEvent::NewListenAddr { .. } = swarm.select_next_some().await {
            return Ok(swarm);
        }
    }
}

/// Listens through a relay and goes on in the background.
pub async fn listen(relay: Multiaddr, at: Multiaddr) -> Outcome<(PeerId, String)> {
    let mut swarm = swarm(at, false).await?;
    // It is to know where the relay sees it before anyone comes.
    swarm.dial(relay.clone())?;
    timeout(PATIENCE, identified(&mut swarm)).await?;
    let own = relay.with(Protocol::P2pCircuit);
    swarm.listen_on(own.clone())?;
    let reserved = async {
        loop {
            if let SwarmEvent::Behaviour(BehaviourEvent::Relay(
                relay::client::Event::ReservationReqAccepted { .. },
            )) = swarm.select_next_some().await
            {
                return;
            }
        }
    };
    timeout(PATIENCE, reserved).await?;
    let peer_id = *swarm.local_peer_id();
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    Ok((peer_id, own.with(Protocol::P2p(peer_id)).to_string()))
}

/// Waits until a remote has said where it sees us.
async fn identified(swarm: &mut Swarm<Behaviour>) {
    loop {
        if let SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
            ..
        })) = swarm.select_next_some().await
        {
            return;
        }
    }
}

/// Dials through a relay and waits for the direct connection.
pub async fn upgrade(circuit: Multiaddr, at: Multiaddr) -> Outcome<bool> {
    let Some(Protocol::P2p(target)) = circuit.iter().last() else {
        return Err("the address names no peer".into());
    };
    let mut swarm = swarm(at, true).await?;
    let relay: Multiaddr =
        circuit.iter().take_while(|part| *part != Protocol::P2pCircuit).collect();
    swarm.dial(relay)?;
    timeout(PATIENCE, identified(&mut swarm)).await?;
    swarm.dial(circuit)?;
    let began = Instant::now();
    let direct = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. }
                    if peer_id == target && !endpoint.is_relayed() =>
                {
                    return Ok(match endpoint {
                        ConnectedPoint::Dialer { address, .. } => address,
                        ConnectedPoint::Listener { send_back_addr, .. } => send_back_addr,
                    });
                }
                SwarmEvent::Behaviour(BehaviourEvent::Dcutr(dcutr::Event {
                    result: Err(error),
                    ..
                })) => return Err(error.to_string()),
                _ => {}
            }
        }
    };
    let result = timeout(PATIENCE, direct).await.unwrap_or(Err("no direct connection".into()));
    let ms = u64::try_from(began.elapsed().as_millis())?;
    let ok = result.is_ok();
    match result {
        Ok(direct) => println!("{}", json!({ "ok": ok, "direct": direct.to_string(), "ms": ms })),
        Err(detail) => println!("{}", json!({ "ok": ok, "detail": detail })),
    }
    Ok(ok)
}
