// The command `pubsub` of ../README.md for a peer that runs in Node.
import { answer, bytes, text } from './asked.mjs'

/**
 * `peer` can `connect(address)`, `subscribe(topic, heard)` where `heard(from, data)` is told
 * what others publish, `publish(topic, data)`, and say who is there: `peers(topic)`, and
 * maybe `mesh(topic)`; and maybe `provide(topic)` where those of a topic meet in a DHT, and
 * tell whom it has `found()`.
 */
export async function carryOut(peer) {
  const rooms = new Map()
  let grown = () => {}
  await answer(async ({ op, address, topic, data, count }) => {
    switch (op) {
      case 'connect':
        await peer.connect(address)
        return {}
      case 'subscribe': {
        const messages = []
        rooms.set(topic, messages)
        await peer.subscribe(topic, (from, data) => {
          messages.push({ from, data: text(data) })
          grown()
        })
        return {}
      }
      case 'provide':
        await peer.provide(topic)
        return {}
      case 'found':
        return { found: peer.found() }
      case 'publish':
        await peer.publish(topic, bytes(data))
        return {}
      case 'peers':
        return { peers: peer.peers(topic), mesh: peer.mesh?.(topic) }
      case 'received': {
        const messages = rooms.get(topic)
        while (messages.length < count) {
          await new Promise((resolve) => {
            grown = resolve
          })
        }
        return { messages }
      }
    }
    throw new Error(`no such request: ${op}`)
  })
}
