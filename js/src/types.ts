/** What the package promises: the node, its connections and their streams. */

import type { AbortOptions } from './abort.js'
import type { Dht, DhtOptions } from './dht/types.js'
import type {
  Discovery,
  DiscoveryEvents,
  MdnsOptions,
  PubsubPeerDiscoveryOptions,
  Rendezvous,
  RendezvousPointOptions,
  TopicDiscoveryOptions,
} from './discovery/types.js'
import type { PeerStoreError, PolypeerError } from './errors.js'
import type { TypedEventTarget } from './events.js'
import type { Ipns } from './ipns.js'
import type { Limiting, LimitingOptions } from './limits.js'
import type { Pubsub, PubsubEvents, PubsubOptions } from './pubsub/types.js'
import type { AddressOptions, AutonatOptions, OwnAddress, Reachability, ReachEvents } from './reach.js'
import type { RecordStoreError } from './records/types.js'
import type { RelayEvents, RelayLimit, RelayServiceOptions, RelayStats } from './relay.js'
import type { Router, Routing } from './routing/types.js'
import type {
  RunningService,
  Service,
  ServiceErrorDetail,
  ServiceOptions,
  ServiceSession,
  SessionEnd,
} from './service/types.js'
import type { PeerStorage, PeerStore } from './store/types.js'
import type { WebRtcEvents, WebRtcOptions } from './webrtc.js'

/**
 * A peer's name: the hash of its public key, as text (`12D3KooW…`, `Qm…` or
 * the CIDv1 form `bafz…`; what the node returns is always base58).
 */
export type PeerId = string

/** An address as text, such as `/ip4/192.0.2.1/tcp/4001/ws/p2p/12D3KooW…`. */
export type Multiaddr = string

/** Whom to dial: a peer that the node knows, an address, or several addresses of one peer. */
export type DialTarget = PeerId | Multiaddr | readonly Multiaddr[]

/** Where a private key is kept between runs. */
export interface KeyStore {
  /** The kept key, in libp2p's protobuf encoding, or `undefined` if there is none yet. */
  load(): Promise<Uint8Array | undefined>
  /**
   * Keeps `key`, unless there is one by now: resolves with the key that is
   * kept, so that two pages that start together end with one identity.
   */
  save(key: Uint8Array): Promise<Uint8Array>
}

/** How a node is made. Every field may be left out. */
export interface NodeOptions {
  /**
   * Addresses to listen on. Node: `/ip4/…/tcp/PORT`, `/ip4/…/tcp/PORT/ws` and
   * `/ip4/…/udp/PORT/webrtc-direct` (also `ip6`); port 0 takes a free one. Pages and workers cannot listen but
   * through relays, as Node can too: `/p2p-circuit` at any relay that the node is
   * connected to, `ADDRESS/p2p-circuit` at the relay with this address. `/webrtc`
   * beside that: those who find us through the relay come to us directly.
   * Default: none.
   */
  readonly listen?: readonly Multiaddr[]
  /** The identity, a private key in libp2p's protobuf encoding. Default: a fresh Ed25519 key. */
  readonly privateKey?: Uint8Array
  /** Keeps one identity between runs. Not together with `privateKey`. */
  readonly keyStore?: KeyStore
  /** What identify tells others this program is. Default: `polypeer/VERSION`. */
  readonly agent?: string
  /** The WebAssembly module: where it is, its bytes, or compiled. Default: the one in this package. */
  readonly wasm?: WasmSource
  /** Ends the start early. */
  readonly signal?: AbortSignal
}

