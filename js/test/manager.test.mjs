// Which connections a node keeps.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createNode } from 'polypeer'
import { events, kept, pair, server, transports, until } from './support.mjs'

describe('the connection manager', { timeout: 30_000 }, () => {
  it('keeps a connection to a peer over its restarts', async (t) => {
    const here = await kept(t, createNode())
    const first = await server([transports.TCP])
    const { peerId, privateKey, addresses } = first
    const [address] = addresses
    here.keep(peerId, addresses)
    assert.deepEqual(here.kept, [peerId])
    await until(() => here.peers.length === 1)
    const redial = events(here, 'peer:redial')
    await first.close()
    const [{ peer, after }] = await redial
    assert.equal(peer, peerId)
    assert.ok(after > 0)
    await kept(t, createNode({ privateKey, listen: [address.split('/p2p/')[0]] }))
    await until(() => here.peers.length === 1)
    assert.equal(here.release(peerId), true)
    assert.equal(here.release(peerId), false)
    assert.deepEqual(here.kept, [])
  })

  it('says how far away a peer is', async (t) => {
    const { here, there } = await pair(t)
    await until(() => here.latency(there.peerId) !== undefined)
    assert.ok(here.latency(there.peerId) > 0)
    assert.equal(here.latency(here.peerId), undefined)
  })

  it('keeps who is worth something, and nobody goes at once', async (t) => {
    const options = { listen: [transports.TCP], connectionLimits: { lowWater: 1, highWater: 1 } }
    const here = await kept(t, createNode(options))
    const others = await Promise.all([1, 2, 3].map(() => kept(t, createNode())))
    for (const other of others) await other.dial(here.addresses)
    here.protect(others[0].peerId, 'friend')
    here.unprotect(others[0].peerId, 'friend')
    here.tag(others[1].peerId, 'useful', 3)
    assert.deepEqual(here.peerStore.get(others[1].peerId).tags.useful.value, 3)
    here.untag(others[1].peerId, 'useful')
    await until(() => here.connections.length === 3)
  })

  it('stays connected through sleeps and losses of the network', async (t) => {
    const { here, connection } = await pair(t)
    here.offline()
    here.online()
    here.resumed()
    assert.ok((await connection.ping()) > 0)
    assert.equal(here.connections.length, 1)
  })

  it('says what is wrong', async (t) => {
    const here = await kept(t, createNode())
    const invalid = { code: 'ERR_ADDRESS' }
    assert.throws(() => here.keep('nobody'), invalid)
    assert.throws(() => here.keep(here.peerId, ['/ip4/1']), invalid)
    assert.throws(() => here.protect('nobody', 'friend'), invalid)
    assert.throws(() => here.tag(here.peerId, 'useful', -1), { code: 'ERR_INVALID_ARGUMENT' })
    const connectionLimits = { lowWater: 2, highWater: 1 }
    await assert.rejects(createNode({ connectionLimits }), { code: 'ERR_INVALID_ARGUMENT' })
  })
})
