// Stores in files while there is no room on the disk.
import assert from 'node:assert/strict'
import { copyFile, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { filePeerStore, fileRecordStore } from 'polypeer'

const options = { timeout: 120_000 }

async function folder(t) {
  const path = await mkdtemp(join(tmpdir(), 'polypeer-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A disk with room for so many bytes; of what does not fit a part is written. */
async function disk(t) {
  const path = join(await folder(t), 'any')
  const file = await open(path, 'w')
  const prototype = Object.getPrototypeOf(file)
  await file.close()
  const { appendFile, truncate } = prototype
  const state = { room: Number.POSITIVE_INFINITY, cuts: true }
  prototype.appendFile = async function (data) {
    const part = data.subarray(0, state.room)
    state.room -= part.length
    await appendFile.call(this, part)
    if (part.length < data.length) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
  }
  prototype.truncate = function (length) {
    return state.cuts ? truncate.call(this, length) : Promise.reject(new Error('no'))
  }
  t.after(() => Object.assign(prototype, { appendFile, truncate }))
  return state
}

const place = new Uint8Array(33).fill(0x70)
const entry = (name, length, expires) => ({
  place,
  name: Uint8Array.of(name),
  value: new Uint8Array(length).fill(name),
  expires,
})

async function opened(path) {
  const store = fileRecordStore(path)
  await store.open()
  return store
}

/** What a program that starts now would find, with the file as it is. */
async function found(path) {
  const copy = `${path}.copy`
  await copyFile(path, copy)
  const store = await opened(copy)
  const entries = await store.find(place)
  await store.close()
  return entries
}

const full = { code: 'ERR_RECORD_STORE' }
const [one, two, more, three] = [entry(1, 5, 10), entry(2, 5, 12), entry(1, 6, 11), entry(3, 1, 13)]

describe('on a full disk', options, () => {
  for (const cuts of [true, false]) {
    const name = cuts ? 'is cut off' : 'stays there'
    it(`a batch of which a part was written, which ${name}, is none`, async (t) => {
      const path = join(await folder(t), 'log')
      const state = await disk(t)
      let store = await opened(path)
      await store.write([one])
      const first = await readFile(path)
      await store.write([more, two])
      await store.close()
      const length = (await stat(path)).size - first.length
      for (let part = 0; part < length; part++) {
        await writeFile(path, first)
        store = await opened(path)
        Object.assign(state, { room: part, cuts })
        await assert.rejects(store.write([more, two]), full)
        await assert.rejects(store.write([two]), full)
        assert.deepEqual(await store.find(place), [one])
        state.room = Number.POSITIVE_INFINITY
        assert.deepEqual(await found(path), [one], `${part} bytes`)
        await store.write([three])
        assert.deepEqual(await store.find(place), [three, one])
        assert.deepEqual(await found(path), [three, one], `${part} bytes`)
        await store.close()
      }
    })
  }

  it('what is there is read, wherever the file was cut off', async (t) => {
    const path = join(await folder(t), 'log')
    const state = await disk(t)
    let store = await opened(path)
    await store.write([one])
    const first = (await stat(path)).size
    await store.write([more, two])
    await store.close()
    const log = await readFile(path)
    for (let length = first; length < log.length; length++) {
      await writeFile(path, log.subarray(0, length))
      state.room = 0
      store = await opened(path)
      assert.deepEqual(await store.find(place), [one])
      await assert.rejects(store.write([two]), full)
      assert.deepEqual(await store.find(place), [one])
      state.room = Number.POSITIVE_INFINITY
      await store.write([two])
      assert.deepEqual(await store.find(place), [two, one])
      await store.close()
      assert.deepEqual(await found(path), [two, one])
    }
  })

  it('what is written stays written where there is no room to write the file anew', async (t) => {
    const path = join(await folder(t), 'log')
    const state = await disk(t)
    const store = await opened(path)
    const big = (round) => entry(1, 100_000, round)
    for (let round = 1; round < 60; round++) {
      // Enough for what is new, but not for a second file.
      state.room = 150_000
      await store.write([big(round)])
      assert.deepEqual(await store.find(place), [big(round)])
    }
    const { size } = await stat(path)
    assert.ok(size > 5_000_000, `${size} bytes`)
    assert.deepEqual(await readdir(join(path, '..')), ['log'])
    state.room = Number.POSITIVE_INFINITY
    assert.deepEqual(await found(path), [big(59)])
    // There is room again.
    for (let round = 60; round < 64; round++) await store.write([big(round)])
    assert.ok((await stat(path)).size < 1_000_000)
    assert.deepEqual(await store.find(place), [big(63)])
    await store.close()
  })

  it('the peer store keeps what it has', async (t) => {
    const path = join(await folder(t), 'peers')
    const state = await disk(t)
    const change = (text) => [{ key: Buffer.from('peer'), value: Buffer.from(text) }]
    const store = filePeerStore(path)
    await store.load()
    await store.write(change('first'))
    state.room = 20
    await assert.rejects(store.write(change('second')), /no space left/)
    await store.close()
    const again = filePeerStore(path)
    const [[key, value]] = await again.load()
    assert.deepEqual(
      [key, value].map((bytes) => String(Buffer.from(bytes))),
      ['peer', 'first'],
    )
    await again.close()
  })
})
