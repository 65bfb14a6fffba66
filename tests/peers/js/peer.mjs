// js-libp2p as a test peer in Node; ../README.md describes its command line.
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { tcp } from '@libp2p/tcp'
import { main } from '../shared/cli.mjs'
import { makePeer } from './adapter.mjs'

const unlimited = { reservations: { applyDefaultLimit: false } }

await main(({ listen, relay = false }) =>
  makePeer({
    listen,
    transports: [tcp(), circuitRelayTransport()],
    services: relay ? { relay: circuitRelayServer(unlimited) } : {},
  }),
)
