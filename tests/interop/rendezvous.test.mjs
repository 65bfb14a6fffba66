// Rendezvous with rust-libp2p: at its point and at ours.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createNode } from 'polypeer'
import { good, joinRendezvous, missing } from '../lib/peers.mjs'

const NAME = 'chat'
const HOUR = 3_600_000

describe('rendezvous with rust', { skip: missing('rust'), timeout: 120_000 }, () => {
  const closed = async (t, starting) => {
    const peer = await starting
    t.after(() => peer.close())
    return peer
  }
  const rust = (t) => closed(t, joinRendezvous('rust'))
  const listen = ['/ip4/127.0.0.1/tcp/0']

  it('takes us at its point, and we find each other there', async (t) => {
    const point = await rust(t)
    const alice = await closed(t, createNode({ listen }))
    const bob = await closed(t, createNode())
    assert.equal(await alice.rendezvous.register(point.address, NAME), 2 * HOUR)
    const other = await rust(t)
    const to = { point: point.peerId, namespace: NAME }
    await good(other, { op: 'connect', address: point.address })
    await good(other, { op: 'register', ...to })
    const found = await good(other, { op: 'discover', ...to })
    assert.deepEqual(new Set(Object.keys(found.peers)), new Set([alice.peerId, other.peerId]))
    const { registrations, cookie, refused } = await bob.rendezvous.discover(point.address, {
      namespace: NAME,
    })
    assert.equal(refused, 0)
    assert.deepEqual(new Set(registrations.map(({ peer }) => peer)), new Set([alice.peerId, other.peerId]))
    assert.equal((await bob.dial(other.peerId)).peer, other.peerId)
    const later = await bob.rendezvous.discover(point.address, { namespace: NAME, cookie })
    assert.deepEqual(later.registrations, [])
    await alice.rendezvous.unregister(point.address, NAME)
  })

  it('is taken at our point, and found there', async (t) => {
    const point = await closed(t, createNode({ listen, rendezvousPoint: true }))
    const [one, other] = [await rust(t), await rust(t)]
    const to = { point: point.peerId, namespace: NAME }
    for (const peer of [one, other]) await good(peer, { op: 'connect', address: point.addresses[0] })
    const { ttl } = await good(one, { op: 'register', ...to })
    assert.equal(ttl * 1000, 2 * HOUR)
    const found = await good(other, { op: 'discover', ...to })
    assert.deepEqual(Object.keys(found.peers), [one.peerId])
    const bob = await closed(t, createNode())
    const { registrations } = await bob.rendezvous.discover(point.addresses[0], { namespace: NAME })
    assert.deepEqual(
      registrations.map(({ peer }) => peer),
      [one.peerId],
    )
    assert.equal((await bob.dial(one.peerId)).peer, one.peerId)
  })
})
