// Points where peers meet, and who meets there, where one of them is rust-libp2p:
// js-libp2p has no rendezvous that is kept up.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createNode } from 'polypeer'
import { ask, failures, listen, missing } from '../lib/peers.mjs'

const namespace = 'polypeer'
const LISTEN = ['/ip4/127.0.0.1/tcp/0']

describe('rendezvous with rust', { skip: missing('rust'), timeout: 120_000 }, () => {
  let node
  before(async () => {
    node = await createNode({ listen: LISTEN, rendezvousPoint: true })
  })
  after(() => node.close())

  test('rust registers with us and finds all who have, page by page', async () => {
    const other = await createNode({ listen: LISTEN })
    try {
      const [at] = node.addresses
      await other.rendezvous.register(at, namespace)
      const report = await ask('rust', 'rendezvous-ask', at)
      assert.deepEqual(failures(report), [])
      assert.ok(report.checks.meet.detail.includes(other.peerId), report.checks.meet.detail)
    } finally {
      await other.close()
    }
  })

  test('we register with rust, and find and reach each other there', async () => {
    const point = await listen('rust', 'tcp', { command: 'rendezvous-serve' })
    const other = await createNode()
    try {
      assert.equal(await node.rendezvous.register(point.address, namespace), 2 * 3_600_000)
      const found = await other.rendezvous.discover(point.address, { namespace })
      assert.deepEqual(
        found.registrations.map(({ peer }) => peer),
        [node.peerId],
      )
      assert.equal((await other.dial(node.peerId)).peer, node.peerId)
      const { cookie } = found
      const later = await other.rendezvous.discover(point.address, { namespace, cookie })
      assert.deepEqual(later.registrations, [])
      const refused = { code: 'ERR_RENDEZVOUS', status: 'invalid TTL' }
      await assert.rejects(node.rendezvous.register(point.address, namespace, { ttl: 1000 }), refused)
      await node.rendezvous.unregister(point.address, namespace)
    } finally {
      await other.close()
      await point.close()
    }
  })
})