/** How a node with all its parts is made. */
export interface FullNodeOptions extends NodeOptions, LimitingOptions {
  /**
   * Keeps what is known of peers between runs: `filePeerStore(path)` in Node,
   * `indexedDbPeerStore(name)` in pages. Default: in memory only.
   */
  readonly peerStore?: PeerStorage
  /**
   * Addresses of peers to begin with. If the option is there, be it empty, peers
   * that proved stable in earlier runs are begun with too. Default: nobody.
   */
  readonly bootstrap?: readonly Multiaddr[]
  /** Begins with the well-known peers of the public libp2p network too. Default: false. */
  readonly publicBootstrap?: boolean
  /** How many peers to begin with. Default: 4. */
  readonly bootstrapTarget?: number
  /**
   * With more than `highWater` connections the least valuable peers are let go,
   * down to `lowWater`: neither those that are kept or protected nor who has come
   * within the last minute. Default: 80 and 100 in pages and workers, 160 and 192
   * in Node.
   */
  readonly connectionLimits?: { readonly lowWater: number; readonly highWater: number }
  /**
   * Serves others as a circuit relay, with these limits. Only where others can
   * reach this node, in Node then. Default: false.
   */
  readonly relay?: boolean | RelayServiceOptions
  /** Which addresses are believed and announced. */
  readonly addresses?: AddressOptions
  /**
   * Dials for others who want to know whether they can be dialed, at most so often.
   * Only where others can reach this node, in Node then. Whether it can be dialed
   * itself, a node that listens asks in any case. Default: false.
   */
  readonly autonat?: boolean | AutonatOptions
  /**
   * How the node publishes and subscribes. Default: as gossipsub, from its first topic on;
   * with this option, be it empty, it is told to others from the start.
   */
  readonly pubsub?: PubsubOptions
  /**
   * Whether and where peers of the node's topics are looked for. Default: in the DHT, if
   * the node takes part in one.
   */
  readonly topicDiscovery?: boolean | TopicDiscoveryOptions
  /**
   * Announces the node in a topic for that and dials others who do so too, as
   * `@libp2p/pubsub-peer-discovery` does it. Default: false.
   */
  readonly pubsubPeerDiscovery?: boolean | PubsubPeerDiscoveryOptions
  /**
   * How peer connections are made; `false` for none. A worker has none but those that
   * a page lends it: the port from `webRtcPort`. In Node, with which certificate WebRTC
   * direct is listened on. Default: on in pages and Node.
   */
  readonly webrtc?: boolean | MessagePort | WebRtcOptions
  /**
   * Dials a connection anew that is in use and that its relay will soon cut, so
   * that streams opened later outlive it. Default: true.
   */
  readonly refreshCircuits?: boolean
  /**
   * Takes part in a DHT: finds peers, providers and values with all who take part, and in
   * Node, where others can dial it, for them too. Default: false.
   */
  readonly dht?: boolean | DhtOptions
  /**
   * Looks for peers on the local network, and tells them of this node; in Node.
   * `node.discovery` has them. Default: false.
   */
  readonly mdns?: boolean | MdnsOptions
  /** Is a rendezvous point for others, in Node. Default: false. */
  readonly rendezvousPoint?: boolean | RendezvousPointOptions
  /** What `node.routing` asks beside the DHT, such as `delegatedRouting(url)`. */
  readonly routers?: readonly Router[]
}

/** How streams of a protocol are taken. */
export interface HandleOptions {
  /**
   * Takes streams also on connections that a relay limits, for protocols that
   * carry little. Default: false.
   */
  readonly limited?: boolean
}

/** Where the WebAssembly module comes from. */
export type WasmSource = string | URL | Response | ArrayBuffer | Uint8Array | WebAssembly.Module

/** How streams are opened. */
export interface OpenOptions extends AbortOptions {
  /**
   * Opens it on a connection that a relay limits too, for protocols that carry
   * little or can do with an end at any time. Default: false.
   */
  readonly limited?: boolean
}

/** How peers are dialed. */
export interface DialOptions extends OpenOptions {
  /** Takes no connection through a relay, be it there already. Default: false. */
  readonly direct?: boolean
  /** Tries addresses that failed a short while ago too, which are left alone otherwise. Default: false. */
  readonly force?: boolean
}

/** What a protocol handler is: called with each stream that a remote opens. */
export type StreamHandler = (stream: Stream) => void | Promise<void>

/** What identify learned of a peer. */
export interface PeerInfo {
  /** Who it is. */
  readonly peer: PeerId
  /** The program it runs, in its own words. */
  readonly agent: string
  /** The protocols that it takes streams for. */
  readonly protocols: readonly string[]
  /** Where it says it listens. */
  readonly addresses: readonly Multiaddr[]
  /** Our address as it sees it, if it said so. */
  readonly observedAddress: Multiaddr | undefined
}

