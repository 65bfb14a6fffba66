/** Limits, filters, bandwidth and figures, as the application has them. */

import type { Multiaddr, PeerId } from './types.js'

/** What may be used of each resource; no limit, or the default, where nothing is said. */
export interface Allowance {
  /** Connections that remotes opened. */
  readonly connectionsIn?: number
  /** Connections that we opened, attempts included. */
  readonly connectionsOut?: number
  /** Connections of both kinds. */
  readonly connections?: number
  /** Streams that remotes opened. */
  readonly streamsIn?: number
  /** Streams that we opened. */
  readonly streamsOut?: number
  /** Streams of both kinds. */
  readonly streams?: number
  /** Bytes. */
  readonly memory?: number
}

/** What connections from one prefix of addresses may be. */
export interface Share {
  /** Connections at a time. */
  readonly connections?: number
  /** New connections at once, before the rate holds. */
  readonly burst?: number
  /** Milliseconds after which one more may come. */
  readonly interval?: number
}

/** How many connections remotes may open, by where they come from. */
export interface Arrivals {
  /** Handshakes of one IPv4 address or IPv6 /56 at a time. Default: 8. */
  readonly handshakesPerAddress?: number
  /** Connections of one IPv4 address or IPv6 /56. Default: 8, one in 5 s after 16. */
  readonly address?: Share
  /** Connections of one IPv6 /48. Default: 64, one in 2 s after 80. */
  readonly site?: Share
  /** Whether these hold for loopback, too. Default: `false`. */
  readonly loopback?: boolean
}

/** What a node and each part of it may use; what is not said is as `base` has it. */
export interface Limits {
  /**
   * Where the defaults come from: what suits a page (128 connections, 64 MiB), a
   * program in Node (4,096, 256 MiB), or a server that may use so many bytes.
   * Default: what the node runs in.
   */
  readonly base?: 'page' | 'node' | { readonly memory: number }
  /** All together. */
  readonly system?: Allowance
  /** Connections whose remote, and streams whose protocol is not known yet. */
  readonly transient?: Allowance
  /** Each peer. */
  readonly peer?: Allowance
  /** Each protocol; its memory is that of grown windows. */
  readonly protocol?: Allowance
  /** Each peer in each protocol. */
  readonly protocolPeer?: Allowance
  /** Each connection. */
  readonly connection?: Allowance
  /** Each stream: the memory of its grown window. */
  readonly stream?: Allowance
  /** Inbound connections, by where they come from. */
  readonly arrivals?: Arrivals
}

/** The most bytes a second, each way; no limit where nothing is said. */
export interface Rates {
  /** Received. */
  readonly inbound?: number
  /** Sent. */
  readonly outbound?: number
}

/** Limits on rates: those here are for all together. */
export interface Bandwidth extends Rates {
  /** Each peer that has no limit of its own. */
  readonly eachPeer?: Rates
  /** Peers with limits of their own. */
  readonly peers?: Readonly<Record<PeerId, Rates>>
  /** Protocols, their streams with all peers together. */
  readonly protocols?: Readonly<Record<string, Rates>>
}

/** What a limit on rates is about. */
export type RatesOf = 'all' | 'each-peer' | { readonly peer: PeerId } | { readonly protocol: string }

/**
 * Whom or what a filter is about: a peer, an address with all that begin so
 * (`/dns4/example.com`), a network (`/ip4/10.0.0.0/ipcidr/8`), or every peer (`*`).
 */
export type FilterSubject = PeerId | Multiaddr | '*'

/** When a filter holds. */
export interface FilterOptions {
  /** In one direction. Default: in both. */
  readonly direction?: 'inbound' | 'outbound'
}

/** Whom to speak with from the start. */
export interface FilterRules {
  /** Allowed, whatever is denied of more. */
  readonly allow?: readonly FilterSubject[]
  /** Denied. */
  readonly deny?: readonly FilterSubject[]
}

/**
 * Whom a node speaks with: the rule that says the most decides. A connection that
 * is denied from now on is closed, a dial of a peer that is denied fails with a
 * `DeniedError`.
 *
 * @example
 * ```ts
 * node.filters.deny('/ip4/10.0.0.0/ipcidr/8')
 * node.filters.allow('/ip4/10.1.2.3', { direction: 'inbound' })
 * ```
 */
export interface NodeFilters {
  /** Allows a subject. */
  allow(subject: FilterSubject, options?: FilterOptions): void
  /** Denies a subject. */
  deny(subject: FilterSubject, options?: FilterOptions): void
  /** Forgets what was said of a subject. */
  remove(subject: FilterSubject, options?: FilterOptions): void
}

/** Bytes that have passed, and how many do a second, smoothed over some five seconds. */
export interface Traffic {
  readonly bytesIn: number
  readonly bytesOut: number
  readonly rateIn: number
  readonly rateOut: number
}

/** What a node does and holds at one moment: plain data, for `console.table`. */
export interface NodeStats {
  /** Connections by direction and state. */
  readonly connections: {
    readonly inbound: number
    readonly outbound: number
    readonly handshaking: number
    readonly dialing: number
  }
  /** Streams by direction. */
  readonly streams: { readonly inbound: number; readonly outbound: number }
  /** Bytes of memory booked. */
  readonly memory: number
  /** Inbound connections refused since the start, by reason. */
  readonly refused: {
    readonly full: number
    readonly handshakes: number
    readonly denied: number
    readonly addressFull: number
    readonly tooFast: number
  }
  /** What all connections carry. */
  readonly traffic: Traffic
  /** The streams of each protocol, and their data. */
  readonly protocols: readonly ({
    readonly protocol: string
    readonly streamsIn: number
    readonly streamsOut: number
  } & Traffic)[]
  /** The connections of each peer. */
  readonly peers: readonly ({
    readonly peer: PeerId
    readonly connections: number
    readonly streams: number
    readonly memory: number
  } & Traffic)[]
  /** Each limit, what is in use of it, and how often it was in the way. */
  readonly scopes: readonly {
    readonly scope: string
    readonly resource: string
    readonly used: number
    readonly limit: number
    readonly refused: number
  }[]
}

/** What a node is told of limits at its start. */
export interface LimitingOptions {
  /** What the node and each part of it may use. Default: what suits the host. */
  readonly limits?: Limits
  /** Whom the node speaks with. Default: everyone. */
  readonly filters?: FilterRules
  /** How fast bytes may come and go. Default: as fast as they can. */
  readonly bandwidth?: Bandwidth
}

/** What a node has of limits while it runs. */
export interface Limiting {
  /** Whom the node speaks with. */
  readonly filters: NodeFilters
  /**
   * Limits bytes a second from now on, of all together or of a part; no limit
   * where nothing is said.
   *
   * @example
   * ```ts
   * node.setBandwidth({ outbound: 1_000_000 })
   * node.setBandwidth({ inbound: 100_000 }, { protocol: '/files/1.0.0' })
   * ```
   */
  setBandwidth(rates: Rates, of?: RatesOf): void
  /**
   * What the node does and holds now.
   *
   * @example
   * ```ts
   * console.table(node.stats().scopes)
   * ```
   */
  stats(): NodeStats
}
