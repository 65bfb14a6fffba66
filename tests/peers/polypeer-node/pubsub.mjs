// The npm package's topics behind the adapter of ../shared/pubsub.mjs.
import { createNode } from 'polypeer'
import { carryOut } from '../shared/pubsub.mjs'

export async function servePubsub() {
  const node = await createNode({ listen: ['/ip4/127.0.0.1/tcp/0'], pubsub: {} })
  process.stdout.write(`${JSON.stringify({ peerId: node.peerId, addresses: node.addresses })}\n`)
  const topics = new Map()
  await carryOut({
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
  })
  await node.close()
}
