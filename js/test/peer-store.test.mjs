// What a node knows of peers: while it runs, and from one run to the next.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createNode, filePeerStore, LimitError } from 'polypeer'
import { events, kept, server, until } from './support.mjs'

const options = { timeout: 120_000 }
const text = (value) => new TextEncoder().encode(value)

async function folder(t) {
  const path = await mkdtemp(join(tmpdir(), 'polypeer-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

describe('the peer store', options, () => {
  it('learns from connections and dials a peer by its name', async (t) => {
    const there = await kept(t, server())
    const here = await kept(t, createNode())
    const updated = events(here, 'peer:update')
    const identified = events(here, 'peer:identify')
    await here.dial(there.addresses[0])
    assert.deepEqual(await updated, [there.peerId])
    await identified
    const known = here.peerStore.get(there.peerId)
    assert.equal(known.peer, there.peerId)
    assert.ok(known.protocols.includes('/echo/1.0.0'))
    assert.match(known.agent, /^polypeer\//)
    assert.equal(known.publicKey.length, 36)
    assert.ok(Math.abs(known.lastSeen - Date.now()) < 60_000)
    const sources = known.addresses.map(({ source }) => source)
    assert.deepEqual(new Set(sources), new Set(['certified']))
    assert.ok(known.addresses.some(({ succeeded }) => succeeded > 0))
    await here.hangUp(there.peerId)
    const connection = await here.dial(there.peerId)
    assert.equal(connection.peer, there.peerId)
  })

  it('hands on what a peer has signed of itself', async (t) => {
    const there = await kept(t, server())
    const between = await kept(t, createNode())
    const here = await kept(t, createNode())
    assert.equal(between.peerStore.signedRecord(there.peerId), undefined)
    const identified = events(between, 'peer:identify')
    await between.dial(there.addresses[0])
    await identified
    const record = between.peerStore.signedRecord(there.peerId)
    const forged = record.slice()
    forged[forged.length - 1] ^= 1
    assert.throws(() => here.peerStore.accept(forged), { code: 'ERR_PROTOCOL' })
    assert.throws(() => here.peerStore.signedRecord('nobody'), { code: 'ERR_ADDRESS' })
    assert.equal(here.peerStore.get(there.peerId), undefined)
    assert.equal(here.peerStore.accept(record, { ttl: 60_000 }), there.peerId)
    const connection = await here.dial(there.peerId)
    assert.equal(connection.peer, there.peerId)
    assert.equal(here.peerStore.accept(here.peerStore.signedRecord(here.peerId)), here.peerId)
  })

  it('keeps what the application says, within limits', async (t) => {
    const node = await kept(t, createNode())
    const { peerId } = await kept(t, createNode())
    const { peerStore } = node
    assert.equal(peerStore.get(peerId), undefined)
    peerStore.patch(peerId, {
      addresses: ['/ip4/192.0.2.1/tcp/1'],
      metadata: { name: text('Ann'), color: text('red') },
      tags: { friend: { value: 5 }, guest: { value: 1, expires: Date.now() + 60_000 } },
    })
    peerStore.patch(peerId, { metadata: { color: undefined } })
    const known = peerStore.get(peerId)
    assert.deepEqual(Object.keys(known.metadata), ['name'])
    assert.deepEqual(known.metadata.name, text('Ann'))
    assert.equal(known.tags.friend.value, 5)
    assert.equal(known.tags.friend.expires, undefined)
    assert.ok(known.tags.guest.expires > Date.now())
    assert.deepEqual(known.addresses[0].source, 'application')
    assert.deepEqual(
      peerStore.all().map(({ peer }) => peer),
      [peerId],
    )
    assert.throws(() => peerStore.patch(peerId, { metadata: { big: new Uint8Array(20_000) } }), LimitError)
    assert.throws(() => peerStore.patch(peerId, { addresses: ['nonsense'] }), { code: 'ERR_ADDRESS' })
    assert.throws(() => peerStore.patch('nobody', {}), { code: 'ERR_ADDRESS' })
    assert.throws(() => peerStore.get('nobody'), { code: 'ERR_ADDRESS' })
    const forgotten = events(node, 'peer:forget')
    assert.equal(peerStore.delete(peerId), true)
    assert.equal(peerStore.delete(peerId), false)
    assert.deepEqual(await forgotten, [peerId])
  })

  it('is there again in the next run', async (t) => {
    const path = join(await folder(t), 'new', 'peers.log')
    const there = await kept(t, server())
    const first = await createNode({ peerStore: filePeerStore(path) })
    await first.dial(there.addresses)
    first.peerStore.patch(there.peerId, { metadata: { name: text('Bob') } })
    await first.close()
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    const second = await kept(t, createNode({ peerStore: filePeerStore(path) }))
    assert.deepEqual(second.peerStore.get(there.peerId).metadata.name, text('Bob'))
    const connection = await second.dial(there.peerId)
    assert.equal(connection.peer, there.peerId)
  })

  it('begins with the peers it is told to', async (t) => {
    const servers = await Promise.all([1, 2, 3].map(() => kept(t, server())))
    const bootstrap = [
      ...servers.map(({ addresses }) => addresses[0]),
      `/ip4/127.0.0.1/tcp/1/p2p/${(await kept(t, createNode())).peerId}`,
    ]
    const node = await kept(t, createNode({ bootstrap, bootstrapTarget: 2 }))
    const [{ peers }] = await events(node, 'bootstrap')
    assert.equal(peers, 2)
    assert.equal(node.peers.length, 2)
    await assert.rejects(createNode({ bootstrap: ['nonsense'] }), { code: 'ERR_ADDRESS' })
  })

  it('tells when it cannot be written down, and goes on', async (t) => {
    const broken = {
      load: async () => [],
      write: async () => {
        throw new Error('the disk is full')
      },
      close: async () => {},
    }
    const node = await createNode({ peerStore: broken })
    const { peerId } = await kept(t, createNode())
    node.peerStore.patch(peerId, { metadata: { name: text('Ann') } })
    const failed = events(node, 'peerstore:error')
    await node.close()
    const [error] = await failed
    assert.equal(error.code, 'ERR_PEER_STORE')
    assert.equal(error.message, 'the disk is full')
  })
})

describe('filePeerStore', options, () => {
  const bytes = (value) => Buffer.from(value)
  const read = async (path) => {
    const store = filePeerStore(path)
    const entries = await store.load()
    await store.close()
    return Object.fromEntries(entries.map(([key, value]) => [String(bytes(key)), String(bytes(value))]))
  }
  const write = async (path, ...batches) => {
    const store = filePeerStore(path)
    await store.load()
    for (const batch of batches) {
      await store.write(
        Object.entries(batch).map(([key, value]) => ({ key: bytes(key), value: value && bytes(value) })),
      )
    }
    await store.close()
  }

  it('writes each batch whole, whatever is cut off or changed', async (t) => {
    const path = join(await folder(t), 'log')
    await write(path, { a: '1', b: '2' }, { a: undefined, c: '3' }, { b: '4' })
    assert.deepEqual(await read(path), { b: '4', c: '3' })
    const log = await readFile(path)
    const states = new Set()
    for (let length = 0; length <= log.length; length++) {
      await writeFile(path, log.subarray(0, length))
      states.add(JSON.stringify(Object.entries(await read(path)).sort()))
      assert.deepEqual(await read(path), await read(path), 'mended once and for all')
    }
    assert.deepEqual(
      states,
      new Set(['[]', '[["a","1"],["b","2"]]', '[["b","2"],["c","3"]]', '[["b","4"],["c","3"]]']),
    )
    for (let at = 0; at < log.length; at++) {
      const changed = Buffer.from(log)
      changed[at] ^= 0x10
      await writeFile(path, changed)
      await write(path, { z: '9' })
      assert.equal((await read(path)).z, '9', 'what comes later is there')
    }
  })

  it('does not grow without end', async (t) => {
    const path = join(await folder(t), 'log')
    const value = 'x'.repeat(10_000)
    const rounds = Array.from({ length: 300 }, (_, round) => ({ [`key ${round % 5}`]: `${round} ${value}` }))
    await write(path, ...rounds)
    assert.ok((await stat(path)).size < 500_000)
    const entries = await read(path)
    assert.equal(Object.keys(entries).length, 5)
    assert.ok(entries['key 4'].startsWith('299 '))
    assert.deepEqual(await readdir(join(path, '..')), ['log'])
  })

  it('reports a place where nothing can be', async (t) => {
    const path = await folder(t)
    await assert.rejects(createNode({ peerStore: filePeerStore(path) }), { code: 'ERR_PEER_STORE' })
  })

  it('starts anew in a file that is none of its own', async (t) => {
    const path = join(await folder(t), 'log')
    await writeFile(path, 'something else')
    await appendFile(path, 'and more')
    await write(path, { a: '1' })
    assert.deepEqual(await read(path), { a: '1' })
  })

  // Each run begins where the one before it was killed, in the middle of writing.
  it('loses nothing that was written when its process is killed', async (t) => {
    const path = join(await folder(t), 'log')
    const program = fileURLToPath(new URL('peer-store-writer.mjs', import.meta.url))
    let last = 0
    for (let run = 0; run < 8; run++) {
      const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'inherit'] })
      let written = -1
      child.stdout.setEncoding('utf8')
      let rest = ''
      child.stdout.on('data', (data) => {
        const lines = (rest + data).split('\n')
        rest = lines.pop()
        if (lines.length > 0) written = Number(lines.at(-1))
      })
      await until(() => written >= last + 3 + ((run * 7) % 11))
      const ended = new Promise((resolve) => child.on('close', resolve))
      child.kill('SIGKILL')
      await ended
      const entries = await read(path)
      last = Number(entries.last)
      assert.ok(last >= written, `${written} was written, ${entries.last} is there`)
      for (let key = 0; key < 10; key++) {
        const [round] = entries[`key ${key}`].split(' ')
        assert.equal(round, entries.last, 'a batch is there as a whole')
      }
    }
  })
})
