/** Messages that wait for one peer to read. */

import type { Priority } from './types.js'

/** What a message costs at least, so that empty ones are not free. */
const OVERHEAD = 1024

export class Queue {
  readonly #limit: number
  readonly #drop: boolean
  readonly #high: Uint8Array[] = []
  readonly #normal: Uint8Array[] = []
  bytes = 0

  constructor(limit: number, drop: boolean) {
    this.#limit = limit
    this.#drop = drop
  }

  get empty(): boolean {
    return this.#high.length === 0 && this.#normal.length === 0
  }

  /** How many were dropped for it; `undefined` if there is no room. One alone always fits. */
  push(message: Uint8Array, priority: Priority): number | undefined {
    let dropped = 0
    while (this.bytes > 0 && this.bytes + cost(message) > this.#limit) {
      if (!this.#drop) return undefined
      // Nothing urgent goes for what is not.
      const oldest = this.#normal.shift() ?? (priority === 'high' ? this.#high.shift() : undefined)
      if (oldest === undefined) return undefined
      this.bytes -= cost(oldest)
      dropped++
    }
    this.bytes += cost(message)
    const list = priority === 'high' ? this.#high : this.#normal
    list.push(message)
    return dropped
  }

  shift(): Uint8Array | undefined {
    const message = this.#high.shift() ?? this.#normal.shift()
    if (message !== undefined) this.bytes -= cost(message)
    return message
  }

  clear(): void {
    this.#high.length = 0
    this.#normal.length = 0
    this.bytes = 0
  }
}

function cost(message: Uint8Array): number {
  return Math.max(message.length, OVERHEAD)
}
