/** What content and peers are called: CIDs, multihashes, PeerIds. Source: multiformats, "CID". */

import { InvalidAddressError, InvalidArgumentError } from '../errors.js'
import type { PeerId } from '../types.js'
import type { Content } from './types.js'

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'
const BASE36 = '0123456789abcdefghijklmnopqrstuvwxyz'
const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
/** A CID of bytes as they are: version 1, raw. */
const RAW = [0x01, 0x55]
/** The longest name in characters: a digest of 64 bytes has less. */
const MAX_NAME = 160

/**
 * What a DHT knows content by.
 *
 * @throws {InvalidArgumentError} the text is no CID.
 */
export function multihashOf(content: Content): Uint8Array {
  if (content instanceof Uint8Array) return content
  if (typeof content !== 'string') return content.multihash.bytes
  const multihash = readCid(content)
  if (multihash === undefined) throw new InvalidArgumentError(`not a CID: ${content.slice(0, MAX_NAME)}`)
  return multihash
}

/** The CID that a service over HTTP is asked for; a text is taken as it is. */
export function cidOf(content: Content): string {
  if (typeof content === 'string') return content
  let text = 'b'
  let [bits, left] = [0, 0]
  for (const byte of [...RAW, ...multihashOf(content)]) {
    bits = ((bits & 31) << 8) | byte
    for (left += 8; left >= 5; left -= 5) text += BASE32[(bits >> (left - 5)) & 31]
  }
  return left === 0 ? text : text + BASE32[(bits << (5 - left)) & 31]
}

/**
 * The bytes of a PeerId, whichever way it is written.
 *
 * @throws {InvalidAddressError} it is none.
 */
export function peerBytes(peer: PeerId): Uint8Array {
  const bytes = /^(1|Qm)/.test(peer) ? readNumeral(peer, BASE58) : readCid(peer)
  if (bytes === undefined) throw new InvalidAddressError(peer, 'not a PeerId')
  return bytes
}

/** A PeerId as the CID that routing over HTTP wants, in base36; what is a CID stays. */
export function peerCid(peer: PeerId): string {
  if (!/^(1|Qm)/.test(peer)) return encodeURIComponent(peer)
  // Version 1, a libp2p key, then the multihash.
  const number = [0x01, 0x72, ...peerBytes(peer)].reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
  return `k${number.toString(36)}`
}

/** The multihash in a CID. */
function readCid(text: string): Uint8Array | undefined {
  if (/^Qm/.test(text) && text.length === 46) return readNumeral(text, BASE58)
  const bytes = readMultibase(text)
  // The codec is a number of one to some bytes, the last of which is below 128.
  const codec = bytes?.[0] === 1 ? bytes.findIndex((byte, at) => at > 0 && byte < 128) : -1
  return codec > 0 && bytes !== undefined && bytes.length > codec + 2 ? bytes.subarray(codec + 1) : undefined
}

function readMultibase(text: string): Uint8Array | undefined {
  if (text.length > MAX_NAME) return undefined
  const rest = text.slice(1)
  switch (text[0]) {
    case 'b':
      return readBase32(rest)
    case 'k':
      return readNumeral(rest, BASE36)
    case 'z':
      return readNumeral(rest, BASE58)
    default:
      return undefined
  }
}

function readBase32(text: string): Uint8Array | undefined {
  const bytes: number[] = []
  let [bits, left] = [0, 0]
  for (const digit of text) {
    const value = BASE32.indexOf(digit)
    if (value < 0) return undefined
    bits = ((bits & 255) << 5) | value
    left += 5
    if (left >= 8) {
      left -= 8
      bytes.push((bits >> left) & 255)
    }
  }
  return new Uint8Array(bytes)
}

/** A number in some base, whose leading zeros are bytes. */
function readNumeral(text: string, digits: string): Uint8Array | undefined {
  if (text.length > MAX_NAME) return undefined
  let number = 0n
  for (const digit of text) {
    const value = digits.indexOf(digit)
    if (value < 0) return undefined
    number = number * BigInt(digits.length) + BigInt(value)
  }
  const bytes: number[] = []
  for (; number > 0n; number >>= 8n) bytes.unshift(Number(number & 255n))
  for (const digit of text) {
    if (digit !== digits[0]) break
    bytes.unshift(0)
  }
  return new Uint8Array(bytes)
}
