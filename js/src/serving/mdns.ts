/** Looks for neighbours: the core says what and when, a host carries the datagrams. */

import type { Core as NodeCore } from '../../generated/node.js'
import { type Core, now, Records } from '../core.js'
import type { Discovered, MdnsOptions } from '../discovery/types.js'
import { InvalidArgumentError, UnsupportedError } from '../errors.js'
import type { Host, Multicast } from '../host.js'

/** Where multicast DNS is spoken (RFC 6762). */
const PORT = 5353
/** The longest datagram that is read, as in the core. */
const MAX_PACKET = 9000

/** What this needs of a node. */
export interface MdnsEngine {
  readonly core: Core<NodeCore>
  readonly host: Host
  touch(): void
  found(who: Discovered): void
  gone(peer: string): void
}

/** Looks for neighbours until {@link Mdns.close}. */
export class Mdns {
  readonly #engine: MdnsEngine
  #multicast: Multicast | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #closed = false

  constructor(engine: MdnsEngine) {
    this.#engine = engine
  }

  /** Begins, also where there is no network yet. */
  async start({ serviceName = '', loopback = false, port = PORT }: MdnsOptions): Promise<void> {
    const { host, core } = this.#engine
    if (host.multicast === undefined) throw new UnsupportedError('there is no multicast here')
    const seed = globalThis.crypto.getRandomValues(new Uint8Array(32))
    if (!core.raw.start_mdns(now(), seed, serviceName, loopback)) {
      throw new InvalidArgumentError(`not a service name: ${serviceName}`)
    }
    this.#multicast = await host.multicast(port, loopback, {
      receive: (packet) => this.#receive(packet),
      changed: () => {
        core.raw.mdns_network_changed(now())
        this.#turn()
      },
    })
    this.#turn()
  }

  /** The port that it hears on. */
  get port(): number | undefined {
    return this.#multicast?.port
  }

  #receive(packet: Uint8Array): void {
    if (this.#closed || packet.length > MAX_PACKET) return
    const { core } = this.#engine
    core.put(packet)
    core.raw.mdns_receive(now(), packet.length)
    this.#turn()
  }

  #turn(leaving = false): void {
    if (this.#closed) return
    const { core, host } = this.#engine
    clearTimeout(this.#timer)
    const due = core.raw.mdns_turn(now(), leaving)
    for (let length = core.raw.mdns_packet(); length > 0; length = core.raw.mdns_packet()) {
      this.#multicast?.send(core.output(length).slice())
    }
    for (let length = core.raw.mdns_event(now()); length > 0; length = core.raw.mdns_event(now())) {
      this.#tell(new Records(core.output(length).slice()))
    }
    const wait = Math.max(1, Math.min((due - now()) / 1000, 60_000))
    this.#timer = setTimeout(() => this.#turn(), wait)
    host.unref(this.#timer)
    this.#engine.touch()
  }

  #tell(body: Records): void {
    const seen = body.byte() === 1
    const peer = body.text()
    if (seen) this.#engine.found({ peer, addresses: body.lines(), source: 'mdns', ttl: body.number() })
    else this.#engine.gone(peer)
  }

  /** Says farewell and ends. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#turn(true)
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#multicast?.close()
  }
}
