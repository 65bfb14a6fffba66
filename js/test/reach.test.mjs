// Where a node says that it can be reached, whether it can, and what it does for others.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { createNode } from 'polypeer'
import { kept, transports } from './support.mjs'

const NAMED = '/dns4/a.example/tcp/443/wss'

describe('addresses', { timeout: 60_000 }, () => {
  it('are announced as the options say', async (t) => {
    const addresses = { appendAnnounce: [NAMED], noAnnounce: ['/ip4/127.0.0.0/ipcidr/8'] }
    const node = await kept(t, createNode({ listen: [transports.TCP], addresses }))
    assert.deepEqual(node.addresses, [`${NAMED}/p2p/${node.peerId}`])
    const [configured, listening] = node.ownAddresses
    assert.deepEqual(configured, {
      address: NAMED,
      source: 'configured',
      reachability: 'unknown',
      announced: true,
    })
    assert.equal(listening.source, 'listening')
    assert.equal(listening.announced, false)
  })

  it('change while the node runs, and peers are told', async (t) => {
    const node = await kept(t, createNode({ listen: [transports.TCP] }))
    const other = await kept(t, createNode())
    await other.dial(node.addresses)
    const told = new Promise((resolve) => {
      other.addEventListener('peer:identify', ({ detail }) => {
        if (detail.addresses.includes(NAMED)) resolve(detail.addresses)
      })
    })
    node.setAnnouncing({ announce: [NAMED] })
    assert.deepEqual(node.addresses, [`${NAMED}/p2p/${node.peerId}`])
    assert.deepEqual(await told, [NAMED])
    node.setAnnouncing({})
    assert.equal(node.addresses.length, 1)
    assert.match(node.addresses[0], /^\/ip4\/127\.0\.0\.1\/tcp\//)
  })

  it('that cannot be read are refused', async (t) => {
    const wrong = { code: 'ERR_ADDRESS' }
    for (const list of ['announce', 'appendAnnounce', 'noAnnounce']) {
      await assert.rejects(createNode({ addresses: { [list]: ['nowhere'] } }), wrong, list)
    }
    const node = await kept(t, createNode())
    assert.throws(() => node.setAnnouncing({ announce: ['/ip4/1.2.3'] }), wrong)
  })

  it('are tried by others', async (t) => {
    const addresses = { private: true }
    const servers = await Promise.all(
      ['127.0.0.1', '127.0.0.2'].map((ip) =>
        kept(t, createNode({ listen: [`/ip4/${ip}/tcp/0`], addresses, autonat: true })),
      ),
    )
    const node = await kept(t, createNode({ listen: [transports.WebSocket], addresses }))
    const known = new Promise((resolve) => {
      node.addEventListener('reachability', ({ detail }) => {
        if (detail.address !== undefined) resolve(detail)
      })
    })
    for (const server of servers) await node.dial(server.addresses)
    const [{ address }] = node.ownAddresses
    assert.deepEqual(await known, { address, reachability: 'public' })
    assert.equal(node.reachability, 'public')
    assert.equal(node.ownAddresses[0].reachability, 'public')
  })

  it('of a node that nobody has tried are of unknown worth', async (t) => {
    const node = await kept(t, createNode({ listen: [transports.TCP] }))
    assert.equal(node.reachability, 'unknown')
    assert.equal(node.ownAddresses[0].reachability, 'unknown')
  })
})

describe('a relay', { timeout: 60_000 }, () => {
  it('tells what it has refused and carried, and changes what it allows', async (t) => {
    const relay = await kept(t, createNode({ listen: [transports.WebSocket] }))
    assert.deepEqual(relay.relayStats(), { reservations: 0, circuits: 0, refused: {}, pairs: [] })
    relay.serveAsRelay()
    const circuit = `${relay.addresses[0]}/p2p-circuit`
    const target = await kept(t, createNode())
    const reserved = once(target, 'relay:reserved')
    await target.listen(circuit)
    await reserved
    assert.equal(relay.relayStats().reservations, 1)

    const source = await kept(t, createNode())
    const connection = await source.dial(`${circuit}/p2p/${target.peerId}`)
    assert.equal(relay.relayStats().circuits, 1)
    const over = once(relay, 'relay:circuit')
    await connection.close()
    await over
    const [pair] = relay.relayStats().pairs
    assert.equal(pair.source, source.peerId)
    assert.equal(pair.target, target.peerId)
    assert.equal(pair.circuits, 1)
    assert.ok(pair.bytes.every((bytes) => bytes > 0))

    relay.serveAsRelay({ deny: [source.peerId] })
    const refused = once(relay, 'relay:refused')
    await assert.rejects(source.dial(`${circuit}/p2p/${target.peerId}`))
    await refused
    assert.deepEqual(relay.relayStats().refused, { denied: 1 })
    assert.throws(() => relay.serveAsRelay({ deny: ['nobody'] }), { code: 'ERR_ADDRESS' })
  })
})
