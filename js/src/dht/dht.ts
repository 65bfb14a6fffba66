/** The DHT of a node: the core's, as the application has it. */

import type { Core as FullCore } from '../../generated/core.js'
import { type Core, now, Records } from '../core.js'
import { InvalidArgumentError, NodeClosedError, UnsupportedError } from '../errors.js'
import { errorOf } from '../failures.js'
import { multihashOf } from '../routing/names.js'
import { type Content, RecordError, type RoutedPeer, RoutingError } from '../routing/types.js'
import { noServices, type Services } from '../serving/types.js'
import { type Following, QueryImpl } from './query.js'
import type {
  Dht,
  DhtKey,
  DhtMode,
  DhtOptions,
  DhtStatus,
  Query,
  QueryOptions,
  QuerySummary,
} from './types.js'
import { type DhtValidator, register } from './validators.js'

/** The default network. */
const NAME = '/polypeer/kad/1.0.0'
/** The public network. */
const PUBLIC = '/ipfs/kad/1.0.0'
/** The order is that of `core/kad.rs`. */
const modes: readonly DhtMode[] = ['auto', 'client', 'server']
const goals = { closest: 0, peer: 1, provide: 2, providers: 3, put: 4, get: 5 } as const
/** Providers that are enough, and peers that agree on a value. */
const PROVIDERS = 20
const QUORUM = 3
/** The longest key and value, in bytes, as in the core. */
const MAX_KEY = 1024
const MAX_VALUE = 65_536

const encoder = new TextEncoder()

/** The bytes of a key. */
function keyOf(key: DhtKey): Uint8Array {
  return key instanceof Uint8Array ? key : encoder.encode(key)
}

/** What the queries need of a node. */
export interface DhtEngine {
  readonly core: Core<FullCore>
  closed(): boolean
  /** Throws if the node is closed. */
  check(): void
  touch(): void
}

/** A query of any kind, as the core's news reach it. */
interface Running {
  readonly query: QueryImpl<unknown>
  /** Its result is who is nearest. */
  readonly closest: boolean
}

/** What a query is after. */
interface Wanted extends Following {
  readonly goal: keyof typeof goals
  readonly key: Uint8Array
  readonly value?: Uint8Array
  /** Providers that are enough, or peers that agree. */
  readonly enough?: number
}

/** See {@link Dht}. */
export class DhtImpl implements Dht {
  readonly #engine: DhtEngine
  readonly #services: Services
  readonly #page: boolean
  #joined = false
  readonly #queries = new Map<number, Running>()

  constructor(engine: DhtEngine, services: Services, page: boolean) {
    this.#engine = engine
    this.#services = services
    this.#page = page
  }

  /** Takes part as `options` say. */
  join(options: DhtOptions): void {
    const { protocol = NAME, mode = 'auto', store, validators } = options
    if (!protocol.startsWith('/')) throw new InvalidArgumentError(`not the name of a protocol: ${protocol}`)
    if (mode === 'server') this.#checkServes()
    const { alpha, paths, maxDials, timeout } = options
    const counts = [alpha, paths, maxDials, timeout, store?.records, store?.bytes, store?.provided]
    for (const count of counts) {
      if (!(count === undefined || (Number.isSafeInteger(count) && count > 0))) {
        throw new InvalidArgumentError(`not a count: ${count}`)
      }
    }
    const numbers = [this.#mode(mode), ...counts.map((count) => count ?? -1)]
    this.#engine.core.raw.join_dht(
      now(),
      Date.now() - performance.now(),
      protocol,
      this.#page,
      this.#page && globalThis.isSecureContext && globalThis.location?.protocol === 'https:',
      options.public ?? protocol === PUBLIC,
      options.optimisticProvide ?? false,
      new Float64Array(numbers),
    )
    this.#joined = true
    for (const [namespace, validator] of Object.entries(validators ?? {})) {
      this.setValidator(namespace, validator)
    }
  }

