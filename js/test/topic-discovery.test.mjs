// Peers of a topic that find each other, without having been told of each other.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { createNode } from 'polypeer'
import { kept, transports, until } from './support.mjs'

const TOPIC = 'news'
const keyOf = (name) => Uint8Array.from([0x12, 32, ...createHash('sha256').update(name).digest()])
const listen = [transports.TCP]

/** Two nodes that know a third alone and are in a topic; what one publishes the other hears. */
async function meet(t, third, options, begin = () => {}) {
  const nodes = []
  for (let i = 0; i < 2; i++) {
    const node = await kept(t, createNode({ listen, ...options }))
    begin(node)
    await node.dial(third.addresses[0])
    nodes.push({ node, topic: node.pubsub.subscribe(TOPIC) })
  }
  const [one, other] = nodes
  await until(() => one.topic.peers.length > 0 && other.topic.peers.length > 0)
  assert.deepEqual(one.topic.peers, [other.node.peerId])
  one.topic.publish('hello')
  const { value } = await other.topic.next()
  assert.deepEqual([value.from, new TextDecoder().decode(value.data)], [one.node.peerId, 'hello'])
  return nodes.map(({ node }) => node)
}

/** Who provides this in the DHT, as others than `node` know it. */
async function providers(node, name) {
  const found = []
  for await (const { peer } of node.dht.findProviders(keyOf(name))) found.push(peer)
  return found.filter((peer) => peer !== node.peerId)
}

/** Whom a node was told of as somebody of a topic. */
const found = (node, source) =>
  node.discovery.peers.filter((who) => who.source === source).map(({ topic }) => topic)

describe('peers of a topic', { timeout: 120_000 }, () => {
  it('find each other in a DHT', async (t) => {
    const server = await kept(t, createNode({ listen, dht: { mode: 'server' } }))
    const nodes = await meet(t, server, { dht: { mode: 'client' } })
    assert.ok(nodes.some((node) => found(node, 'dht').includes(TOPIC)))
  })

  it('find each other at a rendezvous point', async (t) => {
    const point = await kept(t, createNode({ listen, rendezvousPoint: true }))
    const nodes = await meet(t, point, { topicDiscovery: { points: point.addresses } })
    assert.ok(nodes.some((node) => found(node, 'rendezvous').includes(TOPIC)))
    assert.deepEqual(nodes[0].rendezvous.registered, [
      { point: point.peerId, namespace: `floodsub:${TOPIC}` },
    ])
  })

  it('find each other by announcements', async (t) => {
    const pubsubPeerDiscovery = { interval: 1000 }
    const middle = await kept(t, createNode({ listen, pubsubPeerDiscovery }))
    const nodes = await meet(t, middle, { pubsubPeerDiscovery })
    assert.ok(nodes.some((node) => found(node, 'pubsub').includes('_peer-discovery._p2p._pubsub')))
  })

  it('are not looked for where that is switched off', async (t) => {
    const server = await kept(t, createNode({ listen, dht: { mode: 'server' } }))
    const nodes = []
    for (let i = 0; i < 2; i++) {
      const node = await kept(t, createNode({ listen, dht: { mode: 'client' }, topicDiscovery: false }))
      await node.dial(server.addresses[0])
      await until(() => node.dht.status.peers > 0)
      node.pubsub.subscribe(TOPIC)
      // Had it told of the topic, it would have done so before.
      await node.dht.provide(keyOf('something else'))
      nodes.push(node)
    }
    assert.deepEqual(await providers(nodes[1], 'something else'), [nodes[0].peerId])
    assert.deepEqual(await providers(nodes[1], `floodsub:${TOPIC}`), [])
    assert.deepEqual(nodes[1].discovery.peers, [])
  })

  it('are looked for in other ways while the node runs, and then no more', async (t) => {
    const point = await kept(t, createNode({ listen, rendezvousPoint: true }))
    const nodes = await meet(t, point, { topicDiscovery: false }, (node) => {
      node.pubsub.setDiscovery({ points: point.addresses })
    })
    for (const node of nodes) await until(() => node.rendezvous.registered.length === 1)
    assert.equal(point.rendezvous.stats.registrations, 2)
    for (const node of nodes) node.pubsub.setDiscovery(false)
    await until(() => point.rendezvous.stats.registrations === 0)
    assert.throws(() => nodes[0].pubsub.setDiscovery({ points: ['/ip4/127.0.0.1/tcp/1'] }), {
      code: 'ERR_ADDRESS',
    })
  })

  it('announce themselves from now on', async (t) => {
    const announce = (node) => node.pubsub.startPeerDiscovery({ interval: 1000 })
    const middle = await kept(t, createNode({ listen }))
    announce(middle)
    await meet(t, middle, {}, announce)
  })

  it('are looked for only where there is a place', async () => {
    await assert.rejects(createNode({ topicDiscovery: { points: ['/ip4/127.0.0.1/tcp/1'] } }), {
      code: 'ERR_ADDRESS',
    })
    await assert.rejects(createNode({ pubsubPeerDiscovery: { interval: 10 } }), {
      code: 'ERR_INVALID_ARGUMENT',
    })
    await assert.rejects(createNode({ pubsubPeerDiscovery: { topics: ['x'.repeat(257)] } }), {
      code: 'ERR_INVALID_ARGUMENT',
    })
  })
})
