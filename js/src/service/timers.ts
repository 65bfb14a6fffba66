/** Named timers of a service or a session. */

import { LimitError } from '../errors.js'

/** Timers of a service, and of each of its sessions. */
export const MAX_TIMERS = 32

type Timer = ReturnType<typeof setTimeout>

export class Timers {
  readonly #notify: (token: string) => void
  readonly #unref: (timer: Timer) => void
  readonly #timers = new Map<string, Timer>()

  constructor(notify: (token: string) => void, unref: (timer: Timer) => void) {
    this.#notify = notify
    this.#unref = unref
  }

  set(token: string, ms: number): void {
    this.clear(token)
    if (this.#timers.size >= MAX_TIMERS) throw new LimitError(`${MAX_TIMERS} timers are set already`)
    const timer = setTimeout(() => {
      this.#timers.delete(token)
      this.#notify(token)
    }, ms)
    this.#unref(timer)
    this.#timers.set(token, timer)
  }

  clear(token: string): void {
    clearTimeout(this.#timers.get(token))
    this.#timers.delete(token)
  }

  clearAll(): void {
    for (const token of [...this.#timers.keys()]) this.clear(token)
  }
}
