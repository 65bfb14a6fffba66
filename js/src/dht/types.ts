/** The DHT and routing, as an application sees them. */

import type { AbortOptions } from '../abort.js'
import type { RecordStore } from '../records/types.js'
import type { Content, RoutedPeer } from '../routing/types.js'
import type { PeerId } from '../types.js'
import type { DhtValidator } from './validators.js'

/** How a node takes part in a DHT. */
export interface DhtOptions {
  /**
   * The name of the network. Default: `/polypeer/kad/1.0.0`, that of `polypeer serve`;
   * the public one is `/ipfs/kad/1.0.0`.
   */
  readonly protocol?: string
  /**
   * Whether the node answers others: `auto` while they can dial it. Default: `auto` in
   * Node; pages and workers are always clients.
   */
  readonly mode?: DhtMode
  /** Dials no private addresses. Default: true in the public network alone. */
  readonly public?: boolean
  /** Peers that are asked at a time. Default: 10; 6 in pages. */
  readonly alpha?: number
  /** Ways that share no peer, which the hostile find hard to mislead. Default: 1. */
  readonly paths?: number
  /** Peers that a query dials at most. Default: 500; 25 in pages. */
  readonly maxDials?: number
  /** Milliseconds that a query may take. Default: 60,000; 30,000 in pages. */
  readonly timeout?: number
  /** Announces what is provided before the nearest are known. Default: false. */
  readonly optimisticProvide?: boolean
  /** What is kept for others: records, their bytes, and keys that have providers. */
  readonly store?: { readonly records?: number; readonly bytes?: number; readonly provided?: number }
  /**
   * Where that is kept from one run to the next: `fileRecordStore(path)` in Node,
   * `indexedDbRecordStore(name)` in pages. What is not in memory is looked for there.
   */
  readonly recordStore?: RecordStore
  /**
   * Judges of the records of a namespace, by its name; there are some for `pk` and `ipns`.
   * Records that nobody can judge are refused.
   */
  readonly validators?: Readonly<Record<string, DhtValidator>>
}

/** Whether a node answers others in a DHT. */
export type DhtMode = 'auto' | 'client' | 'server'

/** A key: bytes, or text such as `/namespace/name`. */
export type DhtKey = Uint8Array | string

/** A step of a query; `asked` peers have answered or failed by then. */
export type QueryProgress = { readonly asked: number } & (
  | {
      /** A peer has answered, and named so many that were not known before. */
      readonly type: 'answer'
      readonly peer: PeerId
      readonly new: number
      /** How many referrals it is away. */
      readonly hops: number
    }
  | {
      /** A peer could not be asked, or did not answer. */
      readonly type: 'failure'
      readonly peer: PeerId
    }
)

/** What came of a query. */
export interface QuerySummary {
  /** The nearest peers that have answered, the nearest first. */
  readonly closest: readonly PeerId[]
  /** Peers that keep what was to be kept, or gave what was looked for. */
  readonly successes: number
  /** Peers that were asked. */
  readonly asked: number
  /** Peers that have answered. */
  readonly answered: number
  /** The longest chain of referrals. */
  readonly hops: number
  /** Whether its time ran out. */
  readonly timedOut: boolean
}

/** How a query is run. */
export interface QueryOptions extends AbortOptions {
  /** Is called with each step. */
  readonly onProgress?: (progress: QueryProgress) => void
}

/**
 * A query under way: what it finds, as it is found. It ends with the loop over it, be
 * that left early or not; a `signal` ends it with its reason.
 */
export interface Query<T> extends AsyncIterableIterator<T> {
  /**
   * What came of it, once it is over; asked for before the first result, it begins the
   * query. Rejects as the loop does, and with `AbortError` if the loop was left.
   */
  readonly summary: Promise<QuerySummary>
}

/** How a node takes part just now. */
export interface DhtStatus {
  /** Whether it answers others. */
  readonly server: boolean
  /** Peers in its table. */
  readonly peers: number
  /** Peers that the network seems to have, once known. */
  readonly networkSize: number | undefined
  /** Records that it keeps for others. */
  readonly records: number
  /** Keys whose providers it keeps. */
  readonly provided: number
}

/**
 * The DHT of a node: `createNode({ dht: true })`. Without, its calls throw
 * `UnsupportedError`.
 *
 * Queries end by themselves when all that is wanted is found, when nobody is left to ask,
 * or when their time is over (`summary.timedOut`). 128 may be under way; more fail with
 * `LimitError`.
 *
 * @example
 * ```ts
 * await node.dht.provide(cid)
 * for await (const { peer, addresses } of node.dht.findProviders(cid)) console.log(peer, addresses)
 * ```
 */
export interface Dht {
  /** How the node takes part; `undefined` if it does not. */
  readonly status: DhtStatus | undefined
  /**
   * Plays another part.
   *
   * @throws {UnsupportedError} pages and workers can only be clients.
   */
  setMode(mode: DhtMode): void
  /** Looks around in all parts of the network, which the node does now and then by itself. */
  bootstrap(): void
  /** Has records of `/namespace/…` judged by `validator` from now on. */
  setValidator(namespace: string, validator: DhtValidator): void
  /** Looks for where a peer is. */
  findPeer(peer: PeerId, options?: QueryOptions): Query<RoutedPeer>
  /** Looks for the peers that are nearest to a key, the nearest first. */
  closestPeers(key: DhtKey, options?: QueryOptions): Query<PeerId>
  /** Looks for who provides content, each once; enough at `count`, 20 by default. */
  findProviders(content: Content, options?: QueryOptions & { readonly count?: number }): Query<RoutedPeer>
  /**
   * Tells the network that this node provides content, now and every 22 hours until
   * {@link Dht.withdraw}.
   *
   * @throws {RoutingError} nobody was told this time.
   */
  provide(content: Content, options?: QueryOptions): Promise<QuerySummary>
  /**
   * Has a value kept under a key, now and every 22 hours until {@link Dht.withdraw}.
   *
   * @throws {RecordError} the record is not good, nobody here can judge it, or a better
   * one is here already.
   * @throws {RoutingError} nobody else keeps it this time.
   */
  put(key: DhtKey, value: Uint8Array, options?: QueryOptions): Promise<QuerySummary>
  /**
   * Looks for the value of a key: each that comes is better than those before, and the
   * last one is the best; those that nobody took in time are passed over. Ends when
   * `quorum` peers agree on it; 3 by default.
   */
  get(key: DhtKey, options?: QueryOptions & { readonly quorum?: number }): Query<Uint8Array>
  /** Announces a value no more: others forget it with its time. */
  withdraw(key: DhtKey): void
  /** Announces content no more. */
  withdrawContent(content: Content): void
}
