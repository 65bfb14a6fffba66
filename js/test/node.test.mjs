// The node: dialing and its errors, events, keys, life and end.
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import * as polypeer from 'polypeer'
import {
  createNode,
  DialError,
  fileKeyStore,
  generateKey,
  InvalidAddressError,
  PolypeerError,
} from 'polypeer'
import { ECHO, events, kept, pair, random, server, transports } from './support.mjs'

const options = { timeout: 60_000 }

describe('createNode', options, () => {
  it('makes a new identity each time, or keeps the one it is given', async (t) => {
    const a = await kept(t, createNode())
    const b = await kept(t, createNode())
    assert.match(a.peerId, /^12D3KooW/)
    assert.notEqual(a.peerId, b.peerId)
    const again = await kept(t, createNode({ privateKey: a.privateKey }))
    assert.equal(again.peerId, a.peerId)
    const key = await generateKey()
    assert.equal(key.length, 68)
    const generated = await kept(t, createNode({ privateKey: key }))
    assert.deepEqual(generated.privateKey, key)
  })

  it('refuses a key that it cannot read', async (_t) => {
    await assert.rejects(createNode({ privateKey: random(40) }), { name: 'KeyError', code: 'ERR_KEY' })
    const store = fileKeyStore('x')
    await assert.rejects(createNode({ privateKey: random(40), keyStore: store }), {
      code: 'ERR_INVALID_ARGUMENT',
    })
  })

  it('takes the module from an address, bytes or compiled', async (_t) => {
    const url = new URL('../generated/node_bg.wasm', import.meta.url)
    const bytes = await readFile(url)
    for (const wasm of [url, url.href, bytes, await WebAssembly.compile(bytes)]) {
      const node = await createNode({ wasm })
      assert.ok(node.peerId)
      await node.close()
    }
  })

  it('listens where it is told to', async (t) => {
    const node = await kept(t, createNode({ listen: Object.values(transports) }))
    assert.equal(node.addresses.length, 2)
    for (const address of node.addresses) {
      assert.match(address, new RegExp(`^/ip4/127\\.0\\.0\\.1/tcp/[1-9]\\d*(/ws)?/p2p/${node.peerId}$`))
    }
    const all = await kept(t, createNode({ listen: ['/ip4/0.0.0.0/tcp/0'] }))
    assert.ok(all.addresses.some((address) => address.startsWith('/ip4/127.0.0.1/')))
    const taken = node.addresses[0].replace(/\/p2p\/.*/, '')
    await assert.rejects(createNode({ listen: [taken] }), {
      name: 'ListenError',
      code: 'ERR_LISTEN',
      address: taken,
    })
    await assert.rejects(createNode({ listen: ['/ip4/127.0.0.1/udp/0/quic-v1'] }), {
      code: 'ERR_UNSUPPORTED',
    })
  })

  it('ends early by its signal', async (_t) => {
    const reason = new Error('no')
    await assert.rejects(createNode({ signal: AbortSignal.abort(reason) }), reason)
  })
})

describe('dial', options, () => {
  it('takes a PeerId that is connected, in either form, and the connection that there is', async (t) => {
    const { here, there, connection } = await pair(t)
    assert.equal(await here.dial(there.peerId), connection)
    assert.equal(await here.dial(there.addresses[0]), connection)
    assert.equal(here.connections.length, 1)
  })

  it('dials over IPv6 and by name', async (t) => {
    const there = await kept(t, createNode({ listen: ['/ip6/::1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'] }))
    for (const address of [
      there.addresses[0],
      there.addresses[1].replace('/ip4/127.0.0.1/', '/dns4/localhost/'),
    ]) {
      const here = await kept(t, createNode())
      assert.equal((await here.dial(address)).peer, there.peerId)
    }
  })

  it('says where an address is wrong', async (t) => {
    const node = await kept(t, createNode())
    for (const wrong of ['/ip4/1.2.3/tcp/1', '/ip4/1.2.3.4/tcp/99999', 'not a peer', '/nothing/here', '']) {
      await assert.rejects(node.dial(wrong), (error) => {
        assert.ok(error instanceof InvalidAddressError, String(error))
        assert.equal(error.code, 'ERR_ADDRESS')
        assert.equal(error.address, wrong)
        return true
      })
    }
    assert.throws(() => node.handle('', () => {}), { code: 'ERR_INVALID_ARGUMENT' })
    assert.throws(() => node.handle('a\nb', () => {}), { code: 'ERR_INVALID_ARGUMENT' })
  })

  it('lists every address with its cause', async (t) => {
    const there = await kept(t, server([transports.TCP]))
    const other = await kept(t, createNode())
    const node = await kept(t, createNode())
    const closed = '/ip4/127.0.0.1/tcp/1'
    const wrong = there.addresses[0].replace(there.peerId, other.peerId)
    await assert.rejects(node.dial([`${closed}/p2p/${other.peerId}`, wrong]), (error) => {
      assert.ok(error instanceof DialError)
      assert.equal(error.code, 'ERR_DIAL')
      const codes = Object.fromEntries(error.attempts.map((attempt) => [attempt.address, attempt.error.code]))
      assert.deepEqual(codes, {
        [`${closed}/p2p/${other.peerId}`]: 'ERR_TRANSPORT',
        [wrong]: 'ERR_WRONG_PEER',
      })
      assert.match(error.message, /ECONNREFUSED/)
      return true
    })
    await assert.rejects(node.dial('/ip4/127.0.0.1/udp/1/quic-v1'), (error) => {
      assert.equal(error.attempts[0].error.code, 'ERR_UNSUPPORTED')
      return true
    })
    await assert.rejects(node.dial(other.peerId), { code: 'ERR_DIAL' })
    await assert.rejects(node.dial(node.peerId), { code: 'ERR_DIAL' })
  })

  it('gives up on somebody who is no libp2p peer', async (t) => {
    const http = createServer((socket) =>
      socket.on('error', () => {}).end(`HTTP/1.1 400 Bad Request\r\n\r\n${'x'.repeat(99)}`),
    )
    await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve))
    const node = await kept(t, createNode())
    await assert.rejects(node.dial(`/ip4/127.0.0.1/tcp/${http.address().port}`), (error) => {
      assert.equal(error.attempts[0].error.code, 'ERR_PROTOCOL')
      return true
    })
    http.close()
  })

  it('is cut short by its signal', async (t) => {
    // Somebody who accepts and says nothing.
    const sockets = []
    const silent = createServer((socket) => sockets.push(socket))
    await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const node = await kept(t, createNode())
    const reason = new Error('enough')
    const abort = new AbortController()
    const dialing = node.dial(`/ip4/127.0.0.1/tcp/${silent.address().port}`, { signal: abort.signal })
    setTimeout(() => abort.abort(reason), 20)
    await assert.rejects(dialing, reason)
    await assert.rejects(node.dial('/ip4/127.0.0.1/tcp/1', { signal: AbortSignal.abort(reason) }), reason)
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
})

