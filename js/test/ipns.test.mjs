// Names that point to what changes: records made and read, and a routing service asked.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { describe, it } from 'node:test'
import {
  createNode,
  delegatedRouting,
  generateKey,
  InvalidAddressError,
  InvalidArgumentError,
  LimitError,
  RecordError,
  RoutingError,
} from 'polypeer'
import { kept, until } from './support.mjs'

const options = { timeout: 120_000 }
const vectors = new URL('../../crate/tests/vectors/ipns/', import.meta.url)

/** A routing service of one's own: `answer(request)` gives status, type and body. */
async function service(t, answer) {
  const requests = []
  const server = createServer(async (request, response) => {
    const parts = []
    for await (const part of request) parts.push(part)
    requests.push({ method: request.method, url: request.url, body: Buffer.concat(parts) })
    const { status = 200, type = 'application/json', body = [] } = answer(requests.at(-1)) ?? {}
    response.writeHead(status, { 'content-type': type })
    for (const piece of [body].flat()) response.write(piece)
    response.end()
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => new Promise((resolve) => server.close(resolve)))
  const url = `http://127.0.0.1:${server.address().port}`
  return { requests, url, routing: delegatedRouting(url) }
}

async function all(found) {
  const list = []
  for await (const one of found) list.push(one)
  return list
}

describe('IPNS', options, () => {
  it('verifies the records of the gateway conformance suite', async (t) => {
    const node = await kept(t, createNode())
    const { records } = JSON.parse(await readFile(new URL('expected.json', vectors), 'utf8'))
    for (const { file, name, valid, value } of records) {
      const bytes = await readFile(new URL(file, vectors))
      if (valid) assert.equal(node.ipns.verify(name, bytes).value, value)
      else assert.throws(() => node.ipns.verify(name, bytes), RecordError)
    }
  })

  it('signs with the own key or another, for as long as it is told', async (t) => {
    const node = await kept(t, createNode())
    const own = node.ipns.sign('/ipfs/bafkqaaa', { sequence: 2n ** 63n, ttl: 1000, lifetime: 60_000 })
    assert.equal(own.name, node.peerId)
    assert.equal(own.sequence, 2n ** 63n)
    assert.equal(own.ttl, 1000)
    assert.ok(Math.abs(own.expires - Date.now() - 60_000) < 10_000)
    assert.deepEqual(node.ipns.verify(node.peerId, own.bytes), own)
    const other = node.ipns.sign('/ipfs/bafkqaaa', { privateKey: await generateKey() })
    assert.notEqual(other.name, node.peerId)
    assert.throws(() => node.ipns.verify(node.peerId, other.bytes), RecordError)
    assert.throws(() => node.ipns.verify('nonsense', other.bytes), InvalidAddressError)
    assert.throws(() => node.ipns.sign('x', { lifetime: 0 }), InvalidArgumentError)
    assert.throws(() => node.ipns.sign('x'.repeat(11_000)), LimitError)
    assert.throws(() => node.ipns.sign('x', { privateKey: new Uint8Array(3) }), RecordError)
  })

  it('publishes and resolves by a routing service', async (t) => {
    const node = await kept(t, createNode())
    let stored
    const { routing, requests } = await service(t, ({ method, body }) => {
      if (method === 'PUT') stored = body
      if (stored === undefined) return { status: 404 }
      return { type: 'application/vnd.ipfs.ipns-record', body: stored }
    })
    assert.equal(await node.ipns.resolve(node.peerId, { routing }), undefined)
    const first = await node.ipns.publish('/ipfs/first', { routing })
    assert.equal(first.sequence, 0n)
    assert.equal((await node.ipns.publish('/ipfs/first', { routing })).sequence, 0n)
    assert.equal((await node.ipns.publish('/ipfs/second', { routing })).sequence, 1n)
    const found = await node.ipns.resolve(node.peerId, { routing })
    assert.equal(found.value, '/ipfs/second')
    assert.match(requests[0].url, /^\/routing\/v1\/ipns\/k51[0-9a-z]{59}$/)
    // What the service makes of it is seen.
    stored = Buffer.from(stored.map((byte, at) => (at === 5 ? byte ^ 1 : byte)))
    await assert.rejects(node.ipns.resolve(node.peerId, { routing }), RecordError)
    // A broken one is replaced.
    assert.equal((await node.ipns.publish('/ipfs/third', { routing })).sequence, 0n)
  })
})

describe('routers of a node', options, () => {
  const peer = '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo'
  const at = (address) => ({ peer, addresses: [address], protocols: [] })

  it('are asked at once, and one that fails is passed over', async (t) => {
    const fails = {
      async *findProviders() {
        yield at('/ip4/192.0.2.1/tcp/1')
        throw new Error('broken')
      },
      findPeer: async () => at('/ip4/192.0.2.1/tcp/1'),
      provide: () => Promise.reject(new Error('broken')),
    }
    const { routing, requests } = await service(t, () => ({
      body: JSON.stringify({
        Providers: [{ ID: 'other' }],
        Peers: [{ ID: peer, Addrs: ['/ip4/192.0.2.2/tcp/2'] }],
      }),
    }))
    const node = await kept(t, createNode({ routers: [fails, routing] }))
    const found = await all(
      node.routing.findProviders({ multihash: { bytes: new Uint8Array([0, 3, 1, 2, 3]) } }),
    )
    assert.deepEqual(found.map((one) => one.peer).sort(), [peer, 'other'])
    assert.equal(requests[0].url, '/routing/v1/providers/bafkqaaybaibq')
    const places = await all(node.routing.findPeer(peer))
    assert.deepEqual(places.flatMap(({ addresses }) => addresses).sort(), [
      '/ip4/192.0.2.1/tcp/1',
      '/ip4/192.0.2.2/tcp/2',
    ])
    await assert.rejects(node.routing.provide('bafkqaaa'), { message: 'broken' })
    await assert.rejects(node.routing.put('/x/y', new Uint8Array(1)), { code: 'ERR_UNSUPPORTED' })
    await assert.rejects(all(node.routing.get('/x/y')), { code: 'ERR_UNSUPPORTED' })
    node.routing.remove(routing)
    await assert.rejects(all(node.routing.findProviders('bafkqaaa')), { message: 'broken' })
    node.routing.add({ findProviders: () => Promise.reject(new Error('as well')) })
    await assert.rejects(all(node.routing.findProviders('bafkqaaa')), {
      code: 'ERR_ROUTING',
      message: /^all have failed: .*broken/,
    })
  })

  it('are left with the loop, with enough, and with the signal', async (t) => {
    const left = []
    const bothLeft = async () => {
      await until(() => left.length === 2)
      assert.deepEqual(left.splice(0).sort(), ['a', 'b'])
    }
    /** Finds one, and no other until it is left. */
    const patient = (name) => ({
      async *findProviders(_content, { signal }) {
        try {
          yield { ...at('/ip4/192.0.2.1/tcp/1'), peer: name }
          await new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason))
          })
        } finally {
          left.push(name)
        }
      },
    })
    const node = await kept(t, createNode({ routers: [patient('a'), patient('b')] }))
    assert.equal((await all(node.routing.findProviders('bafkqaaa', { count: 2 }))).length, 2)
    await bothLeft()
    for await (const one of node.routing.findProviders('bafkqaaa')) {
      assert.ok(one)
      break
    }
    await bothLeft()
    const controller = new AbortController()
    const reason = new Error('enough')
    await assert.rejects(async () => {
      for await (const one of node.routing.findProviders('bafkqaaa', { signal: controller.signal })) {
        if (one.peer === 'b') controller.abort(reason)
      }
    }, reason)
    await bothLeft()
    await assert.rejects(
      all(node.routing.findProviders('bafkqaaa', { signal: AbortSignal.abort(reason) })),
      reason,
    )
  })

  it('agree on the record of a name that is the latest', async (t) => {
    const node = await kept(t, createNode())
    const sign = (value, sequence) => node.ipns.sign(value, { sequence })
    const keeps = (record) => ({ getIpns: async () => record?.bytes })
    for (const record of [
      sign('/ipfs/new', 2n),
      sign('/ipfs/old', 1n),
      undefined,
      { bytes: new Uint8Array(9) },
    ]) {
      node.routing.add(keeps(record))
    }
    assert.equal((await node.ipns.resolve(node.peerId)).value, '/ipfs/new')
    const bad = await kept(t, createNode({ routers: [keeps({ bytes: new Uint8Array(9) })] }))
    await assert.rejects(bad.ipns.resolve(node.peerId), RecordError)
  })
})

