/** Peers that are found: on the local network, at rendezvous points, and by topics. */

import type { AbortOptions } from '../abort.js'
import { PolypeerError } from '../errors.js'
import type { Multiaddr, PeerId } from '../types.js'

/** Somebody who was found. */
export interface Discovered {
  /** Who it says that it is; a connection proves it. */
  readonly peer: PeerId
  /** Where it says that it is. */
  readonly addresses: readonly Multiaddr[]
  /** How it was found; `pubsub`: it announced itself in a topic for that. */
  readonly source: 'mdns' | 'rendezvous' | 'dht' | 'pubsub'
  /** The name that it is registered under, at a rendezvous point. */
  readonly namespace?: string
  /** The topic that it is said to be in, if one's peers were looked for. */
  readonly topic?: string
  /** How long that holds, in milliseconds. */
  readonly ttl: number
}

/**
 * All who are found: neighbours, where the option `mdns` is on, those whom
 * `node.rendezvous` finds, and those who are said to be in topics of this node. The first
 * two can be dialed by PeerId; the last are dialed by the node while a topic lacks peers.
 *
 * @example
 * ```ts
 * const node = await createNode({ listen: ['/ip4/0.0.0.0/tcp/0'], mdns: true })
 * for await (const { peer } of node.discovery) await node.dial(peer)
 * ```
 */
export interface Discovery extends AsyncIterable<Discovered> {
  /** Those whose time is not over, 1,024 at most. */
  readonly peers: readonly Discovered[]
  /**
   * Those who are known, then each who is found, until the loop is left, `signal` says so
   * (then it throws the signal's reason) or the node is closed.
   */
  find(options?: AbortOptions): AsyncIterableIterator<Discovered>
}

/** The events of discovery. */
export interface DiscoveryEvents {
  /** A peer was found that was not known from that source, or is elsewhere now. */
  'peer:discovery': Discovered
  /** A neighbour has left, or was not heard for as long as it had said. */
  'peer:gone': PeerId
  /** A rendezvous point has us registered anew. */
  'rendezvous:renew': { readonly point: PeerId; readonly namespace: string; readonly ttl: number }
  /** It has not; it is asked again. */
  'rendezvous:error': { readonly point: PeerId; readonly namespace: string; readonly error: PolypeerError }
}

/** How neighbours are looked for. */
export interface MdnsOptions {
  /**
   * The name that they look for each other by, 1 to 62 letters, digits and hyphens.
   * Default: that of all of libp2p.
   */
  readonly serviceName?: string
  /** Looks on this machine alone. Default: false. */
  readonly loopback?: boolean
  /** The port; others than 5353, the default, are for tests. */
  readonly port?: number
}

/**
 * Where peers of the topics that the node has subscribed to are looked for, while a topic
 * has fewer peers than its mesh wants.
 */
export interface TopicDiscoveryOptions {
  /** In the DHT, if the node takes part in one. Default: true. */
  readonly dht?: boolean
  /** At these rendezvous points, by address or PeerId. Default: none. */
  readonly points?: readonly (Multiaddr | PeerId)[]
  /** Whether others find this node there too, as long as it is subscribed. Default: true. */
  readonly announce?: boolean
}

/**
 * How peers announce themselves in a topic for that: as `@libp2p/pubsub-peer-discovery`
 * does it, with the same names.
 */
export interface PubsubPeerDiscoveryOptions {
  /** In which topics, instead of `_peer-discovery._p2p._pubsub`. */
  readonly topics?: readonly string[]
  /** How often, in milliseconds; 1,000 at least. Default: 10,000. */
  readonly interval?: number
  /** Only hears of others. Default: false. */
  readonly listenOnly?: boolean
}

/** Somebody who is registered at a rendezvous point. */
export interface Registration {
  readonly peer: PeerId
  readonly addresses: readonly Multiaddr[]
  readonly namespace: string
  /** How long it is still registered, in milliseconds. */
  readonly ttl: number
  /** The record that the peer signed, in its envelope, to be handed on. */
  readonly record: Uint8Array
}

/** What a rendezvous point tells. */
export interface Registrations {
  /** Those whose records are good. */
  readonly registrations: readonly Registration[]
  /** To ask the same point for those who come later, or were left out now. */
  readonly cookie: Uint8Array
  /** How many were not good. */
  readonly refused: number
}

/** What to look for at a rendezvous point. */
export interface SearchOptions extends AbortOptions {
  /** Those of this name; all, without. */
  readonly namespace?: string
  /** So many at most. Default: 100; each costs a signature's verification. */
  readonly limit?: number
  /** The cookie of an earlier answer for the same name. */
  readonly cookie?: Uint8Array
}

/** What a rendezvous point takes; numbers that are left out are those of the core. */
export interface RendezvousPointOptions {
  /** Milliseconds of a registration, at least (2 h) and at most (72 h). */
  readonly minTtl?: number
  readonly maxTtl?: number
  /** Registrations in all (100,000), and their bytes (128 MiB). */
  readonly registrations?: number
  readonly bytes?: number
  /** Registrations of a peer (1,000), under a name (10,000), of an IPv4 /24 or IPv6 /48 (1,000). */
  readonly perPeer?: number
  readonly perNamespace?: number
  readonly perNetwork?: number
  /** Requests of a connection a minute (120). */
  readonly requests?: number
}

/** What is registered with us. */
export interface RendezvousStats {
  readonly registrations: number
  readonly peers: number
  readonly namespaces: number
  readonly bytes: number
}

/**
 * Rendezvous: peers that look for each other meet at a point that both know, under a
 * name. A point is given by its address, which ends in `/p2p/…`, or by its PeerId.
 *
 * Calls reject with `RendezvousError` where the point refuses, and with the errors of
 * connections and streams.
 */
export interface Rendezvous {
  /**
   * Registers us, and again before that ends, when our addresses change and when the
   * point is back. For how many milliseconds.
   *
   * @example
   * ```ts
   * await node.rendezvous.register(point, 'our-chat')
   * const { registrations } = await node.rendezvous.discover(point, { namespace: 'our-chat' })
   * ```
   */
  register(
    point: Multiaddr | PeerId,
    namespace: string,
    options?: AbortOptions & { readonly ttl?: number },
  ): Promise<number>
  /** Tells a point that we are gone, and registers there no more. */
  unregister(point: Multiaddr | PeerId, namespace: string, options?: AbortOptions): Promise<void>
  /** Asks who is registered. They can be dialed by PeerId then. */
  discover(point: Multiaddr | PeerId, options?: SearchOptions): Promise<Registrations>
  /** Where we are registered. */
  readonly registered: readonly { readonly point: PeerId; readonly namespace: string }[]
  /** Is a rendezvous point for others from now on: where they can reach this node, in Node then. */
  serve(options?: RendezvousPointOptions): void
  /** What others have registered with us. */
  readonly stats: RendezvousStats
}

/** A rendezvous point did not do what was asked of it; the message says why. */
export class RendezvousError extends PolypeerError {
  override name = 'RendezvousError'
  /** The status of its answer, such as `invalid TTL`, if it refused. */
  readonly status: string | undefined

  constructor(message: string, status?: string) {
    super('ERR_RENDEZVOUS', message)
    this.status = status
  }
}
