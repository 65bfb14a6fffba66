/** ChaCha20-Poly1305 and Ed25519 by `node:crypto`, which is faster than WebAssembly. */

import {
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  verify,
} from 'node:crypto'
import type { Ciphers } from '../ciphers.js'

const algorithm = 'chacha20-poly1305'
const options = { authTagLength: 16 }
/** Noise's nonce: four zero bytes, then the counter, little endian. */
const nonceBytes = new Uint8Array(12)
const nonceView = new DataView(nonceBytes.buffer)

/** Keys as Node has them: checking and copying raw ones anew costs a quarter of a frame's time. */
const keys = new Map<number, KeyObject>()
let lastKey = 0

/** Whose signatures were verified last, as Node has their keys: making one costs as much as its use. */
const authors = new Map<string, KeyObject>()
/** How many are kept; the oldest goes first. */
const MAX_AUTHORS = 1024
/** What stands before the 32 bytes of a key in its `SubjectPublicKeyInfo` (RFC 8410). */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

function authorOf(key: Uint8Array): KeyObject {
  const name = Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
  const known = authors.get(name)
  if (known !== undefined) return known
  const made = createPublicKey({ key: Buffer.concat([SPKI, key]), format: 'der', type: 'spki' })
  if (authors.size >= MAX_AUTHORS) {
    const [oldest] = authors.keys()
    if (oldest !== undefined) authors.delete(oldest)
  }
  authors.set(name, made)
  return made
}

/** The core releases a key after its last use. */
const keyOf = (key: number): KeyObject => keys.get(key) as KeyObject

export const nodeCiphers: Ciphers = {
  prepare(key) {
    lastKey += 1
    keys.set(lastKey, createSecretKey(key))
    return lastKey
  },

  release(key) {
    keys.delete(key)
  },

  seal(key, nonce, data, tag) {
    setNonce(nonce)
    const cipher = createCipheriv(algorithm, keyOf(key), nonceBytes, options)
    data.set(cipher.update(data))
    cipher.final()
    tag.set(cipher.getAuthTag())
  },

  open(key, nonce, data, tag) {
    setNonce(nonce)
    const decipher = createDecipheriv(algorithm, keyOf(key), nonceBytes, options)
    decipher.setAuthTag(tag)
    const plain = decipher.update(data)
    try {
      decipher.final()
    } catch {
      return false
    }
    data.set(plain)
    return true
  },

  verify(key, message, signature) {
    try {
      return verify(undefined, message, authorOf(key), signature)
    } catch {
      // OpenSSL takes no point that is not on the curve for a key.
      return false
    }
  },
}

function setNonce(nonce: number): void {
  nonceView.setUint32(4, nonce, true)
  nonceView.setUint32(8, Math.floor(nonce / 2 ** 32), true)
}
