/** All routers of a node at once. */

import type { AbortOptions } from '../abort.js'
import { UnsupportedError } from '../errors.js'
import type { IpnsRecord } from '../ipns.js'
import type { PeerId } from '../types.js'
import { peerBytes } from './names.js'
import { type Content, type RoutedPeer, type Router, type Routing, RoutingError } from './types.js'

const PROVIDERS = 20
/** Peers that agree on a record of IPNS before the others are not asked: as many as go-libp2p's. */
const IPNS_QUORUM = 16

/** Where a DHT has the record of a name. Source: IPFS specs, "IPNS Record", "Routing Record". */
function ipnsKey(name: PeerId): Uint8Array {
  return new Uint8Array([...new TextEncoder().encode('/ipns/'), ...peerBytes(name)])
}

/** See {@link Routing}. */
export class RoutingImpl implements Routing {
  readonly #routers = new Set<Router>()
  readonly #verify: (name: PeerId, record: Uint8Array) => IpnsRecord

  constructor(verify: (name: PeerId, record: Uint8Array) => IpnsRecord) {
    this.#verify = verify
  }

  add(router: Router): void {
    this.#routers.add(router)
  }

  remove(router: Router): void {
    this.#routers.delete(router)
  }

  findPeer(peer: PeerId, options: AbortOptions = {}): AsyncIterableIterator<RoutedPeer> {
    const ask = (router: Router, own: AbortOptions) => router.findPeer?.(peer, own)
    return distinct(this.#merged('find peers', options, ask), ({ addresses }) => addresses.join())
  }

  findProviders(
    content: Content,
    { signal, count = PROVIDERS }: AbortOptions & { readonly count?: number } = {},
  ): AsyncIterableIterator<RoutedPeer> {
    const ask = (router: Router, own: AbortOptions) => router.findProviders?.(content, { ...own, count })
    return distinct(this.#merged('find providers', { signal }, ask), ({ peer }) => peer, count)
  }

  get(key: Uint8Array | string, options: AbortOptions = {}): AsyncIterableIterator<Uint8Array> {
    const ask = (router: Router, own: AbortOptions) => router.get?.(key, own)
    return distinct(this.#merged('find values', options, ask), (value) => value.join())
  }

  provide(content: Content, options?: AbortOptions): Promise<void> {
    return this.#everywhere('announce content', (router) => router.provide?.(content, options))
  }

  put(key: Uint8Array | string, value: Uint8Array, options?: AbortOptions): Promise<void> {
    return this.#everywhere('keep values', (router) => router.put?.(key, value, options))
  }

  async getIpns(name: PeerId, options: AbortOptions = {}): Promise<Uint8Array | undefined> {
    const key = ipnsKey(name)
    const ask = (router: Router, own: AbortOptions) =>
      router.getIpns === undefined
        ? router.get?.(key, { ...own, quorum: IPNS_QUORUM })
        : router.getIpns(name, own)
    let best: IpnsRecord | undefined
    let bad: Uint8Array | undefined
    for await (const bytes of this.#merged<Uint8Array>('find records', options, ask)) {
      try {
        const record = this.#verify(name, bytes)
        if (best === undefined || isBetter(record, best)) best = record
      } catch {
        bad = bytes
      }
    }
    // A bad one is better than none: whoever reads it is told why it is.
    return best?.bytes ?? bad
  }

  putIpns(name: PeerId, record: Uint8Array, options?: AbortOptions): Promise<void> {
    const key = ipnsKey(name)
    return this.#everywhere('keep records', (router) =>
      router.putIpns === undefined
        ? router.put?.(key, record, options)
        : router.putIpns(name, record, options),
    )
  }

  async #everywhere(what: string, ask: (router: Router) => Promise<unknown> | undefined): Promise<void> {
    const asked = [...this.#routers].flatMap((router) => ask(router) ?? [])
    if (asked.length === 0) throw new UnsupportedError(`nothing that is switched on can ${what}`)
    const failures = (await Promise.allSettled(asked)).flatMap((one) =>
      one.status === 'rejected' ? [one.reason] : [],
    )
    if (failures.length === asked.length) throw allFailed(failures)
  }

  /** What all routers find, as it comes; each is asked for more when its last was taken. */
  async *#merged<T>(
    what: string,
    { signal }: AbortOptions,
    ask: (router: Router, options: AbortOptions) => AsyncIterable<T> | Promise<T | undefined> | undefined,
  ): AsyncGenerator<T, void, undefined> {
    signal?.throwIfAborted()
    const own = new AbortController()
    const found = [...this.#routers].flatMap((router) => ask(router, { signal: own.signal }) ?? [])
    if (found.length === 0) throw new UnsupportedError(`nothing that is switched on can ${what}`)
    const failures: unknown[] = []
    const all = found.map(iterate)
    type Step = { readonly from: AsyncGenerator<T>; readonly result?: IteratorResult<T> }
    const step = async (from: AsyncGenerator<T>): Promise<Step> => {
      try {
        return { from, result: await from.next() }
      } catch (failure) {
        failures.push(failure)
        return { from }
      }
    }
    const steps = new Map(all.map((from) => [from, step(from)]))
    let abort!: () => void
    const aborted = new Promise<undefined>((resolve) => {
      abort = () => resolve(undefined)
    })
    signal?.addEventListener('abort', abort, { once: true })
    try {
      while (steps.size > 0) {
        const next = await Promise.race([aborted, ...steps.values()])
        signal?.throwIfAborted()
        if (next === undefined) return
        if (next.result === undefined || next.result.done === true) {
          steps.delete(next.from)
          continue
        }
        steps.set(next.from, step(next.from))
        yield next.result.value
      }
      if (failures.length === all.length) throw allFailed(failures)
    } finally {
      signal?.removeEventListener('abort', abort)
      own.abort(signal?.reason)
      for (const from of steps.keys()) from.return(undefined).catch(() => {})
    }
  }
}

async function* iterate<T>(found: AsyncIterable<T> | Promise<T | undefined>): AsyncGenerator<T, void> {
  if (Symbol.asyncIterator in found) {
    yield* found
  } else {
    const one = await found
    if (one !== undefined) yield one
  }
}

/** Each thing once, until there are enough. */
async function* distinct<T>(
  all: AsyncIterable<T>,
  name: (one: T) => string,
  enough = Number.POSITIVE_INFINITY,
): AsyncGenerator<T, void> {
  const told = new Set<string>()
  for await (const one of all) {
    if (told.has(name(one))) continue
    told.add(name(one))
    yield one
    if (told.size >= enough) return
  }
}

/** As the specification has it: the later one, and of the same the one that is good for longer. */
function isBetter(record: IpnsRecord, other: IpnsRecord): boolean {
  if (record.sequence !== other.sequence) return record.sequence > other.sequence
  return record.expires > other.expires
}

function allFailed(failures: readonly unknown[]): unknown {
  if (failures.length === 1) return failures[0]
  const reasons = failures.map((one) => (one instanceof Error ? one.message : String(one)))
  const cause = new AggregateError(failures)
  return new RoutingError(`all have failed: ${reasons.join('; ')}`, undefined, { cause })
}