/** The events of a node, by name, and the type of their `detail`. */
export interface NodeEvents extends DiscoveryEvents, PubsubEvents, ReachEvents, RelayEvents, WebRtcEvents {
  /** A connection was opened, by either side. */
  'connection:open': Connection
  /** A connection was closed, by either side or by an error. */
  'connection:close': Connection
  /** The first connection to a peer was opened. */
  'peer:connect': PeerId
  /** The last connection to a peer was closed. */
  'peer:disconnect': PeerId
  /** A peer said what it is; also when it says so anew. */
  'peer:identify': PeerInfo
  /** {@link PeerNode.addresses} changed. */
  'addresses:change': readonly Multiaddr[]
  /** The peer store knows something new of a peer. */
  'peer:update': PeerId
  /** The peer store knows nothing of a peer any more. */
  'peer:forget': PeerId
  /** The peer store could not be written down; in memory it goes on. */
  'peerstore:error': PeerStoreError
  /** The store of records failed; in memory it goes on. */
  'recordstore:error': RecordStoreError
  /** Peers to begin with were dialed; so many are connected now. */
  bootstrap: { readonly peers: number }
  /** There were too many connections: this peer, worth least, is let go. */
  'peer:trim': PeerId
  /** A kept peer is not connected; it is dialed again after so many milliseconds. */
  'peer:redial': { readonly peer: PeerId; readonly failures: number; readonly after: number }
  /** Of several connections to a peer this one is now the best: new streams use it. */
  'peer:path': Connection
  /** A session of a service has opened. */
  'session:open': { readonly service: string; readonly session: ServiceSession }
  /** A session of a service is over. */
  'session:close': { readonly service: string; readonly session: ServiceSession; readonly end: SessionEnd }
  /** Something went wrong in a service: all errors of all services come here. */
  'service:error': ServiceErrorDetail
  /** A protocol handler threw or rejected; its stream was reset. */
  'handler:error': { readonly protocol: string; readonly stream: Stream; readonly error: unknown }
}

/**
 * A libp2p peer with all its parts. Made by `createNode`.
 */
export interface PeerNode extends MiniNode, Limiting {
  /** What is known of peers. */
  readonly peerStore: PeerStore
  /** Names that point to what changes. */
  readonly ipns: Ipns
  /** The DHT, if it is switched on; without, its calls throw `UnsupportedError`. */
  readonly dht: Dht
  /** Finds peers, providers and values by all that is switched on. */
  readonly routing: Routing
  /** Topics. */
  readonly pubsub: Pubsub
  /** Who is found on the local network, at rendezvous points and by topics. */
  readonly discovery: Discovery
  /** Points where peers meet under a name. */
  readonly rendezvous: Rendezvous
  /** The peers that are kept, connected or not. */
  readonly kept: readonly PeerId[]

  /**
   * Keeps a connection to `peer` from now on: dials it at `addresses` and those
   * that are known, and again whenever the connection is lost, for ever, with
   * pauses that grow to a minute; at once when the page comes back to the
   * foreground or online.
   *
   * @throws {InvalidAddressError} `peer` or an address cannot be read.
   * @example
   * ```ts
   * node.keep(relay, ['/dns4/relay.example/tcp/443/tls/ws'])
   * ```
   */
  keep(peer: PeerId, addresses?: readonly Multiaddr[]): void
  /** Keeps it no longer; a connection that is there stays. Whether it was kept. */
  release(peer: PeerId): boolean
  /** Never lets `peer` go while there is a reason not to, of which this is one. */
  protect(peer: PeerId, reason: string): void
  /** Takes one reason back. */
  unprotect(peer: PeerId, reason: string): void
  /**
   * Says what `peer` is worth when there are too many connections: the sum of its
   * tags, whole numbers from 0 on, of which this is one. `peerStore` remembers it.
   */
  tag(peer: PeerId, name: string, value: number): void
  /** Takes a tag back. */
  untag(peer: PeerId, name: string): void
  /** The smoothed round trip to `peer` in milliseconds, once it is measured. */
  latency(peer: PeerId): number | undefined
  /**
   * Says that the program woke from a sleep: every peer is pinged and has two
   * seconds to answer, and those that are kept or were lost are dialed at once.
   * Pages and workers do it by themselves.
   */
  resumed(): void
  /** Says that there is no network; as {@link PeerNode.resumed}. */
  offline(): void
  /** Says that there is a network again; as {@link PeerNode.resumed}. */
  online(): void
  /**
   * In a worker: takes another page's peer connections too, for when the page that
   * lends them now is gone.
   */
  borrowWebRTC(port: MessagePort): void

