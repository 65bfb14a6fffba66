// Topics of all implementations: what one publishes, all others hear.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { good, joinPubsub, missing } from '../lib/peers.mjs'

const names = ['go', 'rust', 'js-node', 'polypeer-native', 'polypeer-node']
const ours = names.filter((name) => name.startsWith('polypeer'))
const TOPIC = 'news'
const base64 = (text) => Buffer.from(text).toString('base64')

/**
 * Which of them can be had with one protocol alone, and do by it what its version says.
 * rust-libp2p's floodsub signs nothing, and what is not signed we refuse.
 */
const alone = {
  '/floodsub/1.0.0': ['go', 'js-node'],
  '/meshsub/1.0.0': ['go', 'rust', 'js-node'],
  '/meshsub/1.1.0': ['go', 'rust', 'js-node'],
  '/meshsub/1.2.0': ['go', 'js-node'],
  '/meshsub/1.3.0': ['go'],
}

/**
 * Waits until `peer` knows of `others` on the topic, or has them in its mesh; the test's
 * own time limit is the bound.
 */
async function knows(peer, others, where = 'peers') {
  for (;;) {
    const answer = await good(peer, { op: 'peers', topic: TOPIC })
    if (others.every(({ peerId }) => answer[where].includes(peerId))) return
  }
}

/** Subscribes all, which are connected to the first, one of ours, and waits until they know of each other. */
async function meet([middle, ...others], floods = false) {
  for (const peer of [middle, ...others]) await good(peer, { op: 'subscribe', topic: TOPIC })
  for (const peer of others) await good(peer, { op: 'connect', address: middle.address })
  // What it hears before that it does not pass on. Floodsub has no mesh.
  await knows(middle, others, floods ? 'peers' : 'mesh')
  for (const peer of others) await knows(peer, [middle])
}

/** All publish, and each hears what all others did, once, and from whom. */
async function exchange(peers, count, length) {
  const filling = 'x'.repeat(length)
  const texts = (peer) => Array.from({ length: count }, (_, i) => base64(`${i} of ${peer.name}${filling}`))
  for (const peer of peers) {
    for (const data of texts(peer)) await good(peer, { op: 'publish', topic: TOPIC, data })
  }
  const line = ({ from, data }) => `${from} ${data}`
  for (const peer of peers) {
    const others = peers.filter((other) => other !== peer)
    const all = others.flatMap((other) => texts(other).map((data) => line({ from: other.peerId, data })))
    const { messages } = await good(peer, { op: 'received', topic: TOPIC, count: all.length })
    assert.deepEqual(messages.map(line).sort(), all.sort(), `${peer.name} hears`)
  }
}

async function together(t, members) {
  const peers = []
  t.after(async () => {
    for (const peer of peers) await peer.close()
  })
  for (const [name, protocol] of members) peers.push(await joinPubsub(name, protocol))
  return peers
}

for (const middle of ours) {
  test(`all on one topic, ${middle} in the middle`, { timeout: 120_000 }, async (t) => {
    const others = names.filter((name) => name !== middle)
    const peers = await together(
      t,
      [middle, ...others].filter((name) => missing(name) === undefined).map((name) => [name]),
    )
    await meet(peers)
    await exchange(peers, 20, 1000)
  })
}

for (const [protocol, speakers] of Object.entries(alone)) {
  describe(`${protocol} alone`, () => {
    for (const other of speakers) {
      for (const our of ours) {
        test(`${other} with ${our}`, { skip: missing(other), timeout: 60_000 }, async (t) => {
          const peers = await together(t, [[our], [other, protocol]])
          await meet(peers, protocol.startsWith('/floodsub/'))
          await exchange(peers, 3, 10)
        })
      }
    }
  })
}
