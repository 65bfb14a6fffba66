/**
 * WebSocket frames (RFC 6455, section 5) around a stream of bytes.
 *
 * Messages are not collected: what a frame carries is passed on as it comes, so
 * a frame's length needs no limit, for nothing is ever allocated from it. What a
 * remote can make us keep is a header and a control frame's 125 bytes.
 */

import { TransportError } from '../errors.js'
import { type Framing, HEAD_BYTES } from './node-link.js'

/** The longest payload of a control frame (RFC 6455, section 5.5). */
const MAX_CONTROL = 125
/** The longest header: two bytes, eight of length, four of mask. */
const MAX_HEADER = 14
/** Masks that are drawn from the generator at a time. */
const MASKS = 256
/** Bytes below which a mask is taken off one by one. */
const FEW_BYTES = 32

const opcodes = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const

/** Status codes (RFC 6455, section 7.4.1). */
const status = { normal: 1000, protocol: 1002, kind: 1003 } as const

const none = new Uint8Array(0)

/** The two directions of one WebSocket. */
export class WebSocketFraming implements Framing {
  ended = false
  readonly #client: boolean
  #reply: Uint8Array | undefined
  /** The start of a header that is not whole yet. */
  readonly #head = new Uint8Array(MAX_HEADER)
  #headLength = 0
  /** Bytes of the current frame that are still to come. */
  #left = 0
  #inFrame = false
  #opcode = 0
  #masked = false
  readonly #mask = new Uint8Array(4)
  /** Bytes of the current frame that came. */
  #offset = 0
  /** Whether a fragmented message is open. */
  #inMessage = false
  #control = none
  #saidGoodbye = false

  /** A client's frames are masked, and a server's are not. */
  constructor(role: 'client' | 'server') {
    this.#client = role === 'client'
  }