  /**
   * Runs a protocol of messages for the life of the node: `service` has callbacks,
   * as an object or an instance of a class, and may make a handler for each session.
   *
   * @throws {InvalidArgumentError} the protocol is none, or has a handler already.
   * @example
   * ```ts
   * const chat = node.serve({ protocol: { name: '/chat', versions: '^1.2', own: '1.2.0' } }, {
   *   received(message, from, service) {
   *     service.broadcast(message, { filter: (to) => to !== from })
   *   },
   * })
   * ```
   */
  serve(options: ServiceOptions, service: Service): RunningService
  /** All addresses of the node: how each is known, and what became of it. */
  readonly ownAddresses: readonly OwnAddress[]
  /** Whether others can dial the node at all, as far as some have tried. */
  readonly reachability: Reachability
  /**
   * Changes what is believed and announced from now on; what is left out is as by default.
   *
   * @throws {InvalidAddressError} an address cannot be read.
   */
  setAnnouncing(options: AddressOptions): void
  /** Begins to dial for others, as the option `autonat`, or changes how often. */
  serveAutonat(options?: AutonatOptions): void
  /**
   * Begins to serve as a relay, as the option `relay`, or changes what others are
   * allowed: rates and lists at once, the rest for places and connections from now on.
   *
   * @throws {InvalidAddressError} a PeerId cannot be read.
   */
  serveAsRelay(options?: RelayServiceOptions): void
  /** What this node does and has done as a relay. */
  relayStats(): RelayStats
  /** The relays that keep a place for us: `listen: ['/p2p-circuit']` asks for them. */
  readonly relays: readonly PeerId[]
  /** What a relay allows of a connection through it; `undefined` where there is no limit. */
  limitOf(connection: Connection): RelayLimit | undefined
  /** As {@link MiniNode.handle}; on connections that a relay limits only if asked to. */
  handle(protocol: string, handler: StreamHandler, options?: HandleOptions): void
}

/**
 * A libp2p peer: it dials others and takes their streams. Made by `createNode`
 * of `polypeer/mini`; {@link PeerNode} is this and more.
 *
 * @example
 * ```ts
 * await using node = await createNode()
 * node.handle('/echo/1.0.0', async (stream) => {
 *   await stream.readable.pipeTo(stream.writable)
 * })
 * ```
 */
export interface MiniNode extends TypedEventTarget<NodeEvents>, AsyncDisposable {
  /** Who this node is. */
  readonly peerId: PeerId
  /** The private key in libp2p's protobuf encoding: keep it secret, give it back to keep the identity. */
  readonly privateKey: Uint8Array
  /** Where others can reach this node, each with `/p2p/` and its PeerId. */
  readonly addresses: readonly Multiaddr[]
  /** The open connections. */
  readonly connections: readonly Connection[]
  /** The peers that there is a connection to. */
  readonly peers: readonly PeerId[]
  /** The protocols that have a handler. */
  readonly protocols: readonly string[]
  /** Whether {@link PeerNode.close} was called. */
  readonly closed: boolean

  /**
   * Connects to a peer, or takes the connection that there is.
   *
   * @throws {InvalidAddressError} `target` cannot be read.
   * @throws {DialError} no address led to the peer.
   * @example
   * ```ts
   * const connection = await node.dial('/ip4/127.0.0.1/tcp/4001/ws/p2p/12D3KooW…', {
   *   signal: AbortSignal.timeout(5_000),
   * })
   * ```
   */
  dial(target: DialTarget, options?: DialOptions): Promise<Connection>
  /**
   * Connects to a peer and opens a stream for `protocol`; of several, for the
   * first that the remote speaks.
   *
   * @throws {ProtocolNotSupportedError} the remote speaks none of them.
   * @example
   * ```ts
   * await using stream = await node.dial(address, '/echo/1.0.0')
   * await stream.write(new TextEncoder().encode('hello'))
   * ```
   */
  dial(target: DialTarget, protocol: string | readonly string[], options?: DialOptions): Promise<Stream>

