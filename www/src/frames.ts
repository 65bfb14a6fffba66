/** Messages on a stream of bytes: an unsigned varint length, then that many bytes. */

/** The longest message that is taken from the server, in bytes; its own limit for a line is half of it. */
export const MAX_MESSAGE_BYTES = 8 * 1024
/** Bytes of a varint up to {@link MAX_MESSAGE_BYTES}. */
const MAX_LENGTH_BYTES = 2

/** A remote that does not keep to the form. */
export class FrameError extends Error {
  override name = 'FrameError'
}

/** Puts its length before a message. */
export function encodeFrame(message: Uint8Array): Uint8Array {
  const head: number[] = []
  let length = message.length
  while (length > 0x7f) {
    head.push((length & 0x7f) | 0x80)
    length >>>= 7
  }
  head.push(length)
  const frame = new Uint8Array(head.length + message.length)
  frame.set(head)
  frame.set(message, head.length)
  return frame
}

/** Takes messages out of bytes that come in pieces of any size. */
export class FrameReader {
  /**
   * The messages that `bytes` complete, each before what comes after it is looked at.
   *
   * @throws {FrameError} a length over {@link MAX_MESSAGE_BYTES}.
   */
  *read(bytes: Uint8Array): Generator<Uint8Array> {
    this.#rest = joined(this.#rest, bytes)
    for (let next = split(this.#rest); next !== undefined; next = split(this.#rest)) {
      this.#rest = next.rest
      yield next.message
    }
  }

  #rest: Uint8Array = new Uint8Array()
}

function split(bytes: Uint8Array): { message: Uint8Array; rest: Uint8Array } | undefined {
  let length = 0
  for (let at = 0; at < MAX_LENGTH_BYTES; at++) {
    const byte = bytes[at]
    if (byte === undefined) return undefined
    length |= (byte & 0x7f) << (7 * at)
    if (byte > 0x7f) continue
    if (length > MAX_MESSAGE_BYTES) break
    const start = at + 1
    if (bytes.length < start + length) return undefined
    return { message: bytes.subarray(start, start + length), rest: bytes.subarray(start + length) }
  }
  throw new FrameError(`a message is longer than ${MAX_MESSAGE_BYTES} bytes`)
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.length === 0) return second
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}