describe('events', options, () => {
  it('tell of connections, peers and what they are', async (t) => {
    const there = await kept(t, createNode({ listen: [transports.TCP], agent: 'there/1.0' }))
    there.handle(ECHO, () => {})
    const here = await kept(t, createNode())
    const seen = []
    for (const type of ['connection:open', 'peer:connect', 'connection:close', 'peer:disconnect']) {
      here.addEventListener(type, ({ detail }) => seen.push([type, detail.peer ?? detail]))
    }
    const identified = events(here, 'peer:identify')
    const connection = await here.dial(there.addresses)
    const [info] = await identified
    assert.equal(info.peer, there.peerId)
    assert.equal(info.agent, 'there/1.0')
    assert.ok(info.protocols.includes(ECHO) && info.protocols.includes('/ipfs/id/1.0.0'))
    assert.match(info.observedAddress, /^\/ip4\/127\.0\.0\.1\/tcp\/\d+/)
    const closed = events(connection, 'close')
    await here.hangUp(there.peerId)
    assert.deepEqual(await closed, [null])
    assert.equal(connection.status, 'closed')
    assert.deepEqual(
      seen,
      ['connection:open', 'peer:connect', 'connection:close', 'peer:disconnect'].map((type) => [
        type,
        there.peerId,
      ]),
    )
  })
})

describe('close', options, () => {
  it('ends everything and lets nothing be begun', async (t) => {
    const { here, there, connection } = await pair(t)
    const stream = await here.dial(there.peerId, ECHO)
    const gone = events(there, 'peer:disconnect')
    await here.close()
    await here.close()
    await gone
    assert.ok(here.closed)
    assert.equal(connection.status, 'closed')
    await assert.rejects(stream.read(), { code: 'ERR_CONNECTION_CLOSED' })
    await assert.rejects(stream.write(random(1)), { code: 'ERR_CONNECTION_CLOSED' })
    await assert.rejects(here.dial(there.peerId), { name: 'NodeClosedError', code: 'ERR_CLOSED' })
    await assert.rejects(connection.openStream(ECHO), { code: 'ERR_CONNECTION_CLOSED' })
    assert.throws(() => here.handle('/x', () => {}), { code: 'ERR_CLOSED' })
    stream.abort()
    await stream.close()
  })
})

describe('key stores', options, () => {
  it('keep one identity in a file that only its owner reads', async (_t) => {
    const folder = await mkdtemp(join(tmpdir(), 'polypeer-'))
    const path = join(folder, 'new', 'peer.key')
    const first = await createNode({ keyStore: fileKeyStore(path) })
    const second = await createNode({ keyStore: fileKeyStore(path) })
    assert.equal(second.peerId, first.peerId)
    if (process.platform !== 'win32') assert.equal((await stat(path)).mode & 0o777, 0o600)
    await Promise.all([first.close(), second.close()])
    const kept = await readFile(path)
    assert.deepEqual(
      Buffer.from(await fileKeyStore(path).save(await generateKey())),
      kept,
      'never overwritten',
    )
    assert.deepEqual(await readFile(path), kept)

    const nodes = await Promise.all(
      Array.from({ length: 5 }, () => createNode({ keyStore: fileKeyStore(join(folder, 'raced.key')) })),
    )
    assert.equal(new Set(nodes.map(({ peerId }) => peerId)).size, 1)
    await Promise.all(nodes.map((node) => node.close()))

    await writeFile(join(folder, 'broken.key'), 'no key')
    await assert.rejects(createNode({ keyStore: fileKeyStore(join(folder, 'broken.key')) }), {
      code: 'ERR_KEY',
    })
    await rm(folder, { recursive: true })
  })

  it('tell where there is no IndexedDB', async (_t) => {
    await assert.rejects(createNode({ keyStore: polypeer.indexedDbKeyStore('x') }), { code: 'ERR_KEY' })
  })
})

describe('errors', options, () => {
  it('are classes with a stable name and code', () => {
    const classes = Object.entries(polypeer).filter(([name]) => name.endsWith('Error'))
    assert.ok(classes.length > 15)
    for (const [name, one] of classes) {
      const used = { duration: 1, sent: 2, received: 3 }
      const special = { ProtocolNotSupportedError: ['x'], RelayLimitError: { used } }
      const error = new one(special[name] ?? 'x', 'y')
      assert.ok(error instanceof PolypeerError)
      if (name !== 'PolypeerError') assert.equal(error.name, name)
      assert.match(error.code, /^(ERR_[A-Z_]+|x)$/)
    }
  })
})
