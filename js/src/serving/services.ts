/** What a node in Node does for others, by the core. */

import type { Core as NodeCore } from '../../generated/node.js'
import { type Core, now, Records } from '../core.js'
import type { Discovered, MdnsOptions, RendezvousPointOptions, RendezvousStats } from '../discovery/types.js'
import { InvalidArgumentError } from '../errors.js'
import { errorOf } from '../failures.js'
import type { Host } from '../host.js'
import { type AutonatOptions, type Reachability, reachabilityOf } from '../reach.js'
import type { RelayPair, RelayRule, RelayServiceOptions, RelayStats } from '../relay.js'
import type { NodeEvents } from '../types.js'
import { Mdns } from './mdns.js'
import type { Services } from './types.js'

/** What the services need of their node. */
export interface ServicesEngine {
  readonly core: Core<NodeCore>
  readonly host: Host
  touch(): void
  emit<K extends keyof NodeEvents>(name: K, detail: NodeEvents[K]): void
  /** A neighbour was found. */
  found(who: Discovered): void
  /** A neighbour is gone. */
  gone(peer: string): void
}

/** See {@link Services}. */
export class NodeServices implements Services {
  readonly #engine: ServicesEngine
  #mdns: Mdns | undefined

  constructor(engine: ServicesEngine) {
    this.#engine = engine
  }

  get #core(): Core<NodeCore> {
    return this.#engine.core
  }

  dhtMode(mode: number): void {
    this.#core.raw.set_dht_mode(now(), mode)
  }

  relay(asked: RelayServiceOptions): void {
    const { reservations = 128, reservationsPerIp = 8, reservationTtl = 3_600_000 } = asked
    const { circuits = 1024, circuitsPerPeer = 16, duration = 120_000, data = 131_072 } = asked
    const limit = (value: number): number => (Number.isFinite(value) ? Math.max(1, Math.ceil(value)) : 0)
    const { rates = {}, allow = [], deny = [], trusted = [] } = asked
    const lists = { '+': allow, '-': deny, '*': trusted }
    const peers = Object.entries(lists).flatMap(([mark, list]) => list.map((peer) => mark + peer))
    const result = this.#core.raw.serve_as_relay(
      now(),
      reservations,
      reservationsPerIp,
      Math.ceil(reservationTtl / 1000),
      circuits,
      circuitsPerPeer,
      limit(duration / 1000),
      limit(data),
      Float64Array.of(rates.circuit ?? 0, rates.peer ?? 0, rates.ip ?? 0, rates.total ?? 0),
      peers.join('\n'),
    )
    if (result < 0) throw errorOf(this.#core.failure(result), [...allow, ...deny, ...trusted].join(', '))
  }

  relayStats(): RelayStats {
    const body = this.#read(this.#core.raw.relay_stats())
    const [reservations, circuits] = [body.number(), body.number()]
    const refused: Partial<Record<RelayRule, number>> = {}
    for (let left = body.number(); left > 0; left--) refused[body.text() as RelayRule] = body.number()
    const pairs: RelayPair[] = []
    while (!body.done) {
      const [source, target, circuits] = [body.text(), body.text(), body.number()]
      pairs.push({ source, target, circuits, bytes: [body.number(), body.number()] })
    }
    return { reservations, circuits, refused, pairs }
  }

  autonat({
    maxRequests = 16,
    maxRequestsOfPeer = 2,
    perMinute = 60,
    perMinuteOfNetwork = 20,
    perMinuteOfPeer = 12,
  }: AutonatOptions): void {
    this.#core.raw.serve_autonat(
      now(),
      maxRequests,
      maxRequestsOfPeer,
      perMinute,
      perMinuteOfNetwork,
      perMinuteOfPeer,
    )
  }

  get reachability(): Reachability {
    return reachabilityOf(this.#core.raw.reachability())
  }

  rendezvousPoint(options: RendezvousPointOptions): void {
    const { minTtl, maxTtl, registrations, bytes, perPeer, perNamespace, perNetwork, requests } = options
    const numbers = [minTtl, maxTtl, registrations, bytes, perPeer, perNamespace, perNetwork, requests]
    for (const number of numbers) {
      if (!(number === undefined || (Number.isSafeInteger(number) && number >= 0))) {
        throw new InvalidArgumentError(`not a limit: ${number}`)
      }
    }
    const given = new Float64Array(numbers.map((number) => number ?? -1))
    this.#core.raw.serve_rendezvous(now(), given)
  }

  rendezvousStats(): RendezvousStats {
    const body = this.#read(this.#core.raw.rendezvous_stats())
    const [registrations, peers] = [body.number(), body.number()]
    return { registrations, peers, namespaces: body.number(), bytes: body.number() }
  }

  async mdns(options: MdnsOptions): Promise<void> {
    this.#mdns = new Mdns(this.#engine)
    await this.#mdns.start(options)
  }

  /** The tags are those of `core/serving.rs`. */
  onPart(kind: number, body: Records): void {
    const { emit } = this.#engine
    switch (kind) {
      case 72: {
        const [source, target] = [body.text(), body.text()]
        emit('relay:circuit', { source, target, bytes: [body.number(), body.number()] })
        break
      }
      case 76: {
        const [peer, rule] = [body.text(), body.text() as RelayRule]
        const after = body.number()
        emit('relay:refused', { peer, rule, retryAfter: after < 0 ? undefined : after })
        break
      }
      case 90: {
        const reachability = reachabilityOf(body.byte())
        const address = body.text()
        emit('reachability', { address: address === '' ? undefined : address, reachability })
        break
      }
    }
  }

  async close(): Promise<void> {
    await this.#mdns?.close()
  }

  #read(length: number): Records {
    return new Records(this.#core.output(length).slice())
  }
}
