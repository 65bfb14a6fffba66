// Nodes that keep values and providers for each other.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createNode } from 'polypeer'
import { QueryImpl } from '../dist/dht/query.js'
import { kept, random, transports, turns, until } from './support.mjs'

const bytes = (text) => new TextEncoder().encode(text)

/** Values are `sequence:anything`; the highest sequence is the best. */
const sequence = (value) => {
  const [, digits] = /^(\d+):/.exec(new TextDecoder().decode(value)) ?? []
  if (digits === undefined) throw new Error('it has no number')
  return Number(digits)
}
const numbered = {
  validate: (_key, value) => void sequence(value),
  isBetter: (_key, value, other) => sequence(value) > sequence(other),
}
const dht = { mode: 'server', validators: { n: numbered } }

/** Servers that all know each other. */
async function servers(t, count) {
  const nodes = []
  for (let at = 0; at < count; at++) {
    const node = await kept(t, createNode({ dht, listen: [transports.TCP] }))
    if (at > 0) await node.dial(nodes[0].addresses)
    nodes.push(node)
  }
  for (const node of nodes) await meets(node, count - 1)
  return nodes
}

async function meets(node, others) {
  await until(() => node.dht.status.peers > 0)
  while ((await all(node.dht.closestPeers(random(8)))).length < others) await turns(1)
}

async function all(query) {
  const found = []
  for await (const one of query) found.push(one)
  return found
}

async function client(t, ...known) {
  const node = await kept(t, createNode({ dht: { ...dht, mode: 'client' } }))
  for (const one of known) await node.dial(one.addresses)
  await until(() => node.dht.status.peers > 0)
  return node
}

