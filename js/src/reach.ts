/** Where a node can be reached, and how it is known. */

import type { Core as FullCore } from '../generated/core.js'
import { type Core, now } from './core.js'
import { errorOf } from './failures.js'
import type { Multiaddr } from './types.js'

/**
 * How a node knows of an address of its own: it listens there, a gateway maps it,
 * several remotes see the node there, a relay keeps a place, the options name it, or
 * several remotes see the node at its IP address: then it is announced only once it was
 * dialed.
 */
export type OwnAddressSource = 'listening' | 'mapped' | 'observed' | 'relayed' | 'configured' | 'inferred'

/** Whether others can dial; `unknown` until enough of them have tried. */
export type Reachability = 'unknown' | 'public' | 'private'

/** An address of a node. */
export interface OwnAddress {
  /** Without the node's PeerId. */
  readonly address: Multiaddr
  readonly source: OwnAddressSource
  readonly reachability: Reachability
  /** Whether others are told of it. */
  readonly announced: boolean
}

/** Which addresses a node believes and announces. */
export interface AddressOptions {
  /** Announces these in place of all that the node knows of itself, relays included. */
  readonly announce?: readonly Multiaddr[]
  /** Announces these too. */
  readonly appendAnnounce?: readonly Multiaddr[]
  /** Never announces addresses that begin so, or networks such as `/ip4/10.0.0.0/ipcidr/8`. */
  readonly noAnnounce?: readonly string[]
  /** How many remotes, each of another network, must see an address before it is believed. Default: 4. */
  readonly observers?: number
  /** Whether private addresses are as good as public ones: for tests and closed networks. Default: false. */
  readonly private?: boolean
}

/** How much a node does for others who want to know whether they can be dialed. */
export interface AutonatOptions {
  /** Requests that are worked on at a time. Default: 16. */
  readonly maxRequests?: number
  /** Of these, of one peer. Default: 2. */
  readonly maxRequestsOfPeer?: number
  /** Requests that are taken in a minute. Default: 60. */
  readonly perMinute?: number
  /** Of these, of one network (a public IPv4 /24 or IPv6 /48). Default: 20. */
  readonly perMinuteOfNetwork?: number
  /** Of these, of one peer. Default: 12. */
  readonly perMinuteOfPeer?: number
}

/** The events about addresses, by name, and the type of their `detail`. */
export interface ReachEvents {
  /** It is known, or doubtful again, whether others can dial an address, or, without one, the node. */
  reachability: { readonly address: Multiaddr | undefined; readonly reachability: Reachability }
}

/** The order of `core/reach.rs`. */
const sources = ['listening', 'mapped', 'observed', 'relayed', 'configured', 'inferred'] as const
const reachabilities = ['unknown', 'public', 'private'] as const

export const reachabilityOf = (number: number): Reachability => reachabilities[number] ?? 'unknown'

/** Believes and announces what `options` say. */
export function setAnnouncing(core: Core<FullCore>, options: AddressOptions): void {
  const { announce = [], appendAnnounce = [], noAnnounce = [], observers = 4 } = options
  const { private: isPrivate = false } = options
  const lists = [announce, appendAnnounce, noAnnounce].map((list) => list.join('\n')) as [
    string,
    string,
    string,
  ]
  const result = core.raw.set_announcing(now(), ...lists, observers, isPrivate)
  if (result < 0) throw errorOf(core.failure(result), 'addresses')
}

/** The node's addresses: each line begins with three digits. */
export function ownAddresses(core: Core<FullCore>): readonly OwnAddress[] {
  return core.lines(core.raw.own_addresses()).map((line) => ({
    address: line.slice(3),
    source: sources[Number(line[0])] ?? 'configured',
    reachability: reachabilityOf(Number(line[1])),
    announced: line[2] === '1',
  }))
}
