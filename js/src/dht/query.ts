/** Queries under way, as async iterators. */

import { deferred } from '../abort.js'
import type { Query, QueryProgress, QuerySummary } from './types.js'

/** What runs a query, and gives it up. */
export interface QueryHost {
  begin(): number
  cancel(id: number): void
}

/** A step of a query, as the core tells it. */
export type QueryStep =
  | { readonly type: 'answer'; readonly peer: string; readonly new: number; readonly hops: number }
  | { readonly type: 'failure'; readonly peer: string }

/** How a query is followed. */
export interface Following {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: QueryProgress) => void) | undefined
  /** Each thing that is found takes the place of the one before: the last is the best. */
  readonly latest?: boolean
}

/**
 * See {@link Query}. Begins with the first call; what was not taken yet waits here: of
 * values the best, of peers as many as were wanted.
 */
export class QueryImpl<T> implements Query<T> {
  readonly #host: QueryHost
  readonly #following: Following
  readonly #found: T[] = []
  readonly #summary = deferred<QuerySummary>()
  #id: number | undefined
  #asked = 0
  #over = false
  #failure: { readonly reason: unknown } | undefined
  #waiting: (() => void)[] = []
  readonly #onAbort = (): void => this.fail(this.#following.signal?.reason)

  constructor(host: QueryHost, following: Following) {
    this.#host = host
    this.#following = following
    // Whoever does not ask for it is not told of its failure twice.
    this.#summary.promise.catch(() => {})
  }

  get summary(): Promise<QuerySummary> {
    this.#start()
    return this.#summary.promise
  }

  #start(): void {
    if (this.#id !== undefined || this.#over) return
    const { signal } = this.#following
    try {
      signal?.throwIfAborted()
      this.#id = this.#host.begin()
      signal?.addEventListener('abort', this.#onAbort, { once: true })
    } catch (reason) {
      this.fail(reason)
    }
  }

  progressed(step: QueryStep): void {
    this.#asked++
    this.#following.onProgress?.({ ...step, asked: this.#asked })
  }

  found(what: T): void {
    if (this.#following.latest === true) this.#found.length = 0
    this.#found.push(what)
    this.#wake()
  }

  done(summary: QuerySummary): void {
    this.#summary.resolve(summary)
    this.#end()
  }

  /** Ends it with an error; what was found before is still told. */
  fail(reason: unknown): void {
    if (this.#over) return
    this.#failure = { reason }
    this.#summary.reject(reason)
    if (this.#id !== undefined) this.#host.cancel(this.#id)
    this.#end()
  }

  #end(): void {
    this.#over = true
    this.#following.signal?.removeEventListener('abort', this.#onAbort)
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async next(): Promise<IteratorResult<T>> {
    this.#start()
    while (this.#found.length === 0 && !this.#over) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
      })
    }
    if (this.#found.length > 0) return { done: false, value: this.#found.shift() as T }
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) throw failure.reason
    return { done: true, value: undefined }
  }

  async return(): Promise<IteratorResult<T>> {
    this.fail(new DOMException('the query was given up', 'AbortError'))
    this.#found.length = 0
    this.#failure = undefined
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
