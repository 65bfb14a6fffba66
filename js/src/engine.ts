/**
 * The turn of the crank: what comes from sockets goes into the core, what the
 * core has for the sockets goes out, and the rest is told to the node. The core
 * never calls back: each turn is calls in, then one drain out.
 */

import { type ConnectionId, type Core, type CoreEvent, INPUT_BYTES, now, OUTPUT_BYTES } from './core.js'
import { PolypeerError, TransportError } from './errors.js'
import type { Host, Link } from './host.js'

/** Bytes that one connection sends before others get their turn. */
const QUANTUM_BYTES = 1024 * 1024

/** Node alone has it. */
const { setImmediate } = globalThis
/** Runs something after what waits in the event loop; Node's timers take a millisecond at least. */
const soon = setImmediate ?? setTimeout
/**
 * What is shorter waits, in Node, until all sockets with news were read: many short
 * messages then cost one turn, and what they lead to goes out in fewer writes.
 */
const SHORT_BYTES = 16 * 1024

interface Wire {
  readonly link: Link
  paused: boolean
}

/** What the engine leaves to the node. */
export interface EngineEvents {
  /** What happened, for the application. */
  event(event: CoreEvent): void
  /** The core is about to forget a connection: what streams hold is to be taken now. */
  ending(connection: ConnectionId): void
}

/** Drives one core with a host's sockets. */
export class Engine {
  readonly core: Core
  /** Errors of this host's failed dials, by address, until the last dial ends. */
  readonly dialErrors = new Map<string, PolypeerError>()
  readonly #host: Host
  readonly #events: EngineEvents
  readonly #wires = new Map<ConnectionId, Wire>()
  readonly #dials = new Map<ConnectionId, AbortController>()
  /** Dials what the host does not. */
  dialer: ((address: string, signal: AbortSignal) => Promise<Link> | undefined) | undefined
  /** Is told where our end of a connection is. */
  located: ((connection: ConnectionId, local: string) => void) | undefined
  /** Connections that brought something and may have to be paused, or are. */
  readonly #heard = new Set<ConnectionId>()
  #scheduled = false
  #gathering = false
  #turning = false
  stopped = false
  #timer: ReturnType<typeof setTimeout> | undefined
  #deadline = Number.POSITIVE_INFINITY

  constructor(core: Core, host: Host, events: EngineEvents) {
    this.core = core
    this.#host = host
    this.#events = events
  }

