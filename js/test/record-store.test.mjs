// Stores of what a node keeps for others: in memory and in a file.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createNode, fileRecordStore, memoryRecordStore } from 'polypeer'
import { names, run } from './record-stores.mjs'
import { events, kept, transports, until } from './support.mjs'

const options = { timeout: 120_000 }

async function folder(t) {
  const path = await mkdtemp(join(tmpdir(), 'polypeer-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

const place = new Uint8Array(33).fill(0x70)
const entry = (name, length, expires) => ({
  place,
  name: Uint8Array.of(name),
  value: new Uint8Array(length).fill(name),
  expires,
})

describe('memoryRecordStore', options, () => {
  for (const name of names) {
    it(name, () => {
      const stores = new Map()
      return run(name, (name, limits) => {
        if (!stores.has(name)) stores.set(name, memoryRecordStore(limits))
        return stores.get(name)
      })
    })
  }
})

describe('fileRecordStore', options, () => {
  for (const name of names) {
    it(name, async (t) => {
      const path = await folder(t)
      await run(name, (name, limits) => fileRecordStore(join(path, 'new', name), limits))
    })
  }

  it('comes to the same when it is read again, with other limits too', async (t) => {
    const path = join(await folder(t), 'log')
    const store = fileRecordStore(path, { entries: 20 })
    await store.open()
    for (let round = 0; round < 200; round++) {
      await store.write([entry((round * 7) % 50, 10, 1000 + ((round * 31) % 97))])
    }
    const kept = await store.find(place)
    assert.equal(kept.length, 20)
    await store.close()
    const again = fileRecordStore(path, { entries: 20 })
    await again.open()
    assert.deepEqual(await again.find(place), kept)
    await again.close()
    const fewer = fileRecordStore(path, { entries: 5 })
    await fewer.open()
    assert.deepEqual(await fewer.find(place), kept.slice(0, 5))
    await fewer.close()
  })

  it('is for its owner, and does not grow without end', async (t) => {
    const path = join(await folder(t), 'log')
    const store = fileRecordStore(path, { bytes: 100_000 })
    await store.open()
    for (let round = 0; round < 300; round++) await store.write([entry(round % 256, 10_000, round)])
    const found = await store.find(place)
    assert.deepEqual(
      found.map(({ expires }) => expires),
      [299, 298, 297, 296, 295, 294, 293, 292, 291, 290],
    )
    assert.ok(found.every(({ name, value }) => value.every((byte) => byte === name[0])))
    await store.close()
    const { size, mode } = await stat(path)
    assert.ok(size < 500_000, `${size} bytes`)
    assert.equal(mode & 0o777, 0o600)
    assert.deepEqual(await readdir(join(path, '..')), ['log'])
  })

  it('goes without a write that is cut off or damaged', async (t) => {
    const path = join(await folder(t), 'log')
    const opened = async () => {
      const store = fileRecordStore(path)
      await store.open()
      return store
    }
    const store = await opened()
    await store.write([entry(1, 5, 10)])
    const first = (await stat(path)).size
    await store.write([entry(1, 6, 11), entry(2, 5, 12)])
    await store.close()
    const log = await readFile(path)
    for (let length = first; length < log.length; length++) {
      await writeFile(path, log.subarray(0, length))
      const cut = await opened()
      assert.deepEqual(await cut.find(place), [entry(1, 5, 10)])
      await cut.write([entry(3, 1, 13)])
      await cut.close()
      const mended = await opened()
      assert.deepEqual(await mended.find(place), [entry(3, 1, 13), entry(1, 5, 10)])
      await mended.close()
    }
  })

  it('reports a place where nothing can be', async (t) => {
    const store = fileRecordStore(await folder(t))
    await assert.rejects(store.open(), { code: 'ERR_RECORD_STORE' })
    await assert.rejects(store.write([entry(1, 1, 1)]), { code: 'ERR_RECORD_STORE' })
    await store.close()
  })

  // Each run begins where the one before it was killed, in the middle of writing.
  it('loses nothing that was written when its process is killed', async (t) => {
    const path = join(await folder(t), 'log')
    const program = fileURLToPath(new URL('record-store-writer.mjs', import.meta.url))
    let last = 0
    for (let kill = 0; kill < 8; kill++) {
      const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'inherit'] })
      let written = -1
      let rest = ''
      child.stdout.setEncoding('utf8').on('data', (data) => {
        const lines = (rest + data).split('\n')
        rest = lines.pop()
        if (lines.length > 0) written = Number(lines.at(-1))
      })
      await until(() => written >= last + 3 + ((kill * 7) % 11))
      const ended = new Promise((resolve) => child.on('close', resolve))
      child.kill('SIGKILL')
      await ended
      const store = fileRecordStore(path)
      await store.open()
      const found = await store.find(place)
      await store.close()
      last = found[0].expires
      assert.ok(last >= written, `${written} was written, ${last} is there`)
      assert.equal(found.length, 40)
      assert.ok(found.every(({ expires, value }) => expires === last && value.length === (last * 997) % 5000))
    }
  })
})

describe('a node with a store of records', options, () => {
  const any = { validate: () => {}, isBetter: () => false }
  const bytes = (text) => new TextEncoder().encode(text)

  const node = (t, dht, listen = []) =>
    kept(t, createNode({ listen, dht: { validators: { n: any }, ...dht } }))
  const server = (t, recordStore) => node(t, { mode: 'server', recordStore }, [transports.TCP])

  async function client(t, known) {
    const one = await node(t, { mode: 'client' })
    await one.dial(known.addresses)
    await until(() => one.dht.status.peers > 0)
    return one
  }

  async function found(query) {
    const values = []
    for await (const one of query) values.push(one)
    return values
  }

  for (const place of ['a file', 'memory that is shared']) {
    it(`keeps records and providers in ${place} from one run to the next`, async (t) => {
      const path = join(await folder(t), 'records')
      const memory = memoryRecordStore()
      const store = () => (place === 'a file' ? fileRecordStore(path) : memory)
      const first = await server(t, store())
      const author = await client(t, first)
      for (let key = 0; key < 300; key++) await author.dht.put(`/n/${key}`, bytes(`value ${key}`))
      await author.dht.provide('bafkqaaa')
      await until(() => first.dht.status.provided > 0)
      // What is not written yet is written before the node ends.
      await first.close()
      await author.close()

      const second = await server(t, store())
      assert.equal(second.dht.status.records, 0)
      const reader = await client(t, second)
      for (const key of [0, 150, 299]) {
        assert.deepEqual(await found(reader.dht.get(`/n/${key}`)), [bytes(`value ${key}`)])
      }
      const providers = await found(reader.dht.findProviders('bafkqaaa'))
      assert.deepEqual(
        providers.map(({ peer }) => peer),
        [author.peerId],
      )
      assert.deepEqual(await found(reader.dht.get('/n/nothing')), [])
    })
  }

  it('goes on in memory when the store fails, and says so', async (t) => {
    const fails = async () => {
      throw new Error('the disk is full')
    }
    const broken = { ...memoryRecordStore(), find: fails, write: fails }
    const there = await server(t, broken)
    const failed = events(there, 'recordstore:error', 2)
    const here = await client(t, there)
    await here.dht.put('/n/key', bytes('value'))
    assert.deepEqual(await found(here.dht.get('/n/key')), [bytes('value')])
    for (const error of await failed) {
      assert.equal(error.code, 'ERR_RECORD_STORE')
      assert.equal(error.message, 'the disk is full')
    }
    const other = { ...memoryRecordStore(), open: fails }
    await assert.rejects(createNode({ dht: { recordStore: other } }), /the disk is full/)
  })
})
