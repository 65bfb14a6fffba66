// js-libp2p's topics behind the adapter of ../shared/pubsub.mjs.
import { floodsub } from '@libp2p/floodsub'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { carryOut } from '../shared/pubsub.mjs'

const FLOODSUB = '/floodsub/1.0.0'

/** `protocol` is the only one to speak; without it all that it knows. */
export async function servePubsub({ protocol }) {
  const gossip = (components) => {
    const service = gossipsub({ allowPublishToZeroTopicPeers: true })(components)
    if (protocol !== undefined) service.protocols = [protocol]
    return service
  }
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    nodeInfo: { userAgent: 'test-peer-js/1.0.0' },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    connectionGater: { denyDialMultiaddr: () => false },
    services: { identify: identify(), pubsub: protocol === FLOODSUB ? floodsub() : gossip },
  })
  const { pubsub } = node.services
  const own = node.peerId.toString()
  const rooms = new Map()
  pubsub.addEventListener('message', ({ detail: { from, topic, data } }) => {
    if (from.toString() !== own) rooms.get(topic)?.(from.toString(), data)
  })
  process.stdout.write(`${JSON.stringify({ peerId: own, addresses: node.getMultiaddrs().map(String) })}\n`)
  await carryOut({
    connect: (address) => node.dial(multiaddr(address)),
    subscribe(topic, heard) {
      rooms.set(topic, heard)
      pubsub.subscribe(topic)
    },
    publish: (topic, data) => pubsub.publish(topic, data),
    peers: (topic) => pubsub.getSubscribers(topic).map(String),
  })
}
