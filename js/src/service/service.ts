/** A service of a node: its sessions over streams, the same rules as in Rust. */

import { type AbortOptions, abortable } from '../abort.js'
import { ConnectionClosedError, LimitError, NodeClosedError, type PolypeerError } from '../errors.js'
import type { Connection, HandleOptions, PeerInfo, Stream } from '../types.js'
import { SessionImpl, type SessionOwner } from './session.js'
import { Timers } from './timers.js'
import type {
  Priority,
  RunningService,
  Service,
  ServiceErrorDetail,
  ServiceOptions,
  ServiceSession,
  SessionEnd,
} from './types.js'

/** A connection, and what its peer said of itself. */
type Known = Connection & { readonly info: PeerInfo | undefined }

/** What a service needs of its node. */
export interface ServiceNode {
  readonly peerId: string
  connections(): readonly Known[]
  handle(protocol: string, handler: (stream: Stream) => void, options: HandleOptions): void
  unhandle(protocol: string): void
  unref(timer: ReturnType<typeof setTimeout>): void
  /** Those of `names` that the service wants, the best first. */
  among(names: readonly string[]): readonly string[]
  opened(session: ServiceSession): void
  closed(session: ServiceSession, end: SessionEnd): void
  failed(detail: ServiceErrorDetail): void
  stopped(service: ServiceImpl): void
}

const MINUTE_MS = 60_000
/** Peers of which is remembered how often they open; the longest quiet go first. */
const MAX_OPENERS = 4096

export class ServiceImpl implements RunningService, SessionOwner {
  readonly name: string
  readonly maxMessage: number
  readonly queue: number
  readonly drop: boolean
  readonly patience: number
  readonly #node: ServiceNode
  readonly #service: Service
  readonly #own: readonly string[]
  readonly #limited: boolean
  readonly #automatic: boolean
  readonly #maxSessions: number
  readonly #openings: number
  readonly #sessions = new Map<string, SessionImpl>()
  readonly #opening = new Map<string, Promise<ServiceSession>>()
  /** How often peers opened lately; the one that began longest ago first. */
  readonly #openers = new Map<string, { since: number; count: number }>()
  readonly #timers: Timers
  #running = true

  constructor(node: ServiceNode, own: readonly string[], options: ServiceOptions, service: Service) {
    this.#node = node
    this.#own = own
    this.name = own[0] ?? ''
    this.#service = service
    this.maxMessage = options.maxMessage ?? 256 * 1024
    this.queue = options.queue ?? 1024 * 1024
    this.drop = options.full === 'drop-oldest'
    this.patience = options.patience ?? 60_000
    this.#limited = options.limited ?? false
    this.#automatic = options.automatic ?? true
    this.#maxSessions = options.maxSessions ?? 1024
    this.#openings = options.openings ?? 12
    const notify = (token: string): void => {
      void this.#guard(undefined, () => this.#service.notified?.(token, this))
    }
    this.#timers = new Timers(notify, (timer) => node.unref(timer))
  }

