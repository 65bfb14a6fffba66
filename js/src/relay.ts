/** Relays, as one who wants a place at them; what being one takes is in `serving/services.ts`. */

import type { Core as FullCore } from '../generated/core.js'
import { type Core, now, Records } from './core.js'
import type { PolypeerError } from './errors.js'
import { errorOf } from './failures.js'
import type { Connection, PeerId } from './types.js'

/** What a relay allows others; times in milliseconds. The defaults are go-libp2p's. */
export interface RelayServiceOptions {
  /** Peers that may have a place at a time. Default: 128. */
  readonly reservations?: number
  /** Of these, from one IP address. Default: 8. */
  readonly reservationsPerIp?: number
  /** How long a place lasts if it is not renewed. Default: an hour. */
  readonly reservationTtl?: number
  /** Relayed connections at a time. Default: 1024. */
  readonly circuits?: number
  /** Of these, from one peer or to one. Default: 16. */
  readonly circuitsPerPeer?: number
  /** How long one may last; `Infinity` for no limit. Default: two minutes. */
  readonly duration?: number
  /** Bytes that one may carry each way; `Infinity` for no limit. Default: 131,072. */
  readonly data?: number
  /** Bytes a second at most, both ways together. Default: no limit. */
  readonly rates?: RelayRates
  /** Who is served. Default: everybody. */
  readonly allow?: readonly PeerId[]
  /** Who is not served, and to whom no connection leads. */
  readonly deny?: readonly PeerId[]
  /** Connections from these peers and to them have no limit of time or bytes. */
  readonly trusted?: readonly PeerId[]
}

/** Bytes a second through a relay at most. */
export interface RelayRates {
  /** Through one connection. */
  readonly circuit?: number
  /** Through all connections of a peer. */
  readonly peer?: number
  /** Through all connections of an IP address. */
  readonly ip?: number
  /** Through all connections together. */
  readonly total?: number
}

/** The rule by which a relay refused something: an option's name, or why else. */
export type RelayRule =
  | 'denied'
  | 'relayed'
  | 'reservations'
  | 'reservationsPerIp'
  | 'circuits'
  | 'circuitsPerPeer'
  | 'noReservation'

/** A share of what a relay allows on a connection. */
export interface RelayUse {
  /** Milliseconds. */
  readonly duration: number
  /** Bytes that this side sends, of the secure channel: some more than those of streams. */
  readonly sent: number
  /** Bytes that it receives. */
  readonly received: number
}

/** What a relay allows on a connection, and what of that is used. */
export interface RelayLimit {
  /** How long it may last in all, in milliseconds; `Infinity` for no limit. */
  readonly duration: number
  /** How many bytes it may carry each way; `Infinity` for no limit. */
  readonly data: number
  /** What is used. */
  readonly used: RelayUse
  /** What is left; `Infinity` where there is no limit. */
  readonly left: RelayUse
}

/** What a relay does and has done. */
export interface RelayStats {
  /** Peers with a place. */
  readonly reservations: number
  /** Relayed connections, those that wait for their target included. */
  readonly circuits: number
  /** How often each rule was in the way. */
  readonly refused: Readonly<Partial<Record<RelayRule, number>>>
  /** What pairs of peers have sent each other: 1024, those that were connected last. */
  readonly pairs: readonly RelayPair[]
}

/** What two peers have sent each other through a relay. */
export interface RelayPair {
  /** Who dialed. */
  readonly source: PeerId
  /** Who was dialed. */
  readonly target: PeerId
  /** Relayed connections that are over. */
  readonly circuits: number
  /** Bytes in these from `source` to `target`, and back. */
  readonly bytes: readonly [number, number]
}

/** The events about relays, by name, and the type of their `detail`. */
export interface RelayEvents {
  /** A relay keeps a place for us: others reach us at `addresses` and behind. */
  'relay:reserved': { readonly relay: PeerId; readonly addresses: readonly string[] }
  /** A relay keeps no place for us, or no more; it is asked again after a while. */
  'relay:lost': { readonly relay: PeerId; readonly error: PolypeerError }
  /** A relay will soon cut a connection: four fifths of what it allows are used. */
  'relay:limit': { readonly connection: Connection; readonly limit: RelayLimit }
  /** We are a relay, and have refused a place or a connection; there is room again after so many milliseconds. */
  'relay:refused': {
    readonly peer: PeerId
    readonly rule: RelayRule
    readonly retryAfter: number | undefined
  }
  /** We are a relay, and a connection through us is over; bytes each way. */
  'relay:circuit': {
    readonly source: PeerId
    readonly target: PeerId
    readonly bytes: readonly [number, number]
  }
}

const CIRCUIT = '/p2p-circuit'

/** Whether an address to listen on is a place at a relay. */
export const isCircuit = (address: string): boolean => address.includes(CIRCUIT)

/** The relay part of a full node. */
export class Relays {
  readonly #core: Core<FullCore>

  constructor(core: Core<FullCore>) {
    this.#core = core
  }

  prepare(refresh: boolean): void {
    const { raw } = this.#core
    raw.set_relay_clock(Date.now() - performance.now())
    raw.refresh_circuits(refresh)
  }

  /** Wants a place: at any relay for `/p2p-circuit`, else at the one that `address` names. */
  listen(address: string): void {
    const result = this.#core.raw.listen_on_relay(now(), address === CIRCUIT ? '' : address)
    if (result < 0) throw errorOf(this.#core.failure(result), address)
  }

  get list(): readonly PeerId[] {
    return this.#core.lines(this.#core.raw.relays())
  }

  limit(connection: number): RelayLimit | undefined {
    const length = this.#core.raw.allowance(now(), connection)
    return length === 0 ? undefined : limitOf(new Records(this.#core.output(length).slice()))
  }

  /** The event that a record stands for. */
  event(kind: number, body: Records): { name: keyof RelayEvents; detail: RelayEvents[keyof RelayEvents] } {
    const relay = body.text()
    return kind === 70
      ? { name: 'relay:reserved', detail: { relay, addresses: body.lines() } }
      : { name: 'relay:lost', detail: { relay, error: errorOf(body.failure()) } }
  }
}

/** Reads what a relay allows, and what is used. */
export function limitOf(body: Records): RelayLimit {
  const duration = body.number() || Number.POSITIVE_INFINITY
  const data = body.number() || Number.POSITIVE_INFINITY
  const used = { duration: body.number(), sent: body.number(), received: body.number() }
  const left = {
    duration: Math.max(0, duration - used.duration),
    sent: Math.max(0, data - used.sent),
    received: Math.max(0, data - used.received),
  }
  return { duration, data, used, left }
}
