//! Both versions of AutoNAT, asked and answered on loopback.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, autonat,
    core::{Endpoint, transport::PortUse},
    identify, noise,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, SwarmEvent, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::toggle::Toggle, dummy,
    },
    tcp, yamux,
};
use serde_json::json;

use crate::{
    Outcome,
    dial::{connect, named},
    host::{self, IDLE},
};

/// How often candidates are looked at.
const PROBE: Duration = Duration::from_millis(100);

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    candidates: Candidates,
    first: Toggle<autonat::v1::Behaviour>,
    client: Toggle<autonat::v2::client::Behaviour>,
    server: Toggle<autonat::v2::server::Behaviour>,
}

/// Names addresses that are to be asked about.
struct Candidates(VecDeque<Multiaddr>);

impl NetworkBehaviour for Candidates {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = std::convert::Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.0.pop_front() {
            Some(address) => Poll::Ready(ToSwarm::NewExternalAddrCandidate(address)),
            None => Poll::Pending,
        }
    }
}

fn swarm(version: u64, serves: bool) -> Outcome<Swarm<Behaviour>> {
    let first = autonat::v1::Config {
        boot_delay: PROBE,
        retry_interval: PROBE,
        throttle_server_period: Duration::ZERO,
        use_connected: false,
        confidence_max: 0,
        only_global_ips: false,
        ..autonat::v1::Config::default()
    };
    let client = autonat::v2::client::Config::default().with_probe_interval(PROBE);
    let rng = || rand::make_rng::<rand::rngs::StdRng>();
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| Behaviour {
            identify: host::identify(key),
            candidates: Candidates(VecDeque::new()),
            first: (version == 1)
                .then(|| autonat::v1::Behaviour::new(key.public().to_peer_id(), first))
                .into(),
            client: (version == 2 && !serves)
                .then(|| autonat::v2::client::Behaviour::new(rng(), client))
                .into(),
            server: (version == 2 && serves)
                .then(|| autonat::v2::server::Behaviour::new(rng()))
                .into(),
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
        .build())
}

/// Where it listens, once it does.
async fn listen(swarm: &mut Swarm<Behaviour>, at: &str) -> Outcome<Multiaddr> {
    swarm.listen_on(at.parse()?)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return Ok(address);
        }
    }
}

/// Dials for others, and goes on in the background.
pub async fn serve(version: u64) -> Outcome<(PeerId, String)> {
    let mut swarm = swarm(version, true)?;
    let address = listen(&mut swarm, "/ip4/127.0.0.1/tcp/0").await?;
    let peer_id = *swarm.local_peer_id();
    host::drive(swarm);
    Ok((peer_id, format!("{address}/p2p/{peer_id}")))
}

/// Asks whether the address that `which` names can be dialed.
pub async fn ask(server: Multiaddr, version: u64, which: &str) -> Outcome<bool> {
    let peer = named(&server)?;
    let mut swarm = swarm(version, false)?;
    let began = Instant::now();
    connect(&mut swarm, &server).await?;
    let candidate = match which {
        "open" => listen(&mut swarm, "/ip4/127.0.0.1/tcp/0").await?,
        "elsewhere" => listen(&mut swarm, "/ip4/127.0.0.3/tcp/0").await?,
        _ => "/ip4/127.0.0.1/tcp/1".parse()?,
    };
    let behaviour = swarm.behaviour_mut();
    if let Some(first) = behaviour.first.as_mut() {
        first.add_server(peer, Some(server));
        first.probe_address(candidate.clone());
    } else {
        behaviour.candidates.0.push_back(candidate.clone());
    }
    let found = loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(BehaviourEvent::Client(event))
                if event.tested_addr == candidate =>
            {
                break if event.result.is_ok() { "public" } else { "private" };
            }
            SwarmEvent::Behaviour(BehaviourEvent::First(autonat::v1::Event::OutboundProbe(
                event,
            ))) => match event {
                autonat::v1::OutboundProbeEvent::Response { .. } => break "public",
                autonat::v1::OutboundProbeEvent::Error {
                    error:
                        autonat::v1::OutboundProbeError::Response(autonat::v1::ResponseError::DialError),
                    ..
                } => break "private",
                // It asks again.
                autonat::v1::OutboundProbeEvent::Error {
                    error:
                        autonat::v1::OutboundProbeError::NoServer
                        | autonat::v1::OutboundProbeError::NoAddresses,
                    ..
                }
                | autonat::v1::OutboundProbeEvent::Request { .. } => {}
                autonat::v1::OutboundProbeEvent::Error { error, .. } => {
                    return Err(format!("{error:?}").into());
                }
            },
            _ => {}
        }
    };
    let ok = found == if which == "closed" { "private" } else { "public" };
    let ms = began.elapsed().as_secs_f64() * 1000.0;
    let checks = json!({ "reachability": { "ok": ok, "ms": ms, "detail": found } });
    println!(
        "{}",
        json!({ "ok": ok, "peerId": swarm.local_peer_id().to_string(), "checks": checks })
    );
    Ok(ok)
}