describe('delegated routing', options, () => {
  const peer = '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo'
  const record = { Schema: 'peer', ID: peer, Addrs: ['/ip4/192.0.2.1/tcp/1', 7], Protocols: ['transport-x'] }
  const known = { peer, addresses: ['/ip4/192.0.2.1/tcp/1'], protocols: ['transport-x'] }

  it('reads JSON, and lines as they come', async (t) => {
    const whole = await service(t, () => ({
      body: JSON.stringify({ Providers: [record, { Schema: 'x' }, null] }),
    }))
    assert.deepEqual(await all(whole.routing.findProviders('bafkqaaa')), [known])
    assert.equal(whole.requests[0].url, '/routing/v1/providers/bafkqaaa')
    const line = JSON.stringify(record)
    const body = [`${line.slice(0, 9)}`, `${line.slice(9)}\n\n${line}`, '\n{"Schema":"unknown"}\n', line]
    const streamed = await service(t, () => ({ type: 'application/x-ndjson', body }))
    assert.deepEqual(await all(streamed.routing.findProviders('bafkqaaa')), [known, known, known])
  })

  it('asks for the nearest peers, and for those alone that are of use', async (t) => {
    const answer = () => ({ body: JSON.stringify({ Peers: [record] }) })
    const { routing, requests, url } = await service(t, answer)
    for (const key of ['bafkqaaa', new Uint8Array([0, 0]), peer]) {
      assert.deepEqual(await all(routing.closestPeers(key)), [known])
    }
    const [, , cid] = requests.map((request) => request.url.replace('/routing/v1/dht/closest/peers/', ''))
    assert.match(cid, /^k51/)
    assert.ok(requests.slice(0, 2).every((request) => /^[^?]*peers\/bafk/.test(request.url)))
    const filtered = delegatedRouting(url, {
      filterAddrs: ['webrtc-direct', '!ip6'],
      filterProtocols: ['unknown', 'a&b'],
    })
    assert.deepEqual(await filtered.findPeer(peer), known)
    const query = requests.at(-1).url.split('?')[1]
    assert.equal(query, 'filter-addrs=webrtc-direct,!ip6&filter-protocols=unknown,a%26b')
  })

  it('finds a peer under any form of its name', async (t) => {
    const { routing, requests } = await service(t, () => ({ body: JSON.stringify({ Peers: [record] }) }))
    assert.deepEqual(await routing.findPeer(peer), known)
    const cid = requests[0].url.split('/').at(-1)
    assert.match(cid, /^k51/)
    assert.deepEqual(await routing.findPeer(cid), known)
    assert.equal(await routing.findPeer('QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'), undefined)
    await assert.rejects(routing.findPeer('1O'), InvalidAddressError)
  })

  it('tells what went wrong', async (t) => {
    assert.throws(() => delegatedRouting('ftp://x'), InvalidArgumentError)
    assert.throws(() => delegatedRouting('x'), InvalidArgumentError)
    const none = await service(t, () => ({ status: 404 }))
    assert.deepEqual(await all(none.routing.findProviders('bafkqaaa')), [])
    assert.equal(await none.routing.getIpns(peer), undefined)
    await assert.rejects(none.routing.putIpns(peer, new Uint8Array(3)), RoutingError)
    const busy = await service(t, () => ({ status: 503, body: 'too many' }))
    await assert.rejects(all(busy.routing.findProviders('bafkqaaa')), {
      code: 'ERR_ROUTING',
      status: 503,
      message: /too many/,
    })
    const nonsense = await service(t, () => ({ body: '<html>' }))
    await assert.rejects(all(nonsense.routing.findProviders('bafkqaaa')), RoutingError)
    const long = await service(t, () => ({
      type: 'application/vnd.ipfs.ipns-record',
      body: Buffer.alloc(10_241),
    }))
    await assert.rejects(long.routing.getIpns(peer), RoutingError)
    const nobody = delegatedRouting('http://127.0.0.1:1')
    await assert.rejects(nobody.findPeer(peer), RoutingError)
  })

  it('ends with its signal', async (t) => {
    const controller = new AbortController()
    const { routing } = await service(t, () => {
      controller.abort(new Error('enough'))
      return { body: '{}' }
    })
    const { signal } = controller
    await assert.rejects(all(routing.findProviders('bafkqaaa', { signal })), /enough|abort/i)
    await assert.rejects(routing.findPeer(peer, { signal }), /enough/)
  })
})
