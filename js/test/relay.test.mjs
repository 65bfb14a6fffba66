// Peers that cannot be dialed are reached through a relay.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createNode, RelayLimitError } from 'polypeer'
import { kept, readAll } from './support.mjs'

const ECHO = '/echo/1.0.0'
const TCP = '/ip4/127.0.0.1/tcp/0'
const UNLIMITED = { duration: Number.POSITIVE_INFINITY, data: Number.POSITIVE_INFINITY }

const next = (node, name) =>
  new Promise((resolve) => node.addEventListener(name, ({ detail }) => resolve(detail), { once: true }))

/** A relay, a node that listens through it, and one that dials. */
async function through(t, service) {
  const relay = await kept(t, createNode({ listen: [TCP, `${TCP}/ws`], relay: service }))
  const hidden = await kept(t, createNode())
  const reserved = next(hidden, 'relay:reserved')
  await hidden.listen(`${relay.addresses[0]}/p2p-circuit`)
  await reserved
  const visitor = await kept(t, createNode())
  return { relay, hidden, visitor }
}

const echo = async (stream) => {
  await stream.readable.pipeTo(stream.writable)
}

describe('relay', { timeout: 60_000 }, () => {
  it('carries a megabyte and back', async (t) => {
    const { relay, hidden, visitor } = await through(t, UNLIMITED)
    hidden.handle(ECHO, echo)
    assert.deepEqual(hidden.relays, [relay.peerId])
    assert.ok(hidden.addresses.length > 0)
    for (const address of hidden.addresses) assert.match(address, /\/p2p-circuit\/p2p\//)
    const stream = await visitor.dial(hidden.addresses, ECHO)
    assert.equal(stream.connection.peer, hidden.peerId)
    assert.equal(visitor.limitOf(stream.connection), undefined)
    const sent = new Uint8Array(1 << 20).map((_, at) => at % 251)
    const [received] = await Promise.all([
      readAll(stream),
      stream.write(sent).then(() => stream.closeWrite()),
    ])
    assert.deepEqual(Buffer.from(received), Buffer.from(sent))
    const ended = next(relay, 'relay:circuit')
    await visitor.close()
    const { source, target, bytes } = await ended
    assert.deepEqual([source, target], [visitor.peerId, hidden.peerId])
    assert.ok(bytes.every((count) => count > sent.length))
  })

  it('tells what it allows, and spares it unless asked otherwise', async (t) => {
    const { hidden, visitor } = await through(t, true)
    hidden.handle(ECHO, echo)
    const connection = await visitor.dial(hidden.addresses)
    assert.deepEqual([connection.direct, connection.limited], [false, true])
    const { duration, data, used, left } = visitor.limitOf(connection)
    assert.deepEqual([duration, data], [120_000, 131_072])
    assert.ok(used.sent > 0 && used.received > 0)
    assert.deepEqual([left.sent, left.received], [data - used.sent, data - used.received])
    assert.equal(left.duration, duration - used.duration)
    const proposed = [ECHO, '/none/1.0.0']
    await assert.rejects(connection.openStream(proposed), { code: 'ERR_LIMITED_CONNECTION' })
    await assert.rejects(connection.openStream(proposed, { limited: true }), { code: 'ERR_STREAM_RESET' })
    hidden.unhandle(ECHO)
    hidden.handle(ECHO, echo, { limited: true })
    const stream = await connection.openStream(proposed, { limited: true })
    await stream.write(new Uint8Array([1]))
    assert.deepEqual([...(await stream.read())], [1])
  })

  it('warns of the end that a limit sets, and says that it was the limit', async (t) => {
    const { hidden, visitor } = await through(t, { data: 100_000 })
    hidden.handle(ECHO, echo, { limited: true })
    const warned = next(visitor, 'relay:limit')
    const stream = await visitor.dial(hidden.addresses, ECHO, { limited: true })
    const { connection } = stream
    const closed = new Promise((resolve) => {
      connection.addEventListener('close', ({ detail }) => resolve(detail))
    })
    const [read, written] = await Promise.allSettled([
      readAll(stream),
      stream.write(new Uint8Array(1 << 20)).then(() => stream.closeWrite()),
    ])
    for (const { status, reason } of [read, written]) {
      assert.equal(status, 'rejected')
      assert.equal(reason.code, 'ERR_RELAY_LIMIT', reason.stack)
    }
    const error = await closed
    assert.ok(error instanceof RelayLimitError)
    assert.equal(error.limit.data, 100_000)
    assert.equal(error.limit.left.sent, 0)
    const warning = await warned
    assert.equal(warning.connection, connection)
    assert.ok(warning.limit.used.sent >= 80_000)
  })

  it('dials anew before the end, for streams to come', async (t) => {
    const { hidden, visitor } = await through(t, { data: 100_000 })
    hidden.handle(ECHO, echo, { limited: true })
    const first = await visitor.dial(hidden.addresses, ECHO, { limited: true })
    const moved = next(visitor, 'peer:path')
    const echoed = async (stream) => {
      await stream.write(new Uint8Array(82_000))
      for (let left = 82_000; left > 0; ) left -= (await stream.read()).length
    }
    await echoed(first)
    assert.notEqual(await moved, first.connection)
    const second = await visitor.dial(hidden.peerId, ECHO, { limited: true })
    assert.equal(second.connection, await moved)
    await echoed(second)
  })

  it('loses nothing when a node closes right after its last byte', async (t) => {
    const { hidden, visitor } = await through(t, UNLIMITED)
    const size = 3 << 20
    const received = new Promise((resolve, reject) => {
      hidden.handle('/sink/1.0.0', (stream) => readAll(stream).then(resolve, reject))
    })
    const stream = await visitor.dial(hidden.addresses, '/sink/1.0.0')
    await stream.write(new Uint8Array(size).fill(7))
    await stream.close()
    await visitor.close()
    assert.equal((await received).length, size)
    // And the side that was dialed.
    const other = await kept(t, createNode())
    const answer = new Promise((resolve, reject) => {
      other.handle('/sink/1.0.0', (stream) => readAll(stream).then(resolve, reject))
    })
    const opened = next(hidden, 'connection:open')
    await other.dial(hidden.addresses)
    const back = await opened
    const sink = await back.openStream('/sink/1.0.0')
    await sink.write(new Uint8Array(size).fill(8))
    await sink.close()
    await hidden.close()
    assert.equal((await answer).length, size)
  })

  it('has its place back whenever the relay restarts', async (t) => {
    let relay = await createNode({ listen: [TCP], relay: true })
    const { privateKey, addresses } = relay
    t.after(() => relay.close())
    const listen = [addresses[0].replace(/\/p2p\/.*/, '')]
    const node = await kept(t, createNode())
    let reserved = next(node, 'relay:reserved')
    await node.listen(`${addresses[0]}/p2p-circuit`)
    for (let round = 0; round < 5; round++) {
      await reserved
      assert.ok(node.addresses.some((address) => address.includes('/p2p-circuit')))
      const lost = next(node, 'relay:lost')
      await relay.close()
      await lost
      assert.deepEqual([node.relays, node.addresses], [[], []])
      reserved = next(node, 'relay:reserved')
      relay = await createNode({ privateKey, listen, relay: true })
    }
    await reserved
    assert.deepEqual(node.relays, [relay.peerId])
  })

  it('refuses whom it is told to, and says why', async (t) => {
    const node = await kept(t, createNode())
    const relay = await kept(t, createNode({ listen: [TCP], relay: { deny: [node.peerId] } }))
    const refused = next(relay, 'relay:refused')
    const lost = next(node, 'relay:lost')
    await node.listen(`${relay.addresses[0]}/p2p-circuit`)
    assert.deepEqual(await refused, { peer: node.peerId, rule: 'denied', retryAfter: undefined })
    assert.equal((await lost).error.code, 'ERR_LIMIT')
    await assert.rejects(createNode({ relay: { trusted: ['nobody'] } }), { code: 'ERR_ADDRESS' })
  })

  it('keeps its rates', async (t) => {
    const { hidden, visitor } = await through(t, { ...UNLIMITED, rates: { circuit: 500_000 } })
    hidden.handle(ECHO, echo)
    const stream = await visitor.dial(hidden.addresses, ECHO)
    const start = performance.now()
    const [received] = await Promise.all([
      readAll(stream),
      stream.write(new Uint8Array(400_000)).then(() => stream.closeWrite()),
    ])
    assert.equal(received.length, 400_000)
    // Twice as many bytes, less what a bucket saves up.
    assert.ok(performance.now() - start > 1_300)
  })

  it('says why there is no place and no way', async (t) => {
    const plain = await kept(t, createNode({ listen: [TCP] }))
    const node = await kept(t, createNode())
    const lost = next(node, 'relay:lost')
    await node.listen(`${plain.addresses[0]}/p2p-circuit`)
    const { relay, error } = await lost
    assert.equal(relay, plain.peerId)
    assert.equal(error.code, 'ERR_TRANSPORT')
    assert.match(error.message, /no relay/)
    const address = `${plain.addresses[0]}/p2p-circuit/p2p/${node.peerId}`
    const visitor = await kept(t, createNode())
    await assert.rejects(visitor.dial(address), (error) => {
      assert.equal(error.code, 'ERR_DIAL')
      assert.match(error.message, /no relay/)
      return true
    })
    await assert.rejects(node.listen('/ip4/127.0.0.1/tcp/1/p2p-circuit'), { code: 'ERR_ADDRESS' })
  })
})
