/** What the WebRTC module asks of a system: the time, randomness, and a place for last words. */

import { randomFillSync } from 'node:crypto'

/** Bytes of last words that are kept. */
const MAX_WORDS = 4096
/** WASI's number of the clock that people read; the other ones only go on. */
const REALTIME = 0

/** The imports of a module for WASI (preview 1), as far as it uses them. */
export class Wasi {
  /** What the module wrote for people, before it stopped. */
  words = ''
  #memory: WebAssembly.Memory | undefined
  /** Of the memory, until it grows. */
  #last = new DataView(new ArrayBuffer(0))

  readonly imports: WebAssembly.Imports = {
    wasi_snapshot_preview1: {
      clock_time_get: (clock: number, _precision: bigint, out: number): number => {
        const nanos = clock === REALTIME ? BigInt(Date.now()) * 1_000_000n : process.hrtime.bigint()
        this.#view().setBigUint64(out, nanos, true)
        return 0
      },
      random_get: (at: number, length: number): number => {
        randomFillSync(this.#bytes(at, length))
        return 0
      },
      fd_write: (_file: number, parts: number, count: number, out: number): number => {
        const view = this.#view()
        let written = 0
        for (let part = parts; part < parts + 8 * count; part += 8) {
          const bytes = this.#bytes(view.getUint32(part, true), view.getUint32(part + 4, true))
          if (this.words.length < MAX_WORDS) this.words += new TextDecoder().decode(bytes)
          written += bytes.length
        }
        view.setUint32(out, written, true)
        return 0
      },
      environ_sizes_get: (count: number, bytes: number): number => {
        this.#view().setUint32(count, 0, true)
        this.#view().setUint32(bytes, 0, true)
        return 0
      },
      environ_get: (): number => 0,
      proc_exit: (code: number): never => {
        throw new Error(`the module ended with ${code}`)
      },
    },
  }

  /** The module's memory, before its first call. */
  attach(memory: WebAssembly.Memory): void {
    this.#memory = memory
  }

  #view(): DataView {
    const buffer = this.#buffer()
    if (this.#last.buffer !== buffer) this.#last = new DataView(buffer)
    return this.#last
  }

  #bytes(at: number, length: number): Uint8Array {
    return new Uint8Array(this.#buffer(), at, length)
  }

  #buffer(): ArrayBuffer {
    if (this.#memory === undefined) throw new Error('the module has no memory yet')
    return this.#memory.buffer
  }
}
