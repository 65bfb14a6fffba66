// js-libp2p as a test peer in Node; ../README.md describes its command line.
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { tcp } from '@libp2p/tcp'
import { webRTCDirect } from '@libp2p/webrtc'
import { main } from '../shared/cli.mjs'
import { makePeer } from './adapter.mjs'
import { serveDht } from './dht.mjs'
import { serveMdns } from './mdns.mjs'
import { benchPubsub, servePubsub } from './pubsub.mjs'

const unlimited = { reservations: { applyDefaultLimit: false } }

await main(
  ({ listen, relay = false }) =>
    makePeer({
      listen,
      transports: [tcp(), webRTCDirect({ rtcConfiguration: { iceServers: [] } }), circuitRelayTransport()],
      services: relay ? { relay: circuitRelayServer(unlimited) } : {},
    }),
  { dht: serveDht, mdns: serveMdns, pubsub: servePubsub, 'pubsub-bench': benchPubsub },
)
// Its WebRTC, a native addon, keeps a process alive after the last connection.
process.exit()
