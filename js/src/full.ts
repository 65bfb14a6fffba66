/** The node with all its parts; `polypeer/mini` goes without them. */

import type { Core as FullCore } from '../generated/core.js'
import { ConnectionImpl } from './connection.js'
import { type ConnectionId, type Core, now, type Records } from './core.js'
import { DhtImpl } from './dht/dht.js'
import type { Dht } from './dht/types.js'
import { DiscoveryImpl } from './discovery/discovery.js'
import { RendezvousImpl, readError } from './discovery/rendezvous.js'
import { readTopicPeer } from './discovery/topics.js'
import type { Discovered, Discovery, Rendezvous } from './discovery/types.js'
import {
  InvalidArgumentError,
  LimitedConnectionError,
  type PeerStoreError,
  RelayLimitError,
  UnsupportedError,
} from './errors.js'
import { emit } from './events.js'
import { errorOf } from './failures.js'
import { isDirect } from './host/webrtc/direct.js'
import type { Host } from './host.js'
import { type Ipns, IpnsImpl } from './ipns.js'
import { followPage, isPage } from './life.js'
import { configure, filtersOf, setBandwidth, stats } from './limiting.js'
import type { NodeFilters, NodeStats, Rates, RatesOf } from './limits.js'
import { NodeImpl } from './node.js'
import { PubsubImpl } from './pubsub/pubsub.js'
import {
  type AddressOptions,
  type AutonatOptions,
  type OwnAddress,
  ownAddresses,
  type Reachability,
  setAnnouncing,
} from './reach.js'
import { RecordKeeper } from './records/keeper.js'
import type { RecordStoreError } from './records/types.js'
import {
  isCircuit,
  limitOf,
  type RelayLimit,
  type RelayServiceOptions,
  type RelayStats,
  Relays,
} from './relay.js'
import { RoutingImpl } from './routing/routing.js'
import type { Routing } from './routing/types.js'
import { versions } from './service/names.js'
import { ServiceImpl } from './service/service.js'
import type { RunningService, Service, ServiceOptions } from './service/types.js'
import type { ServicesEngine } from './serving/services.js'
import { noServices, type Services } from './serving/types.js'
import { PeerStoreImpl, StoreWriter } from './store/peer-store.js'
import type { PeerStore } from './store/types.js'
import type {
  Connection,
  FullNodeOptions,
  HandleOptions,
  OpenOptions,
  PeerNode,
  StreamHandler,
} from './types.js'
import { upgradeFailure, WEBRTC, WebRtc } from './webrtc.js'

/** How often the peer store is written down, in milliseconds: what a sudden end loses. */
const JOURNAL_MS = 5_000
/** Peers that proved stable which a start begins with. */
const REMEMBERED = 8
const BOOTSTRAP_TARGET = 4

/**
 * The last moments of a page at which something can still be begun. A page that is loaded
 * anew may read before its predecessor is told of `pagehide`; where a tab is dropped from
 * the background nothing but `pagehide` comes.
 */
const LEAVING = ['beforeunload', 'pagehide'] as const

