/**
 * Memory for what goes to sockets, used again and again: new memory costs more than a short
 * write, or than filling a long one.
 *
 * A remote that reads nothing keeps what was written to it, so that a piece lies in 8 KiB that
 * it shares, or in memory a few times as long as itself at most.
 */

/** Bytes from which a piece has memory of its own. */
const SHORT_BYTES = 4 * 1024
/** Of short pieces; Node's own pool has up to 64 KiB at a time. */
const SLAB_BYTES = 8 * 1024
/** Slabs that are kept for later. */
const MAX_SLABS = 64
/** Bytes from which memory is kept for later too. */
const LONG_BYTES = 64 * 1024
/** Long pieces' memories that are kept. */
const MAX_LONG = 16

/** A piece of memory, and what to call when it was written. */
export interface Piece {
  readonly buffer: Buffer
  readonly release: () => void
}

/** Short pieces, one behind the other; all of it is used again when all are written. */
class Slab {
  readonly #buffer = Buffer.allocUnsafeSlow(SLAB_BYTES)
  #used = 0
  #lent = 0

  /** A piece that begins where a word does, if there is room. */
  take(length: number): Buffer | undefined {
    const end = this.#used + length
    if (end > SLAB_BYTES) return undefined
    const piece = this.#buffer.subarray(this.#used, end)
    this.#used = (end + 7) & ~7
    this.#lent += 1
    return piece
  }

  readonly release = (): void => {
    this.#lent -= 1
    if (this.#lent > 0) return
    this.#used = 0
    if (this !== slab && slabs.length < MAX_SLABS) slabs.push(this)
  }
}

const slabs: Slab[] = []
let slab = new Slab()
const long: Buffer[] = []
const nothing = (): void => {}

/** Memory for `length` bytes, or more; `most` is the length of the longest pieces that come often. */
export function borrow(length: number, most: number): Piece {
  if (length < SHORT_BYTES) {
    for (;;) {
      const buffer = slab.take(length)
      if (buffer !== undefined) return { buffer, release: slab.release }
      slab = slabs.pop() ?? new Slab()
    }
  }
  if (length < LONG_BYTES || length > most) {
    return { buffer: Buffer.allocUnsafeSlow(length), release: nothing }
  }
  const buffer = long.pop() ?? Buffer.allocUnsafeSlow(most)
  return {
    buffer,
    release: () => {
      if (long.length < MAX_LONG) long.push(buffer)
    },
  }
}
