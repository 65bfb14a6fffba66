/** The node, as the application has it. */

import { type AbortOptions, abortable, asyncDispose, type Deferred, deferred } from './abort.js'
import { ConnectionImpl, type ConnectionOwner, protocolNames } from './connection.js'
import { type ConnectionId, type Core, type CoreEvent, now, type Records } from './core.js'
import { Engine } from './engine.js'
import { InvalidArgumentError, NodeClosedError, PolypeerError } from './errors.js'
import { emit, type TypedEventTarget } from './events.js'
import { dialErrorOf, endOf, errorOf } from './failures.js'
import type { Host, Link, Listening } from './host.js'
import type {
  Connection,
  DialOptions,
  DialTarget,
  MiniNode,
  NodeEvents,
  OpenOptions,
  PeerInfo,
  Stream,
  StreamHandler,
} from './types.js'

/** How long, in milliseconds, {@link NodeImpl.close} waits for connections to end in order. */
const CLOSE_MS = 1_000

const TypedTarget = EventTarget as { new (): TypedEventTarget<NodeEvents> }

export class NodeImpl extends TypedTarget implements MiniNode, ConnectionOwner {
  readonly peerId: string
  readonly privateKey: Uint8Array
  readonly engine: Engine
  readonly #host: Host
  readonly #listening: Listening[] = []
  readonly #connections = new Map<ConnectionId, ConnectionImpl>()
  readonly #handlers = new Map<string, StreamHandler>()
  readonly #dials = new Map<number, Deferred<ConnectionImpl>>()
  readonly #pings = new Map<number, (micros: number | undefined) => void>()
  #addresses: readonly string[] = []
  #closing: Promise<void> | undefined

  constructor(core: Core, host: Host, privateKey: Uint8Array) {
    super()
    this.#host = host
    this.privateKey = privateKey
    this.peerId = core.text(core.raw.peer_id())
    this.engine = new Engine(core, host, {
      event: (event) => this.#onEvent(event),
      ending: (connection) => this.#connections.get(connection)?.onEnding(),
    })
  }

  get addresses(): readonly string[] {
    return this.#addresses
  }

