/**
 * The pipe between data channels and the core: records of a kind, a channel's
 * number and a body. See `crate/src/webrtc/record.rs`.
 */

/**
 * What a record says; to the core and from it the same numbers. What the core says beside
 * these is for hosts that can hold a channel's messages back.
 */
export const MESSAGE = 0
export const OPEN = 1
export const CLOSE = 2
export const PING = 3

/** What is added to the number of a channel that the remote opened. */
export const REMOTE = 2 ** 31
/** The channel of WebRTC direct's handshake. */
export const HANDSHAKE = 0

const HEAD_BYTES = 7
const MAX_BODY_BYTES = 0xffff

/** A record as it was read; `body` is to be used at once. */
export interface PipeRecord {
  readonly kind: number
  readonly channel: number
  readonly body: Uint8Array
}

/** The heads of the records that bring `length` bytes, each with where its body starts and ends. */
export function* heads(
  kind: number,
  channel: number,
  length: number,
): Generator<readonly [head: Uint8Array<ArrayBuffer>, start: number, end: number]> {
  let start = 0
  do {
    const end = Math.min(start + MAX_BODY_BYTES, length)
    const head = new Uint8Array(HEAD_BYTES)
    const view = new DataView(head.buffer)
    view.setUint8(0, kind)
    view.setUint32(1, channel, true)
    view.setUint16(5, end - start, true)
    yield [head, start, end]
    start = end
  } while (start < length)
}

/** Takes records out of bytes that come in pieces of any size. */
export class RecordReader {
  /** The records that `bytes` complete; their bodies are parts of `bytes` where they can be. */
  *read(bytes: Uint8Array): Generator<PipeRecord> {
    let all = bytes
    if (this.#rest.length > 0) {
      all = new Uint8Array(this.#rest.length + bytes.length)
      all.set(this.#rest)
      all.set(bytes, this.#rest.length)
    }
    const view = new DataView(all.buffer, all.byteOffset, all.length)
    let at = 0
    while (all.length - at >= HEAD_BYTES) {
      const end = at + HEAD_BYTES + view.getUint16(at + 5, true)
      if (end > all.length) break
      const [kind, channel] = [view.getUint8(at), view.getUint32(at + 1, true)]
      const body = all.subarray(at + HEAD_BYTES, end)
      at = end
      yield { kind, channel, body }
    }
    this.#rest = all.slice(at)
  }

  #rest = new Uint8Array(0)
}
