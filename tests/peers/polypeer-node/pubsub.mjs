// The npm package's topics behind the adapters of ../shared/pubsub.mjs and ../shared/gossip.mjs.
import { createNode } from 'polypeer'
import { gossip } from '../shared/gossip.mjs'
import { carryOut } from '../shared/pubsub.mjs'

async function makePeer() {
  const node = await createNode({ listen: ['/ip4/127.0.0.1/tcp/0'], pubsub: {} })
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
    close: () => node.close(),
  }
}

export async function servePubsub() {
  const peer = await makePeer()
  process.stdout.write(`${JSON.stringify({ peerId: peer.peerId, addresses: [peer.address] })}\n`)
  await carryOut(peer)
  await peer.close()
}

export const benchPubsub = ({ count, messages, window }) =>
  gossip(makePeer, { count: Number(count), messages: Number(messages), window: Number(window) })