  get connections(): readonly Connection[] {
    return [...this.#connections.values()]
  }

  get peers(): readonly string[] {
    return [...new Set([...this.#connections.values()].map(({ peer }) => peer))]
  }

  get protocols(): readonly string[] {
    return [...this.#handlers.keys()]
  }

  get closed(): boolean {
    return this.#closing !== undefined
  }

  listen(address: string): Promise<void> {
    return this.listens(this.#host.listen(address, (link) => this.accept(link)))
  }

  /** Holds what listens until the node is closed, and says where it does. */
  protected async listens(opening: Promise<Listening>): Promise<void> {
    const listening = await opening
    if (this.closed) return listening.close()
    this.#listening.push(listening)
    for (const own of listening.addresses) this.engine.core.raw.listening(now(), own)
    this.readAddresses()
    this.engine.touch()
  }

  /** Takes a link that the host accepted: its number, negative if it is refused. */
  protected accept(link: Link): number {
    return this.engine.accept(link)
  }

  dial(target: DialTarget, options?: DialOptions): Promise<Connection>
  dial(target: DialTarget, protocol: string | readonly string[], options?: DialOptions): Promise<Stream>
  async dial(
    target: DialTarget,
    second?: string | readonly string[] | DialOptions,
    third?: DialOptions,
  ): Promise<Connection | Stream> {
    if (typeof second !== 'string' && !isList(second)) return this.#connect(target, second)
    const protocols = protocolNames(second)
    const connection = await this.#connect(target, third)
    return connection.openStream(protocols, third)
  }

  async #connect(target: DialTarget, options: DialOptions | undefined): Promise<ConnectionImpl> {
    this.check()
    options?.signal?.throwIfAborted()
    const { core } = this.engine
    const targets = typeof target === 'string' ? [target] : target
    const text = targets.join('\n')
    const dial = core.raw.dial(now(), text, options?.direct === true, options?.force === true)
    if (dial < 0) throw errorOf(core.failure(dial), text)
    const connected = deferred<ConnectionImpl>()
    this.#dials.set(dial, connected)
    this.engine.touch()
    return abortable(connected.promise, options?.signal, () => {
      if (!this.#dials.delete(dial) || this.closed) return
      core.raw.cancel_dial(now(), dial)
      this.engine.touch()
    })
  }

  handle(protocol: string, handler: StreamHandler): void {
    this.check()
    protocolNames(protocol)
    if (this.#handlers.has(protocol)) throw new InvalidArgumentError(`${protocol} has a handler already`)
    this.#handlers.set(protocol, handler)
    this.engine.core.raw.handle(now(), protocol)
    this.engine.touch()
  }

  unhandle(protocol: string): void {
    this.check()
    if (!this.#handlers.delete(protocol)) return
    this.engine.core.raw.unhandle(now(), protocol)
    this.engine.touch()
  }

  async hangUp(peer: string, options?: AbortOptions): Promise<void> {
    this.check()
    options?.signal?.throwIfAborted()
    const { core } = this.engine
    const length = core.raw.normalize_peer_id(peer)
    if (length < 0) throw errorOf(core.failure(length), peer)
    const name = core.text(length)
    const closing = [...this.#connections.values()].filter((one) => one.peer === name)
    await abortable(Promise.all(closing.map((one) => one.close())), options?.signal)
  }

  async ping(target: DialTarget, options?: AbortOptions): Promise<number> {
    const connection = await this.#connect(target, options)
    return connection.ping(options)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const listeners = Promise.all(this.#listening.map((one) => one.close()))
    for (const connected of this.#dials.values()) connected.reject(new NodeClosedError())
    this.#dials.clear()
    let timer: ReturnType<typeof setTimeout> | undefined
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS)
    })
    await Promise.race([Promise.all([...this.#connections.values()].map((one) => one.close())), patience])
    clearTimeout(timer)
    for (const connection of [...this.#connections.values()]) {
      connection.onEnding()
      this.#onDisconnected(connection, { cause: 'closed', message: 'the node was closed' })
    }
    await this.onClosing()
    this.engine.stop()
    for (const done of this.#pings.values()) done(undefined)
    this.#pings.clear()
    this.engine.core.free()
    await listeners
  }

  onPinged(ping: number, done: (micros: number | undefined) => void): void {
    this.#pings.set(ping, done)
  }

  unref(timer: ReturnType<typeof setTimeout>): void {
    this.#host.unref(timer)
  }

  openStream(connection: ConnectionId, proposed: readonly string[], _options?: OpenOptions): number {
    return this.engine.core.raw.open_stream(now(), connection, proposed.join('\n'))
  }

  limited(_connection: ConnectionId): boolean {
    return false
  }

  protected connectionOf(id: ConnectionId): ConnectionImpl | undefined {
    return this.#connections.get(id)
  }

  protected check(): void {
    if (this.closed) throw new NodeClosedError()
  }

  #onEvent(event: CoreEvent): void {
    switch (event.type) {
      case 'connected':
        this.#onConnected(event)
        break
      case 'disconnected': {
        const connection = this.#connections.get(event.connection)
        if (connection !== undefined) this.#onDisconnected(connection, event.failure)
        break
      }
      case 'dialed': {
        const connected = this.#dials.get(event.dial)
        this.#dials.delete(event.dial)
        const connection = this.#connections.get(event.connection)
        if (connection !== undefined) connected?.resolve(connection)
        break
      }
      case 'dial-failed': {
        const connected = this.#dials.get(event.dial)
        this.#dials.delete(event.dial)
        connected?.reject(dialErrorOf(event, this.engine.dialErrors))
        break
      }
      case 'pinged': {
        const done = this.#pings.get(event.ping)
        this.#pings.delete(event.ping)
        done?.(event.micros < 0 ? undefined : event.micros)
        break
      }
      case 'identified': {
        const { peer, agent, protocols, addresses, observed } = event
        const info: PeerInfo = {
          peer,
          agent,
          protocols,
          addresses,
          observedAddress: observed === '' ? undefined : observed,
        }
        const connection = this.#connections.get(event.connection)
        if (connection !== undefined) connection.info = info
        emit(this, 'peer:identify', info)
        break
      }
      case 'addresses':
        this.readAddresses()
        emit(this, 'addresses:change', this.#addresses)
        break
      case 'stream-inbound':
        this.#onInbound(event.connection, event.stream, event.protocol)
        break
      case 'stream-opened':
        this.#connections.get(event.connection)?.onOpened(event.stream, event.protocol)
        break
      case 'stream-failed':
        this.#connections
          .get(event.connection)
          ?.onOpenFailed(event.stream, (proposed) => errorOf(event.failure, proposed))
        break
      case 'readable':
      case 'writable':
      case 'finished':
      case 'reset':
        this.#connections.get(event.connection)?.stream(event.stream)?.on(event.type)
        break
      case 'part':
        this.onPart(event.kind, event.body)
    }
  }

  /** What a part has to do before the end. */
  protected async onClosing(): Promise<void> {}

  /** News of a part that a {@link MiniNode} does not have. */
  protected onPart(_kind: number, _body: Records): void {}

  #onConnected({ connection: id, peer, remote, inbound }: Extract<CoreEvent, { type: 'connected' }>): void {
    const first = !this.peers.includes(peer)
    const connection = new ConnectionImpl(this, id, peer, remote, inbound)
    this.#connections.set(id, connection)
    emit(this, 'connection:open', connection)
    if (first) emit(this, 'peer:connect', peer)
  }

  #onDisconnected(connection: ConnectionImpl, failure: Parameters<typeof endOf>[0]): void {
    this.#connections.delete(connection.id)
    connection.onClosed(endOf(failure))
    emit(this, 'connection:close', connection)
    if (!this.peers.includes(connection.peer)) emit(this, 'peer:disconnect', connection.peer)
  }

  #onInbound(id: ConnectionId, streamId: number, protocol: string): void {
    const connection = this.#connections.get(id)
    if (connection === undefined) return
    const stream = connection.onInbound(streamId, protocol)
    const handler = this.#handlers.get(protocol)
    // Unhandled between the remote's question and now.
    if (handler === undefined) {
      stream.abort()
      return
    }
    const failed = (error: unknown): void => {
      // That the stream or its connection ended under the handler is no fault of it.
      if (stream.status === 'reset' && error instanceof PolypeerError) return
      stream.abort(error)
      emit(this, 'handler:error', { protocol, stream, error })
    }
    try {
      Promise.resolve(handler(stream)).catch(failed)
    } catch (error) {
      failed(error)
    }
  }

  protected readAddresses(): void {
    const { core } = this.engine
    this.#addresses = core.lines(core.raw.addresses())
  }
}

function isList(value: readonly string[] | DialOptions | undefined): value is readonly string[] {
  return Array.isArray(value)
}
