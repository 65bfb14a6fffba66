// Peers that find each other: at rendezvous points and on the local network.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { describe, it } from 'node:test'
import { createNode, RendezvousError } from 'polypeer'
import { events, kept, transports, until } from './support.mjs'

const HOUR = 3_600_000
const listen = [transports.TCP]

/** A port of this machine that nobody hears on. */
async function freePort() {
  const socket = createSocket('udp4')
  await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve))
  const { port } = socket.address()
  await new Promise((resolve) => socket.close(resolve))
  return port
}

describe('rendezvous', { timeout: 120_000 }, () => {
  it('has peers meet under a name, at a point in Node', async (t) => {
    const point = await kept(t, createNode({ listen, rendezvousPoint: { perPeer: 2 } }))
    const alice = await kept(t, createNode({ listen }))
    const bob = await kept(t, createNode())
    const [at] = point.addresses
    assert.equal(await alice.rendezvous.register(at, 'chat'), 2 * HOUR)
    assert.equal(await alice.rendezvous.register(point.peerId, 'games', { ttl: 3 * HOUR }), 3 * HOUR)
    assert.deepEqual(alice.rendezvous.registered, [
      { point: point.peerId, namespace: 'chat' },
      { point: point.peerId, namespace: 'games' },
    ])
    const { registrations, peers, namespaces } = point.rendezvous.stats
    assert.deepEqual([registrations, peers, namespaces], [2, 1, 2])

    const told = events(bob, 'peer:discovery')
    const found = await bob.rendezvous.discover(at, { namespace: 'chat' })
    assert.equal(found.registrations.length, 1)
    const [{ peer, namespace, addresses, record }] = found.registrations
    assert.deepEqual([peer, namespace, addresses], [alice.peerId, 'chat', listening(alice)])
    assert.ok(record.length > 64)
    const [discovered] = await told
    assert.deepEqual([discovered.peer, discovered.source], [alice.peerId, 'rendezvous'])
    assert.equal((await bob.dial(alice.peerId)).peer, alice.peerId)
    const { cookie } = found
    const later = await bob.rendezvous.discover(at, { namespace: 'chat', cookie })
    assert.deepEqual(later.registrations, [])

    const refused = (error) => error instanceof RendezvousError && error.code === 'ERR_RENDEZVOUS'
    await assert.rejects(alice.rendezvous.register(at, 'more'), (error) => {
      return refused(error) && error.status === 'unavailable'
    })
    await assert.rejects(alice.rendezvous.register(at, 'chat', { ttl: 1000 }), (error) => {
      return refused(error) && error.status === 'invalid TTL'
    })
    await assert.rejects(bob.rendezvous.register(at, 'chat'), refused, 'it has no address')
    await assert.rejects(alice.rendezvous.register('/ip4/127.0.0.1/tcp/1', 'chat'), { code: 'ERR_ADDRESS' })
    await assert.rejects(bob.rendezvous.discover(alice.peerId), { code: 'ERR_PROTOCOL_NOT_SUPPORTED' })
    await alice.rendezvous.unregister(at, 'chat')
    await until(() => point.rendezvous.stats.registrations === 1)
    assert.equal(alice.rendezvous.registered.length, 1)
  })

  it('gives up with its signal, and with its node', async (t) => {
    const point = await kept(t, createNode({ listen, rendezvousPoint: true }))
    const node = await createNode({ listen })
    const [at] = point.addresses
    const reason = new Error('enough')
    const signal = AbortSignal.abort(reason)
    await assert.rejects(node.rendezvous.discover(at, { signal }), reason)
    const asked = node.rendezvous.discover(at)
    await Promise.all([assert.rejects(asked, { code: 'ERR_CLOSED' }), node.close()])
    await assert.rejects(node.rendezvous.discover(at), { code: 'ERR_CLOSED' })
  })
})

describe('mDNS', { timeout: 120_000 }, () => {
  it('finds neighbours, who are dialed by name, and tells of those who go', async (t) => {
    const mdns = { serviceName: 'neighbours', loopback: true, port: await freePort() }
    const alice = await kept(t, createNode({ listen, mdns }))
    const stranger = await kept(t, createNode({ listen, mdns: { ...mdns, serviceName: 'others' } }))
    const found = events(alice, 'peer:discovery')
    const bob = await createNode({ listen, mdns })
    assert.equal((await found)[0].peer, bob.peerId)
    for await (const { peer, addresses, source } of bob.discovery) {
      assert.deepEqual([peer, addresses, source], [alice.peerId, listening(alice), 'mdns'])
      break
    }
    for await (const { addresses } of alice.routing.findPeer(bob.peerId)) {
      assert.deepEqual(addresses, listening(bob))
    }
    assert.equal((await bob.dial(alice.peerId)).peer, alice.peerId)
    assert.deepEqual(stranger.discovery.peers, [])
    const gone = events(alice, 'peer:gone')
    const id = bob.peerId
    await bob.close()
    assert.deepEqual(await gone, [id])
    assert.deepEqual(alice.discovery.peers, [])
  })

  it('ends its loops with their signals, and with the node', async (t) => {
    const node = await createNode()
    t.after(() => node.close())
    const reason = new Error('enough')
    const controller = new AbortController()
    const looped = node.discovery.find({ signal: controller.signal }).next()
    controller.abort(reason)
    await assert.rejects(looped, reason)
    const rest = node.discovery.find().next()
    await node.close()
    assert.deepEqual(await rest, { value: undefined, done: true })
  })

  it('refuses what is no name', async () => {
    const options = { mdns: { serviceName: 'not a name', loopback: true } }
    await assert.rejects(createNode(options), { code: 'ERR_INVALID_ARGUMENT' })
  })
})

/** Where a node listens, as others tell it: without its name. */
function listening(node) {
  return node.addresses.map((address) => address.replace(/\/p2p\/[^/]+$/, ''))
}
