// js-libp2p's topics behind the adapters of ../shared/pubsub.mjs and ../shared/gossip.mjs.
import { floodsub } from '@libp2p/floodsub'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { pubsubPeerDiscovery } from '@libp2p/pubsub-peer-discovery'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { gossip } from '../shared/gossip.mjs'
import { carryOut } from '../shared/pubsub.mjs'

const FLOODSUB = '/floodsub/1.0.0'

/**
 * A peer with topics; `protocol` is the only one to speak, without it all that it knows.
 * With the discovery `announce` it announces itself in a topic for that.
 */
async function makePeer(protocol, discovery) {
  const gossipsubOf = (components) => {
    const service = gossipsub({
      allowPublishToZeroTopicPeers: true,
      // All peers of a test are at one address: it would take them for sybils.
      scoreParams: { IPColocationFactorWhitelist: new Set(['127.0.0.1']) },
    })(components)
    if (protocol !== undefined) service.protocols = [protocol]
    return service
  }
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    nodeInfo: { userAgent: 'test-peer-js/1.0.0' },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: { maxConnections: 10_000, inboundConnectionThreshold: 10_000 },
    connectionMonitor: { enabled: false },
    connectionGater: { denyDialMultiaddr: () => false },
    peerDiscovery: discovery === 'announce' ? [pubsubPeerDiscovery({ interval: 1000 })] : [],
    services: { identify: identify(), pubsub: protocol === FLOODSUB ? floodsub() : gossipsubOf },
  })
  const { pubsub } = node.services
  const own = node.peerId.toString()
  const rooms = new Map()
  const found = new Set()
  node.addEventListener('peer:discovery', ({ detail }) => found.add(detail.id.toString()))
  pubsub.addEventListener('message', ({ detail: { from, topic, data } }) => {
    if (from.toString() !== own) rooms.get(topic)?.(from.toString(), data)
  })
  return {
    peerId: own,
    address: node.getMultiaddrs()[0].toString(),
    connect: (address) => node.dial(multiaddr(address)),
    subscribe(topic, heard) {
      rooms.set(topic, heard)
      pubsub.subscribe(topic)
    },
    publish: (topic, data) => pubsub.publish(topic, data),
    peers: (topic) => pubsub.getSubscribers(topic).map(String),
    found: () => [...found],
    close: () => node.stop(),
  }
}

export async function servePubsub({ protocol, discovery }) {
  const peer = await makePeer(protocol, discovery)
  process.stdout.write(`${JSON.stringify({ peerId: peer.peerId, addresses: [peer.address] })}\n`)
  await carryOut(peer)
  await peer.close()
}

export const benchPubsub = ({ count, messages, window }) =>
  gossip(makePeer, { count: Number(count), messages: Number(messages), window: Number(window) })