  /** Answers remotes, and opens on those that are connected. */
  start(): void {
    const take = (stream: Stream): void => this.#onInbound(stream)
    for (const name of this.#own) this.#node.handle(name, take, { limited: this.#limited })
    for (const peer of new Set(this.#node.connections().map((one) => one.peer))) this.onIdentified(peer)
  }

  get sessions(): readonly ServiceSession[] {
    return [...this.#sessions.values()]
  }

  session(peer: string): ServiceSession | undefined {
    return this.#sessions.get(peer)
  }

  broadcast(
    message: Uint8Array,
    {
      filter = () => true,
      priority = 'normal',
    }: { filter?: (session: ServiceSession) => boolean; priority?: Priority } = {},
  ): number {
    let count = 0
    for (const session of this.sessions) {
      if (!filter(session)) continue
      try {
        session.send(message, priority)
        count++
      } catch (error) {
        // Who reads too slowly was told of; a message that is too long is the caller's fault.
        if (!(error instanceof LimitError) || message.length > this.maxMessage) throw error
      }
    }
    return count
  }

  setTimer(token: string, ms: number): void {
    if (this.#running) this.#timers.set(token, ms)
  }

  clearTimer(token: string): void {
    this.#timers.clear(token)
  }

  async open(peer: string, options?: AbortOptions): Promise<ServiceSession> {
    options?.signal?.throwIfAborted()
    const open = this.#sessions.get(peer)
    if (open !== undefined) return open
    let opening = this.#opening.get(peer)
    if (opening === undefined) {
      opening = this.#open(peer).finally(() => this.#opening.delete(peer))
      this.#opening.set(peer, opening)
    }
    return abortable(opening, options?.signal)
  }

  close(): void {
    if (!this.#running) return
    this.#running = false
    this.#timers.clearAll()
    for (const name of this.#own) this.#node.unhandle(name)
    for (const session of [...this.#sessions.values()]) session.close()
    this.#node.stopped(this)
  }

  /** What connected peers speak may have changed, or over which connection. */
  onIdentified(peer: string): void {
    if (!this.#running || !this.#automatic || this.#sessions.has(peer) || this.#opening.has(peer)) return
    const speaks = (one: Known): boolean =>
      one.peer === peer &&
      one.status === 'open' &&
      one.direction === 'outbound' &&
      (this.#limited || !one.limited) &&
      this.#node.among(one.info?.protocols ?? []).length > 0
    if (!this.#node.connections().some(speaks)) return
    this.open(peer).catch((error: unknown) => {
      if (this.#running) this.#fail(peer, error)
    })
  }

  async #open(peer: string): Promise<ServiceSession> {
    if (!this.#running) throw new NodeClosedError()
    if (this.#sessions.size + this.#opening.size >= this.#maxSessions) {
      throw new LimitError('there is no room for another session')
    }
    const fits = (one: Connection): boolean =>
      one.peer === peer && one.status === 'open' && (this.#limited || !one.limited)
    const open = this.#node.connections().filter(fits)
    const names = open.map((one) => this.#node.among(one.info?.protocols ?? []))
    const best = Math.max(
      0,
      names.findIndex(({ length }) => length > 0),
    )
    const connection = open[best]
    if (connection === undefined) throw new ConnectionClosedError(`there is no connection to ${peer}`)
    // One that did not say what it speaks is asked.
    const wanted = names[best]?.length ? names[best] : this.#own
    const stream = await connection.openStream(wanted, { limited: this.#limited })
    const theirs = this.#sessions.get(peer)
    if (theirs !== undefined && peer < this.#node.peerId) {
      stream.abort()
      return theirs
    }
    theirs?.finish('replaced')
    return this.#begin(stream)
  }

  #onInbound(stream: Stream): void {
    const { peer } = stream.connection
    if (!this.#running || !this.#mayOpen(peer)) {
      stream.abort()
      return
    }
    const ours = this.#sessions.get(peer)
    // Both opened: the stream of the smaller PeerId stays. Text compares as bytes do
    // here, for PeerIds of one kind have one length and kinds differ at the start.
    const mine = ours === undefined ? this.#opening.has(peer) : ours.direction === 'outbound'
    if (mine && this.#node.peerId < peer) {
      stream.abort()
      return
    }
    if (ours === undefined && this.#sessions.size >= this.#maxSessions) {
      this.#fail(peer, new LimitError('there is no room for another session'))
      stream.abort()
      return
    }
    ours?.finish('replaced')
    try {
      this.#begin(stream)
    } catch (error) {
      this.#fail(peer, error)
    }
  }

  #begin(stream: Stream): SessionImpl {
    const session = new SessionImpl(this, stream)
    this.#sessions.set(session.peer, session)
    let handler: ReturnType<NonNullable<Service['session']>> = {}
    try {
      handler = this.#service.session?.(session, this) ?? {}
    } catch (error) {
      this.#fail(session.peer, error)
      handler = false
    }
    if (handler === false) {
      this.#sessions.delete(session.peer)
      stream.abort()
      throw new ConnectionClosedError('the service refused the session')
    }
    session.handler = handler
    this.#node.opened(session)
    void this.#start(session)
    return session
  }

  async #start(session: SessionImpl): Promise<void> {
    const well =
      (await this.call(session, () => this.#service.connected?.(session, this))) &&
      (await this.call(session, () => session.handler.connected?.(session)))
    if (well) await session.run()
  }

  async call(session: SessionImpl, callback: () => void | Promise<void>): Promise<boolean> {
    const well = await this.#guard(session.peer, callback)
    if (!well) session.finish('failed')
    return well
  }

  async received(session: SessionImpl, message: Uint8Array): Promise<boolean> {
    return (
      (await this.call(session, () => this.#service.received?.(message, session, this))) &&
      (await this.call(session, () => session.handler.received?.(message, session)))
    )
  }

  onFull(session: SessionImpl): void {
    this.#fail(session.peer, new LimitError('the queue of messages for the peer is full'))
  }

  onEnd(session: SessionImpl, end: SessionEnd): void {
    if (this.#sessions.get(session.peer) === session) this.#sessions.delete(session.peer)
    void this.#guard(session.peer, () => session.handler.disconnected?.(end, session))
    void this.#guard(session.peer, () => this.#service.disconnected?.(end, session, this))
    this.#node.closed(session, end)
  }

  unref(timer: ReturnType<typeof setTimeout>): void {
    this.#node.unref(timer)
  }

  /** Whether `peer` has not opened too often of late. */
  #mayOpen(peer: string): boolean {
    const now = performance.now()
    let known = this.#openers.get(peer)
    if (known === undefined || now - known.since >= MINUTE_MS) {
      this.#openers.delete(peer)
      const oldest = this.#openers.keys().next()
      if (this.#openers.size >= MAX_OPENERS && !oldest.done) this.#openers.delete(oldest.value)
      known = { since: now, count: 0 }
      this.#openers.set(peer, known)
    }
    known.count++
    if (known.count === this.#openings + 1) {
      this.#fail(peer, new LimitError('the peer opens the protocol too often'))
    }
    return known.count <= this.#openings
  }

  /** Runs a callback; what it throws goes to the one place. */
  async #guard(peer: string | undefined, callback: () => void | Promise<void>): Promise<boolean> {
    try {
      await callback()
      return true
    } catch (error) {
      this.#fail(peer, error)
      return false
    }
  }

  #fail(peer: string | undefined, error: unknown | PolypeerError): void {
    this.#node.failed({ service: this.name, peer, error })
  }
}