  /**
   * Takes the streams that remotes open for `protocol`. The handler owns the
   * stream: it closes it. If it throws or rejects, the stream is reset and
   * `handler:error` is sent.
   */
  handle(protocol: string, handler: StreamHandler): void
  /** Refuses new streams for `protocol`; open ones go on. */
  unhandle(protocol: string): void
  /** Closes every connection to `peer`. */
  hangUp(peer: PeerId, options?: AbortOptions): Promise<void>
  /**
   * Measures the round trip to a peer, in milliseconds; dials it first if need be.
   *
   * @example
   * ```ts
   * const ms = await node.ping(address, { signal: AbortSignal.timeout(2_000) })
   * ```
   */
  ping(target: DialTarget, options?: AbortOptions): Promise<number>
  /** Closes listeners, connections and streams, and frees the memory. */
  close(): Promise<void>
}

/** The events of a connection. */
export interface ConnectionEvents {
  /** It is closed; the detail is the error that ended it, or `null`. */
  close: PolypeerError | null
}

/** An authenticated, encrypted link to one peer that carries many streams. */
export interface Connection extends TypedEventTarget<ConnectionEvents>, AsyncDisposable {
  /** Who the remote proved to be. */
  readonly peer: PeerId
  /** The remote's end. */
  readonly remoteAddress: Multiaddr
  /** Who dialed. */
  readonly direction: 'inbound' | 'outbound'
  /** Where in its life it is. */
  readonly status: 'open' | 'closing' | 'closed'
  /** Whether it leads to the peer itself, and not through a relay. */
  readonly direct: boolean
  /** Whether it leads through a relay that limits it: {@link PeerNode.limitOf} says how far. */
  readonly limited: boolean
  /** The open streams of the application. */
  readonly streams: readonly Stream[]
  /**
   * Opens a stream for `protocol`; of several, for the first that the remote
   * speaks.
   *
   * @throws {ProtocolNotSupportedError} the remote speaks none of them.
   * @throws {LimitedConnectionError} a relay limits the connection, and `limited` is not set.
   */
  openStream(protocol: string | readonly string[], options?: OpenOptions): Promise<Stream>
  /** Measures the round trip, in milliseconds. */
  ping(options?: AbortOptions): Promise<number>
  /** Sends what was written, then closes. */
  close(): Promise<void>
}

/**
 * A stream of bytes in both directions, agreed for one protocol. Read it by
 * `for await`, by {@link Stream.read} or by {@link Stream.readable}, one of
 * them at a time. What is not read is not taken from the remote: a slow reader
 * slows its sender and nobody else.
 *
 * @example
 * ```ts
 * await stream.write(question)
 * await stream.closeWrite()
 * for await (const bytes of stream) console.log(bytes)
 * ```
 */
export interface Stream extends AsyncIterable<Uint8Array>, AsyncDisposable {
  /** What both sides agreed to speak. */
  readonly protocol: string
  /** The connection that carries it. */
  readonly connection: Connection
  /** Who opened it. */
  readonly direction: 'inbound' | 'outbound'
  /** Where in its life it is; `reset` if it ended abruptly. */
  readonly status: 'open' | 'closing' | 'closed' | 'reset'
  /** The remote's bytes as a web stream, made when first asked for. */
  readonly readable: ReadableStream<Uint8Array>
  /** Our bytes as a web stream, made when first asked for. */
  readonly writable: WritableStream<Uint8Array>
  /** The next bytes, or `undefined` once the remote has finished. They belong to the caller. */
  read(options?: AbortOptions): Promise<Uint8Array | undefined>
  /**
   * Sends `bytes`, which are free again when it resolves. It waits while the
   * remote does not read. Aborting it resets the stream, as the remote may
   * have a part.
   */
  write(bytes: Uint8Array, options?: AbortOptions): Promise<void>
  /** Finishes our side, after what was written; reading goes on. */
  closeWrite(): Promise<void>
  /**
   * Ends the stream in order: what was written is still sent, what the remote
   * still sends is dropped. Resolves when our side is finished.
   */
  close(): Promise<void>
  /** Gives the stream up at once, in both directions; pending calls reject with `reason`. */
  abort(reason?: unknown): void
}