  #mode(mode: DhtMode): number {
    const at = modes.indexOf(mode)
    if (at < 0) throw new InvalidArgumentError(`not a mode: ${mode}`)
    return at
  }

  /** Whether it can answer others. */
  get #serves(): boolean {
    return !this.#page && this.#services !== noServices
  }

  #checkServes(): void {
    if (!this.#serves) throw new UnsupportedError('a page can only be a client of a DHT')
  }

  #check(): Core<FullCore> {
    this.#engine.check()
    if (!this.#joined) {
      throw new UnsupportedError('this node takes part in no DHT: createNode({ dht: {} })')
    }
    return this.#engine.core
  }

  get status(): DhtStatus | undefined {
    if (!this.#joined || this.#engine.closed()) return undefined
    const { core } = this.#engine
    const length = core.raw.dht_status()
    const body = new Records(core.output(length).slice())
    const [server, peers, size] = [body.number() === 1, body.number(), body.number()]
    const networkSize = size < 0 ? undefined : size
    return { server, peers, networkSize, records: body.number(), provided: body.number() }
  }

  setMode(mode: DhtMode): void {
    const number = this.#mode(mode)
    this.#check()
    if (mode === 'server') this.#checkServes()
    // A page, and a node that holds no server, is a client in every other mode.
    if (this.#serves) this.#services.dhtMode(number)
    this.#engine.touch()
  }

  bootstrap(): void {
    this.#check().raw.bootstrap_dht(now())
    this.#engine.touch()
  }

  setValidator(namespace: string, validator: DhtValidator): void {
    if (namespace === '' || namespace.includes('/')) {
      throw new InvalidArgumentError(`not a namespace: ${namespace}`)
    }
    this.#check().raw.set_validator(namespace, register(validator))
  }

  findPeer(peer: string, options?: QueryOptions): Query<RoutedPeer> {
    return this.#query({ ...options, goal: 'peer', key: encoder.encode(peer) })
  }

  closestPeers(key: DhtKey, options?: QueryOptions): Query<string> {
    return this.#query({ ...options, goal: 'closest', key: keyOf(key) })
  }

  findProviders(
    content: Content,
    { count: enough = PROVIDERS, ...options }: QueryOptions & { readonly count?: number } = {},
  ): Query<RoutedPeer> {
    return this.#query({ ...options, goal: 'providers', key: multihashOf(content), enough })
  }

  get(
    key: DhtKey,
    { quorum: enough = QUORUM, ...options }: QueryOptions & { readonly quorum?: number } = {},
  ): Query<Uint8Array> {
    return this.#query({ ...options, goal: 'get', key: keyOf(key), enough, latest: true })
  }

  async provide(content: Content, options?: QueryOptions): Promise<QuerySummary> {
    return this.#announce({ ...options, goal: 'provide', key: multihashOf(content) })
  }

  async put(key: DhtKey, value: Uint8Array, options?: QueryOptions): Promise<QuerySummary> {
    if (value.length > MAX_VALUE) throw new InvalidArgumentError(`a value has ${MAX_VALUE} bytes at most`)
    return this.#announce({ ...options, goal: 'put', key: keyOf(key), value })
  }

  withdraw(key: DhtKey): void {
    const core = this.#check()
    const bytes = limited(keyOf(key))
    core.put(bytes)
    core.raw.withdraw(bytes.length)
  }

  withdrawContent(content: Content): void {
    this.withdraw(multihashOf(content))
  }

  async #announce(wanted: Wanted): Promise<QuerySummary> {
    const summary = await this.#query(wanted).summary
    if (summary.successes > 0) return summary
    const why = summary.asked === 0 ? 'no peer of the DHT is known' : `${summary.asked} peers were asked`
    throw new RoutingError(`nobody keeps it: ${why}`)
  }

  #query<T>({ goal, key, value = new Uint8Array(), enough = 1, ...following }: Wanted): QueryImpl<T> {
    this.#check()
    limited(key)
    if (!(Number.isSafeInteger(enough) && enough > 0))
      throw new InvalidArgumentError(`not a count: ${enough}`)
    const begin = (): number => {
      const core = this.#check()
      const input = new Uint8Array(key.length + value.length)
      input.set(key)
      input.set(value, key.length)
      core.put(input)
      const id = core.raw.query(now(), goals[goal], key.length, value.length, enough)
      if (id < 0) {
        const failure = core.failure(id)
        if (failure.cause === 'protocol') throw new RecordError(failure.message)
        throw errorOf(failure, goal === 'peer' ? new TextDecoder().decode(key) : '')
      }
      this.#queries.set(id, { query: query as QueryImpl<unknown>, closest: goal === 'closest' })
      this.#engine.touch()
      return id
    }
    const cancel = (id: number): void => {
      if (!this.#queries.delete(id)) return
      this.#engine.core.raw.cancel_query(now(), id)
      this.#engine.touch()
    }
    const query = new QueryImpl<T>({ begin, cancel }, following)
    return query
  }

  /** News of a query; the tags are those of `core/kad.rs`. */
  onEvent(kind: number, body: Records): void {
    const id = body.number()
    const running = this.#queries.get(id)
    if (running === undefined) return
    const { query, closest: wantsClosest } = running
    switch (kind) {
      case 100:
        query.progressed({ type: 'answer', peer: body.text(), new: body.number(), hops: body.number() })
        break
      case 101:
        query.progressed({ type: 'failure', peer: body.text() })
        break
      case 102:
        query.found({ peer: body.text(), addresses: body.lines(), protocols: [] })
        break
      case 103:
        query.found(body.range().slice())
        break
      case 104: {
        this.#queries.delete(id)
        const [successes, asked, answered, hops] = [
          body.number(),
          body.number(),
          body.number(),
          body.number(),
        ]
        const timedOut = body.byte() === 1
        const closest = body.lines()
        if (wantsClosest) for (const peer of closest) query.found(peer)
        query.done({ closest, successes, asked, answered, hops, timedOut })
      }
    }
  }

  /** The node is closing. */
  close(): void {
    for (const { query } of [...this.#queries.values()]) query.fail(new NodeClosedError())
  }
}

function limited(key: Uint8Array): Uint8Array {
  if (key.length === 0 || key.length > MAX_KEY) {
    throw new InvalidArgumentError(`a key has 1 to ${MAX_KEY} bytes`)
  }
  return key
}
