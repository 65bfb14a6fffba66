/** Peers, providers and records, found elsewhere than by a connection. */

import type { AbortOptions } from '../abort.js'
import { PolypeerError } from '../errors.js'
import type { Multiaddr, PeerId } from '../types.js'

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

/** A routing service did not answer, or not as it should. */
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
