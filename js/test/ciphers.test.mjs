// What Node's OpenSSL does for the core.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { nodeCiphers } from '../dist/host/node-ciphers.js'

const bytes = (text) => new Uint8Array(Buffer.from(text, 'hex'))

describe('signatures by node:crypto', () => {
  // RFC 8032, section 7.1, test 3.
  const key = bytes('fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025')
  const message = bytes('af82')
  const signature = bytes(
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  )

  it('takes a good one, however often', () => {
    for (let round = 0; round < 3; round++) assert.equal(nodeCiphers.verify(key, message, signature), true)
  })

  it('refuses all others', () => {
    for (let at = 0; at < signature.length; at++) {
      const bad = signature.slice()
      bad[at] ^= 1
      assert.equal(nodeCiphers.verify(key, message, bad), false)
    }
    assert.equal(nodeCiphers.verify(key, bytes('af83'), signature), false)
    assert.equal(nodeCiphers.verify(new Uint8Array(32).fill(0xab), message, signature), false)
  })

  it('keeps the keys of 1024 authors at most, and takes them again', () => {
    for (let author = 0; author < 1100; author++) {
      const other = key.slice()
      new DataView(other.buffer).setUint16(0, author)
      nodeCiphers.verify(other, message, signature)
    }
    assert.equal(nodeCiphers.verify(key, message, signature), true)
  })
})
