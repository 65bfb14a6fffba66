// Peers that cannot be dialed are reached through a relay.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createNode } from 'polypeer'
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
    assert.deepEqual(visitor.limitOf(connection), { duration: 120_000, data: 131_072 })
    await assert.rejects(connection.openStream([ECHO, '/none/1.0.0']), { code: 'ERR_STREAM_RESET' })
    hidden.unhandle(ECHO)
    hidden.handle(ECHO, echo, { limited: true })
    const stream = await connection.openStream([ECHO, '/none/1.0.0'])
    await stream.write(new Uint8Array([1]))
    assert.deepEqual([...(await stream.read())], [1])
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
