// Memory for what Node writes to sockets.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { borrow } from '../dist/host/node-memory.js'

const most = 260 * 1024
const lengths = [1, 17, 1100, 4095, 4096, 65_535, 65_536, most, most + 1]

test('no two pieces that are lent overlap', () => {
  const lent = Array.from({ length: 300 }, (_, index) => {
    const length = lengths[index % lengths.length]
    const piece = borrow(length, most)
    piece.buffer.fill(index % 251, 0, length)
    return { ...piece, length, value: index % 251 }
  })
  for (const { buffer, length, value } of lent) {
    assert.ok(buffer.subarray(0, length).every((byte) => byte === value))
  }
  for (const { release } of lent) release()
})

test('what was written leaves its memory to what comes next', () => {
  for (const length of [100, most]) {
    const seen = new Set()
    for (let round = 0; round < 1000; round++) {
      const pieces = Array.from({ length: 5 }, () => borrow(length, most))
      for (const { buffer, release } of pieces) {
        seen.add(buffer.buffer)
        release()
      }
    }
    assert.ok(seen.size <= 16, `${seen.size} buffers for pieces of ${length} bytes`)
  }
})

test('a piece that is never written keeps little more than its own length', () => {
  for (const length of lengths) {
    const { buffer, release } = borrow(length, most)
    assert.ok(buffer.buffer.byteLength <= Math.max(8192, 5 * length), `${length} bytes`)
    release()
  }
})