  decode(bytes: Uint8Array): Uint8Array {
    let start = 0
    let end = 0
    for (let at = 0; at < bytes.length && !this.ended; ) {
      if (!this.#inFrame) {
        at = this.#header(bytes, at)
        if (!this.#inFrame) continue
      }
      const count = Math.min(this.#left, bytes.length - at)
      if (this.#masked) unmask(bytes, at, count, this.#mask, this.#offset)
      if (this.#opcode >= opcodes.close) {
        this.#control.set(bytes.subarray(at, at + count), this.#offset)
      } else if (end === start) {
        start = at
        end = at + count
      } else {
        bytes.copyWithin(end, at, at + count)
        end += count
      }
      at += count
      this.#offset += count
      this.#left -= count
      if (this.#left === 0) this.#finishFrame()
    }
    return bytes.subarray(start, end)
  }

  takeReply(): Uint8Array | undefined {
    const reply = this.#reply
    this.#reply = undefined
    return reply
  }

  encode(buffer: Buffer, length: number): Uint8Array {
    return this.#frame(opcodes.binary, buffer, length)
  }

  goodbye(): Uint8Array {
    return this.#close(status.normal)
  }

  /** Reads a header, of which the beginning may have come before; returns where it ends. */
  #header(bytes: Uint8Array, from: number): number {
    const head = this.#head
    let at = from
    while (at < bytes.length) {
      head[this.#headLength++] = bytes[at++] as number
      if (this.#headLength < 2) continue
      const [first = 0, second = 0] = head
      if (this.#headLength === 2) this.#check(first, second)
      const short = second & 0x7f
      const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0
      if (this.#headLength < 2 + lengthBytes + (this.#client ? 0 : 4)) continue
      this.#headLength = 0
      this.#begin(first, lengthBytes === 0 ? short : this.#length(lengthBytes), 2 + lengthBytes)
      break
    }
    return at
  }

  /** What the first two bytes tell already. */
  #check(first: number, second: number): void {
    const opcode = first & 0x0f
    const fin = (first & 0x80) !== 0
    if ((first & 0x70) !== 0) throw this.#broken('reserved bits are set')
    if (opcode === opcodes.text)
      throw this.#broken('a text message came: libp2p has binary ones', status.kind)
    if (((second & 0x80) !== 0) === this.#client) throw this.#broken('wrong masking')
    if (opcode >= opcodes.close) {
      if (opcode > opcodes.pong) throw this.#broken('unknown kind of frame')
      if (!fin || (second & 0x7f) > MAX_CONTROL) throw this.#broken('malformed control frame')
    } else {
      if (opcode > opcodes.binary) throw this.#broken('unknown kind of frame')
      if ((opcode === opcodes.continuation) !== this.#inMessage)
        throw this.#broken('frames of messages are mixed up')
    }
  }

  #length(bytes: number): number {
    const view = new DataView(this.#head.buffer, 2)
    const length = bytes === 2 ? view.getUint16(0) : view.getUint32(0) * 2 ** 32 + view.getUint32(4)
    const shortest = bytes === 2 ? 126 : 0x1_0000
    if (length < shortest || length > Number.MAX_SAFE_INTEGER) throw this.#broken('malformed length')
    return length
  }

  #begin(first: number, length: number, maskAt: number): void {
    const opcode = first & 0x0f
    if (opcode >= opcodes.close) this.#control = new Uint8Array(length)
    else this.#inMessage = (first & 0x80) === 0
    this.#opcode = opcode
    this.#left = length
    this.#offset = 0
    this.#masked = !this.#client
    if (this.#masked) this.#mask.set(this.#head.subarray(maskAt, maskAt + 4))
    this.#inFrame = true
    if (length === 0) this.#finishFrame()
  }

  #finishFrame(): void {
    this.#inFrame = false
    if (this.#opcode === opcodes.ping) {
      // Only the last one is answered: the answers need no queue.
      this.#reply = this.#controlFrame(opcodes.pong, this.#control)
    } else if (this.#opcode === opcodes.close) {
      this.ended = true
      this.#reply = this.#close(this.#control.length >= 2 ? undefined : status.normal)
    }
    this.#control = none
  }

  #broken(what: string, code: number = status.protocol): TransportError {
    this.ended = true
    this.#reply = this.#close(code)
    return new TransportError(`the remote's WebSocket broke the protocol: ${what}`)
  }

  /** A close frame, once; without a `code` it repeats the remote's. */
  #close(code?: number): Uint8Array {
    if (this.#saidGoodbye) return none
    this.#saidGoodbye = true
    const payload = code === undefined ? this.#control.subarray(0, 2) : Uint8Array.of(code >> 8, code & 0xff)
    return this.#controlFrame(opcodes.close, payload)
  }

  #controlFrame(opcode: number, payload: Uint8Array): Uint8Array {
    const buffer = Buffer.allocUnsafe(HEAD_BYTES + payload.length)
    buffer.set(payload, HEAD_BYTES)
    return this.#frame(opcode, buffer, payload.length)
  }

  #frame(opcode: number, buffer: Buffer, length: number): Uint8Array {
    const maskBytes = this.#client ? 4 : 0
    const lengthBytes = length < 126 ? 0 : length < 0x1_0000 ? 2 : 8
    const start = HEAD_BYTES - maskBytes - lengthBytes - 2
    buffer[start] = 0x80 | opcode
    buffer[start + 1] =
      (this.#client ? 0x80 : 0) | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127)
    if (lengthBytes === 2) buffer.writeUInt16BE(length, start + 2)
    else if (lengthBytes === 8) {
      buffer.writeUInt32BE(0, start + 2)
      buffer.writeUInt32BE(length, start + 6)
    }
    if (this.#client) {
      const mask = nextMask()
      buffer.set(mask, HEAD_BYTES - 4)
      unmask(buffer, HEAD_BYTES, length, mask, 0)
    }
    return buffer.subarray(start, HEAD_BYTES + length)
  }
}

const masks = new Uint8Array(4 * MASKS)
let masksUsed = masks.length

/** Four bytes that nobody can foresee. */
function nextMask(): Uint8Array {
  if (masksUsed === masks.length) {
    crypto.getRandomValues(masks)
    masksUsed = 0
  }
  masksUsed += 4
  return masks.subarray(masksUsed - 4, masksUsed)
}

const word = new Uint32Array(1)
const wordBytes = new Uint8Array(word.buffer)

/**
 * Puts a mask on `count` bytes at `from`, or takes it off; `offset` of the
 * frame's bytes came before. Works on whole words wherever it can.
 */
function unmask(bytes: Uint8Array, from: number, count: number, mask: Uint8Array, offset: number): void {
  const end = from + count
  let at = from
  const single = (until: number): void => {
    for (; at < until; at++) bytes[at] = (bytes[at] as number) ^ (mask[(offset + at - from) & 3] as number)
  }
  if (count >= FEW_BYTES) {
    single(from + (-(bytes.byteOffset + from) & 3))
    for (let index = 0; index < 4; index++)
      wordBytes[index] = mask[(offset + at - from + index) & 3] as number
    const [key = 0] = word
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset + at, (end - at) >> 2)
    for (let index = 0; index < words.length; index++) words[index] = (words[index] as number) ^ key
    at += words.length * 4
  }
  single(end)
}