  /** Something changed in the core: there will be a turn before the next task. */
  touch(): void {
    if (this.#scheduled || this.stopped) return
    this.#scheduled = true
    this.#host.defer(() => {
      this.#scheduled = false
      this.turn()
    })
  }

  /** Takes a link that the host accepted: its number, negative if it is refused. */
  accept(link: Link): number {
    const connection = this.stopped ? -1 : (link.accepted?.() ?? this.core.raw.accepted(now(), link.remote))
    if (connection < 0) {
      link.destroy()
    } else {
      this.attach(connection, link)
      this.turn()
    }
    return connection
  }

  /** Does what there is to do until the core has no more. */
  turn(): void {
    // A listener may have called in: the loop that runs sees to it.
    if (this.#turning || this.stopped) return
    this.#turning = true
    try {
      for (let events = this.core.drain(); events.length > 0; events = this.core.drain()) {
        for (const event of events) {
          this.#take(event)
          if (this.stopped) return
        }
      }
    } finally {
      this.#turning = false
    }
    for (const connection of this.#heard) this.#regulate(connection)
    this.#arm()
  }

  /** Closes every socket; the core may then be freed. */
  stop(): void {
    this.stopped = true
    clearTimeout(this.#timer)
    for (const dial of this.#dials.values()) dial.abort()
    for (const { link } of this.#wires.values()) link.destroy()
    this.#dials.clear()
    this.#wires.clear()
  }

  #take(event: CoreEvent): void {
    switch (event.type) {
      case 'dial':
        void this.#dial(event.connection, event.address)
        break
      case 'transmit':
        this.#flush(event.connection)
        break
      case 'drop':
        this.#drop(event.connection)
        break
      case 'verify':
        this.#host.verify(event.request).then(
          (valid) => this.#verified(event.connection, valid),
          () => this.#verified(event.connection, false),
        )
        break
      default:
        this.#events.event(event)
    }
  }

  async #dial(connection: ConnectionId, address: string): Promise<void> {
    const abort = new AbortController()
    this.#dials.set(connection, abort)
    try {
      const link = await (this.dialer?.(address, abort.signal) ?? this.#host.dial(address, abort.signal))
      if (!this.settle(connection)) return link.destroy()
      if (link.connected?.(connection) ?? this.core.raw.connected(now(), connection)) {
        this.attach(connection, link)
      } else {
        link.destroy()
      }
    } catch (error) {
      if (!this.settle(connection)) return
      const reason =
        error instanceof PolypeerError ? error : new TransportError(String(error), { cause: error })
      this.dialErrors.set(address, reason)
      this.core.raw.dial_failed(now(), connection, reason.message)
    }
    this.turn()
    if (this.#dials.size === 0) this.dialErrors.clear()
  }

  /** Waits for the transport of a connection; `drop` when it is wanted no more. */
  await(connection: ConnectionId, drop: () => void): void {
    if (this.#dials.has(connection)) return
    const abort = new AbortController()
    abort.signal.onabort = drop
    this.#dials.set(connection, abort)
  }

  /** Waits no more; whether it did. */
  settle(connection: ConnectionId): boolean {
    return this.#dials.delete(connection)
  }

  /** Carries a connection, of which the core knows, over a link. */
  attach(connection: ConnectionId, link: Link): void {
    this.#wires.set(connection, { link, paused: false })
    if (link.local !== undefined) this.located?.(connection, link.local)
    link.start({
      data: (bytes, head) => this.#receive(connection, bytes, head),
      drain: () => {
        this.#flush(connection)
        this.turn()
      },
      end: (error) => this.#ended(connection, error),
    })
  }

  #receive(connection: ConnectionId, bytes: Uint8Array, head?: Uint8Array): void {
    const wire = this.#wires.get(connection)
    if (wire === undefined) return
    const { raw } = this.core
    // Pieces of a pipe need no turn each.
    if (head !== undefined) {
      this.core.put(head)
      raw.receive(now(), connection, head.length)
    }
    for (let at = 0; at < bytes.length; at += INPUT_BYTES) {
      const piece = bytes.length <= INPUT_BYTES ? bytes : bytes.subarray(at, at + INPUT_BYTES)
      this.core.put(piece)
      raw.receive(now(), connection, piece.length)
    }
    this.#heard.add(connection)
    if (setImmediate === undefined || bytes.length >= SHORT_BYTES) this.turn()
    else if (!this.#gathering) {
      this.#gathering = true
      setImmediate(() => {
        this.#gathering = false
        this.turn()
      })
    }
  }

  /** Pauses a connection while the core wants no more of it. */
  #regulate(connection: ConnectionId): void {
    const wire = this.#wires.get(connection)
    const wanted = wire === undefined || this.core.raw.wants_read(connection)
    if (wanted) this.#heard.delete(connection)
    if (wire?.paused !== wanted) return
    wire.paused = !wanted
    wire.link[wanted ? 'resume' : 'pause']()
  }

  /** Sends what the core has, as far as the link takes it. */
  #flush(connection: ConnectionId): void {
    const wire = this.#wires.get(connection)
    if (wire === undefined || this.stopped) return
    const { link } = wire
    for (let left = QUANTUM_BYTES; link.ready; ) {
      const length = this.core.raw.transmit(now(), connection, Math.min(left, OUTPUT_BYTES))
      if (length === 0) return
      link.send(this.core.output(length))
      left -= length
      if (left <= 0) {
        // Others first, then on in a turn of its own.
        soon(() => {
          this.#flush(connection)
          this.turn()
        })
        return
      }
    }
  }

  /** The core knows the connection no more; what it gave before is still sent. */
  #drop(connection: ConnectionId): void {
    const wire = this.#wires.get(connection)
    this.#wires.delete(connection)
    this.#heard.delete(connection)
    wire?.link.close()
    // A dial that is wanted no more.
    const dial = this.#dials.get(connection)
    this.#dials.delete(connection)
    dial?.abort()
  }

  #ended(connection: ConnectionId, error: Error | undefined): void {
    if (!this.#wires.has(connection)) return
    this.turn()
    this.#events.ending(connection)
    this.#wires.delete(connection)
    this.#heard.delete(connection)
    if (this.stopped) return
    this.core.raw.closed(now(), connection, error?.message ?? '')
    this.turn()
  }

  #verified(connection: ConnectionId, valid: boolean): void {
    if (this.stopped) return
    this.core.raw.verified(now(), connection, valid)
    this.turn()
  }

  /** One timer for everything; that it goes off early does no harm, so it is seldom set anew. */
  #arm(): void {
    const deadline = this.core.raw.poll_timeout()
    if (deadline >= this.#deadline) return
    clearTimeout(this.#timer)
    this.#deadline = deadline
    const delay = Math.min(Math.max(Math.ceil((deadline - now()) / 1000), 0), 2 ** 31 - 1)
    this.#timer = setTimeout(() => {
      this.#deadline = Number.POSITIVE_INFINITY
      this.core.raw.handle_timeout(now())
      this.turn()
    }, delay)
    this.#host.unref(this.#timer)
  }
}
