/** Messages behind their length as an unsigned varint. */

import { ProtocolError } from '../errors.js'

/** `messages` for the wire, in one piece. */
export function encode(messages: readonly Uint8Array[]): Uint8Array {
  const heads = messages.map(({ length }) => varint(length))
  const size = messages.reduce((sum, { length }, at) => sum + length + (heads[at]?.length ?? 0), 0)
  const out = new Uint8Array(size)
  let to = 0
  messages.forEach((message, at) => {
    for (const part of [heads[at] ?? [], message]) {
      out.set(part, to)
      to += part.length
    }
  })
  return out
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  bytes.push(rest)
  return bytes
}

/** Cuts what comes from the wire into messages. */
export class Decoder {
  readonly #max: number
  /** The head of a message so far, then the message. */
  #length = 0
  #shift = 0
  #body: Uint8Array | undefined
  #filled = 0

  constructor(max: number) {
    this.#max = max
  }

  /** Whether the end may come here. */
  get between(): boolean {
    return this.#body === undefined && this.#shift === 0
  }

  /**
   * The messages that `bytes` complete.
   *
   * @throws {ProtocolError} one is longer than allowed, before memory is spent on it.
   */
  *push(bytes: Uint8Array): Generator<Uint8Array> {
    let at = 0
    while (at < bytes.length) {
      if (this.#body === undefined) {
        const byte = bytes[at++] ?? 0
        this.#length += (byte & 0x7f) * 2 ** this.#shift
        this.#shift += 7
        if (this.#length > this.#max || this.#shift > 35) {
          throw new ProtocolError(`the peer sent a message of more than ${this.#max} bytes`)
        }
        if (byte & 0x80) continue
        this.#body = new Uint8Array(this.#length)
        this.#filled = 0
      }
      const part = bytes.subarray(at, at + this.#body.length - this.#filled)
      this.#body.set(part, this.#filled)
      this.#filled += part.length
      at += part.length
      if (this.#filled === this.#body.length) yield this.#take(this.#body)
    }
    // An empty message needs no byte more than its head.
    if (this.#body !== undefined && this.#body.length === this.#filled) yield this.#take(this.#body)
  }

  #take(body: Uint8Array): Uint8Array {
    this.#body = undefined
    this.#length = 0
    this.#shift = 0
    return body
  }
}
