/** Peers, providers and records, found elsewhere than by a connection. */

import type { AbortOptions } from '../abort.js'
import { PolypeerError } from '../errors.js'
import type { Multiaddr, PeerId } from '../types.js'

/**
 * Content: a CID as text or as an object that has its multihash, or the bytes of the
 * multihash. Content is known by its multihash alone, whatever the codec of the CID.
 */
export type Content = string | Uint8Array | { readonly multihash: { readonly bytes: Uint8Array } }

/** Somebody who was looked for, or who provides what was. */
export interface RoutedPeer {
  /** Who it is. */
  readonly peer: PeerId
  /** Where it is said to be; empty if that is not known. */
  readonly addresses: readonly Multiaddr[]
  /** The protocols that it is said to speak, as the source names them. */
  readonly protocols: readonly string[]
}

/** Where records of IPNS are found and kept. */
export interface RecordRouting {
  /** The best record of a name that it has; `undefined` if it has none. Not verified. */
  getIpns(name: PeerId, options?: AbortOptions): Promise<Uint8Array | undefined>
  /** Has a record kept. */
  putIpns(name: PeerId, record: Uint8Array, options?: AbortOptions): Promise<void>
}

/**
 * Something that can find peers, content or values: a DHT, a server, a local network.
 * It has those of the calls that it can do. A call with a signal ends with it.
 */
export interface Router {
  /** Where a peer is. */
  findPeer?(peer: PeerId, options?: AbortOptions): AsyncIterable<RoutedPeer> | Promise<RoutedPeer | undefined>
  /** Who provides content; `count` are enough. */
  findProviders?(
    content: Content,
    options?: AbortOptions & { readonly count?: number },
  ): AsyncIterable<RoutedPeer>
  /** Announces that this node provides content. */
  provide?(content: Content, options?: AbortOptions): Promise<unknown>
  /** The values of a key, until `quorum` peers agree; the last one is the best. */
  get?(
    key: Uint8Array | string,
    options?: AbortOptions & { readonly quorum?: number },
  ): AsyncIterable<Uint8Array>
  /** Has a value kept. */
  put?(key: Uint8Array | string, value: Uint8Array, options?: AbortOptions): Promise<unknown>
  /** The record of a name of IPNS. One that has values under keys has these too. */
  getIpns?(name: PeerId, options?: AbortOptions): Promise<Uint8Array | undefined>
  /** Has a record of IPNS kept. */
  putIpns?(name: PeerId, record: Uint8Array, options?: AbortOptions): Promise<void>
}

/**
 * All routers of a node at once: its DHT, if it takes part in one, those of the option
 * `routers`, and those that are added. What the quickest finds comes first; one that fails
 * is passed over unless all do.
 *
 * Calls reject, or end their loop, with `UnsupportedError` where no router can do it, and
 * with `RoutingError` where all that can have failed; the `cause` has the errors.
 */
export interface Routing extends RecordRouting {
  /** Asks this router too from now on. */
  add(router: Router): void
  /** Asks it no more. */
  remove(router: Router): void
  /** Looks for where a peer is: each set of addresses that is not the same as another. */
  findPeer(peer: PeerId, options?: AbortOptions): AsyncIterableIterator<RoutedPeer>
  /** Looks for who provides content, each once; enough at `count`, 20 by default. */
  findProviders(
    content: Content,
    options?: AbortOptions & { readonly count?: number },
  ): AsyncIterableIterator<RoutedPeer>
  /** Looks for the values of a key, as each router has them: not compared with each other. */
  get(key: Uint8Array | string, options?: AbortOptions): AsyncIterableIterator<Uint8Array>
  /** Announces content wherever it can be announced. */
  provide(content: Content, options?: AbortOptions): Promise<void>
  /** Has a value kept wherever it can be kept. */
  put(key: Uint8Array | string, value: Uint8Array, options?: AbortOptions): Promise<void>
}

/** A routing service did not answer, or not as it should, or nobody keeps what was to be kept. */
export class RoutingError extends PolypeerError {
  override name = 'RoutingError'
  /** The status of its answer, if there was one. */
  readonly status: number | undefined

  constructor(message: string, status?: number, options?: ErrorOptions) {
    super('ERR_ROUTING', message, options)
    this.status = status
  }
}

/** A record that is not good: forged, expired, of another form. The message says why. */
export class RecordError extends PolypeerError {
  override name = 'RecordError'

  constructor(message: string) {
    super('ERR_RECORD', message)
  }
}
