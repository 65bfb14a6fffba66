// js-libp2p behind the adapter of ../shared/protocols.mjs, in Node and in a page.
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

/** `transports` are those beside WebSocket, `services` those beside identify and ping. */
export async function makePeer({ listen = [], transports = [], services = {} } = {}) {
  const node = await createLibp2p({
    addresses: { listen },
    nodeInfo: { userAgent: 'test-peer-js/1.0.0' },
    transports: [...transports, webSockets()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping(), ...services },
    connectionManager: {
      maxConnections: 10_000,
      inboundConnectionThreshold: 10_000,
      // What is late on a busy machine is not wrong.
      dialTimeout: 60_000,
      addressDialTimeout: 60_000,
      inboundUpgradeTimeout: 60_000,
    },
    // It ends connections whose ping is late, which on a busy machine says nothing of the protocol.
    connectionMonitor: { enabled: false },
    connectionGater: { denyDialMultiaddr: () => false },
  })
  let connection
  /** By PeerId: a relay on the way is identified too. */
  const identified = new Map()
  let onIdentified = () => {}
  node.addEventListener('peer:identify', ({ detail }) => {
    identified.set(detail.peerId.toString(), detail)
    onIdentified()
  })
  return {
    peerId: node.peerId.toString(),
    get addresses() {
      return node.getMultiaddrs().map(String)
    },
    async connect(address) {
      connection = await node.dial(multiaddr(address))
      return connection.remotePeer.toString()
    },
    async identify() {
      const peer = connection.remotePeer.toString()
      while (!identified.has(peer)) {
        await new Promise((resolve) => {
          onIdentified = resolve
        })
      }
      const { agentVersion, protocols } = identified.get(peer)
      return { agent: agentVersion, protocols }
    },
    ping: () => node.services.ping.ping(connection.remotePeer),
    open: async (protocol) => adapt(await connection.newStream(protocol, { runOnLimitedConnection: true })),
    handle(protocol, handler) {
      const serve = async (stream) => {
        try {
          await handler(adapt(stream))
        } catch (error) {
          stream.abort(error)
        }
      }
      node.handle(protocol, serve, {
        maxInboundStreams: 10_000,
        maxOutboundStreams: 10_000,
        runOnLimitedConnection: true,
      })
    },
    disconnect: () => connection.close(),
    close: () => node.stop(),
  }
}

function adapt(stream) {
  const chunks = []
  let ended = stream.readableEnded
  let failure
  let wake = () => {}
  stream.addEventListener('message', ({ data }) => {
    chunks.push(data.subarray())
    wake()
  })
  // Not `remoteCloseWrite`, which comes before what is still to be read.
  stream.addEventListener('end', () => {
    ended = true
    wake()
  })
  stream.addEventListener('close', ({ error }) => {
    failure = error
    ended = true
    wake()
  })
  return {
    async read() {
      while (chunks.length === 0) {
        if (failure) throw failure
        if (ended) return undefined
        await new Promise((resolve) => {
          wake = resolve
        })
      }
      return chunks.shift()
    },
    async write(bytes) {
      if (!stream.send(bytes)) await stream.onDrain()
    },
    closeWrite: () => stream.close(),
    reset: () => stream.abort(new Error('reset on purpose')),
  }
}
