/** Which entries there are, where, and until when; bounded. */

import { limitsOf, MAX_FOUND, type RecordLimits } from './types.js'

/** What is known of an entry; `place` and `name` are bytes as `latin1` text. */
export interface Item {
  readonly place: string
  readonly name: string
  readonly expires: number
  /** Bytes of the value. */
  readonly size: number
}

export class Shelf<T extends Item> {
  readonly #limits: { readonly entries: number; readonly bytes: number }
  readonly #places = new Map<string, Map<string, T>>()
  /** A heap by the end: each item is not after the two at twice its place. Some are gone. */
  #ends: T[] = []
  #count = 0
  #bytes = 0

  constructor(limits: RecordLimits) {
    this.#limits = limitsOf(limits)
  }

  /** Those at a place that expire last. */
  at(place: string): T[] {
    const items = [...(this.#places.get(place)?.values() ?? [])]
    return items.sort((one, other) => byEnd(other, one)).slice(0, MAX_FOUND)
  }

  /** Puts an item in place of the one of its name; those that make room for it. */
  put(item: T): T[] {
    this.#remove(item)
    const names = this.#places.get(item.place) ?? new Map<string, T>()
    this.#places.set(item.place, names.set(item.name, item))
    this.#count++
    this.#bytes += item.size
    this.#push(item)
    const { entries, bytes } = this.#limits
    return this.#forget(() => this.#count > entries || this.#bytes > bytes)
  }

  /** Forgets what has expired by then. */
  tidy(unixMillis: number): T[] {
    return this.#forget(({ expires }) => expires <= unixMillis)
  }

  /** Forgets what expires first, as long as that is to go. */
  #forget(isToGo: (first: T) => boolean): T[] {
    const gone: T[] = []
    for (let first = this.#first(); first !== undefined && isToGo(first); first = this.#first()) {
      this.#remove(first)
      gone.push(first)
    }
    return gone
  }

  #remove({ place, name }: Item): void {
    const names = this.#places.get(place)
    const old = names?.get(name)
    if (names === undefined || old === undefined) return
    names.delete(name)
    if (names.size === 0) this.#places.delete(place)
    this.#count--
    this.#bytes -= old.size
    // Most of the heap is of items that were replaced: an ordered list is a heap.
    if (this.#ends.length > 2 * this.#count + 64) {
      this.#ends = this.#ends.filter((item) => this.#has(item))
      this.#ends.sort(byEnd)
    }
  }

  #has(item: T): boolean {
    return this.#places.get(item.place)?.get(item.name) === item
  }

  #first(): T | undefined {
    while (this.#ends[0] !== undefined && !this.#has(this.#ends[0])) this.#pop()
    return this.#ends[0]
  }

  #push(item: T): void {
    const ends = this.#ends
    let at = ends.length
    for (let up = (at - 1) >> 1; at > 0; up = (at - 1) >> 1) {
      const above = ends[up] as T
      if (above.expires <= item.expires) break
      ends[at] = above
      at = up
    }
    ends[at] = item
  }

  #pop(): void {
    const ends = this.#ends
    const last = ends.pop()
    if (last === undefined || ends.length === 0) return
    let at = 0
    for (;;) {
      const [left, right] = [ends[2 * at + 1], ends[2 * at + 2]]
      const isRight = right !== undefined && left !== undefined && right.expires < left.expires
      const below = isRight ? right : left
      if (below === undefined || below.expires >= last.expires) break
      ends[at] = below
      at = 2 * at + (isRight ? 2 : 1)
    }
    ends[at] = last
  }
}

/** Those that end first, first; the difference of two infinities is no number. */
function byEnd(one: Item, other: Item): number {
  return one.expires === other.expires ? 0 : one.expires - other.expires
}