/** See {@link PeerNode}. What it does for others is the module of `serving/`, in Node. */
export class FullNode extends NodeImpl implements PeerNode {
  readonly peerStore: PeerStore
  readonly filters: NodeFilters
  readonly ipns: Ipns
  readonly dht: Dht
  readonly routing: Routing
  readonly discovery: Discovery
  readonly rendezvous: Rendezvous
  readonly #dht: DhtImpl
  readonly pubsub: PubsubImpl
  readonly #discovery: DiscoveryImpl
  readonly #rendezvous: RendezvousImpl
  readonly #serving: Services
  #keeper: RecordKeeper | undefined
  readonly #core: Core<FullCore>
  readonly #host: Host
  readonly #relays: Relays
  #webrtc: WebRtc | undefined
  #writer: StoreWriter | undefined
  readonly #services = new Set<ServiceImpl>()
  #unfollow: (() => void) | undefined
  readonly #onHide = (): void => {
    this.#flush()
    this.#writer?.hurry()
  }

  /** `serving` makes what the node does for others, where its module can. */
  constructor(
    core: Core<FullCore>,
    host: Host,
    privateKey: Uint8Array,
    serving: (engine: Omit<ServicesEngine, 'core' | 'host'>) => Services = () => noServices,
  ) {
    super(core, host, privateKey)
    this.#core = core
    this.#host = host
    // Where a link's own end is, its remote may see otherwise, and tell.
    this.engine.located = (connection, local) => core.raw.located(connection, local)
    this.#relays = new Relays(core)
    this.peerStore = new PeerStoreImpl({ core, touch: () => this.engine.touch() })
    const checked = (): Core<FullCore> => {
      this.check()
      return core
    }
    this.routing = new RoutingImpl((name, record) => this.ipns.verify(name, record))
    this.ipns = new IpnsImpl(checked, privateKey, this.routing)
    const [closed, check, touch] = [() => this.closed, () => this.check(), () => this.engine.touch()]
    this.pubsub = new PubsubImpl({
      core: checked,
      closed,
      touch,
      emit: (name, detail) => emit(this, name, detail),
    })
    this.#discovery = new DiscoveryImpl((who) => emit(this, 'peer:discovery', who))
    this.discovery = this.#discovery
    const found = (who: Discovered): void => this.#discovery.found(who)
    this.#serving = serving({
      touch,
      emit: (name, detail) => emit(this, name, detail),
      found,
      gone: (peer) => {
        this.#discovery.gone(peer)
        emit(this, 'peer:gone', peer)
      },
    })
    this.#dht = new DhtImpl({ core, closed, check, touch }, this.#serving, isPage())
    this.dht = this.#dht
    this.#rendezvous = new RendezvousImpl({ core, closed, check, touch, found }, this.#serving)
    this.rendezvous = this.#rendezvous
    this.filters = filtersOf(core, (act) => {
      this.check()
      act()
      this.engine.touch()
    })
  }

  setBandwidth(rates: Rates, of: RatesOf = 'all'): void {
    this.check()
    setBandwidth(this.#core, rates, of)
  }

  stats(): NodeStats {
    this.check()
    return stats(this.#core)
  }

  /** Does what `options` say before the node listens. */
  static async prepare(node: FullNode, options: FullNodeOptions): Promise<void> {
    configure(node.#core, options)
    node.#webrtc = WebRtc.create(node.#core, node.engine, node.#host, options.webrtc)
    await node.#prepare(options)
  }

  async #prepare({
    peerStore,
    bootstrap,
    publicBootstrap,
    bootstrapTarget,
    relay,
    refreshCircuits,
    connectionLimits,
    addresses,
    autonat,
    dht,
    mdns,
    rendezvousPoint,
    routers,
    pubsub,
    topicDiscovery,
    pubsubPeerDiscovery,
  }: FullNodeOptions): Promise<void> {
    const { raw } = this.#core
    const page = isPage()
    const result = raw.configure_store(
      Date.now() - performance.now(),
      page,
      peerStore === undefined ? -1 : JOURNAL_MS,
      (bootstrap ?? []).join('\n'),
      publicBootstrap ?? false,
      bootstrap === undefined ? 0 : REMEMBERED,
      bootstrapTarget ?? BOOTSTRAP_TARGET,
    )
    if (result < 0) throw errorOf(this.#core.failure(result), bootstrap)
    const { lowWater = 0, highWater = 0 } = connectionLimits ?? {}
    if (!(lowWater >= 0 && lowWater <= highWater)) {
      throw new InvalidArgumentError('connectionLimits: lowWater is to be at most highWater')
    }
    raw.configure_manager(page, lowWater, highWater)
    if (peerStore !== undefined) {
      const failed = (error: PeerStoreError): void => emit(this, 'peerstore:error', error)
      this.#writer = new StoreWriter(peerStore, failed)
      for (const [key, value] of await peerStore.load()) raw.stored(key, value)
      raw.restore(now())
      if (page) for (const event of LEAVING) globalThis.addEventListener(event, this.#onHide)
    }
    if (page) this.#unfollow = followPage(this)
    this.#relays.prepare(refreshCircuits ?? true)
    if (relay) this.serveAsRelay(relay === true ? {} : relay)
    if (addresses !== undefined) this.setAnnouncing(addresses)
    if (autonat) this.serveAutonat(autonat === true ? {} : autonat)
    if (dht !== undefined && dht !== false) {
      this.#dht.join(dht === true ? {} : dht)
      this.routing.add(this.#dht)
      if (dht !== true && dht.recordStore !== undefined) {
        const engine = { core: this.#core, turn: () => this.engine.turn() }
        const failed = (error: RecordStoreError): void => emit(this, 'recordstore:error', error)
        this.#keeper = await RecordKeeper.open(engine, dht.recordStore, failed)
      }
    }
    if (rendezvousPoint) this.rendezvous.serve(rendezvousPoint === true ? {} : rendezvousPoint)
    if (mdns) {
      await this.#serving.mdns(mdns === true ? {} : mdns)
      this.routing.add(this.#discovery.neighbours)
    }
    for (const router of routers ?? []) this.routing.add(router)
    if (pubsub !== undefined) this.pubsub.start(pubsub)
    if (topicDiscovery !== undefined) this.pubsub.setDiscovery(topicDiscovery)
    if (pubsubPeerDiscovery) {
      this.pubsub.startPeerDiscovery(pubsubPeerDiscovery === true ? {} : pubsubPeerDiscovery)
    }
    this.engine.touch()
  }

  get kept(): readonly string[] {
    return this.closed ? [] : this.#core.lines(this.#core.raw.kept())
  }

  keep(peer: string, addresses: readonly string[] = []): void {
    this.#call(peer, (raw) => raw.keep(now(), peer, addresses.join('\n')))
  }

  release(peer: string): boolean {
    return this.#call(peer, (raw) => raw.release(now(), peer)) === 1
  }

  protect(peer: string, reason: string): void {
    this.#call(peer, (raw) => raw.protect(peer, reason, true))
  }

  unprotect(peer: string, reason: string): void {
    this.#call(peer, (raw) => raw.protect(peer, reason, false))
  }

  tag(peer: string, name: string, value: number): void {
    if (!(Number.isInteger(value) && value >= 0 && value < 2 ** 32)) {
      throw new InvalidArgumentError(`not the value of a tag: ${value}`)
    }
    this.#call(peer, (raw) => raw.tag(now(), peer, name, value))
  }

  untag(peer: string, name: string): void {
    this.#call(peer, (raw) => raw.tag(now(), peer, name, -1))
  }

  latency(peer: string): number | undefined {
    const micros = this.closed ? -1 : this.#core.raw.latency(peer)
    return micros < 0 ? undefined : micros / 1000
  }

  resumed(): void {
    this.check()
    this.#core.raw.resumed(now())
    this.engine.touch()
  }

  offline(): void {
    this.check()
    this.#core.raw.offline()
  }

  online(): void {
    this.resumed()
  }

  /** Calls the core, whose negative answers are failures, and sees to what comes of it. */
  #call(subject: string, call: (raw: FullCore) => number): number {
    this.check()
    const result = call(this.#core.raw)
    if (result < 0) throw errorOf(this.#core.failure(result), subject)
    this.engine.touch()
    return result
  }

  serve(options: ServiceOptions, service: Service): RunningService {
    const { own, among } = versions(this.#core, options.protocol)
    const running = new ServiceImpl(
      {
        peerId: this.peerId,
        connections: () => this.connections.filter((one) => one instanceof ConnectionImpl),
        handle: (protocol, handler, options) => this.handle(protocol, handler, options),
        unhandle: (protocol) => this.unhandle(protocol),
        unref: (timer) => this.unref(timer),
        among,
        opened: (session) => emit(this, 'session:open', { service: running.name, session }),
        closed: (session, end) => emit(this, 'session:close', { service: running.name, session, end }),
        failed: (detail) => emit(this, 'service:error', detail),
        stopped: () => this.#services.delete(running),
      },
      own,
      options,
      service,
    )
    if (this.#services.size === 0 && !this.#watching) this.#watch()
    this.#services.add(running)
    running.start()
    return running
  }

  #watching = false

  /** Tells the services of peers that say what they speak, and of those that go. */
  #watch(): void {
    this.#watching = true
    this.addEventListener('peer:identify', ({ detail: { peer } }) => {
      for (const service of this.#services) service.onIdentified(peer)
    })
    this.addEventListener('connection:close', ({ detail: { peer } }) => {
      for (const service of this.#services) service.onIdentified(peer)
    })
  }

  override close(): Promise<void> {
    for (const service of this.#services) service.close()
    return super.close()
  }

  get ownAddresses(): readonly OwnAddress[] {
    return this.closed ? [] : ownAddresses(this.#core)
  }

  get reachability(): Reachability {
    return this.closed ? 'unknown' : this.#serving.reachability
  }

  setAnnouncing(options: AddressOptions): void {
    this.check()
    setAnnouncing(this.#core, options)
    this.readAddresses()
    this.engine.touch()
  }

  serveAutonat(options: AutonatOptions = {}): void {
    this.check()
    this.#serving.autonat(options)
    this.engine.touch()
  }

  serveAsRelay(options: RelayServiceOptions = {}): void {
    this.check()
    this.#serving.relay(options)
    this.engine.touch()
  }

  relayStats(): RelayStats {
    this.check()
    return this.#serving.relayStats()
  }

  get relays(): readonly string[] {
    return this.closed ? [] : this.#relays.list
  }

  limitOf(connection: Connection): RelayLimit | undefined {
    const open = connection instanceof ConnectionImpl && connection.status !== 'closed'
    return open ? this.#relays.limit(connection.id) : undefined
  }

  borrowWebRTC(port: MessagePort): void {
    this.check()
    if (this.#webrtc === undefined) throw new InvalidArgumentError('createNode was not given a port')
    this.#webrtc.borrow(port)
  }

  override limited(connection: ConnectionId): boolean {
    return !this.closed && this.#relays.limit(connection) !== undefined
  }

  override openStream(connection: ConnectionId, proposed: readonly string[], options?: OpenOptions): number {
    if (!this.limited(connection)) return super.openStream(connection, proposed)
    if (options?.limited !== true) throw new LimitedConnectionError()
    return this.#core.raw.open_limited_stream(now(), connection, proposed.join('\n'))
  }

  get #rtc(): WebRtc {
    if (this.#webrtc === undefined) throw new UnsupportedError('there is no WebRTC here to listen with')
    return this.#webrtc
  }

  override async listen(address: string): Promise<void> {
    if (address === WEBRTC) {
      this.#rtc.listen()
    } else if (isDirect(address)) {
      return this.listens(this.#rtc.listenDirect(address, (link) => this.accept(link)))
    } else if (isCircuit(address)) {
      this.#relays.listen(address)
    } else {
      return super.listen(address)
    }
    this.engine.touch()
  }

  override handle(protocol: string, handler: StreamHandler, options?: HandleOptions): void {
    super.handle(protocol, handler)
    this.#core.raw.handle_limited(protocol, options?.limited ?? false)
  }

  protected override onPart(kind: number, body: Records): void {
    switch (kind) {
      case 130:
      case 131:
      case 132:
      case 133:
        this.pubsub.onPart(kind, body)
        break
      case 140: {
        const who = readTopicPeer(body)
        if (who !== undefined) this.#discovery.found(who)
        break
      }
      case 40: {
        const key = body.range().slice()
        const put = body.byte() === 1
        this.#writer?.push({ key, value: put ? body.range().slice() : undefined })
        break
      }
      case 41:
        emit(this, 'peer:update', body.text())
        break
      case 42:
        emit(this, 'peer:forget', body.text())
        break
      case 43:
        emit(this, 'bootstrap', { peers: body.number() })
        break
      case 48:
        emit(this, 'peer:trim', body.text())
        break
      case 49:
        emit(this, 'peer:redial', {
          peer: body.text(),
          failures: body.number(),
          after: body.number() / 1000,
        })
        break
      case 50: {
        const connection = this.connectionOf(body.number())
        if (connection !== undefined) emit(this, 'peer:path', connection)
        break
      }
      case 70:
      case 71: {
        const { name, detail } = this.#relays.event(kind, body)
        emit(this, name, detail)
        break
      }
      case 73: {
        const id = body.number()
        this.connectionOf(id)?.onEnding()
        this.#core.raw.closed(now(), id, 'the circuit ended')
        break
      }
      case 74: {
        const connection = this.connectionOf(body.number())
        if (connection !== undefined) emit(this, 'relay:limit', { connection, limit: limitOf(body) })
        break
      }
      case 75: {
        const connection = this.connectionOf(body.number())
        if (connection !== undefined) connection.reason = new RelayLimitError(limitOf(body))
        break
      }
      case 80:
        this.#webrtc?.onOrder(body)
        break
      case 81:
      case 82: {
        const connection = this.connectionOf(body.number())
        if (connection === undefined) break
        if (kind === 81) emit(this, 'connection:upgraded', connection)
        else emit(this, 'upgrade:failed', { peer: connection.peer, connection, ...upgradeFailure(body) })
        break
      }
      case 100:
      case 101:
      case 102:
      case 103:
      case 104:
        this.#dht.onEvent(kind, body)
        break
      case 110:
        this.#rendezvous.onAnswer(body)
        break
      case 111:
      case 112: {
        const [point, namespace] = [body.text(), body.text()]
        if (kind === 111) emit(this, 'rendezvous:renew', { point, namespace, ttl: body.number() })
        else emit(this, 'rendezvous:error', { point, namespace, error: readError(body) })
        break
      }
      case 120:
      case 121:
        this.#keeper?.onOrder(kind, body)
        break
      default:
        this.#serving.onPart(kind, body)
    }
  }

  protected override async onClosing(): Promise<void> {
    this.#dht.close()
    this.#rendezvous.close()
    this.#discovery.close()
    this.#unfollow?.()
    this.#webrtc?.stop()
    this.pubsub.stop()
    await this.#serving.close()
    await this.#keeper?.close()
    if (this.#writer === undefined) return
    for (const event of LEAVING) globalThis.removeEventListener?.(event, this.#onHide)
    this.#flush()
    await this.#writer.close()
  }

  /** Writes down what has changed, without waiting for its time. */
  #flush(): void {
    this.#core.raw.flush_store(now())
    this.engine.turn()
  }
}
