/**
 * The pipe between data channels and the core: records of a kind, a channel's
 * number and a body. See `crate/src/webrtc/record.rs`.
 */

/** What a record says; to the core and from it the same numbers. */
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

/** One record, or, if the body is long, several of a part each. */
export function* records(
  kind: number,
  channel: number,
  body: Uint8Array,
): Generator<Uint8Array<ArrayBuffer>> {
  let at = 0
  do {
    const part = body.subarray(at, at + MAX_BODY_BYTES)
    const record = new Uint8Array(HEAD_BYTES + part.length)
    const view = new DataView(record.buffer)
    view.setUint8(0, kind)
    view.setUint32(1, channel, true)
    view.setUint16(5, part.length, true)
    record.set(part, HEAD_BYTES)
    yield record
    at += MAX_BODY_BYTES
  } while (at < body.length)
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
