// The npm package's topics behind the adapters of ../shared/pubsub.mjs and ../shared/gossip.mjs.
import { createHash } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { createNode } from 'polypeer'
import { gossip } from '../shared/gossip.mjs'
import { carryOut } from '../shared/pubsub.mjs'

/** Of a text, by SHA-256. */
const multihash = (text) => Uint8Array.from([0x12, 32, ...createHash('sha256').update(text).digest()])

/**
 * With the discovery `dht` it looks for the peers of its topics in a DHT and is not found
 * there; with `provide` it is in one and does not look; with `announce` it announces itself
 * in a topic for that.
 */
async function makePeer(discovery) {
  const inDht = discovery === 'dht' || discovery === 'provide'
  const node = await createNode({
    listen: ['/ip4/127.0.0.1/tcp/0'],
    pubsub: {},
    dht: inDht && { protocol: '/test/kad/1.0.0', mode: 'client' },
    topicDiscovery: { dht: discovery === 'dht', announce: false },
    pubsubPeerDiscovery: discovery === 'announce' && { interval: 1000 },
  })
  const topics = new Map()
  return {
    peerId: node.peerId,
    address: node.addresses[0],
    connect: (address) => node.dial(address),
    subscribe(topic, heard) {
      topics.set(
        topic,
        node.pubsub.subscribe(topic, ({ from, data }) => heard(from, data)),
      )
    },
    publish: (topic, data) => topics.get(topic).publish(data),
    peers: (topic) => topics.get(topic).peers,
    mesh: (topic) => topics.get(topic).mesh,
    provide: async (topic) => {
      while (node.dht.status.peers === 0) await setTimeout(10)
      await node.dht.provide(multihash(`floodsub:${topic}`))
    },
    found: () => node.discovery.peers.map(({ peer }) => peer),
    close: () => node.close(),
  }
}

export async function servePubsub({ discovery }) {
  const peer = await makePeer(discovery)
  process.stdout.write(`${JSON.stringify({ peerId: peer.peerId, addresses: [peer.address] })}\n`)
  await carryOut(peer)
  await peer.close()
}

export const benchPubsub = ({ count, messages, window }) =>
  gossip(() => makePeer(), { count: Number(count), messages: Number(messages), window: Number(window) })