describe('dht', { timeout: 120_000 }, () => {
  it('keeps values, and the best one wins', async (t) => {
    const nodes = await servers(t, 5)
    const { successes } = await nodes[1].dht.put('/n/key', bytes('1:old'))
    assert.equal(successes, 4)
    const reader = await client(t, nodes[3])
    await reader.dht.put('/n/key', bytes('2:new'))
    const values = await all(nodes[4].dht.get('/n/key', { quorum: 5 }))
    assert.deepEqual(Buffer.from(values.at(-1)).toString(), '2:new')
    await assert.rejects(reader.dht.put('/n/key', bytes('no number')), {
      code: 'ERR_RECORD',
      message: /it has no number/,
    })
    await assert.rejects(reader.dht.put('/n/key', bytes('1:worse')), { code: 'ERR_RECORD' })
    await assert.rejects(reader.dht.put('/unknown/key', bytes('1:x')), { code: 'ERR_RECORD' })
    assert.deepEqual(await all(reader.dht.get('/n/nothing')), [])
    await assert.rejects(reader.dht.put('/n/long', new Uint8Array(65_537)), { code: 'ERR_INVALID_ARGUMENT' })
    assert.throws(() => reader.dht.get(new Uint8Array(1025)), { code: 'ERR_INVALID_ARGUMENT' })
  })

  it('keeps of values that nobody took yet the best alone', async () => {
    const query = new QueryImpl({ begin: () => 1, cancel: () => {} }, { latest: true })
    const first = query.next()
    query.found('1')
    assert.equal((await first).value, '1')
    for (const value of ['2', '3', '4']) query.found(value)
    query.done({})
    assert.deepEqual(await all(query), ['4'])
  })

  it('finds who provides content, and where a peer is', async (t) => {
    const nodes = await servers(t, 5)
    // The same content by each of its names.
    const digest = 'c3c4733ec8affd06cf9e9ff50ffc6bcd2ec85a6170004bb709669c31de94391a'
    const multihash = Buffer.from(`1220${digest}`, 'hex')
    const names = [
      'QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR',
      'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi',
      { multihash: { bytes: multihash } },
      multihash,
    ]
    await nodes[2].dht.provide(names[0])
    const seeker = await client(t, nodes[0])
    const steps = []
    const query = seeker.dht.findProviders(names[1], { count: 1, onProgress: (step) => steps.push(step) })
    assert.deepEqual(
      (await all(query)).map(({ peer }) => peer),
      [nodes[2].peerId],
    )
    const { asked, answered, hops, timedOut } = await query.summary
    assert.ok(asked >= answered && answered > 0 && hops > 0 && !timedOut)
    assert.ok(steps.some(({ type, hops }) => type === 'answer' && hops > 0))
    assert.deepEqual(
      steps.map(({ asked }) => asked),
      steps.map((_, at) => at + 1),
    )
    const [found] = await all(seeker.dht.findPeer(nodes[4].peerId))
    assert.equal(found.peer, nodes[4].peerId)
    await seeker.dial(found.addresses.map((address) => `${address}/p2p/${found.peer}`))
    for (const name of names) {
      const [{ peer, addresses }] = await all(seeker.routing.findProviders(name, { count: 1 }))
      assert.deepEqual([peer, addresses.length > 0], [nodes[2].peerId, true])
    }
    for (const name of ['', 'bafy', 'Qm', 'nonsense', 'b'.repeat(200), 'k0']) {
      assert.throws(() => seeker.dht.findProviders(name), { code: 'ERR_INVALID_ARGUMENT' }, name)
    }
    // Its own store comes first.
    const own = await all(nodes[0].dht.findProviders(multihash, { count: 1 }))
    assert.equal(own[0].peer, nodes[2].peerId)
  })

  it('keeps records of IPNS', async (t) => {
    const nodes = await servers(t, 4)
    const reader = await client(t, nodes[0])
    assert.equal(await reader.ipns.resolve(nodes[3].peerId), undefined)
    await nodes[3].ipns.publish('/ipfs/first')
    assert.equal((await reader.ipns.resolve(nodes[3].peerId)).value, '/ipfs/first')
    const { sequence } = await nodes[3].ipns.publish('/ipfs/second')
    assert.equal(sequence, 1n)
    assert.equal((await reader.ipns.resolve(nodes[3].peerId)).value, '/ipfs/second')
    // That of another is not kept under its name.
    const { bytes: other } = nodes[1].ipns.sign('/ipfs/other')
    await assert.rejects(nodes[1].routing.putIpns(nodes[3].peerId, other), { code: 'ERR_RECORD' })
    const alone = await kept(t, createNode())
    await assert.rejects(alone.ipns.publish('/ipfs/x'), { code: 'ERR_UNSUPPORTED' })
    const nobody = await kept(t, createNode({ dht: true }))
    await assert.rejects(nobody.ipns.publish('/ipfs/x'), { code: 'ERR_ROUTING' })
  })

  it('ends a query with its loop, with a signal, and with the node', async (t) => {
    const nodes = await servers(t, 4)
    for await (const peer of nodes[0].dht.closestPeers('key')) {
      assert.ok(peer)
      break
    }
    const query = nodes[0].dht.closestPeers('key')
    const first = query.next()
    await query.return()
    assert.equal((await first).done, true)
    await assert.rejects(query.summary, { name: 'AbortError' })
    const reason = new Error('enough')
    await assert.rejects(all(nodes[0].dht.get('/n/x', { signal: AbortSignal.abort(reason) })), reason)
    const controller = new AbortController()
    const aborted = all(nodes[0].dht.get('/n/x', { signal: controller.signal }))
    controller.abort(reason)
    await assert.rejects(aborted, reason)
    const closed = all(nodes[1].dht.findPeer('nonsense'))
    await assert.rejects(closed, { code: 'ERR_ADDRESS' })
    const late = all(nodes[1].dht.get('/n/x'))
    const closing = nodes[1].close()
    await Promise.allSettled([late, closing])
    assert.throws(() => nodes[1].dht.closestPeers('key'), { code: 'ERR_CLOSED' })
  })

  it('serves or not as it is told, and says so', async (t) => {
    const [one, other] = await servers(t, 2)
    assert.equal(one.dht.status.server, true)
    other.dht.setMode('client')
    await until(() => one.dht.status.peers === 0)
    assert.equal(other.dht.status.server, false)
    other.dht.setMode('server')
    await until(() => one.dht.status.peers === 1)
    const off = await kept(t, createNode())
    assert.equal(off.dht.status, undefined)
    assert.throws(() => off.dht.closestPeers('key'), { code: 'ERR_UNSUPPORTED' })
    await assert.rejects(createNode({ dht: { alpha: 0 } }), { code: 'ERR_INVALID_ARGUMENT' })
  })
})
