/** All who are found, from wherever. */

import type { AbortOptions } from '../abort.js'
import type { Router } from '../routing/types.js'
import type { Discovered, Discovery } from './types.js'

/** Peers that are known at a time, and that wait for a loop; the oldest goes first. */
const MAX_PEERS = 1024

interface Known {
  readonly who: Discovered
  /** By `performance.now()`. */
  readonly until: number
}

/** A loop over what is found. */
interface Loop {
  readonly waiting: Discovered[]
  wake: () => void
}

/** See {@link Discovery}. */
export class DiscoveryImpl implements Discovery {
  readonly #tell: (who: Discovered) => void
  readonly #known = new Map<string, Known>()
  readonly #loops = new Set<Loop>()
  #closed = false

  /** `tell` is called with each who is new, or elsewhere than before. */
  constructor(tell: (who: Discovered) => void) {
    this.#tell = tell
  }

  get peers(): Discovered[] {
    const time = performance.now()
    for (const [name, { until }] of this.#known) if (until <= time) this.#known.delete(name)
    return [...this.#known.values()].map(({ who }) => who)
  }

  /** Neighbours, as one of the ways to find a peer. */
  get neighbours(): Router {
    const find = (peer: string) => this.peers.find((who) => who.source === 'mdns' && who.peer === peer)
    return {
      findPeer: async (peer) => {
        const who = find(peer)
        return who && { peer, addresses: who.addresses, protocols: [] }
      },
    }
  }

  /** Somebody was found. */
  found(who: Discovered): void {
    const name = nameOf(who)
    const before = this.#known.get(name)
    const time = performance.now()
    this.#known.delete(name)
    if (this.#known.size >= MAX_PEERS) {
      const [oldest] = this.#known.keys()
      if (oldest !== undefined) this.#known.delete(oldest)
    }
    this.#known.set(name, { who, until: time + who.ttl })
    if (before !== undefined && before.until > time && same(before.who, who)) return
    for (const loop of this.#loops) {
      if (loop.waiting.push(who) > MAX_PEERS) loop.waiting.shift()
      loop.wake()
    }
    this.#tell(who)
  }

  /** A neighbour has left. */
  gone(peer: string): void {
    this.#known.delete(nameOf({ peer, source: 'mdns' }))
  }

  [Symbol.asyncIterator](): AsyncIterator<Discovered> {
    return this.find()
  }

  find({ signal }: AbortOptions = {}): AsyncGenerator<Discovered, void, undefined> {
    const loop: Loop = { waiting: this.peers, wake: () => {} }
    this.#loops.add(loop)
    return this.#follow(loop, signal)
  }

  async *#follow(loop: Loop, signal: AbortSignal | undefined): AsyncGenerator<Discovered, void, undefined> {
    const onAbort = (): void => loop.wake()
    signal?.addEventListener('abort', onAbort)
    try {
      while (!this.#closed) {
        signal?.throwIfAborted()
        const who = loop.waiting.shift()
        if (who !== undefined) yield who
        else
          await new Promise<void>((resolve) => {
            loop.wake = resolve
          })
      }
    } finally {
      signal?.removeEventListener('abort', onAbort)
      this.#loops.delete(loop)
    }
  }

  /** Ends all loops. */
  close(): void {
    this.#closed = true
    for (const loop of this.#loops) loop.wake()
  }
}

function nameOf({ source, namespace, topic, peer }: Omit<Discovered, 'addresses' | 'ttl'>): string {
  return `${source} ${peer} ${namespace ?? topic ?? ''}`
}

function same(one: Discovered, other: Discovered): boolean {
  return one.addresses.join() === other.addresses.join()
}
