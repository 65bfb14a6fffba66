// The modules of the page that need no page.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runnerImport } from 'vite'

const load = async (name) => {
  const path = fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url))
  return (await runnerImport(path, { configFile: false, logLevel: 'error' })).module
}

test('messages come whole out of pieces of any size', async () => {
  const { encodeFrame, FrameReader, MAX_MESSAGE_BYTES } = await load('frames')
  const sent = [0, 1, 127, 128, 300, MAX_MESSAGE_BYTES].map((length) => new Uint8Array(length).fill(length))
  const bytes = Buffer.concat(sent.map(encodeFrame))
  for (const size of [1, 2, 3, 129, 4096, bytes.length]) {
    const reader = new FrameReader()
    const heard = []
    for (let at = 0; at < bytes.length; at += size) {
      for (const message of reader.read(bytes.subarray(at, at + size))) heard.push(Uint8Array.from(message))
    }
    assert.deepEqual(heard, sent, `pieces of ${size}`)
  }
})

test('a message over the limit is refused before its bytes come', async () => {
  const { encodeFrame, FrameError, FrameReader, MAX_MESSAGE_BYTES } = await load('frames')
  const tooLong = encodeFrame(new Uint8Array(MAX_MESSAGE_BYTES + 1)).subarray(0, 2)
  assert.throws(() => new FrameReader().read(tooLong).next(), FrameError)
  assert.throws(() => new FrameReader().read(new Uint8Array([0xff, 0xff])).next(), FrameError)
  // What came before it is still heard.
  const both = new FrameReader().read(Buffer.concat([encodeFrame(Buffer.from('first')), tooLong]))
  assert.deepEqual(Buffer.from(both.next().value), Buffer.from('first'))
  assert.throws(() => both.next(), FrameError)
})

test('a peer has the same face everywhere, and others have others', async () => {
  const { persona, SIDE } = await load('persona')
  const peer = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'
  assert.deepEqual(persona(peer), persona(peer))
  const { name, tail, hue, cells } = persona(peer)
  assert.match(name, /^[A-Z][a-z]+ [A-Z][a-z]+$/)
  assert.equal(tail, 'AJU5SA')
  assert.ok(hue >= 0 && hue < 360)
  assert.equal(cells.length, SIDE * SIDE)
  const names = new Set(Array.from({ length: 1000 }, (_, count) => persona(`${peer}${count}`).name))
  assert.ok(names.size > 800, `${names.size} names for 1000 peers`)
})
