// Peers of a topic that find each other, without having been told of each other: in a DHT as
// go-libp2p-pubsub looks for them, and by announcements as js-libp2p makes them.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { good, joinDht, joinPubsub, missing, withPeer } from '../lib/peers.mjs'

const ours = ['polypeer-native', 'polypeer-node']
const TOPIC = 'news'

/** Asks until `holds` of the answer; the test's own time limit is the bound. */
async function until(peer, request, holds) {
  while (!holds(await good(peer, request))) await new Promise((resolve) => setTimeout(resolve, 50))
}

/** What one, of ours, publishes the other hears, and then the other way. */
async function talk(one, other) {
  // What is published before that is told of only, and not to who is in the mesh then.
  await until(one, { op: 'peers', topic: TOPIC }, ({ mesh }) => mesh.includes(other.peerId))
  for (const [from, to] of [
    [one, other],
    [other, one],
  ]) {
    await until(from, { op: 'peers', topic: TOPIC }, ({ peers }) => peers.includes(to.peerId))
    const data = Buffer.from(`of ${from.name}`).toString('base64')
    await good(from, { op: 'publish', topic: TOPIC, data })
    const { messages } = await good(to, { op: 'received', topic: TOPIC, count: 1 })
    assert.deepEqual(messages, [{ from: from.peerId, data }])
  }
}

/** Those who join are ended with the test. */
function joining(t) {
  const peers = []
  t.after(async () => {
    for (const peer of peers) await peer.close()
  })
  return async (starting) => {
    const peer = await starting
    peers.push(peer)
    return peer
  }
}

describe('in a DHT', { timeout: 120_000 }, () => {
  for (const our of ours) {
    const skip = missing('go')
    test(`${our} finds go`, { skip }, async (t) => {
      const join = joining(t)
      const middle = await join(joinDht('polypeer-native'))
      const other = await join(joinPubsub('go', undefined, 'dht'))
      await good(other, { op: 'connect', address: withPeer(middle) })
      await good(other, { op: 'subscribe', topic: TOPIC })
      const mine = await join(joinPubsub(our, undefined, 'dht'))
      await good(mine, { op: 'connect', address: withPeer(middle) })
      await good(mine, { op: 'subscribe', topic: TOPIC })
      await until(mine, { op: 'found' }, ({ found }) => found.includes(other.peerId))
      await talk(mine, other)
    })

    test(`go finds ${our}`, { skip }, async (t) => {
      const join = joining(t)
      const middle = await join(joinDht('polypeer-native'))
      // It is found and does not look.
      const mine = await join(joinPubsub(our, undefined, 'provide'))
      await good(mine, { op: 'connect', address: withPeer(middle) })
      await good(mine, { op: 'subscribe', topic: TOPIC })
      const other = await join(joinPubsub('go', undefined, 'dht'))
      await good(other, { op: 'connect', address: withPeer(middle) })
      await good(other, { op: 'subscribe', topic: TOPIC })
      await good(mine, { op: 'provide', topic: TOPIC })
      await talk(mine, other)
      assert.deepEqual((await good(mine, { op: 'found' })).found, [])
    })
  }
})

describe('by announcements', { timeout: 120_000 }, () => {
  for (const our of ours) {
    test(`${our} and js-node find each other`, { skip: missing('js-node') }, async (t) => {
      const join = joining(t)
      const [middle, mine, other] = [
        await join(joinPubsub('polypeer-native', undefined, 'announce')),
        await join(joinPubsub(our, undefined, 'announce')),
        await join(joinPubsub('js-node', undefined, 'announce')),
      ]
      for (const peer of [mine, other]) {
        await good(peer, { op: 'connect', address: withPeer(middle) })
        await good(peer, { op: 'subscribe', topic: TOPIC })
      }
      await until(other, { op: 'found' }, ({ found }) => found.includes(mine.peerId))
      // js-libp2p dials nobody by itself whom it has found; ours does.
      await talk(mine, other)
    })
  }
})
